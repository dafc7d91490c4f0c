"""Canonical options to command line. Needs no catalogue, so a stored profile launches without one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    ArgValue = str | int | float | bool | tuple[str, ...]

# Words of ours for an option's value, and what a server is told that nobody sized: 0 is the model's own context.
WORDS = {"ctx-size": {"max": "0"}}
TWO_VALUES = ("control-vector-layer-range",)  # `--option A B`; any other tuple means the option is repeated


def argv_of(args: Iterable[tuple[str, ArgValue]]) -> tuple[str, ...]:
    """What llama-server is handed; option and value are separate items, in the order of `args`.

    >>> argv_of([("ctx-size", 8192), ("lora", ("a", "b")), ("warmup", False)])
    ('--ctx-size', '8192', '--lora', 'a', '--lora', 'b', '--no-warmup')
    """
    out: list[str] = []
    for name, value in args:
        if value is True:
            out.append(f"--{name}")
        elif value is False:
            out.append(f"--no-{name}")
        elif isinstance(value, tuple) and name in TWO_VALUES:
            out += [f"--{name}", *value]
        elif isinstance(value, tuple):
            for item in value:
                out += [f"--{name}", item]
        else:
            text = str(value)
            out += [f"--{name}", WORDS[name].get(text, text) if name in WORDS else text]
    return tuple(out)
