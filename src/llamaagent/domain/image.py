"""Images of containers as a catalogue knows them, and how versions written as text compare. Pure."""

from __future__ import annotations

import re

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,15}")
_CONDITION = re.compile(r"\s*(>=|<=|==|!=|>|<|=)?\s*v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,15})\s*")
_PART = re.compile(r"([0-9]{1,18})")
_TESTS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": lambda found, wanted: found >= wanted,
    "<=": lambda found, wanted: found <= wanted,
    "==": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    ">": lambda found, wanted: found > wanted,
    "<": lambda found, wanted: found < wanted,
}


class Image(NamedTuple):
    """One image, whatever its tags. registry: host[:port]; organization and team are '' where there is none."""

    registry: str
    organization: str
    team: str
    name: str
    display_name: str | None = None
    category: str | None = None
    description: str | None = None
    created_ts: int | None = None
    updated_ts: int | None = None

    @property
    def repository(self) -> str:
        """What stands between the registry and the tag."""
        return "/".join(part for part in (self.organization, self.team, self.name) if part)

    @property
    def reference(self) -> str:
        """How a container engine calls it, without a tag."""
        return f"{self.registry}/{self.repository}"


class ImageVersion(NamedTuple):
    """One architecture of one tag. size_bytes: as it is transferred."""

    tag: str
    architecture: str
    digest: str | None
    index_digest: str | None = None  # of the list that the tag names; None = the tag names this very manifest
    size_bytes: int | None = None
    created_ts: int | None = None
    cuda_version: str | None = None
    python_version: str | None = None
    framework_version: str | None = None
    manifest_json: str | None = None


class KeptAnswer(NamedTuple):
    """What a server said once. link: where the next page is; expires_ts None = it never gets old."""

    endpoint: str
    response: str
    etag: str | None
    cached_ts: int
    expires_ts: int | None
    link: str | None = None


def image_of(registry: str, repository: str) -> Image:
    """An image by its path: the first part is the organization, the last the name, what is between the team.

    >>> image_of("nvcr.io", "nvidia/clara/parabricks").team, image_of("localhost:5000", "app").organization
    ('clara', '')
    """
    *before, name = repository.split("/")
    return Image(registry, before[0] if before else "", "/".join(before[1:]), name)


def matching_images(pattern: str, images: Iterable[Image]) -> list[Image]:
    """The images that a name (with * and ?) means: with the registry, else without it, else by the last part alone."""
    from fnmatch import fnmatchcase

    listed = list(images)
    for names in (
        [image.reference for image in listed],
        [image.repository for image in listed],
        [image.name for image in listed],
    ):
        found = [image for image, name in zip(listed, names, strict=True) if fnmatchcase(name, pattern)]
        if found:
            return found
    return []


def numbers_of(version: str | None) -> tuple[int, ...] | None:
    """The leading numbers of a version, without zeros at the end; None when it has none.

    >>> numbers_of("12.4.0"), numbers_of("12.4.1.003"), numbers_of("2.4.0a0+07cecf4"), numbers_of("latest")
    ((12, 4), (12, 4, 1, 3), (2, 4), None)
    """
    match = _NUMBERS.match(version.strip().removeprefix("v")) if version else None
    if match is None:
        return None
    parts = [int(part) for part in match[0].split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


class Condition(NamedTuple):
    """What a version must be: all of the parts hold. operator "" = it begins with these numbers."""

    parts: tuple[tuple[str, tuple[int, ...]], ...]

    def holds(self, version: str | None) -> bool:
        """Whether a version is so; an unknown one is not."""
        found = numbers_of(version)
        return found is not None and all(_holds(found, *part) for part in self.parts)


def _holds(found: tuple[int, ...], operator: str, wanted: tuple[int, ...]) -> bool:
    if operator:
        return _TESTS[operator](found, _trimmed(wanted))
    padded = (*found, *(0,) * (len(wanted) - len(found)))
    return padded[: len(wanted)] == wanted


def _trimmed(numbers: tuple[int, ...]) -> tuple[int, ...]:
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers = numbers[:-1]
    return numbers


def parse_condition(text: str) -> Condition | None:
    """`>=12.4`, `>=12,<13`, `12.4` (12.4 and 12.4.x; so does `=12.4`), `==12.4`, `!=12.4`. None = not of that form.

    >>> parse_condition(">=12.4, <13").holds("12.10.2"), parse_condition("12.4").holds("12.40")
    (True, False)
    """
    found = []
    for part in text.split(","):
        match = _CONDITION.fullmatch(part)
        if match is None:
            return None
        operator = "" if match[1] in {None, "="} else match[1]
        found.append((operator, tuple(int(number) for number in match[2].split("."))))
    return Condition(tuple(found))


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts `24.9` before `24.10`, and numbers before words.

    >>> sorted(["24.10-py3", "latest", "24.9-py3"], key=natural_key)
    ['24.9-py3', '24.10-py3', 'latest']
    """
    parts = (part for part in _PART.split(text) if part)
    return tuple((0, int(part)) if part.isdecimal() and part.isascii() else (1, part) for part in parts)
