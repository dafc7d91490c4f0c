"""From what was loaded and what was declared before to the profiles in force: last good revisions, retirement.

A broken or empty file, a missing, unreadable or emptied folder stops nothing: what it declared last stays in
force. Only a file that is really gone from a folder that still works, and in git from the last commit too,
retires what it declared.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.reconcile.git import still_committed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.config.site import Site
    from llamaagent.domain.profile import Profile
    from llamaagent.store.wishes import Revision, WishStore


AWAITING = "no file declares it; that it is retired waits for: llamaagent run --once --yes"


class Declared(NamedTuple):
    """profiles: in force, by name. kept: those that only their last good revision declares, and why."""

    profiles: dict[str, Profile]
    kept: dict[str, str]
    gone: dict[str, str]  # retired or not for this host: name -> retired | host
    rolled_back: dict[str, str]  # those in force as they were healthy last, and why


def in_force(
    site: Site,
    hashes: dict[str, tuple[str, str]],
    last_good: Iterable[Revision] | None,
    held_back: frozenset[str] = frozenset(),
) -> Declared:
    """Join the files with what they declared before.

    hashes: profile -> (hash, source) of every last good revision; last_good: their documents, asked for only
    when some profile is missing from the files (None = none is). held_back: profiles that stay in force, because
    the guard stopped their retirement and nobody has approved it yet.
    """
    profiles = {profile.name: profile for profile in site.profiles}
    kept: dict[str, str] = {}
    gone: dict[str, str] = {}
    for revision in last_good or ():
        name = revision.profile
        if name in profiles:
            continue
        if name in site.other_hosts:
            gone[name] = "host"
            continue
        why = _keep(site, revision) or (AWAITING if name in held_back else None)
        if why is None:
            gone[name] = "retired"
            continue
        from llamaagent.config.document import profile_from_document

        profiles[name] = profile_from_document(revision.document, revision.source, revision.line or 1)
        kept[name] = why
    for name in hashes:
        if name not in profiles and name not in gone:
            gone[name] = "retired"
    return Declared(profiles, kept, gone, {})


def rolled_back(wishes: WishStore, declared: Declared) -> Declared:
    """What is in force when refused revisions give way to healthy ones. Writes nothing."""
    refused = wishes.refused()
    if not refused:
        return declared
    from llamaagent.reconcile.rollback import roll_back

    return roll_back(wishes, declared, refused)


def missing(site: Site, hashes: dict[str, tuple[str, str]]) -> bool:
    """Whether something that was declared stands in no valid file now."""
    return not hashes.keys() <= {profile.name for profile in site.profiles}


def _keep(site: Site, revision: Revision) -> str | None:
    """Why an undeclared profile stays in force; None = it is retired."""
    source = revision.source
    if revision.profile in site.names_declared or source in site.broken_files:
        return f"{source} has faults; its last good revision is in force"
    folder = next((f for f in site.folders if source == f.path or os.path.dirname(source) == f.path), None)
    if folder is None:
        return f"{source} is no longer among the profiles' folders"
    if not folder.readable:
        return f"{folder.path} cannot be read"
    if not folder.valid_count:
        return f"{folder.path} holds no valid profile"
    if still_committed(source):
        return f"{source} was changed or removed, but not committed"
    return None
