"""What a command takes, as data: read by click for help and full parsing, and by `quick` for the hot path.

Writing the options once and reading them twice keeps `run --once` from importing click, which costs more
than the whole rest of an idle pass.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class Opt(NamedTuple):
    """One option. kind: flag | text | many (may be given again) | int | count."""

    name: str
    flags: tuple[str, ...]
    help: str
    kind: str = "flag"
    metavar: str | None = None
    choices: tuple[str, ...] = ()


class Arg(NamedTuple):
    """Positional words. rest: everything from the first of them on, options included, is taken as it is."""

    name: str
    help: str
    many: bool = False
    required: bool = False
    rest: bool = False


class Spec(NamedTuple):
    """One command. `run` is "module:function" below llamaagent.cli; the function takes Values, gives an exit code."""

    name: str
    group: str
    help: str
    run: str
    options: tuple[Opt, ...] = ()
    args: tuple[Arg, ...] = ()
    example: str = ""


COMMON = (
    Opt("config", ("--config",), "Settings file (default: searched).", "text", "FILE"),
    Opt("db", ("--db",), "Database file (default: from the settings).", "text", "FILE"),
    Opt("profiles", ("--profiles",), "Profiles: a folder or a file; may be repeated.", "many", "PATH"),
    Opt("verbose", ("-v", "--verbose"), "Say more; twice for every probe.", "count"),
    Opt("quiet", ("-q", "--quiet"), "Say nothing that is not an error."),
    Opt("no_color", ("--no-color",), "No colours (also NO_COLOR)."),
)

LISTING = (
    Opt(
        "format",
        ("--format",),
        "How to print.",
        "text",
        "FORMAT",
        ("table", "json", "jsonl", "csv", "tsv"),
    ),
    Opt("json", ("--json",), "The same as --format json."),
)


class Values:
    """What was given on the command line, by option name."""

    def __init__(self, given: dict[str, object]) -> None:
        self._given = given

    def text(self, name: str) -> str | None:
        """A text option, None when it was not given."""
        value = self._given.get(name)
        return None if value is None else str(value)

    def flag(self, name: str) -> bool:
        """A flag."""
        return bool(self._given.get(name))

    def number(self, name: str) -> int | None:
        """An int option; a count is 0 when not given."""
        value = self._given.get(name)
        return value if isinstance(value, int) else None

    def many(self, name: str) -> tuple[str, ...]:
        """A repeated option or positional words."""
        value = self._given.get(name)
        if value is None:
            return ()
        if isinstance(value, (tuple, list)):
            return tuple(str(item) for item in value)
        return (str(value),)


def quick(spec: Spec, words: list[str]) -> Values | None:
    """Parse the plain cases; None = let click do it (help, abbreviations, anything wrong)."""
    options = {flag: option for option in (*spec.options, *COMMON) for flag in option.flags}
    given: dict[str, object] = {}
    rest: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        flag, has_value, value = word.partition("=")
        option = options.get(flag)
        if option is None or (has_value and option.kind in {"flag", "count"}):
            return None
        if option.kind in {"flag", "count"}:
            before = given.get(option.name)
            given[option.name] = (before if isinstance(before, int) else 0) + 1
            continue
        if not has_value:
            if at >= len(words):
                return None
            value, at = words[at], at + 1
        if not _store(given, option, value):
            return None
    return _positional(spec, given, rest)


def _store(given: dict[str, object], option: Opt, value: str) -> bool:
    if option.choices and value not in option.choices:
        return False
    if option.kind == "int":
        if not value.isdigit():
            return False
        given[option.name] = int(value)
    elif option.kind == "many":
        before = given.get(option.name)
        given[option.name] = (*(before if isinstance(before, tuple) else ()), value)
    else:
        given[option.name] = value
    return True


def _positional(spec: Spec, given: dict[str, object], rest: list[str]) -> Values | None:
    for arg in spec.args:
        if arg.many:
            given[arg.name], rest = tuple(rest), []
            if arg.required and not given[arg.name]:
                return None
        elif rest:
            given[arg.name] = rest.pop(0)
        elif arg.required:
            return None
    return None if rest else Values(given)
