"""What makes two launches take the same memory: one definition, for what was measured and for what was not enough.

The key is the model's file, everything a profile says that bears on memory, and the program. Context, layers and
split are part of it: they follow from just that, since a launch is never sized by what happens to be free.
"""

from __future__ import annotations

import json

from llamaagent.store.supervision import MemoryKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.projection import Known

ANY_CARD = "any"


def parameters_hash(profile: Profile, fit: Known | None) -> str:
    """Names everything besides file, program and card. fit: the stored fit that the launch follows, if it does.

    Options of sampling are left out: another temperature takes no other memory.
    """
    from hashlib import sha256

    from llamaagent.config.catalogue import load_catalogue

    options = load_catalogue().options
    args = [[k, v] for k, v in profile.args if k not in options or options[k].group != "sampling"]
    given = dict(profile.args)
    flexible = given.get("ctx-size") in {None, 0, "max"} or given.get("gpu-layers") in {None, "auto"}
    asked = profile.resources
    said = {
        "args": args,
        "gpus": asked.gpus,
        "budget": asked.gpu_memory_mib if flexible else None,  # it decides context and layers only then
        "fit": [fit.context, fit.gpu_layers, fit.tensor_split] if fit is not None and flexible else None,
        "env": profile.runtime.env,
        "wrap": profile.runtime.wrap,
    }
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def memory_key(
    profile: Profile, file: tuple[int | None, int | None], binary: str, fit: Known | None
) -> MemoryKey | None:
    """The key of a launch that is to be made. file: size and mtime of its model; None where there is no file here."""
    from llamaagent.launch.command import file_identity

    size, mtime_ns = file
    if profile.model.path is None or size is None:
        return None
    build = binary if binary.startswith("image:") else file_identity(binary) or ""
    return MemoryKey(profile.model.path, size, mtime_ns or 0, parameters_hash(profile, fit), build, ANY_CARD)
