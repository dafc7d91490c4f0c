"""What runs as it would not be launched now, and what a replaced llama-server would refuse, in words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.cli.site import Opened
    from llamaagent.store.types import Connection

_WORDS = {
    "image": "runs an old image: its tag names another one by now",
    "build": "runs an old build: the program was replaced since",
    "model file": "runs an old model file: it was replaced since",
    "profile": "runs as its profile was before",
}


def mark_moved_images(db: Connection, rows: Iterable[dict[str, object]]) -> None:
    """Rows of containers whose image's name means another image by now are outdated; a silent engine says nothing."""
    by_name = {str(row["profile"]): row for row in rows}
    if all(row["kind"] != "container" for row in by_name.values()):
        return
    from llamaagent.cli.site import engines_of_host
    from llamaagent.engine.client import EngineError
    from llamaagent.reconcile.containergate import read_image
    from llamaagent.store.containers import ContainerStore

    engines = engines_of_host()()
    for running in ContainerStore(db).images():
        row = by_name.get(running.profile)
        if row is None or row["outdated_by"] is not None:
            continue
        try:
            found = engines.at(running.engine).image(running.image)
        except EngineError:
            continue
        if found is not None and running.digest not in {None, read_image(found).digest}:
            row |= {"outdated": True, "outdated_by": "image"}


def refused_by_build(opened: Opened, rows: Iterable[dict[str, object]]) -> dict[str, str]:
    """Profiles of which the replaced program would refuse an option, and the fault; the old build runs on with them."""
    found: dict[str, str] = {}
    for row in rows:
        if row["outdated_by"] != "build":
            continue
        for fault in opened.site.faults:
            about = fault.profile == row["profile"] or fault.file == row["source"]
            if fault.severity == "error" and about and f"{row['binary']} has no such option" in fault.message:
                found.setdefault(str(row["profile"]), str(fault))
    return found


def sentences(opened: Opened, rows: Iterable[dict[str, object]]) -> list[str]:
    """One line for each instance that a launch now would make anew, and for each that would be refused."""
    rows = list(rows)
    refused = refused_by_build(opened, rows)
    lines = []
    for row in rows:
        because = row["outdated_by"]
        if because is None:
            continue
        name = str(row["profile"])
        remedy = f"llamaagent restart {name}" if because == "profile" else "llamaagent restart --outdated"
        if name in refused:
            remedy = f"the new build would refuse it ({refused[name]})"
        lines.append(f"{name} {_WORDS[str(because)]}; {remedy}")
    return lines
