"""llama.cpp's presets file (`llama-server --models-preset FILE`) to profiles.

The grammar is llama.cpp's own (common/preset.cpp), not that of other INI files: keys keep their case, `%` means
nothing, a `;` or `#` ends a value wherever it stands, there are no quotes and no continued lines, a section that comes
again replaces the earlier one, and what stands before any header belongs to a section `default`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import BadInputError
from llamaagent.base.units import format_duration
from llamaagent.config.foreign import text_of_file
from llamaagent.config.serverline import read_server_line
from llamaagent.neighbours.carried import Taking, number_of
from llamaagent.neighbours.commandline import hide_values, is_relative, put_server

if TYPE_CHECKING:
    from llamaagent.config.catalogue import Catalogue, Option
    from llamaagent.neighbours.carried import Draft, Source, Taken

KIND = "presets"
_KEY = re.compile(r"[ \t]*([a-zA-Z_][a-zA-Z0-9_.-]*)[ \t]*=[ \t]*([^;#\n]*)(?:[;#].*)?")
_HEADER = re.compile(r"[ \t]*\[([^\]\n]+)\][ \t]*(?:[;#].*)?")
_TRUE = frozenset({"on", "enabled", "true", "1"})
_FALSE = frozenset({"off", "disabled", "false", "0"})
_GLOBAL = "*"
_ROUTERS = "the router sets this itself, whatever the file says"
_OWN_BY_ROUTER = {
    **dict.fromkeys(("host", "port", "log-colors", "log-prefix", "log-timestamps"), _ROUTERS),
    **dict.fromkeys(("ssl-key-file", "ssl-cert-file"), _ROUTERS),
    **dict.fromkeys(
        ("models-dir", "models-preset", "models-max", "models-autoload"), "there is no router here"
    ),
}
_LOADING = (
    "loading on request ends here: a profile runs all the time or until it is stopped. Sections without "
    "load-on-startup are written with `state: stopped`; start one by `llamaagent start NAME`"
)


class Entry(NamedTuple):
    """One key as it is written."""

    key: str
    value: str
    line: int


class Section(NamedTuple):
    """One section; entries by key, the last of several."""

    name: str
    line: int
    entries: dict[str, Entry]


def parse_presets(text: str, file: str) -> list[Section]:
    r"""Sections in the order of their last appearance. Raises BadInputError for a line that is neither.

    >>> [section] = parse_presets("[a]\nc = 1 ; one\nc = 2\n", "f")
    >>> section.name, section.entries["c"].value
    ('a', '2')
    """
    found: dict[str, Section] = {}
    current = Section("default", 1, {})
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line.strip() or line.lstrip()[0] in ";#":
            continue
        header, entry = _HEADER.fullmatch(line), _KEY.fullmatch(line)
        if header:
            _keep(found, current)
            current = Section(header[1], number, {})
        elif entry:
            current.entries[entry[1]] = Entry(entry[1], entry[2].strip(), number)
        else:
            column = len(line) - len(line.lstrip()) + 1
            raise BadInputError(f"{file}:{number}:{column}: error: neither `[section]` nor `key = value`")
    _keep(found, current)
    return list(found.values())


def _keep(found: dict[str, Section], section: Section) -> None:
    """Under its one name; an empty `default` says nothing."""
    if section.entries or section.name != "default":
        found.pop(canonical(section.name), None)
        found[canonical(section.name)] = section


def canonical(name: str) -> str:
    """The name with its quantization as llama.cpp compares it.

    >>> canonical("org/repo:q8_0"), canonical("org/repo:x-q8_0"), canonical("plain")
    ('org/repo:Q8_0', 'org/repo:Q8_0', 'plain')
    """
    stem, colon, tag = name.rpartition(":")
    return f"{stem}:{re.split('[-.]', tag.upper())[-1]}" if colon else name


def read_presets(source: Source) -> Taken:
    """One profile a section. Raises BadInputError for what llama.cpp cannot read either."""
    text = text_of_file(source.data, source.name)
    taking = Taking(source)
    sections = parse_presets(text, source.name)
    shared = next((section for section in sections if section.name == _GLOBAL), Section(_GLOBAL, 1, {}))
    waiting = 0
    for section in sections:
        if section is not shared and not _is_bare(section):
            waiting += not _take(taking, section, shared)
    if waiting:
        taking.lose("load-on-startup", None, f"{_LOADING} ({waiting})")
    if not any(section is not shared for section in sections):
        taking.lose(
            "file", None, "no section names a model; [*] alone is about models that are found elsewhere"
        )
    return taking.result(KIND)


def _is_bare(section: Section) -> bool:
    """`version = 1` before the first header is no section."""
    return section.name == "default" and set(section.entries) <= {"version"}


def _take(taking: Taking, section: Section, shared: Section) -> bool:
    """Make a profile of a section; True when it is to run from the start."""
    draft = taking.draft(section.name, f"[{section.name}]", section.line)
    catalogue = taking.source.options(None)
    options, starts = _options(draft, (*shared.entries.values(), *section.entries.values()), catalogue)
    names = [section.name]
    words: list[str] = []
    for option, negated, entry in options.values():
        if option.name == "alias":
            names += [word.strip() for word in entry.value.split(",") if word.strip()]
        elif option.name == "models-max" and entry.value == "0" and starts:
            draft.lose(entry.key, "0 with load-on-startup ends llama.cpp's router with an error", entry.line)
        elif option.name in _OWN_BY_ROUTER:
            draft.lose(entry.key, _OWN_BY_ROUTER[option.name], entry.line)
        else:
            words += _words(draft, option, negated, entry)
    draft.put("state", "running" if starts else "stopped")
    if not _fill(draft, words, names, catalogue):
        draft.drop()
        return True
    return starts


def _options(
    draft: Draft, entries: tuple[Entry, ...], catalogue: Catalogue
) -> tuple[dict[str, tuple[Option, bool, Entry]], bool]:
    """Options by their one name, the last one counts; and whether it is to run from the start."""
    options: dict[str, tuple[Option, bool, Entry]] = {}
    starts = False
    for entry in entries:
        if entry.key == "load-on-startup":
            starts = entry.value.lower() in _TRUE
        elif not _own_key(draft, entry):
            hit = _find(entry.key, catalogue)
            if hit is None:
                draft.lose(entry.key, f"{catalogue.source} has no such option", entry.line)
            else:
                options[hit[0].name] = (*hit, entry)
    return options, starts


def _fill(draft: Draft, words: list[str], names: list[str], catalogue: Catalogue) -> bool:
    source = draft.taking.source
    line = read_server_line(words, draft.name, catalogue, source.folder)
    for text in (*line.faults, *line.notes):
        draft.lose("", text)
    for option, (kind, variable) in line.secrets.items():
        draft.document.setdefault("secrets", {})[option] = {kind: variable}
    hide_values(draft, words, catalogue)
    name = draft.key[1:-1]
    if line.model is None and "/" in name:
        line = line._replace(model=("hf", name))
        draft.lose(
            "",
            f"no model is named; llama.cpp takes {name} out of its cache, a profile asks Hugging Face for it",
        )
    if line.model is None:
        draft.lose(
            "", "no model is named, so it means one that llama.cpp finds elsewhere (--models-dir, its cache)"
        )
        return False
    put_server(draft, line)
    if names != [draft.name]:
        draft.put("args.alias", ",".join(dict.fromkeys(names)))
    return True


def _own_key(draft: Draft, entry: Entry) -> bool:
    """Keys that only a presets file has."""
    if entry.key == "stop-timeout":
        seconds = number_of(entry.value)
        if seconds is not None:
            draft.put("stop.grace", format_duration(seconds))
        else:
            draft.lose(entry.key, f"{entry.value!r} is no number of seconds", entry.line)
    elif entry.key == "dedup-cache-models":
        draft.lose(entry.key, "there is no list of cached models here", entry.line)
    return entry.key in {"stop-timeout", "dedup-cache-models", "version"}


def _find(key: str, catalogue: Catalogue) -> tuple[Option, bool] | None:
    """An option by long name, short name or the name of its variable."""
    if not key.startswith("LLAMA_"):
        return catalogue.find(key)
    for option in catalogue.options.values():
        if option.env == key:
            return option, False
        if option.env and option.negations and option.env.replace("LLAMA_ARG_", "LLAMA_ARG_NO_", 1) == key:
            return option, True
    return None


def _words(draft: Draft, option: Option, negated: bool, entry: Entry) -> list[str]:
    """The same as words of a command line."""
    spelling = next(name for name in (*option.names[::-1], "") if name.startswith("--"))
    if option.value != "none":
        if option.values > 1:
            draft.lose(entry.key, "llama.cpp reads no option with two values from such a file", entry.line)
            return []
        if is_relative(option, entry.value):
            text = (
                "taken as lying beside this file or in models.directories; llama.cpp looks in its own folder"
            )
            draft.lose(entry.key, f"{entry.value}: {text}", entry.line)
        return [spelling, entry.value]
    word = entry.value.lower()
    if word not in _TRUE | _FALSE:
        draft.lose(entry.key, f"{entry.value!r} is neither true nor false", entry.line)
        return []
    is_on = (word in _TRUE) != negated
    if is_on:
        return [spelling]
    return [option.negations[-1]] if option.negations else []
