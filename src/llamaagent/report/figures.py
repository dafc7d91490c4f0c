"""Numbers for people: three significant digits, binary sizes, one unit for a whole axis. Pure."""

from __future__ import annotations

import math

from llamaagent.base.record import NamedTuple

_LADDERS: dict[str, tuple[str, ...]] = {
    "MiB": ("MiB", "GiB", "TiB"),
    "B/s": ("B/s", "KiB/s", "MiB/s", "GiB/s"),
    "B": ("B", "KiB", "MiB", "GiB", "TiB"),
}
DASH = "\N{EN DASH}"  # stands where nothing is known
_NOTHING = 1e-9  # below it rounding leaves nothing of an axis
_TIGHT = frozenset({"%"})  # written right behind the number


class Scale(NamedTuple):
    """What a stored value is divided by, and the unit that is then left."""

    divisor: float
    unit: str


def choose_scale(unit: str, largest: float) -> Scale:
    """Pick the step of the unit's ladder that leaves `largest` at 1 or above; 1 without a ladder."""
    ladder = _LADDERS.get(unit, (unit,))
    step = 0
    while step + 1 < len(ladder) and abs(largest) >= 1024 ** (step + 1):
        step += 1
    return Scale(float(1024**step), ladder[step])


def format_number(value: float) -> str:
    """Write a number with about three significant digits and thousands separated by commas.

    >>> format_number(1234.5), format_number(12.34), format_number(1.0), format_number(0.126)
    ('1,234', '12.3', '1', '0.13')
    """
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}" if size != math.inf else DASH
    text = f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"
    text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def format_quantity(value: float | None, unit: str) -> str:
    """Write a value with its unit, scaled along the unit's ladder; a dash for None.

    >>> format_quantity(2048, "MiB"), format_quantity(12.5, "%")
    ('2 GiB', '12.5%')
    """
    if value is None or not math.isfinite(value):
        return DASH
    scale = choose_scale(unit, value)
    number = format_number(value / scale.divisor)
    if not scale.unit:
        return number
    return f"{number}{scale.unit}" if scale.unit in _TIGHT else f"{number} {scale.unit}"


def format_count(value: int | None) -> str:
    """Write a whole number in full, thousands separated; a dash for None."""
    return DASH if value is None else f"{value:,d}"


def format_duration(seconds: float | None) -> str:
    """Write a length of time with its two largest parts; a dash for None and what is not finite.

    >>> format_duration(59), format_duration(3700), format_duration(200000), format_duration(0.25)
    ('59 s', '1 h 1 min', '2 d 7 h', '250 ms')
    """
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    total = int(seconds)
    parts: list[str] = []
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, total = divmod(total, size)
        if count or (parts and name != "s"):
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def compare(value: float, before: float) -> str:
    """Say how a figure stands to the one before it; empty where there is nothing to compare with.

    >>> compare(150, 100), compare(98, 100), compare(5, 0)
    ('50% more than the day before', '2% less than the day before', '')
    """
    if before <= 0:
        return ""
    change = 100 * (value - before) / before
    if abs(change) < 0.5:
        return "as the day before"
    return f"{format_number(abs(change))}% {'more' if change > 0 else 'less'} than the day before"


def nice_ceiling(largest: float, steps: int = 4) -> tuple[float, float]:
    """Find the end of an axis from zero and the distance of its ticks: 1, 2, 2.5 or 5 times a power of ten.

    largest: what must fit; nothing to speak of gives an axis from 0 to 1. steps: intervals at most.
    """
    if not math.isfinite(largest) or largest < _NOTHING:
        return 1.0, 0.5
    rough = largest / steps
    power: float = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        tick = factor * power
        count = math.ceil(round(largest / tick, 9))
        if count <= steps:
            return round(count * tick, 10), round(tick, 10)
    return round(steps * 10 * power, 10), round(10 * power, 10)
