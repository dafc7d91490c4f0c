"""Fetching an image, in a child that outlives the pass: it takes minutes, and an engine gives up with its client."""

from __future__ import annotations

import fcntl
import json
import os
import sys

from llamaagent.base.paths import ensure_private_dir
from llamaagent.domain.plan import Arithmetic
from llamaagent.engine.pulling import AGAIN_S, State, read_state
from llamaagent.launch.process import bury_later
from llamaagent.reconcile.gates import HeldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.engine.client import Engine
    from llamaagent.reconcile.context import Context

_PROGRAM = (sys.executable, "-P", "-m", "llamaagent.engine.pulling")


def pulled(ctx: Context, engine: Engine, image: str, pull: str, *, there: bool) -> None:
    """Nothing when it need not be fetched any more. Raises HeldError: it may not be, it is on its way, or it failed.

    pull: missing, always, never. `always` asks the registry once for each launch: what was fetched since the last
    one ended counts. One child an image fetches, whoever asks; one that failed is tried again after a while.
    """
    if pull == "never":
        raise HeldError("missing-image", f"image {image} is not there, and pull is: never")
    folder = ensure_private_dir(os.path.join(ctx.places.state, "pulls"))
    path = os.path.join(folder, f"{_name(engine.url, image)}.json")
    state, now = read_state(path), ctx.clock.now()
    if not _is_free(f"{path}.lock"):
        raise HeldError("pulling", f"image {image} is being fetched{_progress(state)}", _figures(state))
    age = None if state.ts is None else now - state.ts
    recent = age is not None and 0 <= age < AGAIN_S
    if recent and state.error is not None:
        if there:
            return  # the one that is here does until the registry answers
        raise HeldError("missing-image", f"image {image} could not be fetched: {state.error}")
    if there and recent and state.done:
        return
    if ctx.db.readonly("main"):  # `plan` asks too
        raise HeldError("pulling", f"image {image} will be fetched")
    pid = os.posix_spawn(
        _PROGRAM[0],
        [*_PROGRAM, engine.url, image, path],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        setsid=True,
    )
    bury_later(pid)
    raise HeldError("pulling", f"image {image} is being fetched")


def _name(url: str, image: str) -> str:
    from hashlib import sha256

    return sha256(json.dumps([url, image]).encode()).hexdigest()[:24]


def _is_free(path: str) -> bool:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _progress(state: State) -> str:
    return f": {state.got_bytes >> 20} of {state.total_bytes >> 20} MiB" if state.total_bytes else ""


def _figures(state: State) -> tuple[Arithmetic, ...]:
    return (
        Arithmetic("fetched_mib", state.got_bytes >> 20),
        Arithmetic("layers_known_mib", state.total_bytes >> 20),
    )
