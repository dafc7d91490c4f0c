"""A client that logs in where it must, tries again where that helps, and stops asking a host that is gone.

May be used by several threads at once. Tokens live in memory only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from llamaagent.base.errors import BadInputError, ServiceUnavailableError
from llamaagent.catalog.challenge import Challenge, parse_challenge, token_url
from llamaagent.catalog.reference import may_lead
from llamaagent.catalog.transport import Ask, TemporaryError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.base.clock import Clock
    from llamaagent.catalog.transport import Answer

LARGEST = 16 << 20
_TRIES = {"later": 5, "bad": 3, "gone": 3}  # by the kind of a TemporaryError
_ALGORITHMS = frozenset({"sha256", "sha512"})
_BACKOFF_S = 0.5  # doubled each time
_MOST_IN_VAIN = 3
_LONGEST_WAIT_S = 60.0
_SLICE_S = 0.2
_LONGEST_TOKEN = 1 << 16


class NotThereError(BadInputError):
    """The server answers, and has no such thing."""


class NotOpenError(ServiceUnavailableError):
    """The server answers, and wants a login that we do not have."""


class Page(NamedTuple):
    """A JSON answer. unchanged: the version asked about is still the one; text and value are empty then."""

    text: str
    value: Any
    etag: str | None
    link: str | None
    unchanged: bool = False
    storable: bool = True


class Client:
    """Asks any number of hosts.

    credentials: a host's secret, `USER:PASSWORD` or a token alone, None when there is none; asked only when a
    host wants a login. stop: set from outside, ends all waiting.
    """

    def __init__(
        self, clock: Clock, credentials: Callable[[str], str | None], insecure: frozenset[str] = frozenset()
    ) -> None:
        self._clock = clock
        self._credentials = credentials
        self._insecure = insecure
        self.stop = threading.Event()
        self._ask = Ask(clock, insecure, self.stop.is_set)
        self._lock = threading.Lock()
        self._logins: dict[tuple[str, str], str] = {}  # (host, area) -> Authorization
        self._login_locks: dict[tuple[str, str], threading.Lock] = {}
        self._not_before: dict[str, float] = {}
        self._given_up: dict[str, str] = {}
        self._in_vain: dict[str, int] = {}  # host -> addresses in a row that never answered
        self.requests = 0

    def get_json(
        self, url: str, *, accept: str = "application/json", area: str = "", etag: str | None = None
    ) -> Page:
        """One JSON document. area: what one login covers, such as a repository; etag: of the version that is known.

        Raises ServiceUnavailableError, BadInputError.
        """
        headers = {"Accept": accept} | ({"If-None-Match": etag} if etag else {})

        def read(answer: Answer) -> Page:
            tag, link = answer.headers.get("ETag"), answer.headers.get("Link")
            if answer.status == 304 and etag:
                return Page("", None, tag, link, unchanged=True)
            storable = "no-store" not in answer.headers.get("Cache-Control", "").lower()
            text = answer.body.decode("utf-8")
            return Page(text, parse_json(text), tag, link, storable=storable)

        return self._with_patience(url, headers, area, read)

    def get_by_digest(self, url: str, digest: str, *, accept: str, area: str) -> Page:
        """The JSON document that has this digest. Raises as `get_json`, BadInputError also for another digest."""

        def read(answer: Answer) -> Page:
            algorithm = digest.partition(":")[0]
            if algorithm not in _ALGORITHMS:
                raise BadInputError(f"{shown(url)}: {algorithm} is no known kind of digest")
            if digest_of(answer.body, algorithm) != digest:
                raise ValueError(f"its {algorithm} is another one")
            text = answer.body.decode("utf-8")
            return Page(text, parse_json(text), None, None)

        return self._with_patience(url, {"Accept": accept}, area, read)

    def _with_patience(
        self, url: str, headers: dict[str, str], area: str, read: Callable[[Answer], Page]
    ) -> Page:
        host = urlsplit(url).netloc
        failed: list[str] = []
        while True:
            self._wait_for(host)
            try:
                answer = self._with_login(url, headers, area)
                _judge(answer, url)
                page = _read(read, answer, url)
            except TemporaryError as error:
                failed.append(error.kind)
                self._after(error, host, failed)
            else:
                self._in_vain[host] = 0
                return page

    def _after(self, error: TemporaryError, host: str, failed: list[str]) -> None:
        """Let others wait too, or give up. Raises ServiceUnavailableError, BadInputError."""
        wait = _BACKOFF_S * 2 ** (len(failed) - 1) if error.wait_s is None else error.wait_s
        if wait > _LONGEST_WAIT_S:
            self._given_up[host] = f"{host} asks to be left alone for {wait:.0f} s"
            raise ServiceUnavailableError(self._given_up[host]) from error
        if failed.count(error.kind) >= _TRIES[error.kind]:
            if error.kind == "bad":
                raise BadInputError(str(error)) from error
            self._in_vain[host] = self._in_vain.get(host, 0) + 1
            if error.kind == "gone" or error.wait_s is not None or self._in_vain[host] >= _MOST_IN_VAIN:
                self._given_up[host] = str(error)
            raise ServiceUnavailableError(str(error)) from error
        self._not_before[host] = max(self._not_before.get(host, 0.0), self._clock.monotonic() + wait)

    def _wait_for(self, host: str) -> None:
        while not self.stop.is_set():
            if host in self._given_up:
                raise ServiceUnavailableError(self._given_up[host])
            left = self._not_before.get(host, 0.0) - self._clock.monotonic()
            if left <= 0:
                return
            self._clock.sleep(min(left, _SLICE_S))
        raise ServiceUnavailableError("stopped")

    def _with_login(self, url: str, headers: dict[str, str], area: str) -> Answer:
        host = urlsplit(url).netloc
        used = self._logins.get((host, area))
        answer = self._once(url, headers, used)
        if answer.status != 401:
            return answer
        fresh = self._log_in((host, area), used, answer)
        return answer if fresh is None else self._once(url, headers, fresh)

    def _once(self, url: str, headers: dict[str, str], authorization: str | None) -> Answer:
        with self._lock:
            self.requests += 1
        return self._ask.once(url, headers, authorization, LARGEST)

    def _log_in(self, key: tuple[str, str], used: str | None, refused: Answer) -> str | None:
        """What to send as Authorization; None when no login helps. Threads that wait here get what the first got."""
        texts = refused.headers.get_all("WWW-Authenticate") or []
        challenges = {found.scheme: found for text in texts if (found := parse_challenge(text)) is not None}
        with self._lock:
            waiting = self._login_locks.setdefault(key, threading.Lock())
        with waiting:
            now = self._logins.get(key)
            if now is not None and now != used:
                return now
            secret = self._credentials(key[0])
            made = None
            if "bearer" in challenges:
                made = self._token(challenges["bearer"], secret, key[0])
            elif "basic" in challenges and secret is not None:
                made = _basic(secret)
            if made is None or made == used:
                return None
            self._logins[key] = made
            return made

    def _token(self, challenge: Challenge, secret: str | None, host: str) -> str | None:
        url = token_url(challenge)
        if url is None or not may_lead(f"https://{host}", url, self._insecure):
            raise BadInputError(f"{host} wants a login at an address that is not to be asked")
        # A secret goes over https, or to the very host that it is for.
        trusted = url.startswith("https:") or urlsplit(url).netloc == host
        answer = self._once(
            url, {"Accept": "application/json"}, _basic(secret) if secret and trusted else None
        )
        if answer.status in {400, 401, 403, 404}:
            return None
        _judge(answer, url)
        page = _read(lambda found: Page("", parse_json(found.body.decode()), None, None), answer, url)
        found = page.value if isinstance(page.value, dict) else {}
        token = found.get("token") or found.get("access_token")
        good = isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token
        if not good or len(str(token)) > _LONGEST_TOKEN:
            raise BadInputError(f"{shown(url)} gives no token")
        return f"Bearer {token}"


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """As registries write it."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def parse_json(text: str) -> Any:
    """Strict JSON: no NaN, no Infinity. Raises ValueError, also where it is nested too deeply."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _read(read: Callable[[Answer], Page], answer: Answer, url: str) -> Page:
    try:
        return read(answer)
    except json.JSONDecodeError as error:
        raise TemporaryError(f"{shown(url)} sends no JSON", kind="bad") from error
    except ValueError as error:  # also UnicodeDecodeError
        reason = "no UTF-8 text" if isinstance(error, UnicodeError) else str(error)[:100]
        raise TemporaryError(f"{shown(url)} sends nonsense: {reason}", kind="bad") from error


def _basic(secret: str) -> str:
    """A token alone is what NGC calls a key: its user is `$oauthtoken`."""
    pair = secret if ":" in secret else f"$oauthtoken:{secret}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _judge(answer: Answer, url: str) -> None:
    """Raise for what is no answer to the question."""
    if answer.status in {200, 304}:
        return
    if answer.status in {401, 403}:
        host = urlsplit(url).netloc
        raise NotOpenError(
            f"{shown(url)} is not open to us ({answer.status})",
            hint=f"catalog: {{tokens: {{{host!r}: {{env: NAME}}}}}} in the settings",
        )
    if answer.status in {404, 410}:
        raise NotThereError(f"{shown(url)} is not there ({answer.status})")
    raise BadInputError(f"{shown(url)} answered {answer.status}")
