"""Looking at the host: which launches live, how healthy they are, who listens on their ports. Changes nothing."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.http import Target, probe_all
from llamaagent.collect.metrics import ServerCounters, parse_metrics
from llamaagent.domain import instance as st
from llamaagent.domain import sight as seen
from llamaagent.domain.sight import Sight
from llamaagent.launch.exits import read_exit
from llamaagent.launch.identity import alive, boot_id
from llamaagent.launch.listeners import Endpoint, listener_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.collect.answer import Answer
    from llamaagent.domain.instance import Identity, Instance
    from llamaagent.domain.profile import Profile, SecretRef
    from llamaagent.launch.adopt import Found
    from llamaagent.reconcile.context import Context

PROBE_DEADLINE_S = 8.0  # the longest that one look may wait, whatever health.timeout says


class View(NamedTuple):
    """What one look saw. found: processes of rows whose pid is not stored yet."""

    boot_id: str
    sights: dict[int, Sight]
    counters: dict[int, ServerCounters]
    found: dict[str, Found]


class WayIn(NamedTuple):
    """How a server is asked."""

    api_key: str | None = None
    prefix: str = ""
    scheme: str = "http"


class Probed(NamedTuple):
    """The HTTP side of one instance."""

    health: Answer | None
    metrics: Answer | None


def observe(
    ctx: Context, rows: Iterable[Instance], profiles: Mapping[str, Profile], deadline_s: float
) -> View:
    """Look at every live row once. deadline_s: for all HTTP answers together."""
    live = [row for row in rows if row.status in st.LIVE]
    boot = boot_id(ctx.host)
    found: dict[str, Found] = {}
    if any(row.pid is None for row in live):
        from llamaagent.launch.adopt import find_launched

        found = {one.launch_id: one for one in find_launched(ctx.site_id, ctx.host)}
    bodies = {row.id: _body(ctx, row, found.get(row.launch_id or ""), boot) for row in live}
    probed = _probe(ctx, [row for row in live if bodies[row.id].server_alive], profiles, deadline_s)
    listening = _listening([row for row in live if bodies[row.id].server_alive], found, ctx)
    sights: dict[int, Sight] = {}
    counters: dict[int, ServerCounters] = {}
    for row in live:
        answers = probed.get(row.id, Probed(None, None))
        if answers.metrics is not None and answers.metrics.status == 200:
            counters[row.id] = parse_metrics(answers.metrics.body)
        sights[row.id] = _with_health(bodies[row.id], answers.health)._replace(
            listener=listening.get(row.id, "unknown"),
            requests_processing=counters[row.id].requests_processing if row.id in counters else None,
        )
    return View(boot, sights, counters, found)


def owners(row: Instance, found: Found | None = None) -> tuple[int, ...]:
    """Pids that may listen on the instance's port."""
    known: tuple[Identity | None, ...] = (row.server, row.wrapper)
    if found is not None:
        known = (*known, found.server, found.wrapper, *found.others)
    return tuple({identity.pid for identity in known if identity is not None})


def _body(ctx: Context, row: Instance, found: Found | None, boot: str) -> Sight:
    """Processes and exit record of one row."""
    same = row.boot_id in {boot, None}
    server = row.server or (found.server if found else None)
    wrapper = row.wrapper or (found.wrapper if found else None)
    sight = Sight(
        instance_id=row.id,
        same_boot=same,
        server_alive=same and alive(server, ctx.host, boot=boot),
        wrapper_alive=same and alive(wrapper, ctx.host, boot=boot),
    )
    if sight.server_alive or not same:
        return sight
    record = read_exit(row.exit_path) if row.exit_path else None
    if record is not None:
        sight = sight._replace(exit_known=True, exit_code=record.exit_code, exit_signal=record.exit_signal)
    from llamaagent.launch.adopt import members

    others = bool(members(wrapper, server, row.launch_id, ctx.host))
    return sight._replace(others_alive=others and not sight.wrapper_alive)


def _probe(
    ctx: Context, rows: list[Instance], profiles: Mapping[str, Profile], deadline_s: float
) -> dict[int, Probed]:
    """Ask every live server for its health and its counters, all together."""
    targets: list[Target] = []
    for row in rows:
        if row.port is None or row.host is None:
            continue
        profile = profiles.get(row.profile)
        base = target(ctx, row, profile)
        if profile is None or profile.health.probe != "none":
            path = profile.health.path if profile is not None else "/health"
            targets.append(base._replace(key=2 * row.id, path=path))
        targets.append(base._replace(key=2 * row.id + 1, path="/metrics"))
    if not targets:
        return {}
    answers = probe_all(targets, deadline_s, ctx.clock.monotonic)
    return {row.id: Probed(answers.get(2 * row.id), answers.get(2 * row.id + 1)) for row in rows}


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


def _listening(rows: list[Instance], found: Mapping[str, Found], ctx: Context) -> dict[int, str]:
    asked = [row for row in rows if row.port is not None and row.host is not None]
    if not asked:
        return {}
    endpoints = [
        Endpoint(row.host or "", row.port or 0, owners(row, found.get(row.launch_id or ""))) for row in asked
    ]
    states = list(listener_states(endpoints, ctx.host))
    for at, row in enumerate(asked):
        if states[at] == "stranger":  # a child of the server may be the one that listens
            from llamaagent.launch.adopt import members

            every = members(row.wrapper, row.server, row.launch_id, ctx.host)
            endpoint = endpoints[at]._replace(owners=tuple(one.pid for one in every))
            states[at] = listener_states([endpoint], ctx.host)[0]
    return {row.id: state for row, state in zip(asked, states, strict=True)}


def _with_health(sight: Sight, answer: Answer | None) -> Sight:
    """Read the health answer: refused, 503 while loading, 200 when healthy."""
    if answer is None:
        return sight._replace(health=seen.OK if sight.server_alive else seen.NOT_ASKED)
    if answer.kind == "http":
        word = seen.OK if answer.status == 200 else seen.LOADING if answer.status == 503 else seen.FAILED
        return sight._replace(health=word, http_status=answer.status, health_ms=answer.latency_ms)
    words = {"refused": seen.REFUSED, "timeout": seen.TIMEOUT}
    return sight._replace(health=words.get(answer.kind, seen.FAILED), health_ms=answer.latency_ms)
