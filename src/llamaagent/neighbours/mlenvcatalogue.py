"""MLEnv's catalogue of images, their versions, and the answers of registries that it kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours import cells

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing

_VERSION = ("digest", "cuda_version", "python_version", "framework_version")


def bring_images(bringing: Bringing) -> None:
    """Images and versions. Without a team theirs could stand twice, which comes in once."""
    known: dict[object, int] = {}
    for row in bringing.rows("ngc_images"):
        name, organization = cells.text(row.get("name")), cells.text(row.get("organization"))
        if name is None or organization is None:
            bringing.tally.drop("ngc_images", "it has no name or no organization")
            continue
        key = {"name": name, "organization": organization, "team": cells.text(row.get("team")) or ""}
        given = {
            column: cells.text(row.get(column)) for column in ("display_name", "category", "description")
        }
        times = {f"{word}_ts": cells.moment(row.get(f"{word}_at")) for word in ("created", "updated")}
        times["last_synced_ts"] = cells.moment(row.get("last_synced"))
        bringing.tally.put(
            "ngc_images", "ngc_images", new=bringing.store.put("insert_image", {**given, **times, **key})
        )
        image_id = bringing.store.find("select_image", key)
        if image_id is not None:
            known[row.get("id")] = image_id
    _versions(bringing, known)


def _versions(bringing: Bringing, known: dict[object, int]) -> None:
    for row in bringing.rows("image_versions"):
        image_id, tag = known.get(row.get("image_id")), cells.text(row.get("tag"))
        if image_id is None or tag is None:
            bringing.tally.drop("image_versions", "its image is not there" if tag else "it has no tag")
            continue
        given: dict[str, str | int | float | bytes | None] = {
            column: cells.text(row.get(column)) for column in _VERSION
        }
        given |= {"image_id": image_id, "tag": tag, "size_bytes": cells.count(row.get("size_bytes"))}
        given |= {"created_ts": cells.moment(row.get("created_at"))}
        given |= {"architecture": cells.text(row.get("architecture")) or "amd64"}
        given |= {"manifest_json": cells.as_json(row.get("manifest_json"))}
        given |= {"is_cached": int(bool(cells.whole(row.get("is_cached"))))}
        bringing.tally.put(
            "image_versions", "image_versions", new=bringing.store.put("insert_version", given)
        )


def bring_answers(bringing: Bringing) -> None:
    """Answers of registries that still count."""
    for row in bringing.rows("api_cache"):
        endpoint, expires = cells.text(row.get("endpoint")), cells.moment(row.get("expires_at"))
        if endpoint is None:
            bringing.tally.drop("api_cache", "it names no endpoint")
        elif expires is None or expires <= bringing.store.now:
            bringing.tally.drop("api_cache", "it has expired")
        else:
            cached = min(cells.moment(row.get("cached_at")) or bringing.store.now, bringing.store.now)
            given = {"endpoint": bringing.clean(endpoint), "response": bringing.clean(row.get("response"))}
            times = {"cached_ts": cached, "expires_ts": expires}
            bringing.tally.put(
                "api_cache", "api_cache", new=bringing.store.put("insert_answer", {**given, **times})
            )
