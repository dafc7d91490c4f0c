"""What is told after a pass: `notify.command` for what waits, `ping` after a good pass. Never in the pass's way.

Both run when the pass lock is free again, under a lock of their own, so that no two passes send the same thing.
An attempt is counted before it is made and marked as done afterwards: an agent that is killed in between sends it
once more (at least once, never lost). Nothing here changes how a pass ends.
"""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import LlamaAgentError, LockHeldError
from llamaagent.cli.output import say
from llamaagent.store.errors import translate
from llamaagent.store.locks import Lock
from llamaagent.store.notices import NoticeStore
from llamaagent.store.samples import SampleStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Thread

    from llamaagent.base.run import Result
    from llamaagent.cli.site import Opened
    from llamaagent.store.notices import Notice
    from llamaagent.store.types import Connection

_PING_S = 5.0
_ALL_S = 60.0  # of one round; what is left over waits for the next pass
_OUTPUT_BYTES = 65536
_WORDS_KEPT = 300


def notify(opened: Opened, db: Connection, *, good: bool) -> None:
    """Send what waits, and ping when the pass was good. Takes at most `notify.timeout` beyond a minute."""
    try:
        with translate(opened.database), Lock(opened.database, "notify").take(opened.clock):
            _send_all(opened, db)
            if good and opened.site.settings.ping is not None:
                _ping(opened, db, opened.site.settings.ping)
    except LockHeldError:  # another pass is sending just now
        return
    except LlamaAgentError as error:
        say(f"notify: {error}")


class Courier:
    """The same for the loop: on a thread with a connection of its own, so that a beat is never late for it."""

    def __init__(self) -> None:
        self._thread: Thread | None = None

    def beat(self, opened: Opened, db: Connection, *, good: bool) -> None:
        """Begin a round when there is something to send and none is on. Takes no time."""
        settings = opened.site.settings
        wanted = good and settings.ping is not None
        wanted = wanted or (settings.notify_command is not None and NoticeStore(db).any_waits())
        if not wanted or (self._thread is not None and self._thread.is_alive()):
            return
        from threading import Thread

        self._thread = Thread(target=_round, args=(opened, good), daemon=True)
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Let a round that is on come to its end, so that no command is left without its time limit."""
        if self._thread is not None:
            self._thread.join(timeout_s)


def _round(opened: Opened, good: bool) -> None:
    from llamaagent.cli.site import database

    try:
        with database(opened, write=True, create=False) as db:
            notify(opened, db, good=good)
    except LlamaAgentError as error:
        say(f"notify: {error}")


def _send_all(opened: Opened, db: Connection) -> None:
    """Everything that is due, oldest first. What is about a profile keeps its order; after a hang the rest waits."""
    command = opened.site.settings.notify_command
    store = NoticeStore(db)
    if command is None or not store.any_waits():
        return
    from llamaagent.domain.notice import is_due, is_over

    until = opened.clock.monotonic() + _ALL_S
    blocked: set[str | None] = set()
    trouble: str | None = None
    tried = False
    for notice in store.waiting():
        now = opened.clock.now()
        if is_over(notice.ts, notice.attempts, now):
            store.gave_up(notice.id, now)
            _log(opened, db, "error", f"gave up telling {notice.event} after {notice.attempts} attempts")
            continue
        if notice.profile in blocked or not is_due(notice.attempts, notice.tried_ts, now):
            blocked.add(notice.profile)
            continue
        if opened.clock.monotonic() >= until:
            break
        tried = True
        result = _send(opened, store, notice, command)
        if isinstance(result, str):
            trouble = result
            blocked.add(notice.profile)
            if result.startswith("it did not end"):
                break
    if tried:
        _tell(opened, db, "notify.command", trouble)


def _send(opened: Opened, store: NoticeStore, notice: Notice, command: str) -> str | None:
    """One attempt; None when the command took it, else what was wrong."""
    from llamaagent.base.errors import ServiceUnavailableError
    from llamaagent.base.run import run

    store.tried(notice.id, opened.clock.now())
    timeout_s = opened.site.settings.notify_timeout_s
    payload = json.dumps({"id": notice.id, **json.loads(notice.payload)}, ensure_ascii=False)
    folder = os.path.dirname(opened.site_path)
    try:
        result = run(
            ["/bin/sh", "-c", command],
            deadline_s=timeout_s,
            max_output_bytes=_OUTPUT_BYTES,
            env=environment(opened, json.loads(payload)),
            cwd=folder if os.path.isdir(folder) else "/",
            stdin=payload.encode("utf-8", "replace") + b"\n",
        )
    except (ServiceUnavailableError, ValueError) as error:
        trouble: str | None = str(error)
    else:
        trouble = _judge(result, timeout_s)
    if trouble is None:
        store.sent(notice.id, opened.clock.now())
    else:
        store.failed(notice.id, trouble)
    return trouble


def _judge(result: Result, timeout_s: int) -> str | None:
    if result.timed_out:
        return f"it did not end within {timeout_s} s and was killed"
    if result.code == 0:
        return None
    words = (result.err + result.out).decode("utf-8", "replace").strip()[-_WORDS_KEPT:]
    how = f"signal {-result.code}" if result.code < 0 else f"exit status {result.code}"
    return how + (f": {words}" if words else "")


def environment(opened: Opened, payload: dict[str, object]) -> dict[str, str]:
    """What the command finds: the user's basics as a server has them, the site, and each key of the payload.

    Made and not inherited, so that it is the same under cron, systemd and a shell.
    """
    from llamaagent.launch.environ import plain_environment

    events = {
        f"LLAMAAGENT_EVENT_{key.upper()}": "" if value is None else str(value).replace("\0", "")
        for key, value in payload.items()
    }
    site = {"LLAMAAGENT_CONFIG": opened.site_path, "LLAMAAGENT_DB_PATH": opened.database}
    return {**plain_environment(), **site, **events}


def _ping(opened: Opened, db: Connection, url: str) -> None:
    from llamaagent.base.ping import ping, shown

    trouble = ping(url, _PING_S)
    _tell(opened, db, "ping", None if trouble is None else f"{shown(url)}: {trouble}")


def _tell(opened: Opened, db: Connection, about: str, trouble: str | None) -> None:
    """Say a trouble when it appears or changes and when it ends, and never again between."""
    samples = SampleStore(db)
    key = f"trouble:{about}"
    before = samples.metadata(key)
    stored = None if trouble is None else json.dumps(trouble)
    if stored == before:
        return
    text = f"{about}: {trouble}" if trouble is not None else f"ended: {about} works again"
    say(text)
    now = opened.clock.now()
    with db:
        if stored is None:
            samples.delete_metadata(key)
        else:
            samples.set_metadata(key, stored, now)
        samples.log("warning" if trouble is not None else "info", about, text, now, "notify")


def _log(opened: Opened, db: Connection, level: str, text: str) -> None:
    with db:
        SampleStore(db).log(level, "notify.command", text, opened.clock.now(), "notify")
