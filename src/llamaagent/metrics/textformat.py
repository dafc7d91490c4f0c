"""Prometheus' text format 0.0.4 and OpenMetrics 1.0, out of families. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llamaagent.metrics.families import Family, Sample

# The longest first: _seconds is part of _timestamp_seconds.
_UNITS = ("bytes", "seconds", "ratio", "celsius", "watts")


def prometheus_text(families: Iterable[Family]) -> str:
    """The classic format; ends with a line end."""
    return "".join(f"{line}\n" for family in families for line in _classic(family))


def openmetrics_text(families: Iterable[Family]) -> str:
    """The same as OpenMetrics: a counter's family is named without _total, units are said, an end is marked."""
    lines = [line for family in families for line in _open(family)]
    return "".join(f"{line}\n" for line in (*lines, "# EOF"))


def _classic(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped(family.help)}"
    yield f"# TYPE {family.name} {family.kind}"
    yield from (_line(family.name, sample) for sample in family.samples)


def _open(family: Family) -> Iterator[str]:
    name = family.name.removesuffix("_total") if family.kind == "counter" else family.name
    kind = "info" if name.endswith("_info") else family.kind
    family_name = name.removesuffix("_info") if kind == "info" else name
    yield f"# TYPE {family_name} {kind}"
    unit = name.rpartition("_")[2]
    if unit in _UNITS:
        yield f"# UNIT {family_name} {unit}"
    yield f"# HELP {family_name} {_escaped(family.help, quote=True)}"
    yield from (_line(family.name, sample) for sample in family.samples)


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{label}="{_escaped(value, quote=True)}"' for label, value in sample.labels)
    return f"{name}{{{labels}}} {_number(sample.value)}" if labels else f"{name} {_number(sample.value)}"


def _number(value: float) -> str:
    """The shortest text that means exactly this number."""
    return str(value) if isinstance(value, int) else repr(float(value))


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text
