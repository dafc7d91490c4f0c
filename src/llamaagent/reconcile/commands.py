"""`health.probe: command`: the profile's own command, run beside its server, in an environment like the server's."""

from __future__ import annotations

from llamaagent.base.errors import ConfigError
from llamaagent.domain import probe as word
from llamaagent.domain.probe import Verdict
from llamaagent.launch.adopt import LAUNCH_ID, SITE
from llamaagent.launch.environ import made_environment, read_env_file, secret_environment
from llamaagent.launch.trial import Ended, Trial, attend, try_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context


class Commands:
    """The commands of one look, running."""

    def __init__(self, ctx: Context, trials: dict[int, Trial], verdicts: dict[int, Verdict]) -> None:
        self._ctx = ctx
        self._trials = trials
        self._verdicts = verdicts

    def finish(self, until: float) -> dict[int, Verdict]:
        """Wait for all of them, at most until then on the monotonic clock."""
        ended = attend(self._trials, until, self._ctx.clock)
        return self._verdicts | {key: _verdict(one) for key, one in ended.items()}


def begin(ctx: Context, found: Iterable[tuple[Instance, Profile]]) -> Commands:
    """Start the command of each; one that cannot be started is a failed probe."""
    import shlex

    trials: dict[int, Trial] = {}
    verdicts: dict[int, Verdict] = {}
    for row, profile in found:
        try:
            argv = [*_inside(row), *(shlex.split(profile.health.command or "") or [""])]
            environment = _environment(ctx, row, profile)
            timeout_s = float(profile.health.timeout_s)
            trials[row.id] = try_out(argv, environment, timeout_s, ctx.clock.monotonic())
        except OSError as error:
            verdicts[row.id] = Verdict(word.FAILED, f"the probe's command cannot be run: {error.strerror}")
        except (ValueError, ConfigError) as error:
            verdicts[row.id] = Verdict(word.FAILED, f"the probe's command cannot be run: {error}")
    return Commands(ctx, trials, verdicts)


def _inside(row: Instance) -> tuple[str, ...]:
    """Words that run a command in the container; a process is asked from here."""
    if row.kind != "container" or row.container_id is None:
        return ()
    import sys

    return (sys.executable, "-P", "-m", "llamaagent.engine.execute", row.engine or "", row.container_id)


def _environment(ctx: Context, row: Instance, profile: Profile) -> dict[str, str]:
    """The server's own, and where it is to be found; without the names by which its processes are found again."""
    boxed = row.kind == "container"  # the command gets nothing of this: it is run by a program of ours
    env_file = read_env_file(ctx.settings.env_file) if ctx.settings.env_file and profile.secrets else {}
    made = dict(
        made_environment(
            site_id="",
            profile=profile.name,
            launch_id="",
            state_dir=ctx.places.state,
            runtime_env=profile.runtime.env,
            secrets=() if boxed else secret_environment(profile.secrets, ctx.environ, env_file),
        )
    )
    for name in (SITE, LAUNCH_ID):
        del made[name]
    prefix, scheme = (
        profile.arg("api-prefix"),
        "https" if profile.arg("ssl-cert-file") is not None else "http",
    )
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}.get(  # noqa: S104
        row.host or "", row.host or ""
    )
    address = f"[{host}]" if ":" in host else host
    made["LLAMAAGENT_NAME"] = profile.name
    made["LLAMAAGENT_PORT"] = str(row.port or "")
    made["LLAMAAGENT_URL"] = f"{scheme}://{address}:{row.port}{prefix if isinstance(prefix, str) else ''}"
    return made


def _verdict(ended: Ended) -> Verdict:
    latency_ms = int(ended.seconds * 1000)
    said = f": {ended.last_line}" if ended.last_line else ""
    if ended.code is None:
        return Verdict(word.TIMEOUT, f"the probe's command did not end in time{said}", latency_ms)
    if ended.code:
        return Verdict(word.FAILED, f"the probe's command ended with {ended.code}{said}", latency_ms)
    return Verdict(word.WELL, ended.last_line or None, latency_ms)
