"""The one border of the program: argv in, exit code out, every error turned into one or two lines.

Imports almost nothing: the plain forms of the commands that cron calls never see click.
"""

from __future__ import annotations

import os
import sys

from llamaagent.base.errors import BUG, INTERRUPTED, IO_ERROR, USAGE, LlamaAgentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def entry(argv: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name) and give its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
        return 0
    except LlamaAgentError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where our own bugs end
        return _no_space(error) or _bug()
    return code


def _no_space(error: Exception) -> int | None:
    """The exit code when a disk is full or fails, which is nobody's bug; None for everything else."""
    import errno

    if not isinstance(error, OSError) or error.errno not in {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
    }:
        return None
    where = f"{error.filename}: " if error.filename else ""
    print(f"llamaagent: {where}{error.strerror}", file=sys.stderr)
    _close_stdout()
    return IO_ERROR


def _dispatch(words: list[str]) -> int:
    if "_LLAMAAGENT_COMPLETE" not in os.environ:
        words = _common_first(words)
        code = _quick(words)
        if code is not None:
            return code
    return _click(words)


def _common_first(words: list[str]) -> list[str]:
    """`llamaagent --db X ps` means `llamaagent ps --db X`."""
    from llamaagent.cli.spec import COMMON

    takes_value = {flag: option.kind not in {"flag", "count"} for option in COMMON for flag in option.flags}
    at = 0
    while at < len(words) and words[at].partition("=")[0] in takes_value:
        flag, equals, _ = words[at].partition("=")
        at += 2 if takes_value[flag] and not equals else 1
    if at == 0 or at >= len(words):
        return words
    groups = {"report", "db", "install", "profiles", "models", "export", "gpus", "quota", "cache", "stats"}
    second = at + 1 < len(words) and not words[at + 1].startswith("-")
    end = at + 2 if words[at] in groups and second else at + 1
    return words[at:end] + words[:at] + words[end:]


def _quick(words: list[str]) -> int | None:
    from llamaagent.cli.commands import QUICK

    spec = QUICK.get(words[0]) if words else None
    if spec is None:
        return None
    from llamaagent.cli.spec import quick

    values = quick(spec, words[1:])
    if values is None:
        return None
    module, _, function = spec.run.partition(":")
    name = f"llamaagent.cli.{module}"
    __import__(name)
    run: Callable[[object], int] = getattr(sys.modules[name], function)
    return run(values)


def _click(words: list[str]) -> int:
    import click

    from llamaagent.cli.click_app import build

    try:
        result = build().main(words, prog_name="llamaagent", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return USAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except click.UsageError as error:
        context = error.ctx
        print(f"llamaagent: {error.format_message()}", file=sys.stderr)
        if context is not None:
            print(f"  try: {context.command_path} --help", file=sys.stderr)
        return USAGE
    except click.ClickException as error:
        print(f"llamaagent: {error.format_message()}", file=sys.stderr)
        return USAGE
    return result() if callable(result) else 0


def _tell(error: LlamaAgentError) -> int:
    print(f"llamaagent: {error}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)
    return error.exit_code


def _bug() -> int:
    import traceback

    traceback.print_exc()
    print("llamaagent: this is a bug in llamaagent; the lines above say where", file=sys.stderr)
    return BUG


def _close_stdout() -> None:
    """Keep the interpreter from complaining at exit about a pipe that the reader closed."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
