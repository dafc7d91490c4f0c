"""Which sources and images the words of `catalog sync` mean, and where their registries answer."""

from __future__ import annotations

from llamaagent.base.errors import ConfigError, UsageError
from llamaagent.catalog.reference import has_registry, parse_reference, registry_at
from llamaagent.catalog.sync import Wanted
from llamaagent.domain.image import image_of, matching_images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.catalog.reference import Registry
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.image import Image
    from llamaagent.domain.settings import Catalog
    from llamaagent.store.catalog import CatalogStore

NGC = "ngc"


class Places:
    """Where registries answer, as the settings say. allow: an http:// that is written out counts as meant."""

    def __init__(self, settings: Catalog, *, allow: bool) -> None:
        self.insecure = frozenset(settings.insecure)
        self._mirrors = dict(settings.mirrors)
        self._allow = allow
        self._written: dict[str, Registry] = {}

    def at(self, address: str) -> Registry:
        """The registry of an address, whose scheme is remembered. Raises UsageError."""
        if self._allow and address.startswith("http://"):
            self.insecure |= {address.removeprefix("http://").rstrip("/")}
        found = registry_at(address, self.insecure)
        if "://" in address:
            self._written[found.name] = found
        return self.registry_of(found.name)

    def registry_of(self, name: str) -> Registry:
        """The registry that images name so. Raises UsageError, ConfigError for a mirror that cannot be."""
        if name in self._written or name not in self._mirrors:
            return self._written.get(name) or registry_at(name, self.insecure)
        try:
            return registry_at(self._mirrors[name], self.insecure)._replace(name=name)
        except UsageError as error:
            raise ConfigError(f"catalog.mirrors: {error}", hint=error.hint) from error


def wanted(values: Values, opened: Opened, places: Places, store: CatalogStore) -> Wanted:
    """What a run is for. Raises UsageError; ConfigError for what the settings say."""
    images, sources = values.many("image"), values.many("source")
    if images or sources:
        return _meant(sources, images, places, store)._replace(all_versions=values.flag("versions"))
    settings = opened.site.settings
    try:
        found = _meant(settings.catalog.sources, (), places, store)
    except UsageError as error:
        raise ConfigError(f"catalog.sources: {error}", hint=error.hint) from error
    return found._replace(all_versions=values.flag("versions"))


def _meant(sources: Iterable[str], words: Iterable[str], places: Places, store: CatalogStore) -> Wanted:
    ngc, registries, images = False, [], []
    for source in dict.fromkeys(sources):
        rest = (source.partition("://")[2] or source).rstrip("/")
        if source == NGC:
            ngc = True
        elif "/" in rest:
            images += _images(source, places, store)
        else:
            registries.append(places.at(source))
    for word in dict.fromkeys(words):
        images += _images(word, places, store)
    return Wanted(ngc=ngc, registries=tuple(registries), images=tuple(dict.fromkeys(images)))


def _images(word: str, places: Places, store: CatalogStore) -> list[tuple[Image, str | None]]:
    """The images that a word means, with the tag if it names one."""
    scheme, slashes, rest = word.rpartition("://")
    if slashes or (has_registry(word) and not any(c in word for c in "*?")):
        host = rest.partition("/")[0]
        places.at(f"{scheme}://{host}" if slashes else host)
        found = parse_reference(rest)
        if found.digest is not None:
            raise UsageError(f"{word} names a digest", hint="name the image, or one of its tags")
        return [(image_of(found.registry, found.repository), found.tag)]
    name, colon, tag = word.rpartition(":") if ":" in word.rpartition("/")[2] else (word, "", "")
    matched = matching_images(name, [image for image, _ in store.images()])
    if not matched:
        raise UsageError(
            f"no image of the catalogue is named {name}",
            hint="name its registry too, such as nvcr.io/nvidia/pytorch or docker.io/library/python",
        )
    return [(image, tag if colon else None) for image in matched]
