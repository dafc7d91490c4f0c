"""What is kept of a log when its launch is over: its last lines in the database, its file for a while."""

from __future__ import annotations

import os

from llamaagent.base.errors import ConfigError
from llamaagent.base.record import NamedTuple
from llamaagent.collect.tail import last_lines
from llamaagent.launch.environ import SECRET_VARIABLES, read_env_file, resolve_secret
from llamaagent.launch.logfile import remove_old
from llamaagent.store.logs import LogStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import SecretRef
    from llamaagent.reconcile.context import Context

LINES = 200
LONGEST = 2000  # characters of a line; of a longer one the end is left out
_LOOKED_AT = 1 << 20
_MASK = "***"


class LastLines(NamedTuple):
    """The end of a log without our secrets, and what hides them."""

    text: str
    secrets: tuple[str, ...]

    def mask(self, text: str | None) -> str | None:
        """Other words from that log, without our secrets."""
        return None if text is None else masked(text, self.secrets)


def last_words(ctx: Context, row: Instance, refs: Iterable[SecretRef] = ()) -> LastLines:
    """Read the last lines of a launch that is over. refs: what the profile's secrets are today."""
    secrets = _secrets(ctx, row, refs)
    if row.log_path is None:
        return LastLines("", secrets)
    try:
        lines, _ = last_lines(row.log_path, LINES, _LOOKED_AT)
    except OSError:
        return LastLines("", secrets)
    text = masked(b"".join(lines).decode("utf-8", "replace"), secrets)
    return LastLines("\n".join(_short(line) for line in text.splitlines()), secrets)


def _short(line: str) -> str:
    if len(line) <= LONGEST:
        return line
    return f"{line[:LONGEST]}... ({len(line) - LONGEST} more characters)"


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret's value replaced, the longest first: one may be part of another."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


def _secrets(ctx: Context, row: Instance, refs: Iterable[SecretRef]) -> tuple[str, ...]:
    """Values of the secrets that this launch was given, and of those that its profile names now.

    A secret that was exchanged since is not known any more. One whose value cannot be read now is left out.
    """
    found: set[str] = set()
    env_file = _env_file(ctx)
    for ref in {*refs, *_given(ctx, row)}:
        try:
            value = resolve_secret(ref, ctx.environ, env_file)
        except ConfigError:
            continue
        found |= {value, *(part.strip() for line in value.splitlines() for part in line.split(","))}
    return tuple(found - {""})


def _env_file(ctx: Context) -> dict[str, str]:
    try:
        return read_env_file(ctx.settings.env_file) if ctx.settings.env_file else {}
    except ConfigError:
        return {}


def _given(ctx: Context, row: Instance) -> set[SecretRef]:
    from llamaagent.domain.profile import SecretRef

    names = {name for pair in SECRET_VARIABLES.values() for name in pair if name is not None}
    texts = (value for name, value in LogStore(ctx.db).environment(row.id).items() if name in names)
    parts = (text.partition(":") for text in texts)
    return {SecretRef(kind, value) for kind, _, value in parts if kind in {"env", "file"}}


def remove_old_logs(ctx: Context, row: Instance) -> None:
    """Of the logs of a profile's ended launches the newest few stay, together no larger than one may be."""
    if row.log_path is None or os.path.dirname(row.log_path) != os.path.join(ctx.places.logs, row.profile):
        return
    remove_old(os.path.dirname(row.log_path), ctx.settings.log_max_size_bytes, (row.log_path,))
