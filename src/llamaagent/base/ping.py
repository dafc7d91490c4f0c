"""Asking a URL that somebody watches (a dead-man's switch): http or https, one short time limit for the whole of it.

Such a URL is a secret as a rule (whoever knows it can keep the switch quiet), so no message holds more of it than
scheme and host.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_AGENT = "llamaagent"


def shown(url: str) -> str:
    """What may be said of a URL.

    >>> shown("https://ann:pw@hc.example.org:8443/ping/0b4c-secret?x=1"), shown("nonsense")
    ('https://hc.example.org:8443/…', 'the URL')
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return "the URL"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/…" if parts.scheme and host else "the URL"


def ping(url: str, timeout_s: float) -> str | None:
    """Ask once; None when the answer was a good one, else what was wrong, without the URL's secret part.

    The limit holds for name resolution and slow answers too: the asking is left to a thread that nobody waits for.
    """
    return _limited(lambda: ask(url, timeout_s), timeout_s)


def _limited(ask: Callable[[], str | None], timeout_s: float) -> str | None:
    from threading import Thread

    answers: list[str | None] = []
    thread = Thread(target=lambda: answers.append(ask()), daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answers[0] if answers else _late(timeout_s)


def _late(timeout_s: float) -> str:
    return f"no answer within {timeout_s:g} s"


def ask(url: str, timeout_s: float) -> str | None:
    """The same in the thread that calls; the limit holds for each step of it alone."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        return "it is no http:// or https:// URL"
    try:
        with urlopen(Request(url, headers={"User-Agent": _AGENT}), timeout=timeout_s):  # noqa: S310 - looked at above
            return None
    except HTTPError as error:
        error.close()
        return f"the answer was {error.code}"
    except TimeoutError:  # the socket's limit may run out just before the whole one
        return _late(timeout_s)
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            return _late(timeout_s)
        return str(getattr(error.reason, "strerror", None) or error.reason)
    except (OSError, HTTPException, ValueError) as error:  # their texts may quote the URL
        return getattr(error, "strerror", None) or type(error).__name__
