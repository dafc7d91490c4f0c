"""Bringing the catalogue up to date: what is listed is stored page by page, what is inside image by image.

Each tag is stored when it was read, together with the answers it came from. Killed at any moment, what was stored
stays, and the next run asks only for the rest. One thing that fails does not keep others from being brought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import BadInputError, LlamaAgentError, ServiceUnavailableError
from llamaagent.catalog import ngc, registry
from llamaagent.catalog.crew import each
from llamaagent.catalog.reference import NGC_REGISTRY
from llamaagent.domain.image import image_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llamaagent.catalog.answers import Answers
    from llamaagent.catalog.reference import Registry
    from llamaagent.catalog.registry import Looked
    from llamaagent.domain.image import Image, ImageVersion
    from llamaagent.store.catalog import CatalogStore

_REFUSALS = (BadInputError, ServiceUnavailableError)


class Outcome(NamedTuple):
    """What became of one source or image. versions: rows that are right now; error: the first thing that failed."""

    target: str
    images: int = 0
    versions: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    error: LlamaAgentError | None = None


class Sync:
    """One run. show: told how far it is (done, of how many, of what); registry_of: where a registry answers."""

    def __init__(
        self,
        store: CatalogStore,
        answers: Answers,
        api: str,
        registry_of: Callable[[str], Registry],
        *,
        jobs: int,
        show: Callable[[int, int, str], None],
    ) -> None:
        self._store = store
        self._answers = answers
        self._api = api
        self._registry_of = registry_of
        self._jobs = jobs
        self._show = show

    @property
    def _now(self) -> int:
        return self._answers.policy.now

    def list_ngc(self) -> Outcome:
        """Every container of NGC's catalogue, without its tags."""
        images = 0
        try:
            for number, (page, pages) in enumerate(ngc.search(self._answers, self._api), 1):
                self._store.add_images(page, self._answers.take(), self._now)
                images += len(page)
                self._show(number, pages, "ngc")
        except _REFUSALS as error:
            return Outcome("ngc", images, error=error)
        finally:
            self._store.keep(self._answers.take())
        return Outcome("ngc", images)

    def list_registry(self, place: Registry) -> tuple[Outcome, list[Image]]:
        """Every image that a registry lists, without its tags."""
        try:
            images = [image_of(place.name, name) for name in registry.repositories(self._answers, place)]
            self._store.add_images(images, self._answers.take(), self._now)
        except _REFUSALS as error:
            return Outcome(place.name, error=error), []
        return Outcome(place.name, len(images)), images

    def image(self, image: Image, only: str | None = None) -> Outcome:
        """All tags of one image, or one."""
        told = Outcome(image.reference if only is None else f"{image.reference}:{only}", 1)
        try:
            place = self._registry_of(image.registry)
            listed = {only: []} if only is not None else self._tags(image, place)
        except _REFUSALS as error:
            self._store.keep(self._answers.take())
            return told._replace(images=0, error=error)
        ((image_id, category),) = self._store.add_images([image], self._answers.take(), self._now)
        told = self._read(_Work(image_id, image, category, place, listed), told)
        if only is None:
            told = told._replace(gone=self._store.drop_gone(image_id, listed))
        return told

    def _tags(self, image: Image, place: Registry) -> dict[str, list[ImageVersion]]:
        """The tags with what a listing says of them: NGC's where there is one that is open, else the registry's."""
        if image.registry == NGC_REGISTRY:
            try:
                return ngc.tags(self._answers, self._api, image)
            except _REFUSALS:
                pass  # the registry itself has them too, and decides
        return {tag: [] for tag in registry.list_tags(self._answers, place, image.repository)}

    def _read(self, work: _Work, told: Outcome) -> Outcome:
        """Read every tag in several threads; store each as it comes."""
        before = self._store.tags(work.image_id)
        reader = registry.Reader(
            self._answers, work.place, work.image.repository, work.category, self._store.known
        )

        def look(tag: str) -> Looked:
            said = work.listed[tag]
            if tag in before and any(before[tag] in {one.index_digest, one.digest} for one in said):
                return registry.Looked([], unchanged=True)
            try:
                return reader.look(tag, before.get(tag))
            except ServiceUnavailableError:
                if not any(one.digest for one in said):
                    raise
                return registry.Looked(said)  # what the listing says is better than nothing

        for number, done in enumerate(each(work.listed, look, self._jobs), 1):
            error = done.error
            if error is not None and not isinstance(error, BadInputError | ServiceUnavailableError):
                raise error
            told = self._store_tag(work.image_id, done.thing, done.result, error, told)
            self._show(number, len(work.listed), work.image.reference)
        self._store.keep(self._answers.take())
        return told

    def _store_tag(
        self, image_id: int, tag: str, found: Looked | None, error: LlamaAgentError | None, told: Outcome
    ) -> Outcome:
        if found is None:
            return told if told.error is not None else told._replace(error=error)
        fresh = self._answers.take()
        if found.unchanged:
            rows = self._store.confirm(image_id, tag, fresh, self._now)
            return told._replace(versions=told.versions + rows)
        counts = self._store.add_versions(image_id, tag, found.versions, fresh, self._now)
        return told._replace(
            versions=told.versions + len(found.versions),
            new=told.new + counts["new"],
            changed=told.changed + counts["changed"],
        )


class _Work(NamedTuple):
    """One image whose tags are to be read."""

    image_id: int
    image: Image
    category: str | None
    place: Registry
    listed: dict[str, list[ImageVersion]]


class Wanted(NamedTuple):
    """What a run is for, in order. ngc: the listing of NGC; tags: of all its images too, not only of those known."""

    ngc: bool = False
    all_versions: bool = False
    registries: tuple[Registry, ...] = ()
    images: tuple[tuple[Image, str | None], ...] = ()


def run(sync: Sync, store: CatalogStore, wanted: Wanted) -> Iterator[Outcome]:
    """Do all of it, telling of each part when it is done."""
    if wanted.ngc:
        yield sync.list_ngc()
        for image, has_versions in store.images():
            if image.registry == NGC_REGISTRY and (has_versions or wanted.all_versions):
                yield sync.image(image)
    for place in wanted.registries:
        told, images = sync.list_registry(place)
        yield told
        for image in images:
            yield sync.image(image)
    for image, tag in wanted.images:
        yield sync.image(image, tag)
