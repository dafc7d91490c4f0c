"""`open_store`: which database it opens, and that no trouble with it reaches the program that asked."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

import llamaagent
from llamaagent.base.errors import BadInputError
from llamaagent.store.connect import open_database
from llamaagent.store.upgrade import VERSION

SRC = Path(__file__).resolve().parents[2] / "src"


def python(tmp_path: Path, code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program with a scratch home."""
    given = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(SRC),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    places = {
        f"XDG_{word}_HOME": str(tmp_path / word.lower()) for word in ("DATA", "STATE", "CACHE", "CONFIG")
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**given, **places, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_importing_costs_nothing(tmp_path: Path) -> None:
    done = python(
        tmp_path,
        "import sys; before = set(sys.modules); import llamaagent;"
        "print(sorted(set(sys.modules) - before), 'open_store' in dir(llamaagent) or callable(llamaagent.open_store))",
    )

    assert done.stdout == "['llamaagent'] True\n", done.stderr


def test_opening_loads_nothing_that_only_the_agent_needs(tmp_path: Path) -> None:
    heavy = (
        "click",
        "yaml",
        "matplotlib",
        "jinja2",
        "psutil",
        "pynvml",
        "llamaagent.cli",
        "llamaagent.reconcile",
    )
    done = python(
        tmp_path,
        "import sys, llamaagent; llamaagent.open_store().config.get('a');"
        f"print([m for m in {heavy} if m in sys.modules])",
    )

    assert done.stdout == "[]\n", done.stderr


def test_the_environment_says_which_database(tmp_path: Path) -> None:
    code = "import llamaagent; s = llamaagent.open_store(); s.config.set('a', 1); print(s.path, s.kind, s.logs.level)"

    named = python(
        tmp_path, code, LLAMAAGENT_DB_PATH=str(tmp_path / "own" / "x.db"), LLAMAAGENT_LOG_LEVEL="error"
    )
    usual = python(tmp_path, code)
    off = python(
        tmp_path, code, LLAMAAGENT_DB_ENABLED="0", LLAMAAGENT_DB_PATH=str(tmp_path / "none" / "x.db")
    )

    assert named.stdout == f"{tmp_path}/own/x.db file error\n"
    assert usual.stdout == f"{tmp_path}/data/llamaagent/llamaagent.db file info\n"
    assert off.stdout == f"{tmp_path}/none/x.db disabled info\n"
    assert [
        os.path.exists(tmp_path / name) for name in ("own/x.db", "data/llamaagent/llamaagent.db", "none")
    ] == [
        True,
        True,
        False,
    ]
    assert named.stderr == usual.stderr == off.stderr == ""


def everything(store: llamaagent.library.store.Store) -> None:  # type: ignore[name-defined]
    """Call every method once."""
    store.config.set("app.a", 1)
    store.config.get("app.a")
    store.config.all()
    store.config.entries()
    store.config.unset("app.b")
    store.metadata.set("app.m", [1])
    store.metadata.get("app.m")
    store.metadata.all()
    store.metadata.delete("app.n")
    store.logs.add("info", "x", error=ValueError("y"))
    store.logs.search("x")
    store.logs.get_all()
    store.logs.count()
    store.logs.clear(older_than=1)
    store.models.get_all()
    store.models.get_favorites()
    store.models.set_favorite("x")
    store.models.cleanup_missing_files()
    store.instances.get_all()
    store.instances.get_active()
    store.instances.get("x")
    store.instances.get_history("x")
    store.metrics.get_latest()
    store.stats.get_summary()
    store.stats.get_history(model="x")
    store.gpus.get_all()
    store.gpus.get(0)
    store.quotas.get_all("x")
    store.quotas.get_use()
    store.get_db_stats()
    store.vacuum()


def test_a_variable_that_means_nothing_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LLAMAAGENT_LOG_LEVEL", "loud")
    monkeypatch.setenv("LLAMAAGENT_DB_ENABLED", "perhaps")
    with llamaagent.open_store(tmp_path / "own" / "x.db") as store:
        assert (store.kind, store.logs.level) == ("file", "info")
    told = [record.getMessage() for record in caplog.records]
    assert [text.split()[0] for text in told] == ["LLAMAAGENT_DB_ENABLED", "LLAMAAGENT_LOG_LEVEL"]


def test_a_disabled_store_takes_everything_and_keeps_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with llamaagent.open_store(tmp_path / "x.db", enabled=False) as store:
        everything(store)
        assert (store.config.get("app.a", "default"), store.logs.count(), store.metadata.get("app.m")) == (
            "default",
            0,
            None,
        )
        assert (store.kind, store.problem) == ("disabled", None)

    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []


def broken_place(tmp_path: Path, kind: str) -> Path:
    """A path at which there can be no database."""
    file = tmp_path / "own" / "x.db"
    file.parent.mkdir(mode=0o700)
    if kind == "a folder":
        file.mkdir()
    elif kind == "noise":
        file.write_bytes(os.urandom(8192))
    elif kind == "of another program":
        db = apsw.Connection(str(file))
        db.execute("CREATE TABLE theirs (x)")
        db.close()
    elif kind == "below a file":
        file.write_bytes(b"")
        file = file / "x.db"
    elif kind == "a link":
        file.symlink_to(tmp_path / "elsewhere.db")
    return file


@pytest.mark.parametrize("kind", ["a folder", "noise", "of another program", "below a file", "a link"])
def test_an_unavailable_store_is_kept_in_memory_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    file = broken_place(tmp_path, kind)
    before = file.read_bytes() if file.is_file() else None

    with llamaagent.open_store(file) as store:
        everything(store)
        everything(store)
        assert store.kind == "memory"
        assert store.problem
        assert (store.config.get("app.a"), store.metadata.get("app.m"), store.logs.count()) == (1, [1], 2)

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("llamaagent.library", "WARNING")
    assert "kept in memory" in record.getMessage()
    assert (file.read_bytes() if file.is_file() else None) == before


def test_a_database_of_a_newer_program_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = str(tmp_path / "own" / "x.db")
    with llamaagent.open_store(file) as store:
        store.config.set("app.a", 1)
    db = apsw.Connection(file)
    db.pragma("user_version", VERSION + 1)
    db.close()

    with llamaagent.open_store(file) as store:
        assert (store.kind, store.config.get("app.a")) == ("read-only", 1)
        everything(store)
        assert (store.config.set("app.a", 2), store.config.get("app.a")) == (False, 1)

    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_damaged_database_gives_default_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "own" / "x.db"
    with llamaagent.open_store(file) as store:
        for number in range(500):
            store.config.set(f"app.{number}", "x" * 200)
    data = bytearray(file.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 100] = b"\xff" * 100
    file.write_bytes(data)

    with llamaagent.open_store(file) as store:
        everything(store)
        everything(store)

    assert 1 <= len(caplog.records) <= 2  # once a kind of trouble, however often it is met


FULL = """
import resource, signal, llamaagent
store = llamaagent.open_store({file!r})
store.config.set("app.first", 1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40 * 4096, resource.RLIM_INFINITY))
done = [store.config.set(f"app.{{n}}", "x" * 5000) for n in range(100)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(done.count(False) > 0, store.config.get("app.first"), store.config.set("app.last", 2))
print(sum(done) == len(store.config.all()) - 2, store.problem)
"""


def test_a_full_disk_is_told_once_and_costs_only_what_did_not_fit(tmp_path: Path) -> None:
    done = python(tmp_path, FULL.format(file=str(tmp_path / "own" / "x.db")))

    assert done.stdout.startswith("True 1 True\nTrue "), done.stdout + done.stderr
    assert done.stderr.count("no space") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_a_locked_database_is_told_once_and_waits_no_longer_than_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = str(tmp_path / "own" / "x.db")
    with llamaagent.open_store(file, busy_timeout_s=0.05) as store:
        store.config.set("app.a", 1)
        other = open_database(file)
        with other:
            other.execute("UPDATE config SET updated_ts = 0")
            assert [store.config.set("app.a", n) for n in (2, 3)] == [False, False]
            assert store.config.get("app.a") == 1
        other.close()
        assert store.config.set("app.a", 2)

    assert len([record for record in caplog.records if "locked" in record.getMessage()]) == 1


def test_a_replaced_database_is_opened_anew(tmp_path: Path) -> None:
    file, other = tmp_path / "own" / "x.db", tmp_path / "own" / "y.db"
    with llamaagent.open_store(other) as made:
        made.config.set("app.which", "new")
    with llamaagent.open_store(file) as store:
        store.config.set("app.which", "old")
        assert store.config.get("app.which") == "old"
        for end in ("-wal", "-shm"):
            Path(f"{file}{end}").unlink(missing_ok=True)
        other.rename(file)

        assert store.config.get("app.which") == "new"
        store.config.set("app.more", 1)

    with llamaagent.open_store(file) as again:
        assert again.config.all() == {"app.which": "new", "app.more": 1}


def test_a_closed_store_gives_default_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = llamaagent.open_store(tmp_path / "own" / "x.db")
    store.config.set("app.a", 1)
    store.close()

    everything(store)

    assert store.config.get("app.a") is None
    assert caplog.records == []


def test_wrong_arguments_are_told(tmp_path: Path) -> None:
    with llamaagent.open_store(tmp_path / "own" / "x.db") as store:
        for wrong in (
            lambda: store.config.set("interval", "30s"),
            lambda: store.config.set("retention.logs", "30d"),
            lambda: store.config.set("hf_token", "hf_abc"),
            lambda: store.config.set("a b", 1),
            lambda: store.config.set("app.a", float("nan")),
            lambda: store.metadata.set("site", 1),
            lambda: store.metadata.delete("rollup_300_ts"),
            lambda: store.logs.add("loud", "x"),
            lambda: store.logs.search(level="loud"),
        ):
            with pytest.raises(BadInputError):
                wrong()
        assert store.config.all() == {}


def test_the_name_of_something_else_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = llamaagent.no_such_thing  # type: ignore[attr-defined]
    assert logging.getLogger("llamaagent.library").level == logging.NOTSET
