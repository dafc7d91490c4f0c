"""Containers of this site beside their rows: one without a row gets it back, one whose launch is over is put away.

A pass looks when it has to do with an engine anyway. Labels name site, profile and launch, so this works after the
database was lost, and what is no container of ours is never touched.
"""

from __future__ import annotations

import contextlib
import json

from llamaagent.base.errors import LlamaAgentError
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.engine import container as label
from llamaagent.engine.client import EngineError
from llamaagent.engine.lines import unix_ns
from llamaagent.launch.identity import boot_id, identify
from llamaagent.reconcile.adopting import claims_of
from llamaagent.reconcile.containergate import engine_for
from llamaagent.reconcile.containerstart import new_log
from llamaagent.reconcile.gates import HeldError
from llamaagent.store.containers import ContainerStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.engine.client import Engine
    from llamaagent.engine.container import Container
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared
    from llamaagent.store.intent import Claim

_NS = 1_000_000_000


def engines_in_use(ctx: Context, declared: Declared, rows: Iterable[Instance]) -> list[Engine]:
    """Those of the rows, and those that profiles would be launched with."""
    urls = {row.engine for row in rows if row.engine and row.status in st.LIVE}
    found = {url: ctx.engines().at(url) for url in urls}
    for profile in declared.profiles.values():
        if profile.runtime.kind == "container":
            with contextlib.suppress(HeldError, LlamaAgentError):
                engine = engine_for(ctx, profile)
                found[engine.url] = engine
    return list(found.values())


def adopt_containers(ctx: Context, declared: Declared) -> bool:
    """Running containers without a row get one, those whose launch is over are removed; True when a row was written."""
    rows = {row.profile: row for row in ctx.instances.newest()}
    adopted = False
    for engine in engines_in_use(ctx, declared, rows.values()):
        try:
            listed = engine.listed({label.SITE: ctx.site_id})
        except EngineError:
            continue
        marks = {str((one.get("Labels") or {}).get(label.LAUNCH_ID)): str(one.get("Id")) for one in listed}
        known = ContainerStore(ctx.db).launches(marks)
        for launch_id, container_id in marks.items():
            if known.get(launch_id) is False:
                continue
            with contextlib.suppress(EngineError):
                found = engine.inspect(container_id)
                if found is None:
                    continue
                if not found.alive:
                    engine.remove(found.id)
                elif launch_id not in known:
                    adopted = _adopt(ctx, declared, rows, found, engine) or adopted
    return adopted


def _adopt(
    ctx: Context, declared: Declared, rows: dict[str, Instance], found: Container, engine: Engine
) -> bool:
    """False: its profile has another live launch, and this one is left to `doctor`; or its cards do not answer now."""
    name, now = found.labels.get(label.PROFILE, ""), ctx.clock.now()
    row, profile = rows.get(name), declared.profiles.get(name)
    if row is not None and row.status in st.LIVE:
        return False
    gpus = ctx.read_gpus() if found.gpus else None
    if gpus is not None and gpus.error is not None:
        return False  # without a claim others would be put on its cards; nothing is launched there meanwhile either
    given = {**_launch(ctx, found, profile, now), **_box(found, engine)}
    action = act.Action(act.ADOPT, name, None, "adopted", f"container {found.name} was found without a row")
    with ctx.db:
        if row is not None and row.status == st.CREATED:
            let_go = act.Action(act.CANCEL, name, row.id, "adopted", status=st.STOPPED)
            ctx.instances.ended(row, let_go, None, None, now, now)
        ctx.instances.adopt(given, _claims(ctx, found, profile, gpus), action, now)
        ctx.samples.log("warning", name, f"adopted container {found.name}: its row was lost", now, "decision")
    rows[name] = next(one for one in ctx.instances.newest() if one.profile == name)
    return True


def _launch(ctx: Context, found: Container, profile: Profile | None, now: int) -> dict[str, object]:
    """What a process would have as well."""
    boot, port = boot_id(ctx.host), found.labels.get(label.PORT, "")
    server = identify(found.pid or 0, ctx.host, boot=boot)
    name, launch_id = found.labels.get(label.PROFILE, ""), found.labels.get(label.LAUNCH_ID)
    started = unix_ns(found.started)
    return {
        "kind": "container",
        "profile": name,
        "launch_id": launch_id,
        "project": found.labels.get(label.PROJECT, "default"),
        "detail": "found alive without a row",
        "launch_hash": found.labels.get(label.LAUNCH_HASH),
        "profile_hash": profile.profile_hash if profile is not None else None,
        "host": profile.listen.host if profile is not None and port else None,
        "port": int(port) if port.isdigit() else None,
        "boot_id": boot,
        "pid": server.pid if server is not None else None,
        "start_ticks": server.start_ticks if server is not None else None,
        "wrapper_pid": None,
        "wrapper_start_ticks": None,
        "log_path": new_log(ctx, name, launch_id or ""),
        "exit_path": None,
        "launched_ts": now if started is None else min(now, started // _NS),
        "argv": "[]",
        "model_path": profile.model.path if profile is not None else None,
    }


def _box(found: Container, engine: Engine) -> dict[str, object]:
    """What only a container has, as its engine tells it."""
    return {
        "gpus": json.dumps(list(found.gpus)) if found.gpus else None,
        "container_id": found.id,
        "container_name": found.name,
        "image": found.image,
        "image_digest": found.image_id,
        "port_mappings": json.dumps(dict(found.ports)),
        "engine": engine.url,
        "memory_limit_mib": found.memory_bytes >> 20 if found.memory_bytes else None,
        "cpu_limit_milli": found.cpu_milli,
    }


def _claims(
    ctx: Context, found: Container, profile: Profile | None, gpus: GpuReading | None
) -> tuple[Claim, ...]:
    """What it is reckoned to hold: as its profile would have reserved, on the cards that its engine gave it."""
    if gpus is None:
        return ()
    cards = [c for c in gpus.cards if c.uuid in found.gpus or found.gpus == ("all",)]
    ctx.samples.know_gpus(cards, boot_id(ctx.host), ctx.clock.now())
    return claims_of(cards, profile, (profile.model.path if profile is not None else None) or "")
