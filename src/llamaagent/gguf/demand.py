"""What a command line asks of memory: the options that decide how much a model takes, with the server's defaults."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.config.argv import ArgValue

_AUTO_SLOTS = 4  # of a server that is not told
_MOST_SLOTS = 256
_LIMIT = (1 << 32) - 1  # its numbers have 32 bits
ALL_LAYERS = 1 << 20
# Options that say which other file is loaded beside the model, and what it is called in the arithmetic.
FILES = {
    "mmproj": "projector",
    "spec-draft-model": "draft model",
    "lora": "LoRA adapter",
    "lora-scaled": "LoRA adapter",
    "control-vector": "control vector",
    "control-vector-scaled": "control vector",
}


class Demand(NamedTuple):
    """context None: the model's own for each stream; gpu_layers counts the output as one more layer than there are.

    unified: the slots share one cache of `context` tokens. cpu_experts, cpu_feeds: of so many first layers the
    experts, or the whole feed-forward part, stay in the machine's memory.
    """

    context: int | None = None
    slots: int = _AUTO_SLOTS
    unified: bool = True
    type_k: str = "f16"
    type_v: str = "f16"
    gpu_layers: int = 0
    flash: bool = True
    ubatch: int = 512
    full_window: bool = False
    cache_on_gpu: bool = True
    projector_on_gpu: bool = True
    cpu_experts: int = 0
    cpu_feeds: int = 0


def demand_of(args: Iterable[tuple[str, ArgValue]], *, on_gpu: bool) -> Demand:
    """Read canonical options (long names). on_gpu: whether there is a card that it may use."""
    given = dict(args)
    slots = _whole(given.get("parallel"), -1)
    unified = slots < 1 or given.get("kv-unified") is True
    slots = min(slots, _MOST_SLOTS) if slots > 0 else _AUTO_SLOTS
    context: int | None = _whole(given.get("ctx-size"), 0)
    if not context or context < 0:
        per_slot = _whole(given.get("kv-unified-per-slot"), 0)
        context = slots * per_slot if per_slot > 0 else None
    batch, ubatch = _whole(given.get("batch-size"), 2048), _whole(given.get("ubatch-size"), 512)
    return Demand(
        context=context,
        slots=slots,
        unified=unified,
        type_k=str(given.get("cache-type-k", "f16")),
        type_v=str(given.get("cache-type-v", "f16")),
        gpu_layers=_layers(given, on_gpu=on_gpu),
        flash=given.get("flash-attn", "auto") != "off",
        ubatch=max(1, min(ubatch or batch, batch)),
        full_window=given.get("swa-full") is True,
        cache_on_gpu=given.get("kv-offload") is not False,
        projector_on_gpu=given.get("mmproj-offload") is not False,
        cpu_experts=ALL_LAYERS if given.get("cpu-moe") is True else _whole(given.get("n-cpu-moe"), 0),
        cpu_feeds=_whole(given.get("n-cpu-ffn"), 0),
    )


def other_files(args: Iterable[tuple[str, ArgValue]]) -> tuple[tuple[str, str], ...]:
    """(what it is, path) of every file that is loaded beside the model."""
    found: list[tuple[str, str]] = []
    for name, value in args:
        if name in FILES:
            for text in value if isinstance(value, tuple) else str(value).split(","):
                path = text.rpartition(":")[0] if name.endswith("-scaled") else text
                found.append((FILES[name], path or text))
    return tuple(found)


def _layers(given: dict[str, ArgValue], *, on_gpu: bool) -> int:
    if not on_gpu or given.get("device") == "none":
        return 0
    asked = given.get("gpu-layers", "auto")
    number = _whole(asked, -1)
    return ALL_LAYERS if number < 0 else number


def _whole(value: ArgValue | None, default: int) -> int:
    try:
        return default if value is None else max(-1, min(int(str(value)), _LIMIT))
    except ValueError:
        return default
