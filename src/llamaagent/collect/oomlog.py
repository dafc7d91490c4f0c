"""How much memory of a card a server asked for when it ran out, from its log. Pure.

What it had been given is printed buffer by buffer ("CUDA0 model buffer size = 4096.00 MiB"), what was refused in the
line of the fault ("allocating 512.00 MiB on device 0: cudaMalloc failed: out of memory"). Together they are less than
it needs.
"""

from __future__ import annotations

import re

_GIVEN = re.compile(rb"(?:CUDA|ROCm|Vulkan)(\d+) +\w+ buffer size = *([0-9.]+) MiB")
_REFUSED = re.compile(rb"allocating ([0-9.]+) MiB on device (\d+): \w+ failed: out of memory")


def demand_mib(log: bytes) -> int | None:
    r"""MiB on the card that ran out, None when the log does not say.

    >>> demand_mib(b"CUDA0 model buffer size = 4096.00 MiB\nallocating 512.00 MiB on device 0: cudaMalloc failed: "
    ...            b"out of memory")
    4608
    """
    refused = _REFUSED.search(log)
    if refused is None:
        return None
    device = refused[2]
    before = log[: refused.start()]
    given = sum(_number(found[2]) for found in _GIVEN.finditer(before) if found[1] == device)
    return int(given + _number(refused[1]))


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
