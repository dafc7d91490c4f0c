"""From one version to the next: whole or not at all, with a copy from before, and the same as a fresh one."""

import hashlib
import os
import re
import stat
from pathlib import Path

import apsw
import pytest

from llamaagent import sql
from llamaagent.base.errors import StoreCorruptError
from llamaagent.store import open_database
from llamaagent.store.upgrade import MIGRATIONS, VERSION, Step, migrate, version_of

FROZEN = Path(__file__).resolve().parents[1] / "fixtures" / "schema_v1.sql"
# Of the version as it was released. A change of the schema is a migration, not a new sum here.
FROZEN_SHA256 = "16bb6ad2e33091606649ae550f6b88fc9f82b801734744be7030fb4d74604dc4"

REBUILD = Step(
    VERSION + 1,
    "rebuild",
    """
    CREATE TABLE users_new (
        id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, email TEXT, quota_profile_id INTEGER,
        uid INTEGER, first_seen_ts INTEGER, last_seen_ts INTEGER, shell TEXT
    ) STRICT;
    INSERT INTO users_new
    SELECT id, username, email, quota_profile_id, uid, first_seen_ts, last_seen_ts, NULL FROM users;
    DROP TABLE users;
    ALTER TABLE users_new RENAME TO users;
    """,
)
ANN = (
    "INSERT INTO users (id, username) VALUES (7, 'ann');"
    "INSERT INTO audit_log (ts, user_id, action) VALUES (5, 7, 'stop')"
)
ADD = Step(VERSION + 2, "add", "ALTER TABLE gpus ADD COLUMN slot TEXT")


def definitions(db: apsw.Connection) -> dict[str, str]:
    """Every table, index and trigger with white space and comments taken out."""
    rows = db.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type <> 'view' AND sql IS NOT NULL"
    ).fetchall()
    return {str(name): re.sub(r"\s+", "", re.sub(r"--[^\n]*", "", str(text))) for name, text in rows}


def views(db: apsw.Connection) -> set[str]:
    return {
        str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
    }


def test_version_one_is_frozen() -> None:
    assert hashlib.sha256(FROZEN.read_bytes()).hexdigest() == FROZEN_SHA256


@pytest.mark.case("sqlite 5.18")
def test_a_fresh_database_equals_version_one_with_all_migrations(tmp_path: Path) -> None:
    fresh = open_database(str(tmp_path / "fresh.db"))
    old = apsw.Connection(":memory:")
    old.execute(FROZEN.read_text(encoding="utf-8"))
    for name in MIGRATIONS:
        old.execute(sql.ddl(f"migrations/{name}"))
    assert definitions(fresh) == definitions(old)
    fresh.close()


def test_a_fresh_database_says_how_it_came_about(tmp_path: Path) -> None:
    db = open_database(str(tmp_path / "a.db"))
    (row,) = db.execute("SELECT version, name, sha256, program_version FROM schema_version").fetchall()
    digest = hashlib.sha256(sql.ddl("schema.sql").encode()).hexdigest()
    assert row[:3] == (VERSION, "schema", digest)
    assert row[3]
    db.close()


def test_steps_run_in_order_keep_rows_and_bring_the_views_back(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    db = open_database(path)
    before = views(db)
    db.execute(ANN)
    migrate(db, path, [REBUILD, ADD])
    assert version_of(db) == VERSION + 2
    assert db.execute("SELECT id, username, shell FROM users").fetchall() == [(7, "ann", None)]
    assert db.execute("SELECT user_id FROM audit_log").fetchall() == [(7,)]
    assert views(db) == before
    assert [row[0] for row in db.execute("SELECT name FROM schema_version ORDER BY version")] == [
        "schema",
        "rebuild",
        "add",
    ]
    assert db.pragma("foreign_keys") == 1
    migrate(db, path, [REBUILD, ADD])
    assert version_of(db) == VERSION + 2
    db.close()


def test_the_copy_from_before_is_private_and_has_the_old_version(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    db = open_database(path)
    db.execute("INSERT INTO users (username) VALUES ('ann')")
    migrate(db, path, [REBUILD])
    db.close()
    assert sorted(os.listdir(tmp_path)) == ["a.db", f"a.db.pre-v{VERSION}.bak"]
    backup = f"{path}.pre-v{VERSION}.bak"
    assert stat.S_IMODE(os.stat(backup).st_mode) == 0o600
    copy = open_database(backup)
    assert copy.execute("SELECT username FROM users").fetchall() == [("ann",)]
    copy.close()


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE gpus ADD COLUMN slot TEXT; CREATE TABLE gpus (a)",
        "ALTER TABLE gpus ADD COLUMN slot TEXT; nonsense",
    ],
)
def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path, text: str) -> None:
    path = str(tmp_path / "a.db")
    db = open_database(path)
    before = definitions(db), views(db)
    with pytest.raises(apsw.SQLError):
        migrate(db, path, [REBUILD, Step(VERSION + 2, "broken", text)])
    assert version_of(db) == VERSION + 1  # the step before it stays
    assert "slot" not in definitions(db)["gpus"]
    assert (set(definitions(db)), views(db)) == (set(before[0]), before[1])
    assert db.pragma("foreign_keys") == 1
    db.close()


def test_a_step_that_would_lose_what_others_point_to_is_undone(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    db = open_database(path)
    db.execute(ANN)
    with pytest.raises(StoreCorruptError, match="point to nothing"):
        migrate(db, path, [Step(VERSION + 1, "loss", "DELETE FROM users")])
    assert version_of(db) == VERSION
    assert db.execute("SELECT count(*) FROM users").get == 1
    db.close()


def test_a_second_program_finds_the_step_done(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    first, second = open_database(path), open_database(path)
    migrate(first, path, [ADD._replace(version=VERSION + 1)])
    migrate(second, path, [ADD._replace(version=VERSION + 1)])
    assert version_of(second) == VERSION + 1
    first.close()
    second.close()


@pytest.mark.parametrize("write", [True, False])
def test_other_views_are_renewed_on_opening(tmp_path: Path, write: bool) -> None:
    path = str(tmp_path / "a.db")
    db = open_database(path)
    db.execute("DROP VIEW v_profiles; CREATE VIEW v_of_yesterday AS SELECT 1")
    db.execute("UPDATE metadata SET value = '\"0-00000000\"' WHERE key = 'views_fingerprint'")
    db.close()
    again = open_database(path, write=write)
    assert "v_profiles" in views(again)
    assert "v_of_yesterday" not in views(again)
    again.close()
