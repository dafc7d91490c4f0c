"""What was declared (revisions) and what operators said (overrides)."""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.domain.wish import Override
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection

    from llamaagent.domain.actor import Actor
    from llamaagent.domain.profile import Profile

_OVERRIDES = statements("overrides")
_REVISIONS = statements("revisions")


class Revision(NamedTuple):
    """A profile as it was last declared without a fault."""

    profile: str
    profile_hash: str
    launch_hash: str
    document: str
    source: str
    line: int | None


class Healthy(NamedTuple):
    """A revision that was healthy once: what a roll-back returns to. declared_at: when first seen, UTC, for people."""

    profile_hash: str
    document: str
    source: str
    line: int | None
    declared_at: str


class WishStore:
    """Declarations and overrides of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def overrides(self) -> dict[str, Override]:
        """All overrides, by profile."""
        return {row[0]: Override(*row) for row in self._db.execute(_OVERRIDES["select_overrides"])}

    def say(self, override: Override, by: Actor, note: str | None, ts: int) -> None:
        """Record an operator's word, who said it, and when."""
        given = {**override._asdict(), "username": override.user, "uid": by.uid, "note": note, "ts": ts}
        with self._db:
            self._db.execute(_OVERRIDES["upsert_override"], given)
            self._audit(by, override.action, override.profile, note, ts)

    def unsay(self, profile: str, action: str, by: Actor, note: str | None, ts: int) -> None:
        """Drop an override, and record who did (action: reset, rm or detach)."""
        with self._db:
            self._db.execute(_OVERRIDES["delete_override"], {"profile": profile})
            self._audit(by, action, profile, note, ts)

    def lapse(self, profile: str) -> None:
        """Drop an override that is over by itself."""
        with self._db:
            self._db.execute(_OVERRIDES["delete_override"], {"profile": profile})

    def _audit(self, by: Actor, action: str, profile: str, note: str | None, ts: int) -> None:
        from llamaagent.store.audit import AuditStore

        AuditStore(self._db).note(by, action, ("profile", profile), ts, {"note": note})

    def done(self, profile: str, ts: int) -> None:
        """A restart was carried out."""
        with self._db:
            self._db.execute(_OVERRIDES["finish_override"], {"profile": profile, "ts": ts})

    def retire(self, profile: str, ts: int) -> None:
        """No file declares it any more, and what ran of it has ended."""
        with self._db:
            self._db.execute(_REVISIONS["retire_revisions"], {"profile": profile, "ts": ts})

    def forget_model(self, profile: str) -> None:
        """Drop the row of `models` that a removed profile had."""
        with self._db:
            self._db.execute(_REVISIONS["delete_model"], {"name": profile})

    def healthy(self, profile: str, profile_hash: str, ts: int) -> None:
        """An instance of this revision became healthy."""
        with self._db:
            self._db.execute(
                _REVISIONS["mark_healthy"], {"profile": profile, "profile_hash": profile_hash, "ts": ts}
            )

    def refused(self) -> dict[tuple[str, str], str]:
        """(profile, profile hash) of every revision that is not to be tried again -> why."""
        return {(row[0], row[1]): row[2] or "-" for row in self._db.execute(_REVISIONS["select_refused"])}

    def refuse(self, profile: str, launch_hash: str, refusal: str, ts: int) -> None:
        """What is declared with this launch hash never became healthy. The caller holds the transaction."""
        given = {"profile": profile, "launch_hash": launch_hash, "refusal": refusal, "ts": ts}
        self._db.execute(_REVISIONS["mark_refused"], given)

    def accept(self, profile: str) -> None:
        """Refused revisions of the profile may be tried again."""
        with self._db:
            self._db.execute(_REVISIONS["clear_refused"], {"profile": profile})

    def healthy_before(self, profile: str, launch_hash: str) -> Healthy | None:
        """The revision that was healthy last and would be launched otherwise than with this launch hash."""
        given = {"profile": profile, "launch_hash": launch_hash}
        for row in self._db.execute(_REVISIONS["select_healthy_before"], given):
            return Healthy(*row)
        return None

    def changed_since(self, profile: str, launch_hash: str) -> int | None:
        """When what is launched with this hash was declared first; None when it never was."""
        given = {"profile": profile, "launch_hash": launch_hash}
        found = self._db.execute(_REVISIONS["select_changed_since"], given).get
        return None if found is None else int(found)

    def ever_healthy(self, profile: str, launch_hash: str) -> bool:
        """Whether anything with this launch hash was healthy once."""
        given = {"profile": profile, "launch_hash": launch_hash}
        return bool(self._db.execute(_REVISIONS["select_ever_healthy"], given).get)

    def last_hashes(self) -> dict[str, tuple[str, str]]:
        """Profile -> (profile hash, source) of its last good revision; "" where its configuration is not stored."""
        return {row[0]: (row[1], row[2]) for row in self._db.execute(_REVISIONS["select_last_hashes"])}

    def last_good(self) -> tuple[Revision, ...]:
        """The last good revision of every profile there ever was."""
        return tuple(Revision(*row) for row in self._db.execute(_REVISIONS["select_last_good"]))

    def declare(
        self,
        profiles: Iterable[Profile],
        git: tuple[str | None, int | None],
        ts: int,
        defaults: str = "{}",
    ) -> None:
        """Store new revisions, the configuration that each profile has, and the settings' `defaults`."""
        from llamaagent.store.applied import AppliedStore

        applied = AppliedStore(self._db)
        with self._db:
            for profile in profiles:
                given: dict[str, object] = {"profile": profile.name, "profile_hash": profile.profile_hash}
                given |= {
                    "launch_hash": profile.launch_hash,
                    "document": profile.document,
                    "source": profile.source,
                }
                given |= {"kind": profile.runtime.kind, "project": profile.project, "state": profile.state}
                given |= {
                    "priority": profile.priority,
                    "labels": json.dumps(dict(profile.labels)),
                    "line": profile.line,
                }
                given |= {"git_commit": git[0], "git_dirty": git[1], "ts": ts}
                self._db.execute(_REVISIONS["upsert_revision"], given)
                applied.apply(profile, ts)
            applied.apply_defaults(defaults, ts)
