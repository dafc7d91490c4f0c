"""How much memory a model will take, estimated from its header, with every term of the sum.

Pure. It counts what llama.cpp counts: weights, the cache of keys and values, the state of recurrent layers, the
buffers of one computation. What it leaves out: the driver's own memory on a card, the server's cache of prompts,
files read for `--override-tensor`. The rules are llama.cpp's (b11434); the size of the computing buffers is fitted
to what llama-fit-params and llama-server print, within the tolerance that tests/modelfiles/test_memory_real.py states.
"""

from __future__ import annotations

import re
from math import prod

from llamaagent.base.record import NamedTuple
from llamaagent.gguf.layers import model_of
from llamaagent.gguf.types import TENSORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llamaagent.gguf.demand import Demand
    from llamaagent.gguf.header import Header, Tensor
    from llamaagent.gguf.layers import Model

GPU, CPU = "gpu", "cpu"
MIB = 1 << 20
_CACHE_TYPES = {name.lower(): (values, size) for name, values, size in TENSORS.values()}
_STEP = 256  # tokens by which caches are rounded up
_LAYER = re.compile(r"blk\.(\d+)\.")
_INPUTS = ("token_embd", "per_layer_token_embd", "position_embd", "token_types")
_EXPERTS = re.compile(r"\.ffn_(?:up|down|gate|gate_up|norm)_(?:ch|)exps\b")
_FEEDS = re.compile(r"\.ffn_(?:up|down|gate|gate_up)\b")


class Term(NamedTuple):
    """One summand. place: gpu or cpu; how: the arithmetic, for people."""

    name: str
    place: str
    size_bytes: int
    how: str


class Estimate(NamedTuple):
    """What will be taken. context: tokens of the whole cache; gpu_layers: of layers + 1, the output being one."""

    context: int
    slots: int
    gpu_layers: int
    terms: tuple[Term, ...]

    def total(self, place: str) -> int:
        """Bytes in one place."""
        return sum(term.size_bytes for term in self.terms if term.place == place)


def estimate(
    headers: Sequence[Header],
    demand: Demand,
    files: Iterable[tuple[str, int]] = (),
    *,
    outputs: int | None = None,
) -> Estimate | None:
    """Add it up; None when the header lacks the numbers.

    headers: of all parts of the file, the first first. files: (what it is, size in bytes) of what is loaded beside
    it. outputs: tokens whose logits one computation makes, default one for each slot as in llama-server.
    """
    model = model_of(headers[0].values)
    if model is None:
        return None
    layers = len(model.layers)
    on_gpu = min(demand.gpu_layers, layers + 1)
    cells, streams = _cells(demand, model)
    terms = [
        *_weights([tensor for header in headers for tensor in header.tensors], demand, layers, on_gpu),
        *_cache(model, demand, cells, streams, on_gpu),
        *_state(model, demand, on_gpu),
        *_computing(model, demand, cells, on_gpu, demand.slots if outputs is None else outputs),
    ]
    for what, size in files:
        place = GPU if on_gpu and (what != "projector" or demand.projector_on_gpu) else CPU
        terms.append(Term(what, place, size, "size of its file"))
    return Estimate(cells * streams, demand.slots, on_gpu, tuple(term for term in terms if term.size_bytes))


