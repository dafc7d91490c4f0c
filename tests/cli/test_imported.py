"""What came in from another program's database beside what is this site's own."""

import json
from pathlib import Path

import apsw
import pytest
from foreign_sources import DAY, NOW, SOURCES, make, put, text_time
from scratch_home import Agent


def models(home: Path) -> list[tuple[str, str]]:
    db = apsw.Connection(str(home / "data" / "llamaagent" / "llamaagent.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [
            (str(name), str(origin))
            for name, origin in db.execute("SELECT name, origin FROM models ORDER BY name")
        ]
    finally:
        db.close()


def test_rm_forgets_a_model_that_was_only_imported(agent: Agent, site: Path, home: Path) -> None:
    agent("run", "--once", cwd=site)
    agent("db", "import", SOURCES["dashboard-v2"](home / "theirs.db"), cwd=site)
    assert models(home) == [("llama-3-8b", "import"), ("plain", "import"), ("tiny", "profile")]

    result = agent("rm", "plain", cwd=site)
    assert "plain: forgotten; it was imported and never launched" in result.stderr
    assert models(home) == [("llama-3-8b", "import"), ("tiny", "profile")]
    assert "tiny is declared by a file" in agent("rm", "*", cwd=site, code=2).stderr
    agent("rm", "llama*", "-q", cwd=site)
    assert models(home) == [("tiny", "profile")]
    assert json.loads(agent("profiles", "list", "--json", cwd=site).stdout)[0]["profile"] == "tiny"
    assert "no profile is named plain" in agent("rm", "plain", cwd=site, code=2).stderr
    who = agent(
        "query",
        "SELECT action, resource_id FROM audit_log WHERE action = 'rm' ORDER BY id",
        "--json",
        cwd=site,
    )
    assert [row["resource_id"] for row in json.loads(who.stdout)] == ["plain", "llama-3-8b"]


def test_rm_of_an_imported_container_takes_the_model_of_that_name_along(
    agent: Agent, site: Path, home: Path
) -> None:
    agent("db", "import", SOURCES["mlenv"](home / "theirs.db"), cwd=site)
    db = make(home / "d.db", "dashboard_v1")
    put(db, "models", id="m", name="tiny-imported", model_path="/other.gguf", created_at=5)
    db.close()
    agent("run", "--once", cwd=site)
    agent("db", "import", home / "d.db", cwd=site)
    agent("rm", "mlenv-job", "tiny-imported", cwd=site)
    assert models(home) == [("tiny", "profile")]
    gone = json.loads(agent("history", "mlenv-job", "--json", cwd=site).stdout)
    assert [row["status"] for row in gone] == ["deleted"]


@pytest.mark.parametrize("kind", ["dashboard-v1", "mlenv"])
def test_imported_samples_are_no_pass(agent: Agent, site: Path, home: Path, kind: str) -> None:
    db = make(home / "m.db", "mlenv")
    for n in range(5):
        put(db, "system_snapshots", timestamp=text_time(NOW - 400 + 60 * n), cpu_percent=10.0)
    db.close()
    agent("db", "import", SOURCES[kind](home / "theirs.db"), cwd=site)
    agent("db", "import", home / "m.db", cwd=site)
    (site / "profiles" / "b.yaml").write_text(f"model: {home / 'm.gguf'}\n")

    assert "no pass yet" in agent("status", cwd=site, code=1).stdout
    assert json.loads(agent("status", "--json", cwd=site, code=1).stdout)["last_pass_s"] is None
    told = [row["what"] for row in json.loads(agent("doctor", "--json", cwd=site, code=1).stdout)]
    assert "no pass has been made yet" in told
    assert not [what for what in told if what.startswith("passes come every")]
    assert "last_pass_timestamp" not in agent("metrics", cwd=site).stdout


def test_a_pass_long_ago_is_not_made_young_by_an_import(agent: Agent, site: Path, home: Path) -> None:
    agent("run", "--once", cwd=site)
    path = home / "data" / "llamaagent" / "llamaagent.db"
    db = apsw.Connection(str(path))
    db.execute("UPDATE system_samples SET ts = ts - 86400 * 5")
    db.close()
    foreign = make(home / "m.db", "mlenv")
    put(foreign, "system_snapshots", timestamp=text_time(NOW - 60), cpu_percent=10.0)
    foreign.close()
    agent("db", "import", home / "m.db", cwd=site)
    passed = json.loads(agent("status", "--json", cwd=site).stdout)["last_pass_s"]
    assert passed >= 5 * DAY
