"""`query` reads and nothing else: by statement, by limit, in every format."""

import json
from pathlib import Path

import apsw
import pytest
from scratch_home import Agent, written

from llamaagent.base.errors import StoreBusyError
from llamaagent.store.connect import open_database

COUNT_FOR_EVER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
HARMLESS = {
    "SELECT 1 AS one": "one\n1\n",
    "SELECT key FROM metadata WHERE key = 'views_fingerprint'": "key\nviews_fingerprint\n",
    "SELECT count(*) AS n FROM v_system_summary WHERE 0": "n\n0\n",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 3) SELECT sum(x) AS s FROM c": "s\n6\n",
    "PRAGMA user_version": "user_version\n2\n",
    "SELECT name FROM pragma_table_info('metadata') LIMIT 1": "name\nkey\n",
    "SELECT json_extract('{\"a\": 2}', '$.a') AS a": "a\n2\n",
}
HARMFUL = (
    "INSERT INTO metadata (key, value) VALUES ('a', '1')",
    "UPDATE metadata SET value = '0'",
    "DELETE FROM metadata",
    "DROP TABLE metadata",
    "CREATE TEMP TABLE t (a)",
    "ATTACH 'other.db' AS other",
    "VACUUM INTO 'copy.db'",
    "VACUUM",
    "BEGIN IMMEDIATE",
    "PRAGMA user_version = 99",
    "PRAGMA journal_mode = DELETE",
    "SELECT load_extension('x')",
    "SELECT zeroblob(900000000)",
    "SELECT printf('%900000000d', 1)",
    "SELECT randomblob(10)",
    "SELECT 1; DELETE FROM metadata",
    "SELECT hex(printf('%999999d', 1)) || hex(printf('%999999d', 1))",
)


@pytest.fixture
def database(home: Path, agent: Agent) -> Path:
    path = home / "a.db"
    agent("db", "init", "--db", path)
    return path


@pytest.mark.parametrize("sql", HARMLESS)
def test_reading_is_allowed(agent: Agent, database: Path, sql: str) -> None:
    assert agent("query", "--db", database, "--format", "csv", sql).stdout == HARMLESS[sql]


def test_anything_else_is_refused_and_changes_nothing(agent: Agent, home: Path, database: Path) -> None:
    before = written(home)
    for sql in HARMFUL:
        result = agent("query", "--db", database, sql, code=65)
        assert result.stdout == "", sql
        assert result.stderr.startswith("llamaagent: "), sql
    after = written(home)
    assert {name: after[name] for name in before if not name.endswith(("-shm", "-wal"))} == {
        name: text for name, text in before.items() if not name.endswith(("-shm", "-wal"))
    }
    assert {name for name in after if name not in before and "cache" not in name} <= {"a.db-shm", "a.db-wal"}


def test_an_endless_answer_is_stopped(agent: Agent, database: Path) -> None:
    result = agent("query", "--db", database, "--timeout", "1s", COUNT_FOR_EVER, code=65)

    assert "stopped after 1 s" in result.stderr


def test_more_rows_than_the_default_are_an_error_and_more_than_asked_for_are_said(
    agent: Agent, database: Path
) -> None:
    endless = COUNT_FOR_EVER.replace("count(*)", "x")

    assert "more than 10000 rows" in agent("query", "--db", database, endless, code=65).stderr
    cut = agent("query", "--db", database, "-n", "2", "--format", "csv", endless)
    assert (cut.stdout, cut.stderr) == ("x\n1\n2\n", "there are more than these 2 rows\n")


def test_wrong_sql_shows_the_place(agent: Agent, database: Path) -> None:
    result = agent("query", "--db", database, "SELECT key,\n       valu FROM metadata", code=65)

    assert "no such column: valu (line 2, column 8)" in result.stderr
    assert result.stderr.splitlines()[1:] == ["         valu FROM metadata", "         ^"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("json", '[\n {\n  "a": 1,\n  "a_2": null\n }\n]\n'),
        ("jsonl", '{"a": 1, "a_2": null}\n'),
        ("csv", "a,a_2\n1,\n"),
        ("tsv", "a\ta_2\n1\t\n"),
        ("table", "A  A 2\n1  -\n"),
    ],
)
def test_every_format_has_the_column_names_as_keys(
    agent: Agent, database: Path, kind: str, expected: str
) -> None:
    sql = "SELECT 1 AS a, NULL AS a"

    assert agent("query", "--db", database, "--format", kind, sql).stdout == expected


def test_values_that_json_does_not_know_are_texts(agent: Agent, database: Path) -> None:
    sql = "SELECT x'00ff' AS blob, 9e999 AS big, -9e999 AS small"

    rows = json.loads(agent("query", "--db", database, "--json", sql).stdout)
    assert rows == [{"blob": "x'00ff'", "big": "inf", "small": "-inf"}]


@pytest.mark.parametrize("sql", ["SELECT 1 WHERE 0", ";", "/* nothing */"])
def test_no_rows_are_an_empty_list(agent: Agent, database: Path, sql: str) -> None:
    assert json.loads(agent("query", "--db", database, "--json", sql).stdout) == []


def test_sql_comes_from_standard_input_too(agent: Agent, database: Path) -> None:
    result = agent("query", "--db", database, "--format", "csv", "-", stdin="SELECT 5 AS v")

    assert result.stdout == "v\n5\n"


def test_without_sql_or_with_too_much_the_usage_is_wrong(agent: Agent, database: Path) -> None:
    assert "Missing argument 'SQL'" in agent("query", "--db", database, code=2).stderr
    assert "no SQL was given" in agent("query", "--db", database, " ", code=65).stderr
    assert "--timeout" in agent("query", "--db", database, "--timeout", "5", "SELECT 1", code=2).stderr


def test_no_database_is_an_io_error_and_makes_none(agent: Agent, home: Path) -> None:
    result = agent("query", "--db", home / "none.db", "SELECT 1", code=74)

    assert "llamaagent db init" in result.stderr
    assert not (home / "none.db").exists()


def test_a_locked_database_is_tried_again(database: Path) -> None:
    """In WAL mode only a program that locks exclusively keeps readers out."""
    holder = apsw.Connection(str(database))
    try:
        holder.pragma("locking_mode", "EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError) as caught:
            open_database(str(database), write=False, busy_timeout_ms=20)
    finally:
        holder.close()
    assert caught.value.exit_code == 75


def test_a_closed_pipe_is_no_error(agent: Agent, database: Path) -> None:
    endless = COUNT_FOR_EVER.replace("count(*)", "x, printf('%0500d', x)")
    words = ["query", "--db", str(database), "-n", "5000", endless]
    script = '"$@" | head -1; exit ${PIPESTATUS[0]}'

    result = agent(*words, before=["bash", "-c", script, "bash"])
    assert result.stdout.split()[0] == "X"
    assert result.stderr == ""
