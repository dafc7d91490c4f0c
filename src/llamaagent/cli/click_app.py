"""The same commands for click: help, completion, abbreviations' absence, clear usage errors."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

import click

from llamaagent.cli.commands import GROUPS, SPECS
from llamaagent.cli.spec import COMMON, Opt, Spec, Values

if TYPE_CHECKING:
    from collections.abc import Callable


def call(spec: Spec, values: Values) -> int:
    """Import the command's module and run it."""
    module, _, function = spec.run.partition(":")
    run: Callable[[Values], int] = getattr(import_module(f"llamaagent.cli.{module}"), function)
    return run(values)


def _option(option: Opt) -> click.Option:
    kwargs: dict[str, object] = {"help": option.help}
    if option.kind == "flag":
        kwargs["is_flag"] = True
    elif option.kind == "count":
        kwargs["count"] = True
    elif option.kind == "int":
        kwargs["type"] = click.IntRange(min=0)
    elif option.kind == "many":
        kwargs["multiple"] = True
    if option.choices:
        kwargs["type"] = click.Choice(option.choices)
    if option.metavar and not option.choices:
        kwargs["metavar"] = option.metavar
    return click.Option([*option.flags, option.name], **kwargs)  # type: ignore[arg-type]


class _Grouped(click.Group):
    """Help in sections, and the nearest name for a mistyped command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.commands:
            near = get_close_matches(name, list(self.commands), 1, 0.5)
            hint = f", did you mean '{near[0]}'?" if near else f"; '{ctx.command_path} --help' lists them"
            raise click.UsageError(f"no command '{name}'{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click gives it
        formatter: click.HelpFormatter,
    ) -> None:
        for title in GROUPS:
            rows = [
                (name, command.get_short_help_str(70))
                for name, command in self.commands.items()
                if getattr(command, "section", None) == title
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _command(spec: Spec) -> click.Command:
    parameters: list[click.Parameter] = [
        click.Argument(
            [arg.name], nargs=-1 if arg.many else 1, required=arg.required, metavar=arg.name.upper()
        )
        for arg in spec.args
    ]
    parameters += [_option(option) for option in (*spec.options, *COMMON)]

    def run(**given: object) -> int:
        return call(spec, Values(given))

    epilog = f"\b\nExample:\n  {spec.example}" if spec.example else None
    name = spec.name.rpartition(" ")[2]
    command = click.Command(name, params=parameters, callback=run, help=spec.help, epilog=epilog)
    command.section = spec.group  # type: ignore[attr-defined]
    return command


def build() -> click.Group:
    """The whole command tree."""
    root = _Grouped(
        "llamaagent",
        help="Keep llama-server instances running as YAML profiles declare them; record and report what happened.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        params=[
            click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version,
                         help="Print the version and exit.")
        ],
    )  # fmt: skip
    for spec in SPECS:
        first, _, second = spec.name.partition(" ")
        if not second:
            root.add_command(_command(spec))
            continue
        group = root.commands.get(first)
        if not isinstance(group, click.Group):
            group = _Grouped(first, help=f"{GROUP_HELP.get(first, first)}")
            group.section = spec.group  # type: ignore[attr-defined]
            root.add_command(group)
        group.add_command(_command(spec))
    return root


GROUP_HELP = {
    "report": "The static report.",
    "db": "Care of the database.",
    "install": "Let cron or systemd run the agent.",
}


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from llamaagent import __version__

        click.echo(f"llamaagent {__version__}")
        ctx.exit()
