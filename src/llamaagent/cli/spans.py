"""`--for` and `--until`: how long what is said lasts."""

from __future__ import annotations

from llamaagent.base.errors import UsageError
from llamaagent.base.units import UnitError, parse_duration, parse_when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values


def until(values: Values, now: int) -> int | None:
    """The end as Unix seconds, None when it has none. Raises UsageError."""
    length, word = values.text("for"), values.text("until")
    if length is not None and word is not None:
        raise UsageError("--for and --until exclude each other")
    try:
        if length is not None:
            seconds = parse_duration(length)
            if seconds == 0:
                raise UsageError("--for: more than 0")
            return None if seconds is None else now + seconds
        return None if word is None else parse_when(word, now, future=True)
    except UnitError as error:
        raise UsageError(f"{'--for' if length else '--until'}: {error}") from error
