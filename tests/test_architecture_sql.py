"""Tables, views and indexes are defined in three places only, and no Python string is one of them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src" / "llamaagent").rglob("*.py"))
STATEMENTS = sorted((ROOT / "src" / "llamaagent" / "sql").glob("*.sql"))
DEFINES = re.compile(
    r"\b(CREATE|DROP|ALTER)\s+(TEMP(ORARY)?\s+|UNIQUE\s+|VIRTUAL\s+)*(TABLE|VIEW|INDEX|TRIGGER)\b",
    re.IGNORECASE,
)


def test_the_pattern_sees_definitions() -> None:
    assert DEFINES.search("create unique index a on b (c)")
    assert DEFINES.search("DROP VIEW a")
    assert not DEFINES.search("cannot create a view of this page")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_python_string_defines_anything(path: Path) -> None:
    strings = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [(node.lineno, node.value) for node in strings if DEFINES.search(node.value)] == []


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.name)
def test_no_statement_defines_anything(path: Path) -> None:
    """The one that lists how views are removed is text for a row, not a definition."""
    code = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8")).replace(
        "format('DROP VIEW \"%w\"', name)", ""
    )
    assert DEFINES.findall(code) == []


def test_definitions_lie_in_three_places() -> None:
    places = {
        str(path.relative_to(ROOT))
        for path in [*ROOT.glob("*.sql"), *ROOT.glob("src/**/*.sql"), *ROOT.glob("reports/**/*")]
        if path.is_file() and DEFINES.search(path.read_text(encoding="utf-8", errors="replace"))
    }
    assert places - {"src/llamaagent/sql/database.sql"} == {"schema.sql", "views.sql"}
