"""The response cache of one open database: answers by key, how often each was used, and which go when it is full."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection, SQLiteValue

_SQL = statements("generations")


class Kept(NamedTuple):
    """An answer as it is kept. response_json: all of it; an import may have brought the text alone."""

    id: int
    response_text: str
    response_json: str | None
    finish_reason: str | None
    tokens_generated: int | None


class NewAnswer(NamedTuple):
    """An answer to be kept; the columns of `cache`. ttl_s: None = for ever."""

    cache_key: str
    prompt: str
    prompt_hash: str
    model_path: str
    config_json: str
    response_text: str
    response_json: str
    finish_reason: str
    tokens_generated: int | None = None
    tokens_per_second: float | None = None
    generation_time_ms: float | None = None
    ttl_s: int | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of what is kept of it."""
        texts = (self.prompt, self.config_json, self.response_text, self.response_json)
        return sum(len(text.encode("utf-8", "replace")) for text in texts)


class Gone(NamedTuple):
    """Entries that were removed."""

    entries: int
    size_bytes: int


class ResponseStore:
    """The table `cache`. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def get(self, cache_key: str, ts: int) -> Kept | None:
        """The answer, unless it has expired. Counts nothing."""
        for row in self._db.execute(_SQL["select_answer"], {"cache_key": cache_key, "ts": ts}):
            return Kept(*row)
        return None

    def count_hit(self, cache_key: str, ts: int) -> None:
        """It was used."""
        self._db.execute(_SQL["count_hit"], {"cache_key": cache_key, "ts": ts})

    def put(self, answer: NewAnswer, ts: int, max_bytes: int) -> bool:
        """Keep an answer and what fits beside it; False for one that alone is too large."""
        if answer.size_bytes > max_bytes:
            return False
        given: dict[str, SQLiteValue] = {**answer._asdict(), "size_bytes": answer.size_bytes, "ts": ts}
        given["expires_ts"] = None if answer.ttl_s is None else ts + answer.ttl_s
        del given["ttl_s"]
        self._db.execute(_SQL["upsert_answer"], given)
        if self._size()[1] > max_bytes:
            self.cleanup(ts, max_bytes)
        return True

    def cleanup(self, ts: int, max_bytes: int) -> Gone:
        """Remove what has expired, and then, while there is too much, what was not used for longest."""
        gone = self._removed("delete_expired", {"ts": ts})
        if self._size()[1] > max_bytes:
            more = self._removed("delete_unused", {"max_bytes": max_bytes})
            gone = Gone(gone.entries + more.entries, gone.size_bytes + more.size_bytes)
        return gone

    def invalidate(self, prompt_hash: str | None, model: str | None, before_ts: int | None) -> Gone:
        """Remove what matches all that is given; with nothing given, everything."""
        return self._removed(
            "delete_matching", {"prompt_hash": prompt_hash, "model": model, "before_ts": before_ts}
        )

    def _size(self) -> tuple[int, int]:
        for row in self._db.execute(_SQL["sum_sizes"]):
            return int(row[0]), int(row[1])
        return 0, 0

    def _removed(self, name: str, given: dict[str, SQLiteValue]) -> Gone:
        sizes = [int(str(row[0])) for row in self._db.execute(_SQL[name], given)]
        return Gone(len(sizes), sum(sizes))
