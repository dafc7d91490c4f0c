"""`store.logs`: what programs have to say, beside what the agent did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import BadInputError
from llamaagent.library.when import parsed, seconds
from llamaagent.store.events import LEVELS, Event, EventFilter, EventStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.library.link import Link
    from llamaagent.library.when import When

MESSAGE_MOST, TRACE_MOST, CONTEXT_MOST, PREVIEW_MOST = 8192, 32768, 16384, 100  # characters


class LogsRepository:
    """Lines with level, source, category, context, error and stack trace; `llamaagent events` shows the same."""

    def __init__(self, link: Link, clock: Clock, *, level: str, enabled: bool) -> None:
        self._link, self._clock = link, clock
        self.level = level_of(level)  # what is below is not stored
        self.enabled = enabled  # LLAMAAGENT_LOG_TO_DB

    def add(
        self,
        level: str,
        message: str,
        source: str | None = None,
        *,
        category: str | None = None,
        context: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
        model_path: str | None = None,
        prompt_preview: str | None = None,
    ) -> None:
        """Store a line. error: its type, text and stack trace are kept. Long texts are cut.

        level: debug, info, warning (or warn), error, critical, in capitals too; else BadInputError.
        """
        event = Event(
            self._clock.now(),
            level_of(level),
            message[:MESSAGE_MOST],
            source,
            category,
            context_text(context),
            model_path,
            None if prompt_preview is None else prompt_preview[:PREVIEW_MOST],
            *error_texts(error),
        )
        self.add_many((event,))

    def add_many(self, events: Iterable[Event]) -> bool:
        """Store lines in one transaction; those below `level` are left out. False when they could not be stored."""
        least = LEVELS.index(self.level)
        wanted = [_clean(event) for event in events if LEVELS.index(event.level) >= least]
        if not wanted or not self.enabled:
            return True

        def act(db: Any) -> bool:
            store = EventStore(db)
            for event in wanted:
                store.add(event)
            return True

        return self._link.write(act, False)

    def search(
        self,
        text: str | None = None,
        *,
        level: str = "debug",
        source: str | None = None,
        category: str | None = None,
        since: When = 0,
        until: When | None = None,
        before: Mapping[str, Any] | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Rows, newest first, of at least this level. text: all these words, anywhere in the row.

        before: the last row of the page before; the answer goes on from there, whatever was added or deleted.
        """
        wanted = EventFilter(level_of(level), source, category, seconds(since), text=text, limit=limit)
        if until is not None:
            wanted = wanted._replace(until=seconds(until))
        if before is not None:
            wanted = wanted._replace(before=(int(before["ts"]), int(before["id"])))
        return parsed(self._link.read(lambda db: EventStore(db).search(wanted).rows, ()), "context")

    def get_all(self, limit: int = 100) -> list[dict[str, Any]]:
        """The newest rows."""
        return self.search(limit=limit)

    def count(self) -> int:
        """How many rows there are."""
        return self._link.read(lambda db: EventStore(db).count(), 0)

    def clear(self, older_than: When | None = None) -> int:
        """Delete every row, or those before a time; how many went. Passes do the same after `retention.logs`."""
        until = 1 << 62 if older_than is None else seconds(older_than)
        return self._link.work(lambda db: EventStore(db).clear(until), 0)


def level_of(word: str) -> str:
    """The stored word for a level. Raises BadInputError."""
    level = {"warn": "warning", "fatal": "critical"}.get(word.lower(), word.lower())
    if level not in LEVELS:
        raise BadInputError(f"{word!r} is no level: {', '.join(LEVELS)}")
    return level


def context_text(context: Mapping[str, Any] | None) -> str | None:
    """JSON of a context; what JSON does not know is stored as its text, and what is too long as a note of that."""
    if not context:
        return None
    try:
        text = json.dumps({str(key): value for key, value in context.items()}, default=str, allow_nan=False)
    except (ValueError, RecursionError):  # an infinite number, or a circle
        text = json.dumps({str(key): str(value)[:200] for key, value in context.items()})
    return text if len(text) <= CONTEXT_MOST else json.dumps({"cut": text[:1000], "characters": len(text)})


def error_texts(error: BaseException | None) -> tuple[str | None, str | None, str | None]:
    """Type, text and stack trace of an error; the end of a long trace."""
    if error is None:
        return None, None, None
    import traceback

    trace = "".join(traceback.format_exception(error))
    return type(error).__name__, str(error)[:MESSAGE_MOST], trace[-TRACE_MOST:]


def _clean(event: Event) -> Event:
    """Without halves of pairs, which cannot be stored as UTF-8."""
    texts: dict[str, Any] = {
        name: value.encode("utf-8", "backslashreplace").decode()
        for name, value in event._asdict().items()
        if isinstance(value, str)
    }
    return event._replace(**texts)
