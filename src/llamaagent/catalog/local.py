"""Which images are on this machine already."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import UsageError
from llamaagent.catalog.reference import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llamaagent.domain.image import Image, ImageVersion
    from llamaagent.engine.engines import Engines

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6", "i686": "386"}


def local_digests(engines: Engines) -> list[str]:
    """`NAME:TAG` and `NAME@DIGEST` of every image that the container engine holds.

    Raises ServiceUnavailableError when there is none or it does not answer.
    """
    rows = engines.wanted(None).images()
    return [name for row in rows for key in ("RepoTags", "RepoDigests") for name in row.get(key) or ()]


class Held(NamedTuple):
    """What an engine holds: digests by image, and tags by image where no digest is known."""

    digests: frozenset[tuple[str, str]]
    tags: frozenset[tuple[str, str]]
    architecture: str | None

    def has(self, image: Image, version: ImageVersion) -> bool:
        """Whether it holds this very version.

        The digest of a list of architectures says only that one of them is here: the machine's own then.
        """
        name = image.reference
        if version.digest is not None and (name, version.digest) in self.digests:
            return True
        own = self.architecture in {None, version.architecture}
        if version.index_digest is not None and (name, version.index_digest) in self.digests:
            return own
        return own and (name, version.tag) in self.tags


def held(ask: Callable[[], Iterable[str]], machine: str | None) -> Held:
    """What `ask` (`local_digests` of an engine) tells, sorted. machine: as uname calls it. Raises what `ask` raises."""
    digests, tags, with_digest = set(), set(), set()
    for text in ask():
        try:
            found = parse_reference(text)
        except UsageError:  # `<none>:<none>`
            continue
        name = f"{found.registry}/{found.repository}"
        if found.digest is not None:
            digests.add((name, found.digest))
            with_digest.add(name)
        elif found.tag is not None:
            tags.add((name, found.tag))
    known = frozenset(pair for pair in tags if pair[0] not in with_digest)
    return Held(frozenset(digests), known, _MACHINES.get(machine or "", machine))
