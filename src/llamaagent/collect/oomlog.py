"""How much memory of a card a server asked for when it ran out, from its log. Pure.

What it had been given is printed buffer by buffer ("CUDA0 model buffer size = 4096.00 MiB"), what was refused in the
line of the fault ("allocating 512.00 MiB on device 0: cudaMalloc failed: out of memory"). Together they are less than
it needs.
"""

from __future__ import annotations

_MAKES = (b"CUDA", b"ROCm", b"Vulkan")
_BUFFER = b" buffer size ="
_FAILED = b" failed: out of memory"


def demand_mib(log: bytes) -> int | None:
    r"""MiB on the card that ran out, None when the log does not say.

    >>> demand_mib(b"CUDA0 model buffer size = 4096.00 MiB\nallocating 512.00 MiB on device 0: cudaMalloc failed: "
    ...            b"out of memory")
    4608
    """
    given: dict[bytes, float] = {}
    for line in log.splitlines():
        refused = _refused(line)
        if refused is not None:
            device, mib = refused
            return int(given.get(device, 0.0) + mib)
        for device, mib in _given(line):
            given[device] = given.get(device, 0.0) + mib
    return None


def _refused(line: bytes) -> tuple[bytes, float] | None:
    """The device and MiB of "allocating X MiB on device N: ... failed: out of memory"."""
    _, found, rest = line.partition(b"allocating ")
    size, _, where = rest.partition(b" MiB on device ")
    device, _, what = where.partition(b":")
    return (device, _number(size)) if found and _FAILED in what and device.isdigit() else None


def _given(line: bytes) -> list[tuple[bytes, float]]:
    """The device and MiB of "CUDA0 model buffer size = X MiB"; of a card only, not of the host."""
    before, found, after = line.partition(_BUFFER)
    words = before.split()
    if not found or len(words) < 2:
        return []
    for make in _MAKES:
        device = words[-2].removeprefix(make)
        if device != words[-2] and device.isdigit():
            return [(device, _number(after.split(b"MiB")[0]))]
    return []


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
