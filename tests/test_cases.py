"""Every case of docs/cases.md has a test that bears its number, and no test bears a number that is not there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def case_table() -> ModuleType:
    """scripts/case_table.py."""
    spec = importlib.util.spec_from_file_location("case_table", ROOT / "scripts" / "case_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_case_has_its_test_and_every_number_its_case() -> None:
    table = case_table()
    assert set(table.marked()) == set(table.CASES)
