"""The figures behind a decision, as people read them. Pure."""

from __future__ import annotations

import json

from llamaagent.report.figures import format_count, format_duration, format_quantity

_ENDINGS = (("_mib", "MiB"), ("_bytes", "B"), ("_percent", "%"), ("_ms", "ms"), ("_s", "s"))


def read_arithmetic(text: str | None) -> tuple[tuple[str, str], ...]:
    """Turn a decision's figures into (name, quantity); what is not an object of plain values gives nothing.

    >>> read_arithmetic('{"free_mib": 2048, "gpu": "GPU-1", "slots": 4}')
    (('free', '2 GiB'), ('gpu', 'GPU-1'), ('slots', '4'))
    """
    try:
        data = json.loads(text or "{}")
    except ValueError:
        return ()
    if not isinstance(data, dict):
        return ()
    return tuple(_say_figure(str(key), value) for key, value in data.items())


def _say_figure(key: str, value: object) -> tuple[str, str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    for ending, unit in _ENDINGS:
        if number and key.endswith(ending):
            name = key.removesuffix(ending).replace("_", " ")
            if unit == "s":
                return name, format_duration(value)  # type: ignore[arg-type]
            return name, format_quantity(value, unit)  # type: ignore[arg-type]
    name = key.replace("_", " ")
    if isinstance(value, int) and not isinstance(value, bool):
        return name, format_count(value)
    return name, value if isinstance(value, str) else json.dumps(value)
