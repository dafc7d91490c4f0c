"""How rows are printed: aligned for people, exact for programs, harmless for terminals and spreadsheets."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from llamaagent.base.errors import UsageError
from llamaagent.cli.output import cell, chosen_format, clean, coloured, emit
from llamaagent.cli.rows import age
from llamaagent.cli.spec import Values

ROWS = (
    {
        "name": "alpha",
        "port": 8100,
        "rate": 12.345,
        "up": True,
        "gpus": ["GPU-a", "GPU-b"],
        "labels": {"k": "v"},
    },
    {"name": "=cmd()", "port": None, "rate": None, "up": False, "gpus": [], "labels": {}},
)
COLUMNS = ("name", "port", "rate", "up", "gpus", "labels", "absent")


def printed(capsys: pytest.CaptureFixture[str], kind: str, rows: object = ROWS) -> str:
    emit(Values({"format": kind}), rows, COLUMNS, empty="nothing")  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_table_aligns_text_left_and_numbers_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "table").splitlines() == [
        "NAME    PORT  RATE  UP   GPUS         LABELS  ABSENT",
        "alpha   8100  12.3  yes  GPU-a,GPU-b  k=v     -",
        "=cmd()     -     -  no   -            -       -",
    ]


def test_json_keeps_every_column_and_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "json"))
    assert [list(row) for row in found] == [list(COLUMNS)] * 2
    assert found[0]["gpus"] == ["GPU-a", "GPU-b"]
    assert found[1] == {**ROWS[1], "absent": None}
    assert [json.loads(line) for line in printed(capsys, "jsonl").splitlines()] == found


def test_csv_marks_what_a_spreadsheet_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(csv.reader(io.StringIO(printed(capsys, "csv"))))
    assert lines == [
        list(COLUMNS),
        ["alpha", "8100", "12.345", "true", "GPU-a,GPU-b", '{"k": "v"}', ""],
        ["'=cmd()", "", "", "false", "", "{}", ""],
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1"])
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_each_way_to_begin_a_formula_is_marked(
    capsys: pytest.CaptureFixture[str], text: str, kind: str
) -> None:
    out = printed(capsys, kind, [{"name": text, "gpus": [text]}])
    row = next(iter(csv.DictReader(io.StringIO(out, newline=""), delimiter="," if kind == "csv" else "\t")))
    assert (row["name"], row["gpus"]) == (f"'{text}", f"'{text}")


def test_negative_numbers_stay_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "csv", [{"name": "a", "port": -5}]).splitlines()[1].split(",")[1] == "-5"


@pytest.mark.parametrize(
    ("kind", "told"), [("json", "[]\n"), ("jsonl", ""), ("csv", ",".join(COLUMNS) + "\n")]
)
def test_no_rows_are_data_too(capsys: pytest.CaptureFixture[str], kind: str, told: str) -> None:
    assert printed(capsys, kind, []) == told


def test_an_empty_table_says_why_on_stderr_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    emit(Values({}), [], COLUMNS, empty="nothing")
    assert capsys.readouterr() == ("", "nothing\n")
    emit(Values({"quiet": True}), [], COLUMNS, empty="nothing")
    assert capsys.readouterr() == ("", "")


@given(some.text())
def test_no_character_of_a_cell_can_steer_a_terminal(text: str) -> None:
    for value in (text, [text], {text: text}):
        assert cell(value).isprintable()
    assert clean(text).isprintable()
    assert len(clean(text)) == len(text)


def test_json_format_and_its_short_form_do_not_contradict() -> None:
    assert chosen_format(Values({"json": 1})) == "json"
    assert chosen_format(Values({"json": 1, "format": "json"})) == "json"
    assert chosen_format(Values({})) == "table"
    with pytest.raises(UsageError):
        chosen_format(Values({"json": 1, "format": "csv"}))


def test_no_colour_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert not coloured(Values({}))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h00m"), (86399, "23h59m"), (200000, "2d7h")],
)
def test_ages_have_two_units_at_most(seconds: int, told: str) -> None:
    assert age(seconds) == told
