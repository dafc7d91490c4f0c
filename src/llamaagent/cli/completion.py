"""`completion`: the script that makes a shell complete commands, options and profile names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.base.errors import LlamaAgentError, UsageError

if TYPE_CHECKING:
    import click

    from llamaagent.cli.spec import Values

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_LLAMAAGENT_COMPLETE"


def run(values: Values) -> int:
    """Print the script for one shell."""
    shell = values.text("shell") or ""
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell!r}", hint="llamaagent completion " + "|".join(SHELLS))
    from click.shell_completion import ShellComplete, get_completion_class

    from llamaagent.cli.click_app import build

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has the three of SHELLS
    # The base class's `source`: bash's own would run bash first, to complain about an old one.
    print(ShellComplete.source(kind(build(), {}, "llamaagent", _VARIABLE)))
    return 0


def profile_names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Declared profiles that begin so; nothing when the site cannot be read, since a completion must not speak."""
    from llamaagent.base.clock import SystemClock
    from llamaagent.config.load import load_site

    try:
        site = load_site(
            config=ctx.params.get("config"),
            profiles=tuple(ctx.params.get("profiles") or ()),
            environ=os.environ,
            cwd=os.getcwd(),
            now=SystemClock().now(),
        )
    except (LlamaAgentError, OSError):
        return []
    return [profile.name for profile in site.profiles if profile.name.startswith(incomplete)]


def shells(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Shells that begin so."""
    return [shell for shell in SHELLS if shell.startswith(incomplete)]
