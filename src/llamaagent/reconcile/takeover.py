"""Taking over a server that runs already: its profile's row is written as if we had launched it. Nothing restarts."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import RefusedError
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.wish import wish
from llamaagent.launch.command import file_identity
from llamaagent.launch.identity import alive
from llamaagent.launch.outside import own_log, without_secrets
from llamaagent.reconcile.external import started_ts
from llamaagent.reconcile.gates import estimate_mib
from llamaagent.store.found import FoundServer, take_in
from llamaagent.store.intent import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sample import GpuSample
    from llamaagent.launch.foreign import Foreign
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.git import GitState


def take_over(ctx: Context, profile: Profile, server: Foreign, git: GitState) -> int:
    """Write the row; gives its id. The caller holds the pass lock and has asked whether it may be.

    Raises RefusedError when the process is gone meanwhile, or the profile has a live launch or is not wanted.
    """
    now, pid = ctx.clock.now(), server.identity.pid
    row = next((row for row in ctx.instances.newest() if row.profile == profile.name), None)
    if row is not None and row.status in st.LIVE:
        raise RefusedError(f"{profile.name} runs already, as pid {row.pid}")
    want = wish(profile, ctx.wishes.overrides().get(profile.name), now)
    if not want.wanted:
        raise RefusedError(f"{profile.name} is not wanted now ({want.detail or want.reason})")
    if not alive(server.identity, ctx.host):
        raise RefusedError(f"pid {pid} is gone")
    gpus = ctx.read_gpus().cards
    held = _held(pid, gpus)
    action = act.Action(
        act.ADOPT, profile.name, None, "adopted", f"pid {pid} was taken over without a restart"
    )
    facts = _facts(ctx, profile, server, git)._replace(
        gpus=json.dumps([card.uuid for card, _ in held]) if gpus else None
    )
    claims = tuple(
        Claim(card.uuid, estimate_mib(facts.model_size_bytes) if used is None else used)
        for card, used in held
    )
    with ctx.db:
        ctx.samples.know_gpus(gpus, server.identity.boot_id, now)
        ctx.wishes.declare([profile], (git.commit, git.dirty), now, ctx.settings.defaults)
        instance_id = take_in(ctx.db, profile, row, (server.identity, facts), action, claims, now)
        ctx.samples.log(
            "info", profile.name, f"adopt {profile.name}: adopted ({action.detail})", now, "decision"
        )
    return instance_id


def _held(pid: int, cards: tuple[GpuSample, ...]) -> list[tuple[GpuSample, int | None]]:
    """The cards on which it holds memory, with how much."""
    return [(card, holder.memory_mib) for card in cards for holder in card.holders if holder.pid == pid]


def _facts(ctx: Context, profile: Profile, server: Foreign, git: GitState) -> FoundServer:
    words = list(server.words)
    size, mtime = _model(profile.model.path)
    path, inode, offset = _log(server, words)
    prefix = profile.arg("api-prefix")
    binary = server.exe
    return FoundServer(
        host=profile.listen.host,
        port=profile.listen.port,
        launched_ts=started_ts(ctx, server.identity),
        argv=json.dumps(without_secrets(words)),
        log_path=path,
        log_inode=inode,
        log_offset_bytes=offset,
        environment=json.dumps(dict(profile.runtime.env) | {name: str(ref) for name, ref in profile.secrets}),
        working_directory=server.cwd,
        binary=binary,
        binary_identity=None if binary is None else file_identity(binary),
        model_path=profile.model.path,
        model_size_bytes=size,
        model_mtime_ns=mtime,
        git_commit=git.commit,
        git_dirty=git.dirty,
        api_prefix=prefix if isinstance(prefix, str) else None,
        scheme="https" if profile.arg("ssl-cert-file") is not None else "http",
    )


def _model(path: str | None) -> tuple[int | None, int | None]:
    try:
        found = os.stat(path or "")
    except OSError:
        return None, None
    return found.st_size, found.st_mtime_ns


def _log(server: Foreign, words: list[str]) -> tuple[str | None, int | None, int]:
    """Its log, and from where it is read.

    A file named by --log-file was begun by this very process, so its requests are counted from the start. A file
    that a shell appends to may hold other servers' lines: it is read from the end of its last line on.
    """
    path = own_log(server.identity.pid, words)
    if path is not None:
        return path, None, 0
    if server.output is None:
        return None, None, 0
    try:
        with open(server.output, "rb") as file:
            found = os.fstat(file.fileno())
            start = max(0, found.st_size - 65536)
            file.seek(start)
            tail = file.read(found.st_size - start)
    except OSError:
        return None, None, 0
    return server.output, found.st_ino, start + tail.rfind(b"\n") + 1
