"""What is handed to another tool: servers as our own launch would start them, and what the other cannot say. Pure.

The command line comes from the same function that a launch uses; a writer only puts another address into it. What a
profile says beyond its defaults is either in the list of keys that a writer carries, or reported with a reason.
"""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.config.document import without_defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from llamaagent.domain.profile import Profile


class Secret(NamedTuple):
    """A variable that the server reads. kind, value: the reference; by_path: the variable holds the file's path."""

    option: str  # the key under `secrets`
    variable: str
    kind: str  # env | file
    value: str
    by_path: bool = False


class Server(NamedTuple):
    """One profile with the words of its launch."""

    profile: Profile
    argv: tuple[str, ...]  # the wrapping program, the server, its options
    head: int  # how many of them come before the options
    port: int  # the profile's own, else the one that it has or would get
    env: tuple[tuple[str, str], ...] = ()  # nothing secret; what the profile says about cards included
    secrets: tuple[Secret, ...] = ()

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.profile.name

    def at(self, host: str, port: str) -> tuple[str, ...]:
        """The command line for another address; port may be a placeholder of the other tool."""
        words = list(self.argv)
        found = words.index("--host", self.head)
        words[found + 1], words[found + 3] = host, port
        return tuple(words)

    @property
    def scheme(self) -> str:
        """How it is asked."""
        return "https" if self.profile.arg("ssl-cert-file") is not None else "http"

    @property
    def prefix(self) -> str:
        """What stands before every path that it answers, empty or with a slash in front."""
        prefix = self.profile.arg("api-prefix")
        return prefix if isinstance(prefix, str) else ""


class Left(NamedTuple):
    """Something that was not carried over."""

    name: str  # of the profile
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.key} was not carried over: {self.reason}"


# Nothing to carry: the export is of this host's profiles, a permission is no option, and the sleep is among the args.
ALWAYS = ("name", "hosts", "allow_dangerous", "idle.sleep_after", "runtime.kind", "model", "args")
REASONS = {
    "project": "quotas are llamaagent's own",
    "priority": "admission to GPU memory is llamaagent's own",
    "evict": "eviction is llamaagent's own",
    "resources.gpus": "llamaagent chooses the cards at each launch; here the server sees all of them",
    "resources": "claims on memory, cores and cards are llamaagent's own",
    "update": "it says what llamaagent does after a change of the profile",
    "schedule": "nothing here starts and stops by the clock",
    "health": "nothing here asks the server how it is",
    "idle": "nothing here stops an idle server",
    "restart": "nothing here tries again in this way",
    "stop": "nothing here waits in this way",
    "labels": "there is no place for labels",
}


def left_out(profile: Profile, carried: Collection[str], reasons: Mapping[str, str]) -> list[Left]:
    """Each key that differs from its default and is not carried, with the reason of the key, its section, or all.

    carried: dotted keys, or whole sections. reasons: what this format says instead of the general reason.
    """
    known = {*carried, *ALWAYS}
    why = {**REASONS, **reasons}
    found: list[Left] = []
    for key in said(profile):
        section = key.partition(".")[0]
        if known.isdisjoint({key, section}):
            found.append(
                Left(profile.name, key, why.get(key) or why.get(section) or "there is no place for it")
            )
    return found


def said(profile: Profile) -> tuple[str, ...]:
    """The keys that the profile and what lies under it say beyond the defaults, `section.key`, sorted."""
    document = without_defaults(json.loads(profile.document))
    if document.get("runtime", {}).get("binary") == "llama-server":
        del document["runtime"]["binary"]
    keys: list[str] = []
    for section, value in document.items():
        inner = isinstance(value, dict) and section not in {"args", "model"}
        keys += [f"{section}.{key}" for key in value] if inner else [section]
    return tuple(sorted(keys))


def cards_said(profile: Profile) -> bool:
    """Does the profile say by itself which cards it sees, so that anyone can obey: named ones, all, or none."""
    gpus = profile.resources.gpus
    return isinstance(gpus, tuple) or gpus in {"all", "none"}


def unsupported(server: Server, kinds: Collection[str], hint: str) -> Left | None:
    """Why a profile of this kind cannot be exported here at all; None when it can."""
    kind = server.profile.runtime.kind
    if kind in kinds:
        return None
    reason = "it is only watched, another program starts it" if kind == "external" else hint
    return Left(server.name, f"runtime.kind {kind}", reason)


def supported(
    servers: Iterable[Server],
    kinds: Collection[str],
    hint: str = "it is a container: llamaagent export compose",
) -> tuple[list[Server], list[Left]]:
    """The servers that a writer can take, and a line for each of the others."""
    kept: list[Server] = []
    left: list[Left] = []
    for server in servers:
        refused = unsupported(server, kinds, hint)
        if refused is None:
            kept.append(server)
        else:
            left.append(refused)
    return kept, left


def lines_of_options(words: Iterable[str]) -> list[list[str]]:
    """Words grouped for reading: what is in front, then each option with its values."""
    groups: list[list[str]] = []
    for word in words:
        if not groups or (word.startswith("--") and len(word) > 2):
            groups.append([])
        groups[-1].append(word)
    return groups
