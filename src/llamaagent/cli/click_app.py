"""The same commands for click: help, completion, abbreviations' absence, clear usage errors."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import click

from llamaagent.cli.commands import GROUPS, SPECS
from llamaagent.cli.spec import COMMON, Arg, Opt, Spec, Values

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

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        for title in GROUPS:
            rows = [
                (name, command.get_short_help_str(70))
                for name, command in self.commands.items()
                if getattr(command, "section", None) == title
            ]
            if rows:
                with formatter.section(title if ctx.parent is None else "Commands"):
                    formatter.write_dl(rows)


class _Named(_Grouped):
    """A group that takes words of its own too: what begins with the name of no command in it is those."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in self.commands:
            super().parse_args(ctx, [])
            ctx._protected_args, ctx.args = args[:1], args[1:]  # noqa: SLF001 - as click.Group leaves them
            return ctx.args
        ctx.allow_interspersed_args = True
        return click.Command.parse_args(self, ctx, args)


class _Documented(click.Command):
    """Help that explains the positional words too, and keeps what every command takes apart."""

    spec: Spec

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.spec.args:
            with formatter.section("Arguments"):
                formatter.write_dl([(_shown(arg), arg.help) for arg in self.spec.args])
        _write_options(self, ctx, formatter)


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """A command's own options, then those that every command takes."""
    shared = {option.name for option in COMMON}
    options = [parameter for parameter in command.get_params(ctx) if isinstance(parameter, click.Option)]
    for title, common in (("Options", False), ("Common options", True)):
        found = [
            record
            for option in options
            if (option.name in shared) == common and (record := option.get_help_record(ctx)) is not None
        ]
        if found:
            with formatter.section(title):
                formatter.write_dl(found)


def _shown(arg: Arg) -> str:
    return arg.name.upper().replace("_", "-")


def _metavar(arg: Arg) -> str:
    word = _shown(arg) + ("..." if arg.many else "")
    return word if arg.required else f"[{word}]"


def _argument(spec: Spec, arg: Arg) -> click.Argument:
    from llamaagent.cli.completion import profile_names, shells

    completes = {"name": profile_names if spec.name != "new" else None, "shell": shells}.get(arg.name)
    return click.Argument(
        [arg.name],
        nargs=-1 if arg.many else 1,
        required=arg.required,
        metavar=_metavar(arg),
        shell_complete=completes,
    )


def _command(spec: Spec) -> click.Command:
    parameters: list[click.Parameter] = [_argument(spec, arg) for arg in spec.args]
    parameters += [_option(option) for option in (*spec.options, *COMMON)]

    def run(**given: object) -> Callable[[], int]:
        # Run by the caller of click, not inside of it: click would turn a closed pipe into exit code 1.
        return partial(call, spec, Values(given))

    epilog = f"\b\nExample:\n  {spec.example}" if spec.example else None
    name = spec.name.rpartition(" ")[2]
    taken = {"allow_interspersed_args": not any(arg.rest for arg in spec.args)}
    command = _Documented(
        name, params=parameters, callback=run, help=spec.help, epilog=epilog, context_settings=taken
    )
    command.spec = spec
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
            group = _group(first, spec, group)
            root.add_command(group)
        group.add_command(_command(spec))
    return root


def _group(name: str, spec: Spec, alone: click.Command | None) -> click.Group:
    """A group of commands; one whose name is a command too (alone) is that command when nothing follows."""
    group = _Grouped(name, help=f"{GROUP_HELP.get(name, name)}")
    if alone is not None:
        run = alone.callback

        def without_word(**given: object) -> object:
            context = click.get_current_context()
            return run(**given) if run is not None and context.invoked_subcommand is None else None

        many = any(isinstance(parameter, click.Argument) for parameter in alone.params)
        group = (_Named if many else _Grouped)(
            name,
            params=alone.params,
            callback=without_word,
            invoke_without_command=True,
            help=alone.help,
            epilog=alone.epilog,
        )
    group.section = spec.group  # type: ignore[attr-defined]
    return group


GROUP_HELP = {
    "report": "The static report.",
    "models": "Model files on this machine.",
    "db": "Care of the database.",
    "profiles": "The configuration last applied, as the database has it.",
    "export": "The profiles for other tools.",
    "install": "Let cron or systemd run the agent.",
}


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from llamaagent import __version__

        click.echo(f"llamaagent {__version__}")
        ctx.exit()
