"""The last healthy revision in the place of a declared one that never became healthy."""

from __future__ import annotations

from llamaagent.config.document import profile_from_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.reconcile.declared import Declared
    from llamaagent.store.wishes import WishStore


def roll_back(wishes: WishStore, declared: Declared, refused: dict[tuple[str, str], str]) -> Declared:
    """Put what was healthy before in the place of every refused revision that is declared now.

    refused: (profile, profile hash) -> why. A profile that changed since is another revision, so it is tried.
    """
    names = [n for n, p in declared.profiles.items() if (n, p.profile_hash) in refused]
    profiles, told = (
        dict(declared.profiles),
        dict(declared.rolled_back),
    )  # those of an earlier look of this pass
    for name in names:
        profile = profiles[name]
        before = wishes.healthy_before(name, profile.launch_hash) if profile.update.rollback else None
        if before is None or profile.state != "running":
            continue
        profiles[name] = profile_from_document(before.document, before.source, before.line or 1)
        told[name] = (
            f"rolled back to the revision declared {before.declared_at}: the changed profile never became healthy "
            f"({refused[name, profile.profile_hash]}); it is tried again when it changes, "
            f"or by: llamaagent restart {name}"
        )
    return declared._replace(profiles=profiles, rolled_back=told)
