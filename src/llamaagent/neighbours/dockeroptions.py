"""The options of `docker run` and `podman run`: which take a value, and taking them off the front of a command.

An option that is not known here ends the reading: nobody can say whether the word behind it is its value or the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamaagent.neighbours.carried import Draft

_SHORT = {
    "d": "detach",
    "i": "interactive",
    "t": "tty",
    "p": "publish",
    "v": "volume",
    "e": "env",
    "u": "user",
    "w": "workdir",
    "m": "memory",
    "h": "hostname",
    "l": "label",
    "P": "publish-all",
    "c": "cpu-shares",
    "a": "attach",
}
_LONG = {"net": "network", "network-mode": "network"}
_FLAGS = {
    *(
        "detach",
        "interactive",
        "tty",
        "rm",
        "init",
        "privileged",
        "read-only",
        "publish-all",
        "replace",
        "quiet",
    ),
    *("no-healthcheck", "oom-kill-disable", "sig-proxy", "disable-content-trust", "no-hosts", "rmi"),
}
SILENT = {
    "detach",
    "interactive",
    "tty",
    "rm",
    "sig-proxy",
    "replace",
    "quiet",
    "attach",
}  # say nothing here
_WITH_VALUE = {
    *(
        "publish",
        "volume",
        "mount",
        "env",
        "env-file",
        "name",
        "gpus",
        "shm-size",
        "ipc",
        "network",
        "user",
        "workdir",
    ),
    *(
        "entrypoint",
        "device",
        "cap-drop",
        "cap-add",
        "security-opt",
        "memory",
        "memory-swap",
        "cpus",
        "ulimit",
    ),
    *(
        "restart",
        "pull",
        "runtime",
        "hostname",
        "label",
        "label-file",
        "stop-timeout",
        "stop-signal",
        "health-cmd",
    ),
    *("health-interval", "health-retries", "health-start-period", "health-timeout", "log-driver", "log-opt"),
    *(
        "add-host",
        "platform",
        "group-add",
        "tmpfs",
        "userns",
        "pid",
        "pids-limit",
        "cpuset-cpus",
        "cpuset-mems",
    ),
    *(
        "cpu-shares",
        "cgroupns",
        "cgroup-parent",
        "dns",
        "expose",
        "attach",
        "annotation",
        "cidfile",
        "ip",
        "link",
    ),
    *(
        "network-alias",
        "oom-score-adj",
        "sysctl",
        "volumes-from",
        "uts",
        "device-cgroup-rule",
        "secret",
        "blkio-weight",
    ),
}


def take_options(draft: Draft, words: list[str], key: str) -> list[tuple[str, str]] | None:
    """Take the options off the front of the words; None when one is unknown, for then no one knows its value."""
    found: list[tuple[str, str]] = []
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = _LONG.get(name, name)
        else:
            letters = word[1:]
            while len(letters) > 1 and _SHORT.get(letters[0]) in _FLAGS:
                found.append((_SHORT[letters[0]], "true"))
                letters = letters[1:]
            name, value = _SHORT.get(letters[0], letters[0]), letters[1:].removeprefix("=")
            equals = value
        if name in _FLAGS:
            found.append((name, value if equals else "true"))
        elif name in _WITH_VALUE and (equals or words):
            found.append((name, value if equals else words.pop(0)))
        else:
            draft.lose(key, f"option {'--' if word.startswith('--') else '-'}{name} is not known here")
            return None
    return found
