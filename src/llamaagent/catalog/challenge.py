"""What a registry answers when it wants a login, and the question to the place that gives tokens. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

_SCHEME = re.compile(r"\s*([A-Za-z0-9-]+)(?:\s+|$)")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9_.-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')


class Challenge(NamedTuple):
    """One WWW-Authenticate header. scheme in small letters; parameters by their names in small letters."""

    scheme: str
    parameters: dict[str, str]


def parse_challenge(text: str) -> Challenge | None:
    """The first challenge of a header; None when it is not understood.

    >>> parse_challenge('Bearer realm="https://a/t?x=1",service="s"').parameters
    {'realm': 'https://a/t?x=1', 'service': 's'}
    """
    match = _SCHEME.match(text)
    if match is None:
        return None
    parameters: dict[str, str] = {}
    at = match.end()
    while (found := _PARAMETER.match(text, at)) is not None:
        value = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        parameters.setdefault(found[1].lower(), value)
        at = found.end()
    return Challenge(match[1].lower(), parameters)


def token_url(challenge: Challenge) -> str | None:
    """Where to ask for a token: the realm with service and scope, merged with the query it may have already.

    nvcr.io writes its whole query into the realm: what stands there is neither doubled nor lost. None = no realm.

    >>> token_url(Challenge("bearer", {"realm": "https://a/t?scope=x", "scope": "x", "service": "s"}))
    'https://a/t?scope=x&service=s'
    """
    realm = challenge.parameters.get("realm", "")
    try:
        parts = urlsplit(realm)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        return None
    if service := challenge.parameters.get("service"):
        pairs += [] if any(key == "service" for key, _ in pairs) else [("service", service)]
    for scope in challenge.parameters.get("scope", "").split():
        if ("scope", scope) not in pairs:
            pairs.append(("scope", scope))
    return parts._replace(query=urlencode(pairs, safe="/:,"), fragment="").geturl()
