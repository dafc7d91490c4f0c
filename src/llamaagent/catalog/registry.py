"""Any OCI registry: its images, their tags, and what each tag holds for each architecture.

Source: the OCI distribution specification, and what registries do beside it: a Link may be relative, `n` may be
ignored, tags come unsorted, and one tag may name a list of manifests or a single one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from llamaagent.base.errors import BadInputError, ServiceUnavailableError
from llamaagent.catalog.client import digest_of
from llamaagent.catalog.facts import architecture_of, version_row
from llamaagent.catalog.reference import is_digest, is_repository, is_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from llamaagent.catalog.answers import Answers
    from llamaagent.catalog.reference import Registry
    from llamaagent.domain.image import ImageVersion

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
_PAGE = 1000
_MOST_PAGES = 10_000
_MOST_PLATFORMS = 64
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)
_ATTACHED = re.compile(
    r"sha256-[0-9a-f]{64}(?:\.[a-z]+)?"
)  # signatures and the like that lie beside an image


def repositories(answers: Answers, registry: Registry) -> list[str]:
    """The images of a registry that lists them. Raises ServiceUnavailableError, BadInputError."""
    return [
        name
        for name in _listed(answers, f"{registry.base}/v2/_catalog?n={_PAGE}", "repositories", area="catalog")
        if is_repository(name)
    ]


def list_tags(answers: Answers, registry: Registry, repository: str) -> list[str]:
    """The tags of an image, as they come. Raises as `repositories`."""
    url = f"{registry.base}/v2/{quote(repository)}/tags/list?n={_PAGE}"
    found = _listed(answers, url, "tags", area=repository)
    return [tag for tag in found if is_tag(tag) and not _ATTACHED.fullmatch(tag)]


def _listed(answers: Answers, url: str, key: str, area: str) -> Iterator[str]:
    """The texts of a listing, page by page, each once."""
    seen: set[str] = set()
    pages: set[str] = set()
    while url not in pages and len(pages) < _MOST_PAGES:
        pages.add(url)
        found = answers.document(url, area=area)
        items = found.value.get(key) if isinstance(found.value, dict) else False
        if items is False or not (items is None or isinstance(items, list)):  # null: no tag is left
            raise BadInputError(f"{url.partition('?')[0]} answers something else than {key}")
        for item in items or ():
            if isinstance(item, str) and item not in seen:
                seen.add(item)
                yield item
        match = _NEXT.search(found.link or "")
        if match is None:
            return
        url = _next_page(url, match[1])


def _next_page(url: str, link: str) -> str:
    """Where the next page is; on the same server, since our login goes with it. Raises BadInputError."""
    try:
        target = urljoin(url, link)
        same = urlsplit(target)[:2] == urlsplit(url)[:2]
    except ValueError:
        same = False
    if not same:
        raise BadInputError(f"{url.partition('?')[0]} has its next page on another server")
    return target


class Looked:
    """What a tag was found to be. unchanged: as the rows say that are there already."""

    def __init__(self, versions: list[ImageVersion], *, unchanged: bool = False) -> None:
        self.versions = versions
        self.unchanged = unchanged


class Reader:
    """Reads tags of one image. known: the row of a digest that was read before, of whatever tag."""

    def __init__(
        self,
        answers: Answers,
        registry: Registry,
        repository: str,
        category: str | None,
        known: Callable[[str], ImageVersion | None],
    ) -> None:
        self._answers = answers
        self._base = f"{registry.base}/v2/{quote(repository)}"
        self._repository = repository
        self._category = category
        self._known = known

    def look(self, tag: str, digest: str | None) -> Looked:
        """Everything of one tag. digest: what it named when it was last read. Raises as `repositories`."""
        url = f"{self._base}/manifests/{quote(tag)}"
        known = f'"{digest}"' if digest else None
        found = self._answers.document(url, accept=ACCEPT, area=self._repository, known=known)
        if found.unchanged:
            return Looked([], unchanged=True)
        own = digest_of(found.text.encode())
        manifest = _manifest(found.value, url)
        if not isinstance(manifest.get("manifests"), list):
            row = self._version(tag, own, manifest, found.text)
            return Looked([] if row is None else [row])
        versions: dict[str, ImageVersion] = {}
        for entry in manifest["manifests"][:_MOST_PLATFORMS]:
            row = self._entry(tag, entry)
            if row is not None:
                versions.setdefault(row.architecture, row._replace(index_digest=own))
        return Looked(list(versions.values()))

    def _entry(self, tag: str, entry: Any) -> ImageVersion | None:
        """One architecture of a list; None for what is no image."""
        platform = entry.get("platform") if isinstance(entry, dict) else None
        digest = entry.get("digest") if isinstance(entry, dict) else None
        if not isinstance(digest, str) or not is_digest(digest):
            raise BadInputError(f"{self._base}: {tag} lists something without a digest")
        architecture = architecture_of(platform) if isinstance(platform, dict) else None
        if isinstance(platform, dict) and architecture is None:
            return None
        row = self._known(digest)
        if row is None:
            found = self._by_digest("manifests", digest, ", ".join(MANIFESTS))
            row = self._version(tag, digest, _manifest(found[0], f"{self._base}:{tag}"), found[1])
        if row is None:
            return None
        return row._replace(tag=tag, architecture=architecture or row.architecture)

    def _version(self, tag: str, digest: str, manifest: Mapping[str, Any], text: str) -> ImageVersion | None:
        known = self._known(digest)
        if known is not None:
            return known._replace(tag=tag, index_digest=None)
        config = manifest.get("config")
        if not isinstance(config, dict):
            raise BadInputError(f"{self._base}: {tag} is a kind of manifest that is not understood")
        if config.get("mediaType") not in _CONFIGS:
            return None  # a chart, a model, a signature: no image
        blob = config.get("digest")
        if not isinstance(blob, str) or not is_digest(blob):
            raise BadInputError(f"{self._base}: {tag} names no config")
        value, _ = self._by_digest("blobs", blob, "*/*")
        if not isinstance(value, dict):
            raise BadInputError(f"{self._base}: the config of {tag} is no mapping")
        return version_row(tag, digest, manifest, text, value, self._category)

    def _by_digest(self, kind: str, digest: str, accept: str) -> tuple[Any, str]:
        if self._answers.policy.offline:
            raise ServiceUnavailableError(f"nothing is kept of {self._repository}@{digest}")
        url = f"{self._base}/{kind}/{digest}"
        page = self._answers.client.get_by_digest(url, digest, accept=accept, area=self._repository)
        return page.value, page.text


def _manifest(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInputError(f"{where} is no manifest")
    return value
