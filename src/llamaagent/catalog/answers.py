"""Answers of servers, kept between runs: a fresh one is not asked for again, an old one is confirmed by its ETag.

What came is handed to the store by whoever writes there (`take`), so that an answer and the rows that were made
of it become durable together. May be used by several threads at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.catalog.client import parse_json
from llamaagent.domain.image import KeptAnswer

if TYPE_CHECKING:
    from llamaagent.catalog.client import Client, Page


class AnswerStore(Protocol):
    """What is needed of the database."""

    def answer(self, endpoint: str) -> KeptAnswer | None:
        """What is kept of an address."""


class Policy(NamedTuple):
    """expires_s: how long an answer counts, None = for ever. refresh: ask anyway. offline: never ask."""

    now: int
    expires_s: int | None
    refresh: bool = False
    offline: bool = False


class Found(NamedTuple):
    """A document and where its next page is. unchanged: the server confirms the version that the caller knows."""

    text: str
    value: Any
    link: str | None = None
    unchanged: bool = False


class Answers:
    """Documents by their address."""

    def __init__(self, client: Client, store: AnswerStore, policy: Policy) -> None:
        self.client = client
        self.policy = policy
        self._store = store
        self._lock = threading.Lock()
        self._new: list[KeptAnswer] = []
        self.cached = 0  # answers that nobody was asked for
        self.stale: set[str] = set()  # reasons why old answers had to do

    def document(
        self, url: str, *, accept: str = "application/json", area: str = "", known: str | None = None
    ) -> Found:
        """The document at an address. known: a version that the caller has rows of already.

        Raises ServiceUnavailableError, BadInputError when there is neither an answer nor a kept one.
        """
        kept = self._store.answer(url)
        value = _value_of(kept)
        if kept is not None and value is not None and self._counts(kept):
            with self._lock:
                self.cached += 1
            return Found(kept.response, value, kept.link)
        if self.policy.offline and value is None:
            raise ServiceUnavailableError(f"nothing is kept of {url.partition('?')[0]}")
        etag = kept.etag if kept is not None and value is not None else None
        try:
            page = self.client.get_json(url, accept=accept, area=area, etag=etag or known)
        except ServiceUnavailableError as error:
            if kept is None or value is None:
                raise
            with self._lock:
                self.stale.add(str(error))
            return Found(kept.response, value, kept.link)
        if page.unchanged and etag is None:
            return Found("", None, unchanged=True)
        if page.unchanged and kept is not None:
            self._keep(kept._replace(etag=page.etag or kept.etag, **self._times()))
            return Found(kept.response, value, kept.link)
        return self._fresh(url, page)

    def _counts(self, kept: KeptAnswer) -> bool:
        """Whether a kept answer does. One from the future was kept before the clock was set back."""
        now = self.policy.now
        if self.policy.offline:
            return True
        return (
            not self.policy.refresh
            and kept.cached_ts <= now
            and (kept.expires_ts is None or kept.expires_ts > now)
        )

    def _times(self) -> dict[str, Any]:
        now, lasts = self.policy.now, self.policy.expires_s
        return {"cached_ts": now, "expires_ts": None if lasts is None else now + lasts}

    def _fresh(self, url: str, page: Page) -> Found:
        if page.storable:
            self._keep(KeptAnswer(url, page.text, page.etag, link=page.link, **self._times()))
        return Found(page.text, page.value, page.link)

    def _keep(self, answer: KeptAnswer) -> None:
        with self._lock:
            self._new.append(answer)

    def take(self) -> list[KeptAnswer]:
        """What came since the last call and is to be stored."""
        with self._lock:
            new, self._new = self._new, []
        return new


def _value_of(kept: KeptAnswer | None) -> Any:
    """The document of a kept answer; None when there is none or it is damaged."""
    if kept is None:
        return None
    try:
        return parse_json(kept.response)
    except ValueError:
        return None
