"""Data to stdout in the format asked for; words to stderr. Keys are column names, unknown is null or empty."""

from __future__ import annotations

import os
import sys

from llamaagent.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llamaagent.cli.spec import Values

    Row = Mapping[str, object]


def say(text: str) -> None:
    """One line for people."""
    print(text, file=sys.stderr)


def chosen_format(values: Values) -> str:
    """The format asked for; table when none was."""
    given = values.text("format")
    if values.flag("json"):
        if given not in {None, "json"}:
            raise UsageError(f"--json and --format {given} exclude each other")
        return "json"
    return given or "table"


def coloured(values: Values) -> bool:
    """May we colour: a terminal, no NO_COLOR, no --no-color."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not values.flag("no_color")


def emit(
    values: Values,
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    shown: Sequence[str] | None = None,
    empty: str | None = None,
) -> None:
    """Print a listing. columns: all keys, for every format but the table, which prints `shown`."""
    kind = chosen_format(values)
    if kind == "json":
        import json

        print(json.dumps([{c: row.get(c) for c in columns} for row in rows], ensure_ascii=False, indent=1))
    elif kind == "jsonl":
        import json

        for row in rows:
            print(json.dumps({c: row.get(c) for c in columns}, ensure_ascii=False))
    elif kind in {"csv", "tsv"}:
        _separated(rows, columns, "," if kind == "csv" else "\t")
    elif rows:
        print_table([[cell(row.get(c)) for c in shown or columns] for row in rows], shown or columns)
    elif empty and not values.flag("quiet"):
        say(empty)


def emit_object(thing: Row) -> None:
    """Print one object as JSON."""
    import json

    print(json.dumps(thing, ensure_ascii=False, indent=1))


def cell(value: object) -> str:
    """A value as a table shows it: `-` for unknown, no control characters."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, (list, tuple)):
        return ",".join(cell(item) for item in value) or "-"
    if isinstance(value, dict):
        return ",".join(f"{clean(str(key))}={cell(item)}" for key, item in value.items()) or "-"
    return clean(str(value))


def clean(text: str) -> str:
    """Without control characters: what servers and files say must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in text)


def print_table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> None:
    """Columns aligned by content, numbers to the right, no trailing blanks."""
    table = [[name.upper().replace("_", " ") for name in header], *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    right = [
        all(_number(row[i]) for row in table[1:]) and any(row[i] != "-" for row in table[1:])
        for i in range(len(header))
    ]
    for row in table:
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        print("  ".join(cells).rstrip())


def _number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).removeprefix("-").isdigit()


class _Lines:
    """Prints each row of a csv.writer."""

    def write(self, row: str) -> None:
        sys.stdout.write(row.removesuffix("\r\n") + "\n")


def _separated(rows: Iterable[Row], columns: Sequence[str], delimiter: str) -> None:
    import csv

    # Told that lines end with \r\n, it quotes both; what is printed ends with \n, as everywhere else.
    writer = csv.writer(_Lines(), delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([csv_cell(row.get(c)) for c in columns])


def csv_cell(value: object) -> object:
    """What stands in a cell: text that could be a formula gets a quote in front; what has parts is JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        value = ",".join(value)
    elif isinstance(value, (list, tuple, dict)):
        import json

        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return "'" + value
    return value
