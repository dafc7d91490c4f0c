"""How a server is asked: where it listens, its key, its prefix, its scheme."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.http import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile, SecretRef
    from llamaagent.reconcile.context import Context


class WayIn(NamedTuple):
    """How a server is asked."""

    api_key: str | None = None
    prefix: str = ""
    scheme: str = "http"


def target(ctx: Context, row: Instance, profile: Profile | None) -> Target:
    """How the server of a row with a host and a port is asked; key and path are the caller's."""
    way = _way_in(ctx, profile) if row.kind != "external" else _way_outside(ctx, row)
    return Target(0, row.host or "", row.port or 0, "", way.api_key, way.prefix, way.scheme)


def _way_in(ctx: Context, profile: Profile | None) -> WayIn:
    """What every question to a server needs: its key, its prefix, its scheme."""
    if profile is None:
        return WayIn()
    prefix = profile.arg("api-prefix")
    key = dict(profile.secrets).get("api-key")
    return WayIn(
        _api_key(ctx, key) if key is not None else None,
        prefix if isinstance(prefix, str) else "",
        "https" if profile.arg("ssl-cert-file") is not None else "http",
    )


def _way_outside(ctx: Context, row: Instance) -> WayIn:
    """The same of a server that somebody else runs, from its own command line."""
    from llamaagent.launch.outside import command_words, option_value

    words = command_words(row.pid, ctx.host) if row.pid is not None else []
    scheme = "https" if option_value(words, "--ssl-cert-file") else "http"
    return WayIn(None, option_value(words, "--api-prefix") or "", scheme)


def _api_key(ctx: Context, ref: SecretRef) -> str:
    from llamaagent.base.errors import ConfigError
    from llamaagent.launch.environ import read_env_file, resolve_secret

    try:
        env_file = read_env_file(ctx.settings.env_file) if ctx.settings.env_file else {}
        return resolve_secret(ref, ctx.environ, env_file).split("\n", 1)[0]
    except ConfigError:
        return ""  # the health answer will say 401, and doctor which secret is missing
