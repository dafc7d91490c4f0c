"""Hold so many MiB of the first visible NVIDIA card, by the driver's own interface, until standard input ends.

Usage: cuda_holder.py MIB. Prints one line when it holds them: the number of visible cards, the card's uuid, MiB.
Ends with 3 and a line on standard error where the driver says no. Needs nothing but libcuda.so.1 of the driver.
"""

from __future__ import annotations

import ctypes
import sys


def main() -> int:
    """Allocate, say so, wait."""
    size = int(sys.argv[1]) << 20
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        print(f"no CUDA driver: {error}", file=sys.stderr)
        return 3
    count, device = ctypes.c_int(), ctypes.c_int()
    context, address = ctypes.c_void_p(), ctypes.c_uint64()
    uuid = (ctypes.c_ubyte * 16)()
    for name, words in (
        ("cuInit", (ctypes.c_uint(0),)),
        ("cuDeviceGetCount", (ctypes.byref(count),)),
        ("cuDeviceGet", (ctypes.byref(device), ctypes.c_int(0))),
        ("cuDeviceGetUuid", (ctypes.byref(uuid), device)),
        ("cuCtxCreate_v2", (ctypes.byref(context), ctypes.c_uint(0), device)),
        ("cuMemAlloc_v2", (ctypes.byref(address), ctypes.c_size_t(size))),
        ("cuMemsetD8_v2", (address, ctypes.c_ubyte(0), ctypes.c_size_t(size))),
        ("cuCtxSynchronize", ()),
    ):
        result = getattr(cuda, name)(*words)
        if result:
            print(f"{name} says {result}", file=sys.stderr)
            return 3
    digits = bytes(uuid).hex()
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    print(count.value, f"GPU-{'-'.join(parts)}", sys.argv[1], flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
