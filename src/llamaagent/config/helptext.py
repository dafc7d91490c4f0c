"""What `llama-server --help` says, as a Catalogue of that very build.

Pure: text in, tables out. What help does not say (separators, whether an option may be repeated, what to write
instead of an old one) comes from the bundled catalogue, for the options that it knows too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.config.catalogue import Catalogue, Option, bare, index

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUP = re.compile(r"-{3,} *([a-z-]+)(?: [a-z]+)* *-{3,}")
_HEAD = re.compile(r"(-[^\s,]+(?:,\s+-[^\s,]+)*)(?: (\S.*?))?(?:\s{2,}(\S.*))?")
_ENV = re.compile(r"\(env: (\w+)\)")
_DEFAULT = re.compile(r"\(default: ([^\s,)]+)[,)]")
_ALLOWED = re.compile(r"allowed values: ([\w.+-]+(?:, [\w.+-]+)+)")
_BULLET = re.compile(r"^- ([\w.+-]+)(?: \(default\))?:", re.MULTILINE)
_REMOVED = re.compile(r"the argument has been removed\W*(.*)", re.DOTALL)
_NEEDED = ("--model", "--port")  # a text without these is no llama-server's help
_GROUPS = {"example-specific": "server"}
_PATHS = ("FNAME", "FILE", "PATH", "DIR")


class Entry(NamedTuple):
    """One option as help prints it: all spellings, the word for its value, the text beside and below."""

    group: str
    names: tuple[str, ...]
    word: str
    text: str


def parse_help(text: str, known: Catalogue, source: str) -> Catalogue | None:
    """The options that the text offers; None when it is no llama-server's help. source: whose help it is."""
    options: dict[str, Option] = {}
    for entry in entries(text):
        option = _option(entry, known)
        options[option.name] = option
    spellings = index(options.values())
    if not all(bare(name) in spellings for name in _NEEDED):
        return None
    gone = {word: advice for word, advice in known.gone.items() if word not in spellings}
    return Catalogue(source, options, spellings, gone, own=True)


def entries(text: str) -> Iterator[Entry]:
    """Every option of a help text, in its order."""
    group = "common"
    head: tuple[tuple[str, ...], str] | None = None
    lines: list[str] = []
    for line in [*text.splitlines(), "-----"]:
        if not line.startswith("-"):
            lines.append(line.strip())
            continue
        if head is not None:
            yield Entry(group, *head, "\n".join(lines).strip())
        title, match = _GROUP.fullmatch(line.strip()), _HEAD.fullmatch(line.rstrip())
        head = None
        if title:
            group = _GROUPS.get(title[1], title[1])
        elif match:
            head = tuple(re.split(r",\s+", match[1])), match[2] or ""
            lines = [match[3] or ""]


def _option(entry: Entry, known: Catalogue) -> Option:
    names, negations = _split(entry.names)
    name, old = _name_of(names, known)
    values = len(entry.word.split()) if re.fullmatch(r"[A-Z0-9_]+( [A-Z0-9_]+)+", entry.word) else 1
    env, default = _ENV.search(entry.text), _DEFAULT.search(entry.text)
    facts: dict[str, Any] = {
        "names": names,
        "negations": negations,
        "values": values,
        "env": env[1] if env else None,
        "default": default[1] if default else None,
        "group": entry.group,
    }
    kind, choices = _kind(entry)
    if old is not None and (old.value == "none") == (kind == "none"):
        if old.value == "enum":
            # A list of words below an option is not always all of them: those that we know stay allowed.
            choices = choices or tuple(dict.fromkeys([*old.choices, *_BULLET.findall(entry.text)]))
        return old._replace(**facts, choices=choices or old.choices, gone=_gone(entry, old))
    separator = "," if kind == "list" else None
    gone = _gone(entry, old)
    exits = kind == "none" and re.search(r"\bprint\b.* and exit", entry.text) is not None
    preset = kind == "none" and "can download weights" in entry.text
    return Option(
        name, value=kind, choices=choices, separator=separator, gone=gone, exits=exits, preset=preset, **facts
    )


def _split(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(spellings that mean yes, those that mean no): help prints them in this order, in one row.

    >>> _split(("-kvo", "--kv-offload", "-nkvo", "--no-kv-offload"))
    (('-kvo', '--kv-offload'), ('-nkvo', '--no-kv-offload'))
    """
    long = [name for name in names if name.startswith("--")]
    plain = [name for name in long if not name.startswith("--no-")]
    if not plain or len(plain) == len(long):
        return names, ()
    end = names.index(plain[-1]) + 1
    return names[:end], names[end:]


def _name_of(names: tuple[str, ...], known: Catalogue) -> tuple[str, Option | None]:
    """(the one name, the bundled option of that name): the name we know it by, while the binary knows that too."""
    for word in names:
        hit = known.find(word)
        if hit is not None and not hit[1] and f"--{hit[0].name}" in names:
            return hit[0].name, hit[0]
    return bare(next((word for word in names if word.startswith("--")), names[0])), None


def _gone(entry: Entry, old: Option | None) -> str | None:
    """Advice when the server only refuses or ignores it."""
    removed = _REMOVED.search(entry.text)
    if removed is None and "(DEPRECATED)" not in entry.text:
        return None
    if old is not None and old.gone is not None:
        return old.gone
    advice = " ".join(removed[1].split()) if removed else ""
    return advice or "leave it out, the server ignores it"


def _kind(entry: Entry) -> tuple[str, tuple[str, ...]]:
    """(kind of value, choices) as far as the text is sure of them."""
    word = entry.word
    if not word:
        return "none", ()
    braces = re.fullmatch(r"\[(\w[^\[\]<>]*)\]|\{([^{}]+)\}|<([^<>.|]+(?:\|[^<>.|]+)+)>", word)
    if braces:
        parts = tuple(part.strip() for part in re.split(r"[|,]", next(p for p in braces.groups() if p)))
        return ("int", ()) if all(p.isdecimal() for p in parts) else ("enum", parts)
    allowed = _ALLOWED.search(entry.text)
    if allowed:
        return "enum", tuple(allowed[1].split(", "))
    return _plain_kind(entry), ()


def _plain_kind(entry: Entry) -> str:
    word = entry.word
    if word in {"N", "INDEX"} or re.fullmatch(r"<\d+\.\.\.?\d+>", word):
        return "number"
    if word in _PATHS:
        return "path"
    return "list" if word.endswith(",...") else "string"
