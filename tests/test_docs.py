"""The docs say what the program does: every command, every reason, every exit code."""

import os
import re
from pathlib import Path

import pytest

from llamaagent.base import errors
from llamaagent.cli.commands import SPECS
from llamaagent.cli.spec import COMMON, Spec
from llamaagent.domain.plan import REASONS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LONGEST_FIRST_SENTENCE = 70  # what the list of commands has room for
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_command_has_help_an_example_and_an_entry(spec: Spec) -> None:
    entry = text_of("cli.md").partition(f"\n### {spec.name}\n")[2].partition("\n### ")[0]

    first = spec.help.partition("\n")[0]
    assert first.endswith(".")
    assert len(first.partition(". ")[0]) <= LONGEST_FIRST_SENTENCE
    assert f"llamaagent {spec.name}" in spec.example
    assert spec.example in entry
    for option in spec.options:
        assert option.help.endswith((".", ")")), option.name
        assert all(flag in entry for flag in option.flags), option.name
    for arg in spec.args:
        assert arg.help, arg.name


def test_the_docs_have_no_command_that_is_gone() -> None:
    found = re.findall(r"^### (.+)$", text_of("cli.md"), re.MULTILINE)

    assert found == [spec.name for spec in SPECS]


def test_common_options_are_documented_once() -> None:
    text = text_of("cli.md")

    for option in COMMON:
        assert text.count(f" {option.help}\n") == 1, option.name


def test_an_option_means_one_thing_in_a_command() -> None:
    for spec in SPECS:
        flags = [flag for option in (*spec.options, *COMMON) for flag in option.flags]
        assert sorted(flags) == sorted(set(flags)), spec.name


def test_every_reason_is_explained_and_no_other() -> None:
    explained = re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", text_of("reasons.md"), re.MULTILINE)

    assert sorted(word for word, _ in explained) == sorted(REASONS)
    assert all(meaning for _, meaning in explained)


def test_every_exit_code_is_explained_and_no_other() -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}

    assert {
        int(code) for code in re.findall(r"^\| (\d+) \|", text_of("exit-codes.md"), re.MULTILINE)
    } == codes


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert os.path.exists(page.parent / target), target
