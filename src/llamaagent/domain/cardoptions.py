"""llama-server's options that name cards: what they ask of admission, and how they read for the cards it gave. Pure.

A server sees only the cards it was given, and counts those from 0. In a profile a device's number is that of the
card on this host, or, where `resources.gpus` lists cards, its place in that list; so the words are written anew for
each launch.
"""

from __future__ import annotations

import re

from llamaagent.domain.admission import Need

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.admission import Placement
    from llamaagent.domain.profile import Profile

    Value = str | int | float | bool | tuple[str, ...]

_DEVICE = re.compile(r"(CUDA|ROCm|HIP|MUSA)(\d+)")


def need_of(profile: Profile, memory_mib: int, missing: tuple[str, ...] = ()) -> Need:
    """What a launch of this profile asks for, when it takes so much memory over all its cards."""
    asked = profile.resources
    devices, single = device_numbers(profile), profile.arg("split-mode") == "none"
    main = profile.arg("main-gpu")
    if single and isinstance(main, int) and main >= 0 and devices != ():
        devices = (main,) if devices is None else devices[main : main + 1] or (main,)
    return Need(asked.gpus, memory_mib, asked.exclusive, split_of(profile), devices, single, missing)


def device_numbers(profile: Profile) -> tuple[int, ...] | None:
    """The cards that `device` leaves; () = none of them, None = it says nothing of cards."""
    said = profile.arg("device")
    if said is None:
        return None
    if str(said) == "none":
        return ()
    found = [_DEVICE.fullmatch(word.strip()) for word in str(said).split(",")]
    numbers = tuple(int(match[2]) for match in found if match is not None)
    return numbers if numbers and len(numbers) == len(found) else None


def split_of(profile: Profile) -> tuple[float, ...]:
    """The ratio of `tensor-split`; () = evenly."""
    said = profile.arg("tensor-split")
    if said is None or profile.arg("split-mode") == "none":
        return ()
    try:
        parts = tuple(max(0.0, float(word)) for word in re.split("[,/]+", str(said)) if word.strip())
    except ValueError:
        return ()
    return parts if sum(parts) > 0 else ()


def for_cards(
    profile: Profile, placement: Placement, said: dict[str, Value]
) -> tuple[tuple[str, Value], ...]:
    """The options of a launch on these cards, in the order of their names. said: what the agent adds or replaces."""
    args: dict[str, Value] = {**dict(profile.args), **said}
    count = len(placement.uuids)
    if count and device_numbers(profile):
        name = _DEVICE.match(str(profile.arg("device")).strip())
        args["device"] = ",".join(f"{name[1] if name else 'CUDA'}{at}" for at in range(count))
    main = args.get("main-gpu")
    if count and isinstance(main, int) and (main >= count or profile.arg("split-mode") == "none"):
        args["main-gpu"] = 0
    if count == 1 and "tensor-split" in args:
        del args["tensor-split"]
    elif count > 1 and "tensor-split" not in args:
        args["tensor-split"] = ",".join("1" for _ in range(count))  # not by what happens to be free
    return tuple(sorted(args.items()))
