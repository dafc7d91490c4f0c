"""How the other tools read what was exported: written from their own documents, without a line of ours."""

from __future__ import annotations

import codecs
import configparser
import re
import shlex

SWAP_MACRO = re.compile(r"\$\{([a-zA-Z0-9_-]+)\}")
SWAP_ENV = re.compile(r"\$\{env\.([a-zA-Z_][a-zA-Z0-9_]*)\}")


def swap_text(text: str, environ: dict[str, str]) -> str:
    """llama-swap's first step: variables into the text of the file, for double quotes."""

    def value(match: re.Match[str]) -> str:
        return environ[match[1]].replace("\\", "\\\\").replace('"', '\\"')

    return SWAP_ENV.sub(value, text)


def swap_words(cmd: str, macros: dict[str, str]) -> list[str]:
    """StripComments, macros, SanitizeCommand, then a split as a POSIX shell does."""
    cmd = "\n".join(line for line in cmd.split("\n") if not line.strip().startswith("#"))
    for name, value in macros.items():
        cmd = cmd.replace(f"${{{name}}}", value)
    assert not SWAP_MACRO.findall(cmd), "unknown macro"
    lines = []
    for line in cmd.split("\n"):
        if line.strip().startswith("#"):
            continue
        lines.append(line.strip()[:-1] + " " if line.strip().endswith("\\") else line)
    return shlex.split("\n".join(lines))


def compose_value(text: str, environ: dict[str, str]) -> str:
    """What compose makes of a value: `$$` is a dollar, `${NAME:?text}` a variable that must be there."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        assert match[1], f"compose would replace {match[0]!r}"
        return environ[match[1]]

    return re.sub(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*):\?[^}]*\}|\$.?", value, text)


def preset_sections(text: str) -> dict[str, dict[str, str]]:
    """The grammar of llama.cpp's preset.cpp: a value ends at blanks before `;`, `#` or the line's end."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in re.split(r"\r\n|\n|\r", text):
        if re.fullmatch(r"[ \t]*([;#].*)?", line):
            continue
        header = re.fullmatch(r"\[[ \t]*([^]]+)[ \t]*\][ \t]*([;#].*)?", line)
        if header:
            current = sections[header[1]] = {}
            continue
        pair = re.fullmatch(r"([a-zA-Z_][a-zA-Z0-9_.-]*)[ \t]*=[ \t]*(.*)", line)
        assert pair, f"no line of a presets file: {line!r}"
        assert pair[1] not in current, f"only the last {pair[1]} would count"
        current[pair[1]] = re.split(r"[ \t]*(?:[;#]|$)", pair[2])[0]
    return sections


def unit_values(text: str) -> dict[str, list[str]]:
    """Key -> values of all sections together, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        assert not line.endswith("\\"), "systemd would join the next line"
        if "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def unit_words(value: str, *, dollar: bool) -> list[str]:
    """Systemd's words: quotes, C escapes, `%%`, and `$$` where variables are expanded."""
    words: list[str] = []
    word: str | None = None
    quote = ""
    at = 0
    while at < len(value):
        c = value[at]
        if c == "\\":
            length = 4 if value[at + 1] == "x" else 2
            c = codecs.decode(value[at : at + length], "unicode_escape")
            at += length - 1
            word = (word or "") + c
        elif quote:
            word, quote = ((word or "") + c, quote) if c != quote else (word or "", "")
        elif c in "\"'":
            word, quote = word or "", c
        elif c in " \t":
            words += [] if word is None else [word]
            word = None
        else:
            word = (word or "") + c
        at += 1
    assert not quote
    words += [] if word is None else [word]
    return [_unit_expanded(word, dollar=dollar) for word in words]


def _unit_expanded(word: str, *, dollar: bool) -> str:
    assert not re.search(r"(?<!%)(?:%%)*%(?!%)", word), f"a specifier in {word!r}"
    word = word.replace("%%", "%")
    if dollar:
        assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", word), f"a variable in {word!r}"
        word = word.replace("$$", "$")
    return word


def supervisor_sections(text: str) -> dict[str, dict[str, str]]:
    """The file as supervisord's parser takes it, with what it expands expanded."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(text)
    return {
        name: {key: value % {"here": "/"} for key, value in parser.items(name)} for name in parser.sections()
    }


def cron_command(line: str, *, strips: bool) -> str:
    """What cron gives to the shell; a bare `%` would have ended it.

    strips: FreeBSD's and its kin, which take the escape away from `%` and from a backslash; the old one leaves both.
    """
    out = ""
    escaped = False
    for c in line:
        assert escaped or c != "%", f"cron would end the command at a percent sign: {line!r}"
        out = out[:-1] + c if escaped and strips and c in "%\\" else out + c
        escaped = c == "\\" and not escaped
    return out
