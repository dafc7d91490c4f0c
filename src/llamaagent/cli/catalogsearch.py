"""`catalog search` and `catalog versions`: what the database knows of images. No registry is asked."""

from __future__ import annotations

import os
from functools import partial

from llamaagent.base.errors import FINE, UsageError
from llamaagent.cli.models import size_for_people
from llamaagent.cli.output import emit
from llamaagent.cli.rows import moment
from llamaagent.cli.site import engines_of_host, load, reading
from llamaagent.domain.image import (
    Image,
    ImageVersion,
    image_of,
    matching_images,
    natural_key,
    parse_condition,
)
from llamaagent.store.catalog import list_images, list_versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.cli.spec import Values

    Row = dict[str, object]

_IMAGE = (
    "image",
    "registry",
    "organization",
    "team",
    "name",
    "display_name",
    "category",
    "description",
    "created_ts",
    "updated_ts",
    "last_synced_ts",
    "tags",
    "is_cached",
)
_VERSION = ("tag", "architectures", "cuda_version", "python_version", "framework_version", "size_bytes")
_SHOWN_IMAGES = ("image", "category", "tags", "newest", "cuda", "python", "framework", "size", "here")
_SHOWN_VERSIONS = ("tag", "architecture", "cuda", "python", "framework", "size", "created", "here")
_NOTHING = "no such image (llamaagent catalog sync brings some)"


def search(values: Values) -> int:
    """A line for each image that fits."""
    fits = _version_test(values)
    with reading(load(values, need_settings=False)) as db:
        images, versions = list_images(db).rows, list_versions(db).rows
    by_image: dict[object, list[Row]] = {}
    asked = any((values.text("cuda"), values.text("arch"), values.flag("local")))
    for row in _marked(values, [dict(row) for row in versions]):
        if fits(row):
            by_image.setdefault(row["image_id"], []).append(row)
    words = [word.casefold() for word in values.many("word")]
    found = [
        _with_newest(dict(image), by_image.get(image["id"], []))
        for image in images
        if (not asked or image["id"] in by_image) and _matches(values, dict(image), words)
    ]
    found.sort(key=lambda row: _rank(row, words))
    rows = [_for_people(row) for row in found[: values.number("limit")]]
    emit(values, rows, (*_IMAGE, *_VERSION), shown=_SHOWN_IMAGES, empty=_NOTHING)
    return FINE


def versions(values: Values) -> int:
    """A line for each architecture of each tag of one image."""
    name, fits = str(values.text("image")), _version_test(values)
    with reading(load(values, need_settings=False)) as db:
        images, table = list_images(db), list_versions(db)
    by_image = {_image(row): row for row in images.rows}
    matched = matching_images(name, by_image)
    if not matched:
        raise UsageError(f"no image of the catalogue is named {name}", hint=f"llamaagent catalog sync {name}")
    if len(matched) > 1:
        raise UsageError(f"{name} means {', '.join(image.reference for image in matched)}; name one of them")
    wanted = by_image[matched[0]]["id"]
    chosen = _marked(values, [dict(row) for row in table.rows if row["image_id"] == wanted])
    rows = sorted(filter(fits, chosen), key=_age, reverse=True)[: values.number("limit")]
    columns = tuple(column for column in table.columns if column not in {"id", "image_id"})
    shown = [_for_people(row) for row in rows]
    emit(values, shown, columns, shown=_SHOWN_VERSIONS, empty="no version that fits is known")
    return FINE


def _version_test(values: Values) -> Callable[[Row], bool]:
    """What --cuda, --arch and --local ask of a version. Raises UsageError."""
    text, arch, local = values.text("cuda"), values.text("arch"), values.flag("local")
    condition = parse_condition(text) if text is not None else None
    if text is not None and condition is None:
        raise UsageError(f"--cuda {text!r} is no condition", hint="--cuda '>=12.4', '>=12,<13' or 12.4")

    def fits(row: Row) -> bool:
        cuda = row["cuda_version"]
        return (
            (condition is None or condition.holds(None if cuda is None else str(cuda)))
            and arch in {None, row["architecture"]}
            and (not local or bool(row["is_cached"]))
        )

    return fits


def _marked(values: Values, rows: list[Row]) -> list[Row]:
    """With --local: what the engine holds now, instead of what it held at the last sync."""
    if not values.flag("local"):
        return rows
    from llamaagent.catalog.local import held, local_digests
    from llamaagent.catalog.reference import parse_reference

    here = held(partial(local_digests, engines_of_host()()), os.uname().machine)
    for row in rows:
        named = parse_reference(str(row["image"]))
        digest, index = (None if row[key] is None else str(row[key]) for key in ("digest", "index_digest"))
        version = ImageVersion(str(row["tag"]), str(row["architecture"]), digest, index)
        row["is_cached"] = here.has(image_of(named.registry, named.repository), version)
    return rows


def _image(row: Row) -> Image:
    registry, organization, team, name = (
        str(row[key]) for key in ("registry", "organization", "team", "name")
    )
    return Image(registry, organization, team, name)


def _matches(values: Values, row: Row, words: list[str]) -> bool:
    category, organization = values.text("category"), values.text("organization")
    if category is not None and str(row["category"] or "").casefold() != category.casefold():
        return False
    if organization is not None and str(row["organization"]).casefold() != organization.casefold():
        return False
    text = " ".join(str(row[key] or "") for key in ("image", "display_name", "description", "category"))
    return all(word in text.casefold() for word in words)


def _rank(row: Row, words: list[str]) -> tuple[object, ...]:
    """The image of that very name first, then names that hold all words, then what changed last."""
    name = str(row["name"]).casefold()
    updated = row["updated_ts"]
    newest = -updated if isinstance(updated, int) else 0
    return [name] != words, not all(word in name for word in words), newest, str(row["image"])


def _age(row: Row) -> tuple[int, bool, object, str]:
    """Sorts the newest last; of equally old tags one with a number is newer than a word such as `latest`."""
    created, tag = row["created_ts"], str(row["tag"])
    return (
        created if isinstance(created, int) else 0,
        tag[:1].isdigit(),
        natural_key(tag),
        str(row["architecture"]),
    )


def _with_newest(image: Row, rows: list[Row]) -> Row:
    """An image with what its newest version that fits has; all architectures of that tag."""
    image |= dict.fromkeys(_VERSION)
    if rows:
        newest = max(rows, key=_age)
        same = sorted(str(row["architecture"]) for row in rows if row["tag"] == newest["tag"])
        image |= {key: newest[key] for key in _VERSION if key in newest}
        image |= {"architectures": same, "is_cached": any(row["is_cached"] for row in rows)}
    return image


def _for_people(row: Row) -> Row:
    """With the columns that the table shows beside those for programs."""
    size = row["size_bytes"]
    short = {key: row[f"{key}_version"] for key in ("cuda", "python", "framework")}
    row["is_cached"] = bool(row["is_cached"])
    return {
        **row,
        **short,
        "newest": row.get("tag"),
        "size": size_for_people(size) if isinstance(size, int) else None,
        "created": moment(row["created_ts"]),
        "here": row["is_cached"],
    }
