"""NGC's catalogue: which containers there are, and which tags one has, by its public HTTP interface.

Shapes as the service documents them: a search answers groups of resources, the same group on more than one page;
an image's listing answers tags with their digests. A key is needed for what is not public only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from llamaagent.base.errors import BadInputError
from llamaagent.catalog.facts import architecture_of, category_of, count, moment, word
from llamaagent.catalog.reference import NGC_REGISTRY, is_digest, is_repository, is_tag
from llamaagent.domain.image import Image, ImageVersion, image_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llamaagent.catalog.answers import Answers

_PAGE = 100
_MOST_PAGES = 1000
_IDLE_PAGES = 3  # in a row without anything new: a server that pages for ever
_LONGEST_DESCRIPTION = 4000


def search_url(api: str, page: int) -> str:
    """The address of one page of all containers."""
    query = {"query": "*", "page": page, "pageSize": _PAGE, "filters": [], "orderBy": []}
    return f"{api}/v2/search/catalog/resources/CONTAINER?{urlencode({'q': json.dumps(query)})}"


def images_url(api: str, image: Image, page: int) -> str:
    """The address of one page of an image's tags."""
    team = f"/team/{quote(image.team)}" if image.team else ""
    words = urlencode({"page-size": _PAGE, "page-number": page})
    return f"{api}/v2/org/{quote(image.organization)}{team}/repos/{quote(image.name)}/images?{words}"


def search(answers: Answers, api: str) -> Iterator[tuple[list[Image], int]]:
    """All containers, a page at a time with the number of pages; each image once.

    Raises ServiceUnavailableError, BadInputError.
    """
    seen: set[str] = set()
    page, pages, idle = 0, 1, 0
    while page < min(pages, _MOST_PAGES) and idle < _IDLE_PAGES:
        value = _mapping(answers.document(search_url(api, page)).value, api)
        pages = count(value.get("resultPageTotal")) or 0
        fresh = []
        for key, image in _resources(value):
            if key not in seen:
                seen.add(key)
                fresh.append(image)
        idle = 0 if fresh else idle + 1
        yield fresh, pages
        page += 1


def _mapping(value: Any, api: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInputError(f"{api} answers something else than a listing")
    return value


def _maps(value: object) -> Iterator[dict[str, Any]]:
    """The mappings in what should be a list of them."""
    yield from (item for item in (value if isinstance(value, list) else ()) if isinstance(item, dict))


def _resources(value: Mapping[str, Any]) -> Iterator[tuple[str, Image]]:
    """(resourceId, image) of a page; what cannot be an image is left out."""
    for group in _maps(value.get("results")):
        for resource in _maps(group.get("resources")):
            image = image_from(resource)
            if image is not None:
                yield word(resource.get("resourceId")) or image.repository, image


def image_from(resource: Mapping[str, Any]) -> Image | None:
    """An image by what the search says of it; None when it has no name."""
    path = word(resource.get("resourceId")) or ""
    name, organization = word(resource.get("name")), word(resource.get("orgName"))
    team = word(resource.get("teamName"))
    parts = (organization, None if team == "no-team" else team, name)
    repository = "/".join(part for part in parts if part) if name and organization else path
    if not is_repository(repository) or "/" not in repository:
        return None
    marks: dict[str, list[str]] = {}
    for label in _maps(resource.get("labels")):
        key, values = word(label.get("key")), label.get("values")
        if key is not None and isinstance(values, list):
            found = (word(item) for item in values)
            marks.setdefault(key.lower(), []).extend(item for item in found if item is not None)
    image = image_of(NGC_REGISTRY, repository)
    return image._replace(
        display_name=word(resource.get("displayName")),
        description=word(resource.get("description"), _LONGEST_DESCRIPTION),
        category=category_of(image.name, marks),
        created_ts=moment(resource.get("dateCreated")),
        updated_ts=moment(resource.get("dateModified")),
    )


def tags(answers: Answers, api: str, image: Image) -> dict[str, list[ImageVersion]]:
    """An image's tags and what the listing says of each architecture. Raises as `search`, also when it lists none."""
    found: dict[str, list[ImageVersion]] = {}
    page, pages = 0, 1
    while page < min(pages, _MOST_PAGES):
        url = images_url(api, image, page)
        value = _mapping(answers.document(url, area=image.repository).value, api)
        info = value.get("paginationInfo")
        pages = count(info.get("totalPages")) or 0 if isinstance(info, dict) else 1
        before = len(found)
        for item in _maps(value.get("images")):
            tag = word(item.get("tag"))
            if tag is not None and is_tag(tag):
                found.setdefault(tag, list(_variants(tag, item)))
        if len(found) == before:
            break  # a server that pages for ever
        page += 1
    if not found:
        raise BadInputError(f"{api} lists no tags of {image.repository}")
    return found


def _variants(tag: str, item: Mapping[str, Any]) -> Iterator[ImageVersion]:
    digest = word(item.get("digest"))
    whole = digest if digest is not None and is_digest(digest) else None
    created = moment(item.get("pushedDate")) or moment(item.get("updatedDate"))
    listed = list(_maps(item.get("architectureVariants")))
    for variant in listed or [{}]:
        own = word(variant.get("digest"))
        digest = own if own is not None and is_digest(own) else None
        yield ImageVersion(
            tag=tag,
            architecture=architecture_of(variant) or "amd64",
            digest=digest or (whole if len(listed) < 2 else None),
            index_digest=whole if listed and digest != whole else None,
            size_bytes=count(variant.get("size")) or (count(item.get("size")) if len(listed) < 2 else None),
            created_ts=created,
        )
