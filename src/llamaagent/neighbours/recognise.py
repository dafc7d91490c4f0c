"""What kind of file this is, by what stands in it. Pure; a wrong guess costs one clear message, not a wrong profile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llamaagent.base.errors import BadInputError
from llamaagent.config.foreign import text_of_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.neighbours.carried import Source, Taken

KINDS = ("llama-swap", "presets", "compose", "unit", "command")
_MAGIC = {
    b"GGUF": ("a model file", "llamaagent new NAME --model FILE"),
    b"SQLite format 3\0": ("a SQLite database", "llamaagent db import FILE"),
    b"\x7fELF": ("a program", None),
    b"PK\x03\x04": ("an archive", None),
    b"\x1f\x8b": ("a compressed file", None),
}


def recognise(source: Source) -> str:
    """One of KINDS. Raises BadInputError when it cannot tell, or when it is something else altogether."""
    for magic, (what, hint) in _MAGIC.items():
        if source.data.startswith(magic):
            raise BadInputError(f"{source.name} is {what}; nothing of it can be read here", hint=hint)
    text = text_of_file(source.data, source.name).replace("\r\n", "\n")
    if not text.strip():
        raise BadInputError(f"{source.name} is empty")
    for kind, pattern in _SIGNS:
        if re.search(pattern, text, re.MULTILINE):
            return kind
    if re.search(r"^(?:model|extends|listen|runtime):", text, re.MULTILINE):
        raise BadInputError(
            f"{source.name} looks like a profile already", hint=f"llamaagent check {source.name}"
        )
    raise BadInputError(
        f"cannot tell what {source.name} is", hint=f"say it by --from {', --from '.join(KINDS)}"
    )


_SIGNS = (
    ("command", r"\A#!"),
    ("unit", r"^\s*\[(?:Unit|Service|Install)\]\s*$"),
    ("compose", r"^[\"']?services[\"']?\s*:"),
    (
        "llama-swap",
        r"^[\"']?(?:models[\"']?\s*:(?=[\s\S]*?cmd)|(?:healthCheckTimeout|globalTTL|startPort)[\"']?\s*:)",
    ),
    ("presets", r"^\s*\[[^\]\n]+\]\s*(?:[;#].*)?$|^\s*(?:LLAMA_ARG_\w+|m|model|hf-repo|version)\s*=[^=]"),
    ("command", r"(?:^|[\s/\"'=])(?:llama-server|(?:docker|podman)\s+(?:container\s+)?run)(?:\s|$)"),
)


def reader_of(kind: str) -> Callable[[Source], Taken]:
    """The function that reads files of this kind."""
    from importlib import import_module

    module, function = {
        "llama-swap": ("llamaswap", "read_llama_swap"),
        "presets": ("presets", "read_presets"),
        "compose": ("compose", "read_compose"),
        "unit": ("unitfile", "read_unit"),
        "command": ("script", "read_script"),
    }[kind]
    found: Callable[[Source], Taken] = getattr(import_module(f"llamaagent.neighbours.{module}"), function)
    return found
