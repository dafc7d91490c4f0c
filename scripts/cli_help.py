"""The text of docs/cli.md, from the commands themselves. cog runs it (make docs); it prints nothing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llamaagent.cli.click_app import build
from llamaagent.cli.commands import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 96
_COMMON = "\nCommon options:\n"


def write(out: Callable[[str], None]) -> None:
    """Hand over the options that all commands share, then each command under a heading of its own."""
    root = build()
    out("## Options of every command\n\n")
    out(f"```\n{common_options(root)}\n```\n\n")
    section = ""
    for spec in SPECS:
        if spec.group != section:
            section = spec.group
            out(f"## {section}\n\n")
        out(f"### {spec.name}\n\n```\n{own_help(help_of(root, spec.name))}\n```\n\n")


def help_of(root: click.Group, name: str) -> str:
    """What `llamaagent NAME --help` prints, at a width that no terminal decides."""
    context = click.Context(
        root,
        None,
        "llamaagent",
        terminal_width=WIDTH,
        **{**root.context_settings, "max_content_width": WIDTH},
    )
    command: click.Command = root
    for word in name.split():
        if isinstance(command, click.Group):
            command = command.commands[word]
        context = click.Context(command, context, word, terminal_width=WIDTH, max_content_width=WIDTH)
    return command.get_help(context)


def own_help(text: str) -> str:
    """Without the options that every command has."""
    before, _, after = text.partition(_COMMON)
    return (before + "\n" + after.partition("\n\n")[2]).strip("\n")


def common_options(root: click.Group) -> str:
    """Their part of a help text, taken from the first command."""
    return help_of(root, SPECS[0].name).partition(_COMMON)[2].partition("\n\n")[0]
