"""The catalogue of images in the database. One connection, several threads: each call is whole, one at a time."""

from __future__ import annotations

import json
import threading

from llamaagent.domain.image import Image, ImageVersion, KeptAnswer
from llamaagent.sql import statements
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apsw import Connection

    from llamaagent.store.read import Table

_SQL = statements("catalog")


class CatalogStore:
    """`ngc_images`, `image_versions` and `api_cache` of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._lock = threading.Lock()

    def answer(self, endpoint: str) -> KeptAnswer | None:
        """What is kept of an address."""
        with self._lock:
            row = self._db.execute(_SQL["select_answer"], {"endpoint": endpoint}).fetchone()
        return None if row is None else KeptAnswer(*row)

    def images(self) -> list[tuple[Image, bool]]:
        """Every image, and whether any version of it is known."""
        with self._lock:
            return [(Image(*row[:-1]), bool(row[-1])) for row in self._db.execute(_SQL["select_images"])]

    def add_images(
        self, images: Iterable[Image], answers: Iterable[KeptAnswer], ts: int
    ) -> list[tuple[int, str | None]]:
        """Store images with the answers they came from; gives their ids and categories."""
        found: list[tuple[int, str | None]] = []
        with self._lock, self._db:
            self._keep(answers)
            for image in images:
                found += self._db.execute(_SQL["upsert_image"], {**image._asdict(), "ts": ts})
        return found

    def tags(self, image_id: int) -> dict[str, str]:
        """What each tag of an image named when it was last read whole: a digest."""
        with self._lock:
            return dict(self._db.execute(_SQL["select_tags"], {"image_id": image_id}))

    def known(self, digest: str) -> ImageVersion | None:
        """What was read of a manifest before, under whatever tag."""
        with self._lock:
            row = self._db.execute(_SQL["select_by_digest"], {"digest": digest}).fetchone()
        return None if row is None else ImageVersion(*row)

    def add_versions(
        self,
        image_id: int,
        tag: str,
        versions: list[ImageVersion],
        answers: Iterable[KeptAnswer],
        ts: int,
    ) -> dict[str, int]:
        """Store all architectures of a tag; gives how many are `new`, `changed`, `unchanged`."""
        told = {"new": 0, "changed": 0, "unchanged": 0}
        with self._lock, self._db:
            self._keep(answers)
            for version in versions:
                given = {**version._asdict(), "image_id": image_id, "ts": ts}
                was = self._db.execute(
                    _SQL["select_version"],
                    {"image_id": image_id, "tag": tag, "architecture": version.architecture},
                ).fetchone()
                same = was == (version.digest, version.index_digest)
                told["new" if was is None else "unchanged" if same else "changed"] += 1
                self._db.execute(_SQL["upsert_version"], given)
            held = json.dumps([version.architecture for version in versions])
            self._db.execute(
                _SQL["delete_other_architectures"],
                {"image_id": image_id, "tag": tag, "architectures": held},
            )
        return told

    def confirm(self, image_id: int, tag: str, answers: Iterable[KeptAnswer], ts: int) -> int:
        """Note that a tag is as it was; gives the number of its rows."""
        rows = 0
        with self._lock, self._db:
            self._keep(answers)
            given = {"image_id": image_id, "tag": tag, "ts": ts}
            rows = len(self._db.execute(_SQL["update_confirmed"], given).fetchall())
        return rows  # noqa: RET504 - for mypy the block above may end an exception

    def keep(self, answers: Iterable[KeptAnswer]) -> None:
        """Store answers alone."""
        with self._lock, self._db:
            self._keep(answers)

    def drop_gone(self, image_id: int, tags: Iterable[str]) -> int:
        """Forget what the registry lists no more; gives the number of rows."""
        given = {"image_id": image_id, "tags": json.dumps(list(tags))}
        rows = 0
        with self._lock, self._db:
            rows = len(self._db.execute(_SQL["delete_gone_tags"], given).fetchall())
        return rows  # noqa: RET504 - as above

    def marks(self) -> list[tuple[int, Image, ImageVersion, bool]]:
        """Every version with its image, and whether an engine here was said to hold it."""
        with self._lock:
            return [
                (row[0], Image(*row[1:5]), ImageVersion(row[5], row[8], row[6], row[7]), bool(row[9]))
                for row in self._db.execute(_SQL["select_marks"])
            ]

    def mark(self, marks: Mapping[int, bool]) -> None:
        """Say of versions whether an engine here holds them."""
        with self._lock, self._db:
            self._db.executemany(
                _SQL["update_mark"], [{"id": row, "is_cached": int(held)} for row, held in marks.items()]
            )

    def _keep(self, answers: Iterable[KeptAnswer]) -> None:
        for answer in answers:
            self._db.execute(_SQL["upsert_answer"], answer._asdict())


def list_images(db: Connection) -> Table:
    """Every image of the catalogue."""
    return select(db, "list_images", area="catalog")


def list_versions(db: Connection) -> Table:
    """Every version of every image."""
    return select(db, "list_versions", area="catalog")
