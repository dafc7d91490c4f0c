"""`db info`, `db init`, `db migrate`, `db vacuum`, `db adopt-site`."""

import json
import os
import stat
import subprocess
from pathlib import Path

import apsw
import pytest
from scratch_home import Agent

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import StoreFullError
from llamaagent.store import open_database
from llamaagent.store.locks import Lock
from llamaagent.store.upgrade import VERSION
from llamaagent.store.vacuum import vacuum


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


def test_vacuum_gives_free_pages_back(agent: Agent, home: Path) -> None:
    agent("db", "init")
    path = home / "data" / "llamaagent" / "llamaagent.db"
    db = apsw.Connection(str(path))
    with db:
        db.executemany(
            "INSERT INTO logs (ts, level, source, message) VALUES (?, 'info', 'test', ?)",
            ((n, "x" * 500) for n in range(5000)),
        )
    db.execute("DELETE FROM logs WHERE id % 50")
    db.close()
    before = json.loads(agent("db", "info", "--json").stdout)
    assert before["free_bytes"] > 1 << 20

    done = json.loads(agent("db", "vacuum", "--json").stdout)
    assert done["before_bytes"] >= before["size_bytes"]
    assert done["after_bytes"] == path.stat().st_size < before["size_bytes"] / 2
    after = json.loads(agent("db", "info", "--json").stdout)
    assert after["free_pages"] == 0
    assert {t["name"]: t["rows"] for t in after["tables"]}["logs"] == 100
    assert "before" in agent("db", "vacuum").stdout
    agent("db", "check")


def test_vacuum_is_refused_during_a_pass(agent: Agent, home: Path) -> None:
    agent("db", "init")
    path = home / "data" / "llamaagent" / "llamaagent.db"
    with Lock(str(path), "pass").take(SystemClock()):
        refused = agent("db", "vacuum", code=75)
    assert (refused.stdout, "pass" in refused.stderr) == ("", True)


@pytest.mark.root
def test_vacuum_without_room_says_how_much_it_takes(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", str(small)], check=False
    ).returncode:
        pytest.skip("may not mount here")
    try:
        db = open_database(str(small / "a.db"))
        free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
        (small / "filler").write_bytes(bytes(free - (1 << 20)))
        with pytest.raises(StoreFullError, match="no space to rewrite"):
            vacuum(db, str(small / "a.db"))
        assert db.execute("SELECT count(*) FROM schema_version").get == 1
        db.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_database_of_another_site_is_taken_over_when_asked(agent: Agent, site: Path, home: Path) -> None:
    agent("db", "init", cwd=site)
    other = home / "other"
    other.mkdir()
    (other / "profiles").mkdir()
    (other / "llamaagent.yaml").write_text("{}\n")
    assert "adopt-site" in agent("run", "--once", cwd=other, code=78).stderr

    agent("db", "adopt-site", cwd=other, code=2)
    agent("db", "adopt-site", "--yes", cwd=other)
    assert "already_adopted" in agent("db", "adopt-site", cwd=other).stdout
    agent("run", "--once", cwd=other)
    agent("run", "--once", cwd=site, code=78)
