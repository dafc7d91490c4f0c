"""How people name images and registries, and where these answer. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from llamaagent.base.errors import UsageError

NGC_REGISTRY = "nvcr.io"
_DOCKER = "docker.io"
_ENDPOINTS = {_DOCKER: "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
_LONGEST_REPOSITORY = 255


class Registry(NamedTuple):
    """One registry. name: as it stands in the names of images; base: the address below which /v2/ lies."""

    name: str
    base: str


class Reference(NamedTuple):
    """One image in a registry. tag, digest: None when the name has none."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None


def is_loopback(host: str) -> bool:
    """Whether a host (without port) is this machine itself.

    >>> is_loopback("localhost"), is_loopback("127.0.0.9"), is_loopback("10.0.0.1"), is_loopback("localhost.evil.org")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def open_to_plain(url: str, insecure: frozenset[str]) -> bool:
    """Whether an address may be asked: https always, http on this machine or where the user said so."""
    at = urlsplit(url)
    if at.scheme == "https":
        return True
    return at.scheme == "http" and (is_loopback(at.hostname or "") or at.netloc in insecure)


def may_lead(url: str, target: str, insecure: frozenset[str]) -> bool:
    """Whether an answer from `url` may send us to `target`: never from elsewhere to services of this machine."""
    try:
        here, there = urlsplit(url).hostname or "", urlsplit(target).hostname or ""
    except ValueError:
        return False
    if not there or not open_to_plain(target, insecure):
        return False
    return is_loopback(here) or not is_loopback(there)


def registry_at(text: str, insecure: frozenset[str] = frozenset()) -> Registry:
    """The registry that `https://HOST[:PORT]`, `http://...` or `HOST[:PORT]` means.

    Without a scheme it is https, but plain http on this machine and for hosts in `insecure`. Raises UsageError.
    """
    scheme, slashes, rest = text.rpartition("://")
    host = rest.rstrip("/")
    if "@" in host:
        raise UsageError(
            "an address with a password in it stands in every process list",
            hint="catalog.tokens in the settings",
        )
    if not _HOST.fullmatch(host) or (slashes and scheme not in {"http", "https"}):
        raise UsageError(f"{text!r} is no registry", hint="https://HOST[:PORT], or HOST:PORT")
    try:
        port = urlsplit(f"//{host}").port
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        raise UsageError(f"{text!r} has a port that cannot be") from None
    if not slashes:
        plain = is_loopback(name) or host in insecure
        scheme = "http" if plain and port != 443 else "https"
    if not open_to_plain(f"{scheme}://{host}", insecure):
        raise UsageError(
            f"{text} would be asked over plain http", hint=f"https://{host}, or --insecure if that is meant"
        )
    return Registry(_DOCKER if host in _ENDPOINTS else host, f"{scheme}://{_ENDPOINTS.get(host, host)}")


def registry_name(host: str) -> str:
    """The name under which images know the registry that answers at a host.

    >>> registry_name("registry-1.docker.io"), registry_name("nvcr.io")
    ('docker.io', 'nvcr.io')
    """
    return _DOCKER if host in _ENDPOINTS.values() else host


def has_registry(text: str) -> bool:
    """Whether the first part of a name is a registry, by the rule that container engines have.

    >>> [has_registry(name) for name in ("nvcr.io/nvidia/pytorch", "localhost:5000/app", "nvidia/pytorch", "app:1")]
    [True, True, False, False]
    """
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def parse_reference(text: str, default: str = _DOCKER) -> Reference:
    """`[REGISTRY/]NAME[:TAG][@DIGEST]`, a scheme in front allowed. default: the registry of names without one.

    Raises UsageError.
    """
    rest = text.partition("://")[2] or text
    registry, slash, path = rest.partition("/")
    if not slash or not has_registry(rest):
        registry, path = default, rest
    path, _, digest = path.partition("@")
    before, slash, last = path.rpartition("/")
    last, colon, tag = last.partition(":")
    repository = f"{before}{slash}{last}"
    if registry in {"index.docker.io", _DOCKER}:
        registry, repository = _DOCKER, repository if "/" in repository else f"library/{repository}"
    good = _HOST.fullmatch(registry) and _REPOSITORY.fullmatch(repository)
    if not good or len(repository) > _LONGEST_REPOSITORY:
        raise UsageError(f"{text!r} names no image", hint="such as nvcr.io/nvidia/pytorch")
    if (colon and not _TAG.fullmatch(tag)) or (digest and not _DIGEST.fullmatch(digest)):
        raise UsageError(f"{text!r} has a tag or digest that cannot be")
    return Reference(registry, repository, tag or None, digest or None)


def is_tag(text: str) -> bool:
    """Whether a registry may call a version so."""
    return _TAG.fullmatch(text) is not None


def is_repository(text: str) -> bool:
    """Whether a registry may call an image so."""
    return len(text) <= _LONGEST_REPOSITORY and _REPOSITORY.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether it has the form ALGORITHM:HEX."""
    return _DIGEST.fullmatch(text) is not None