def _up(number: int, step: int) -> int:
    return -(-number // step) * step


def _cells(demand: Demand, model: Model) -> tuple[int, int]:
    """(tokens of one stream, streams)."""
    own = model.context or 4096
    if demand.unified:
        return _up(demand.context or own, _STEP), 1
    whole = demand.context or own * demand.slots
    return _up(max(1, _up(whole, _STEP) // demand.slots), _STEP), demand.slots


def _bytes_of(tensor: Tensor) -> int:
    if tensor.type not in TENSORS:
        return 0
    _, values, size = TENSORS[tensor.type]
    return -(-prod(tensor.shape) // values) * size


def _weights(tensors: Sequence[Tensor], demand: Demand, layers: int, on_gpu: int) -> list[Term]:
    """Layers go to the card from the last; what looks up tokens never does."""
    first = max(0, layers + 1 - on_gpu)  # the first layer on the card
    sums = {GPU: 0, CPU: 0}
    tied = not any(tensor.name.startswith("output.") for tensor in tensors)
    for tensor in tensors:
        size = _bytes_of(tensor)
        match = _LAYER.match(tensor.name)
        if match is not None:
            number = int(match[1])
            kept = _EXPERTS.search(tensor.name) is not None and number < demand.cpu_experts
            kept = kept or (_FEEDS.search(tensor.name) is not None and number < demand.cpu_feeds)
            place = GPU if number >= first and on_gpu and not kept else CPU
        else:
            lookup = tensor.name.startswith(_INPUTS)
            place = GPU if on_gpu > layers and not lookup else CPU
            if lookup and tied and on_gpu > layers and tensor.name.startswith("token_embd."):
                sums[GPU] += size  # it is the output too, and stands there once more
        sums[place] += size
    how = f"{len(tensors)} tensors"
    split = f", {on_gpu} of {layers + 1} layers on the card" if on_gpu else ""
    return [Term("weights", place, size, how + split) for place, size in sums.items()]


def _cache(model: Model, demand: Demand, cells: int, streams: int, on_gpu: int) -> list[Term]:
    """Keys and values: cells x streams x a row of each layer; layers with a window keep little more than that."""
    window = cells
    if model.window and not demand.full_window:
        shared = demand.slots if demand.unified else 1
        window = _up(min(cells, model.window * shared + demand.ubatch), _STEP)
    terms = []
    for windowed, tokens in ((False, cells), (True, window)):
        rows = {GPU: 0, CPU: 0}
        counts = {GPU: 0, CPU: 0}
        for number, layer in enumerate(model.layers):
            if (layer.k or layer.v) and layer.windowed == windowed:
                place = _place(number, len(model.layers), on_gpu) if demand.cache_on_gpu else CPU
                rows[place] += _row(demand.type_k, layer.k) + _row(demand.type_v, layer.v)
                counts[place] += 1
        name = "KV cache, window" if windowed else "KV cache"
        terms += [
            Term(name, place, tokens * streams * rows[place], _said(tokens, streams, counts[place], demand))
            for place in (GPU, CPU)
        ]
    return terms


def _said(tokens: int, streams: int, layers: int, demand: Demand) -> str:
    each = f" x {streams} slots" if streams > 1 else ""
    return f"{tokens} tokens{each} x {layers} layers, K {demand.type_k}, V {demand.type_v}"


def _row(kind: str, numbers: int) -> int:
    values, size = _CACHE_TYPES.get(kind, (1, 2))
    return -(-numbers // values) * size


def _place(number: int, layers: int, on_gpu: int) -> str:
    return GPU if on_gpu and number >= layers + 1 - on_gpu else CPU


def _state(model: Model, demand: Demand, on_gpu: int) -> list[Term]:
    sums = {GPU: 0, CPU: 0}
    for number, layer in enumerate(model.layers):
        place = _place(number, len(model.layers), on_gpu) if demand.cache_on_gpu else CPU
        sums[place] += layer.state * 4 * demand.slots
    return [
        Term("recurrent state", place, size, f"{demand.slots} slots, f32") for place, size in sums.items()
    ]


def _computing(model: Model, demand: Demand, cells: int, on_gpu: int, outputs: int) -> list[Term]:
    """Buffers of one computation: masks, and the largest of three moments, which use the same memory in turn."""
    batch = demand.ubatch
    # Without a head count nothing attends, so there is no mask either.
    masked = cells if any(layer.k for layer in model.layers) else 0
    if model.window and any(layer.windowed for layer in model.layers):
        shared = demand.slots if demand.unified else 1
        masked += cells if demand.full_window else _up(min(cells, model.window * shared + batch), _STEP)
    mask = masked * batch * (2 if demand.flash else 4)
    row = model.width * batch * 4
    moments = {
        "feed-forward": 5 * row + 3 * model.feed_forward * batch * 4,
        "logits": 5 * row + min(outputs, batch) * model.vocabulary * 4,
    }
    if masked:
        scores = 0 if demand.flash else cells * batch * model.heads * 4
        moments["attention"] = row * 13 // 2 + scores
    name = max(moments, key=lambda moment: moments[moment])
    how = f"mask of {masked} x {batch}, then {name} at {batch} tokens"
    terms = [Term("compute buffers", GPU if on_gpu else CPU, mask + moments[name], how)]
    if on_gpu:
        partly = on_gpu <= len(model.layers)
        terms.append(
            Term(
                "compute buffers", CPU, mask + (moments[name] if partly else row), how if partly else "inputs"
            )
        )
    return terms
