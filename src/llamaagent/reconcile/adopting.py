"""A live server of this site without a row: the database was lost, or an older copy of it was restored.

Its environment carries site, profile, launch id and launch hash; the rest is read from /proc. Writing the row
again is what keeps a second server from being started beside it.
"""

from __future__ import annotations

import json
import os

from llamaagent.domain import plan as act
from llamaagent.launch.adopt import find_launched
from llamaagent.launch.identity import read_small
from llamaagent.launch.visible import VARIABLES, shown_cards
from llamaagent.reconcile.gates import estimate_mib
from llamaagent.reconcile.starting import LAUNCH_HASH
from llamaagent.store.intent import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.domain.instance import Identity
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sample import GpuSample
    from llamaagent.launch.adopt import Found
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared


def adopt_strays(ctx: Context, declared: Declared) -> bool:
    """Write rows for live launches that have none; True when there was one.

    A launch that was detached has its row and is left alone. A second stray of a profile that has a live
    row is left to `doctor`.
    """
    from llamaagent.domain import instance as st

    rows = {row.profile: row for row in ctx.instances.newest()}
    live = {row.profile for row in rows.values() if row.status in st.LIVE}
    adopted = False
    for found in find_launched(ctx.site_id, ctx.host):
        if found.server is None or found.profile in live or ctx.instances.launch_known(found.launch_id):
            continue
        row = rows.get(found.profile)
        with ctx.db:
            if (
                row is not None and row.status == st.CREATED
            ):  # held, says an older copy: it was launched since
                let_go = act.Action(act.CANCEL, row.profile, row.id, "adopted", status=st.STOPPED)
                now = ctx.clock.now()
                ctx.instances.ended(row, let_go, None, None, now, now)
            _adopt(ctx, declared, found, found.server)
        live.add(found.profile)
        adopted = True
    return adopted


def _adopt(ctx: Context, declared: Declared, found: Found, server: Identity) -> None:
    now = ctx.clock.now()
    profile = declared.profiles.get(found.profile)
    argv = _words(ctx, server, "cmdline")
    environment = dict(word.partition("=")[::2] for word in _words(ctx, server, "environ"))
    port = _after(argv, "--port")
    given: dict[str, object] = {"profile": found.profile, "launch_id": found.launch_id}
    given |= {"project": profile.project if profile else "default", "detail": "found alive without a row"}
    given |= {
        "launch_hash": environment.get(LAUNCH_HASH),
        "profile_hash": profile.profile_hash if profile else None,
    }
    given |= {"host": _after(argv, "--host"), "port": int(port) if port and port.isdigit() else None}
    given |= {"boot_id": server.boot_id, "pid": server.pid, "start_ticks": server.start_ticks}
    given["wrapper_pid"] = found.wrapper.pid if found.wrapper else None
    given["wrapper_start_ticks"] = found.wrapper.start_ticks if found.wrapper else None
    given |= {"log_path": _log(ctx, server), "exit_path": os.path.join(ctx.places.exits, found.launch_id)}
    given |= {"launched_ts": _started(ctx, server, now), "argv": json.dumps(argv)}
    given["model_path"] = _after(argv, "--model")
    action = act.Action(
        act.ADOPT, found.profile, None, "adopted", f"pid {server.pid} was found without a row"
    )
    cards = _cards(ctx, environment)
    given["gpus"] = json.dumps([card.uuid for card in cards]) if cards else None
    with ctx.db:
        ctx.samples.know_gpus(cards, server.boot_id, now)
        ctx.instances.adopt(given, claims_of(cards, profile, str(given["model_path"] or "")), action, now)
        ctx.samples.log(
            "warning", found.profile, f"adopted pid {server.pid}: its row was lost", now, "decision"
        )


def _cards(ctx: Context, environment: dict[str, str]) -> tuple[GpuSample, ...]:
    """The cards that the server was given, as far as they are there."""
    if not any(environment.get(name) for name in VARIABLES):
        return ()
    return shown_cards(environment, ctx.read_gpus().cards)


def claims_of(cards: Sequence[GpuSample], profile: Profile | None, model: str) -> tuple[Claim, ...]:
    """What it is reckoned to hold: as its profile or its model's file would have reserved."""
    if not cards:
        return ()
    declared = profile.resources.gpu_memory_mib if profile is not None else None
    size = os.stat(model).st_size if os.path.isfile(model) else None
    share = -(-(declared or estimate_mib(size)) // len(cards))
    exclusive = profile is not None and profile.resources.exclusive
    return tuple(Claim(card.uuid, share, exclusive) for card in cards)


def _words(ctx: Context, server: Identity, name: str) -> list[str]:
    try:
        data = read_small(f"{ctx.host.proc}/{server.pid}/{name}")
    except OSError:
        return []
    return data.decode("utf-8", "surrogateescape").rstrip("\0").split("\0")


def _after(argv: list[str], option: str) -> str | None:
    return argv[argv.index(option) + 1] if option in argv[:-1] else None


def _log(ctx: Context, server: Identity) -> str | None:
    """Where its output goes, when that is still a file."""
    try:
        target = os.readlink(f"{ctx.host.proc}/{server.pid}/fd/2")
    except OSError:
        return None
    return target if target.startswith("/") and os.path.isfile(target) else None


def _started(ctx: Context, server: Identity, now: int) -> int:
    """When the process started, from its start tick and the time since boot."""
    age_s = ctx.clock.boottime() - server.start_ticks / os.sysconf("SC_CLK_TCK")
    return now - max(0, int(age_s))
