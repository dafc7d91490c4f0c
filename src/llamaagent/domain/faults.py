"""Ends of launches, sorted by what may follow them. Pure."""

from __future__ import annotations

# Nothing was wrong: the launch reads `stopped`, and the next start is not held back. Every other end reads `error`.
ASKED = frozenset(
    {
        "override",
        "state",
        "retired",
        "host",
        "update",
        "restart",
        "reboot",
        "not-launched",
        "schedule",
        "idle",
        "evicted",
    }
)
# The next try would end just so: not tried again until the profile or a file that it names has changed.
PERMANENT = frozenset({
    "bad-option", "bad-model", "bad-command", "missing-model", "missing-binary", "missing-secret", "permission",
})  # fmt: skip
# Nothing is said about the server: no failure of it, so never counted.
UNCOUNTED = frozenset({"port-taken"})
# One such end of a changed profile says enough; a crash has to happen twice before the change is to blame.
_TELLING = PERMANENT | {"oom-gpu", "start-timeout"}
_CRASHES = frozenset({"crash", "failed", "exited", "oom-host"})
WORDS = {
    "bad-option": "an option was refused",
    "bad-model": "model not loadable",
    "bad-command": "command not in its image",
    "missing-model": "model file missing",
    "missing-binary": "llama-server missing",
    "missing-secret": "secret missing",
    "permission": "permission denied",
}


def blames_the_change(reason: str | None, failures: int) -> bool:
    """Whether an end speaks against a changed profile that was never healthy.

    failures: ends in a row by themselves, this one included.
    """
    return reason in _TELLING or (reason in _CRASHES and failures >= 2)
