"""`db info`, `db init`, `db migrate`."""

import json
import stat
from pathlib import Path

import apsw
import pytest
from scratch_home import Agent

from llamaagent.store.upgrade import VERSION


def test_init_makes_a_private_database_before_there_are_settings(agent: Agent, home: Path) -> None:
    result = agent("db", "init")

    path = home / "data" / "llamaagent" / "llamaagent.db"
    assert result.stdout == f"{path}: created, schema version {VERSION}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(agent("db", "info", "--json").stdout)["site"] is None


def test_init_and_migrate_say_when_nothing_is_to_be_done(agent: Agent) -> None:
    agent("db", "init")

    for word in ("init", "migrate"):
        assert agent("db", word).stdout.endswith(f": already_current, schema version {VERSION}\n")


def test_a_database_made_in_a_site_belongs_to_it(agent: Agent, site: Path) -> None:
    agent("db", "init", cwd=site)

    assert json.loads(agent("db", "info", "--json", cwd=site).stdout)["site"] == str(site / "llamaagent.yaml")


def test_another_site_may_not_have_it(agent: Agent, site: Path, home: Path) -> None:
    agent("db", "init", cwd=site)
    other = home / "other"
    other.mkdir()
    (other / "llamaagent.yaml").write_text("{}\n")

    result = agent("db", "init", cwd=other, code=78)
    assert str(site) in result.stderr
    assert str(other) in result.stderr


def test_info_is_one_object_with_versions_sizes_and_rows(agent: Agent, home: Path) -> None:
    agent("db", "init")

    found = json.loads(agent("db", "info", "--json").stdout)
    assert found["path"] == str(home / "data" / "llamaagent" / "llamaagent.db")
    assert found["size_bytes"] == found["pages"] * found["page_size_bytes"] > 0
    assert (found["schema_version"], found["application_id"]) == (VERSION, 0x4C4C4147)
    assert found["sqlite_version"] == apsw.sqlite_lib_version()
    assert found["first_sample_ts"] is None
    sizes = {table["name"]: table for table in found["tables"]}
    assert sizes["schema_version"]["rows"] == 1
    assert sizes["instances"]["rows"] == 0
    assert sum(table["size_bytes"] for table in found["tables"]) <= found["size_bytes"]


def test_info_counts_samples(agent: Agent, home: Path) -> None:
    agent("db", "init")
    db = apsw.Connection(str(home / "data" / "llamaagent" / "llamaagent.db"))
    for ts in (1_700_000_000, 1_700_000_060):
        db.execute("INSERT INTO system_samples (ts, boot_id, cpu_cores) VALUES (?, 'b', 1)", (ts,))
    db.close()

    found = json.loads(agent("db", "info", "--json").stdout)
    assert (found["first_sample_ts"], found["last_sample_ts"]) == (1_700_000_000, 1_700_000_060)
    text = agent("db", "info", env={"TZ": "UTC"}).stdout
    assert "2023-11-14 22:13:20 to 2023-11-14 22:14:20" in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith("system_samples")] == ["2"]


@pytest.mark.parametrize("command", ["info", "migrate"])
def test_without_a_database_none_is_made(agent: Agent, home: Path, command: str) -> None:
    result = agent("db", command, code=74)

    assert "llamaagent db init" in result.stderr
    assert not (home / "data").exists()


@pytest.mark.parametrize("command", ["info", "init", "migrate"])
def test_a_file_that_is_no_database_stays_as_it_is(agent: Agent, home: Path, command: str) -> None:
    path = home / "notes.txt"
    path.write_text("not a database, whatever it is called\n" * 20)

    agent("db", command, "--db", path, code=74)
    assert path.read_text() == "not a database, whatever it is called\n" * 20


def test_wrong_settings_make_no_database(agent: Agent, site: Path, home: Path) -> None:
    (site / "llamaagent.yaml").write_text("data-base: elsewhere.db\n")

    result = agent("db", "init", cwd=site, code=78)
    assert "did you mean 'database'?" in result.stderr
    assert not (home / "data").exists()


def test_a_word_that_is_no_command_names_the_nearest(agent: Agent) -> None:
    assert "did you mean 'info'?" in agent("db", "inof", code=2).stderr
