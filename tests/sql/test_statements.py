"""The loader of SQL texts, and what the texts must keep to."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import apsw
import apsw.ext
import pytest

from llamaagent import sql
from llamaagent.base.errors import InstallError
from llamaagent.store.upgrade import MIGRATIONS, VERSION

FOLDER = Path(sql.__file__).parent
ROOT = FOLDER.parents[2]
AREAS = sorted(path.stem for path in FOLDER.glob("*.sql"))
EVERY = [(area, name) for area in AREAS for name in sql.statements(area)]
FIRST_WORDS = {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "REPLACE", "VALUES"}
OF_THE_FILE = {"BEGIN", "ROLLBACK", "VACUUM", "ANALYZE"}  # a snapshot to copy, a file to rewrite


@pytest.fixture(scope="module")
def db() -> apsw.Connection:
    memory = apsw.Connection(":memory:")
    memory.execute(sql.ddl("schema.sql"))
    memory.execute(sql.ddl("views.sql"))
    return memory


def without_comments(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text).strip()


@pytest.mark.parametrize(("area", "name"), EVERY)
def test_statement_compiles_and_is_one(db: apsw.Connection, area: str, name: str) -> None:
    text = without_comments(sql.statements(area)[name])
    details = apsw.ext.query_info(db, text, expanded_sql=False)
    assert details.query_remaining is None
    assert text.rstrip(";").split()[0].upper() in FIRST_WORDS | OF_THE_FILE


@pytest.mark.parametrize(("area", "name"), EVERY)
def test_statement_name_is_verb_and_noun(area: str, name: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name)


def test_statements_answer_by_key_and_by_attribute() -> None:
    found = sql.statements("database")
    assert found.select_metadata == found["select_metadata"]
    assert found is sql.statements("database")
    with pytest.raises(AttributeError):
        _ = found.no_such_name


def test_missing_area_and_missing_ddl_are_install_errors() -> None:
    with pytest.raises(InstallError, match=r"nothing\.sql"):
        sql.statements("nothing")
    with pytest.raises(InstallError, match=r"nothing\.sql"):
        sql.ddl("nothing.sql")


def test_schema_names_the_version_that_the_program_knows() -> None:
    assert sql.ddl("schema.sql").splitlines()[0] == f"-- llamaagent schema, version {VERSION}"


def test_every_migration_is_known_and_numbered_without_gap() -> None:
    there = sorted(path.name for path in (ROOT / "migrations").glob("*.sql"))
    assert list(MIGRATIONS) == there
    assert [int(name[:4]) for name in MIGRATIONS] == list(range(2, VERSION + 1))


def test_no_second_copy_of_the_definitions_lies_in_the_source() -> None:
    assert not {"schema.sql", "views.sql", "migrations"} & set(os.listdir(FOLDER))


def test_texts_are_found_beside_the_module_in_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "llamaagent.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for source in (FOLDER.parent / "base").glob("*.py"):
            file.write(source, f"llamaagent/base/{source.name}")
        file.write(FOLDER.parent / "__init__.py", "llamaagent/__init__.py")
        for source in FOLDER.iterdir():
            if source.suffix in {".py", ".sql"}:
                file.write(source, f"llamaagent/sql/{source.name}")
        for name in ("schema.sql", "views.sql"):
            file.write(ROOT / name, f"llamaagent/sql/{name}")
    code = (
        "from llamaagent import sql\n"
        "print(sql.__file__, len(sql.ddl('schema.sql')), sql.fingerprint('views.sql'),"
        " len(sql.statements('database')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(archive)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [
        f"{archive}/llamaagent/sql/__init__.py",
        str(len(sql.ddl("schema.sql"))),
        sql.fingerprint("views.sql"),
        str(len(sql.statements("database"))),
    ], done.stderr
