"""`store.cache`: answers kept for the same asking, and those that may be kept."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from llamaagent.library.when import seconds
from llamaagent.store.read import select
from llamaagent.store.responses import Gone, NewAnswer, ResponseStore

if TYPE_CHECKING:
    from llamaagent.base.clock import Clock
    from llamaagent.library.link import Link
    from llamaagent.library.when import When
    from llamaagent.store.responses import Kept
    from llamaagent.store.types import Connection

MAX_BYTES = 100 << 20
_NOTHING = Gone(0, 0)
_NONE: tuple[dict[str, Any], ...] = ()


def hash_of(prompt: str) -> str:
    """How a prompt is found again: `prompt_hash`."""
    return sha256(prompt.encode("utf-8", "replace")).hexdigest()


class CacheRepository:
    """The response cache. max_bytes: what all that is kept may take."""

    def __init__(self, link: Link, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._link, self._clock = link, clock
        self.max_bytes = max_bytes

    def info(self) -> dict[str, Any]:
        """entries, size_bytes, hits, expired, oldest_ts, newest_ts, last_hit_ts, max_size_bytes."""
        given = {"ts": self._clock.now()}
        rows = self._link.read(lambda db: select(db, "select_info", given, "generations").rows, _NONE)
        empty: dict[str, Any] = {"entries": 0, "size_bytes": 0, "hits": 0, "expired": 0}
        return {**(dict(rows[0]) if rows else empty), "max_size_bytes": self.max_bytes}

    def get_all(self, limit: int = 100) -> list[dict[str, Any]]:
        """Entries, those used last first."""
        given = {"limit": limit}
        return [
            dict(row)
            for row in self._link.read(
                lambda db: select(db, "list_answers", given, "generations").rows, _NONE
            )
        ]

    def invalidate(
        self, prompt: str | None = None, model: str | None = None, older_than: When | None = None
    ) -> int:
        """Remove entries that match all that is given, everything when nothing is; how many that were.

        prompt: the whole prompt, or what the user said last. model: a file's name or path, as `get_all` shows it.
        """
        prompt_hash = None if prompt is None else hash_of(prompt)
        before = None if older_than is None else seconds(older_than)
        gone = self._link.write(lambda db: ResponseStore(db).invalidate(prompt_hash, model, before), _NOTHING)
        return gone.entries

    def cleanup(self) -> int:
        """Remove what has expired, and what was used least recently while there is too much; how many that were."""
        now = self._clock.now()
        return self._link.write(lambda db: ResponseStore(db).cleanup(now, self.max_bytes), _NOTHING).entries

    def find(self, cache_key: str) -> Kept | None:
        """The answer under a key, unless it has expired. Counts nothing."""
        now = self._clock.now()
        return self._link.read(lambda db: ResponseStore(db).get(cache_key, now), None)

    def keep(self, answer: NewAnswer) -> bool:
        """Keep an answer; False when it could not be kept."""
        now = self._clock.now()

        def act(db: Connection) -> bool:
            return ResponseStore(db).put(answer, now, self.max_bytes)

        return self._link.write(act, False)

    def count_hit(self, cache_key: str) -> None:
        """It was used."""
        now = self._clock.now()
        self._link.write(lambda db: ResponseStore(db).count_hit(cache_key, now), None)
