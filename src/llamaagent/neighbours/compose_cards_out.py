"""How a compose service is given its cards: by the maker that its image is built for. Pure.

NVIDIA's are reserved by the long form; AMD's and Intel's are device files, and the choice among them is a variable of
their runtime. An image for one maker never gets the driver of another.
"""

from __future__ import annotations

from llamaagent.neighbours.outgoing import Left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llamaagent.neighbours.outgoing import Server

_MAKERS = (("rocm", "amd"), ("intel", "intel"), ("sycl", "intel"), ("oneapi", "intel"), ("vulkan", "vulkan"))
_OTHER = ("musa", "cann", "openvino")
_PLAIN_TAGS = ("server", "light", "full", "cpu")
_FILES = {"amd": ["/dev/kfd", "/dev/dri"], "intel": ["/dev/dri"], "vulkan": ["/dev/dri"]}
_CHOICE = {
    "amd": ("HIP_VISIBLE_DEVICES", ""),
    "intel": ("ONEAPI_DEVICE_SELECTOR", "level_zero:"),
    "vulkan": ("GGML_VK_VISIBLE_DEVICES", ""),
}


def maker_of(image: str) -> str:
    """Whose cards an image is for: nvidia, amd, intel, vulkan, cpu, or other.

    >>> maker_of("ghcr.io/ggml-org/llama.cpp:server-rocm"), maker_of("ghcr.io/ggml-org/llama.cpp:server")
    ('amd', 'cpu')
    """
    text = image.lower()
    for word, maker in _MAKERS:
        if word in text:
            return maker
    if any(word in text for word in _OTHER):
        return "other"
    name, _, tag = text.partition("@")[0].rpartition(":")
    plain = name.endswith("/llama.cpp") and tag.partition("-b")[0] in _PLAIN_TAGS
    return "cpu" if plain else "nvidia"


def cards(server: Server, image: str) -> tuple[dict[str, Any], dict[str, str], list[Left]]:
    """Keys of the service, variables, and what could not be said."""
    gpus, maker = server.profile.resources.gpus, maker_of(image)
    said = gpus != "auto"
    if gpus == "none" or (maker == "cpu" and not said):
        return {}, {}, []
    if maker in {"cpu", "other"}:
        reason = (
            f"the image {image} is for no card"
            if maker == "cpu"
            else f"how {image} gets its cards is not known"
        )
        return {}, {}, [Left(server.name, "resources.gpus", reason)] if said else []
    if maker == "nvidia":
        return {"deploy": {"resources": {"reservations": {"devices": [_reserved(gpus)]}}}}, {}, []
    service: dict[str, Any] = {"devices": _FILES[maker], "group_add": ["video"]}
    variable, front = _CHOICE[maker]
    if isinstance(gpus, tuple) and all(card.isdecimal() for card in gpus):
        return service, {variable: front + ",".join(gpus)}, []
    left = [] if gpus in {"auto", "all"} else [Left(server.name, "resources.gpus", _unsayable(variable))]
    return service, {}, left


def _reserved(gpus: str | int | tuple[str, ...]) -> dict[str, Any]:
    """One request for NVIDIA's cards; ids are texts, or YAML would make numbers of them."""
    if isinstance(gpus, tuple):
        return {"driver": "nvidia", "device_ids": list(gpus), "capabilities": ["gpu"]}
    return {"driver": "nvidia", "count": gpus if isinstance(gpus, int) else "all", "capabilities": ["gpu"]}


def _unsayable(variable: str) -> str:
    return f"the container sees all cards; {variable} chooses among them by index"
