"""What each layer of a model keeps of what it has read: keys and values of all tokens, of a window, or a state.

From the header's numbers alone. Source: src/models/*.cpp, llama-hparams.cpp and llama-model.cpp of llama.cpp
b11434; an architecture that is not listed here is taken for one that keeps everything, which errs on the safe side.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.gguf.header import Array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Values = Mapping[str, str | int | float | bool | Array]

MOST_LAYERS = 1024  # llama.cpp knows 512
_LIMIT = 1 << 32  # its numbers have 32 bits
_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
_CACHELESS = frozenset(
    {
        "bert",
        "jina-bert-v2",
        "jina-bert-v3",
        "nomic-bert",
        "nomic-bert-moe",
        "neo-bert",
        "eurobert",
        "modern-bert",
        "gemma-embedding",
        "dream",
        "llada",
        "llada-moe",
        "rnd1",
    }
)
# architecture -> (window when the header says none, every how many layers one keeps everything, is it the first)
_WINDOWS: dict[str, tuple[int, int, bool]] = {
    "afmoe": (0, 4, False),
    "cohere2": (0, 4, False),
    "cohere2moe": (0, 4, True),
    "exaone4": (4096, 4, False),
    "exaone-moe": (128, 4, False),
    "gemma2": (4096, 2, False),
    "gemma3": (0, 6, False),
    "gemma3n": (0, 5, False),
    "gpt-oss": (0, 2, False),
    "laguna": (0, 4, True),
    "llama4": (8192, 4, False),
    "mellum": (0, 4, False),
    "olmo2": (0, 4, False),
    "plamo3": (0, 8, False),
    "smallthinker": (0, 4, True),
}
_LAYERS_WITH_WINDOWS = {"exaone4": 64}  # the other sizes have none


class Layer(NamedTuple):
    """One layer, in numbers for one token (k, v) or one slot (state). windowed: keeps the last tokens only."""

    k: int = 0
    v: int = 0
    windowed: bool = False
    state: int = 0  # numbers of 4 bytes


class Model(NamedTuple):
    """What the estimate needs to know of a model. None: the header does not say. feed_forward: of all experts used."""

    architecture: str
    layers: tuple[Layer, ...]
    window: int
    width: int
    feed_forward: int
    heads: int
    vocabulary: int
    context: int | None


def model_of(values: Values) -> Model | None:
    """Read the numbers; None when the header lacks those without which nothing can be said."""
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str):
        return None
    keys = _Keys(values, architecture)
    count, width = keys.one("block_count"), keys.one("embedding_length")
    if not count or not width or count > MOST_LAYERS:
        return None
    tokens = values.get("tokenizer.ggml.tokens")
    told = tokens.length if isinstance(tokens, Array) else 0
    used = keys.one("expert_used_count") or 1
    feeds = [keys.one("expert_feed_forward_length") or 0, keys.one("expert_shared_feed_forward_length") or 0]
    experts = feeds[0] * used + feeds[1]
    plain = max(keys.each("feed_forward_length", count), default=0)
    inner = keys.one("ssm.inner_size") or 0
    if not feeds[0] and keys.one("expert_count"):
        plain *= used
    return Model(
        architecture,
        tuple(_layer(keys, number, count, width) for number in range(count)),
        _window(keys, count)[0],
        width,
        max(plain, experts, inner * 5 // 3),
        max(keys.each("attention.head_count", count), default=0),
        keys.one("vocab_size") or told,
        keys.one("context_length"),
    )


class _Keys:
    """The values of one architecture."""

    def __init__(self, values: Values, architecture: str) -> None:
        self._values, self.architecture = values, architecture

    def raw(self, key: str) -> str | float | bool | Array | None:
        return self._values.get(f"{self.architecture}.{key}")

    def one(self, key: str) -> int | None:
        """A whole number; of a list the largest."""
        found = self.raw(key)
        if isinstance(found, Array):
            found = found.largest
        return found if isinstance(found, int) and 0 <= found < _LIMIT else None

    def each(self, key: str, count: int) -> tuple[int, ...]:
        """A number for each layer; () when the header has none."""
        found = self.raw(key)
        if isinstance(found, Array) and len(found.items) >= count:
            return tuple(max(0, item) for item in found.items[:count])
        one = self.one(key)
        return () if one is None else (one,) * count


def _layer(keys: _Keys, number: int, count: int, width: int) -> Layer:
    if keys.architecture in _CACHELESS:
        return Layer()
    recurrent, attentive = _kind(keys, number, count)
    state = _state(keys, width, count) if recurrent else 0
    if not attentive:
        return Layer(state=state)
    heads = keys.each("attention.head_count", count)
    kv_heads = keys.each("attention.head_count_kv", count) or heads
    if not heads or not kv_heads or number >= _owners(keys, count):
        return Layer(state=state)
    windowed = _window(keys, count)[1][number]
    narrow = "_swa" if windowed and keys.one("attention.key_length_swa") else ""
    usual = width // heads[number] if heads[number] else 0
    key = keys.one(f"attention.key_length{narrow}") or usual
    value = keys.one(f"attention.value_length{narrow}") or usual
    if keys.one("attention.key_length_mla"):  # one compressed row stands for keys and values
        value = 0
    return Layer(key * kv_heads[number], value * kv_heads[number], windowed, state)


def _owners(keys: _Keys, count: int) -> int:
    """How many layers, from the first, keep keys and values of their own; the others share theirs."""
    if keys.architecture == "gemma3n":
        return min(20, count)
    return count - min(count, keys.one("attention.shared_kv_layers") or 0)


def _kind(keys: _Keys, number: int, count: int) -> tuple[bool, bool]:
    """(keeps a state, keeps keys and values)."""
    if keys.architecture in _RECURRENT:
        return True, False
    if keys.architecture == "falcon-h1":
        return True, True
    if not any(keys.one(key) for key in ("ssm.inner_size", "shortconv.l_cache", "kda.head_dim")):
        return False, True
    interval = keys.one("full_attention_interval")
    if interval is None and keys.architecture.startswith(("qwen3next", "qwen35", "minimax-01")):
        interval = 4 if keys.architecture[0] == "q" else 8
    if interval:
        return ((number + 1) % interval != 0), ((number + 1) % interval == 0)
    kv_heads = keys.each("attention.head_count_kv", count)
    feeds = keys.each("feed_forward_length", count)
    if kv_heads and kv_heads[number]:
        return False, True
    feeds_only = keys.architecture.startswith("nemotron") and bool(feeds) and feeds[number] > 0
    return not feeds_only, False


def _state(keys: _Keys, width: int, count: int) -> int:
    """Numbers that a recurrent layer keeps for one slot."""
    head = keys.one("wkv.head_size")
    if head:
        shifts = keys.one("token_shift_count")
        return (2 if shifts is None else shifts) * width + width * head
    conv = keys.one("ssm.conv_kernel") or 0
    cached = keys.one("shortconv.l_cache")
    if cached:
        return width * (cached - 1)
    head = keys.one("kda.head_dim")
    if head:
        heads = max(keys.each("attention.head_count", count), default=0)
        return 3 * (conv - 1 if conv else 3) * heads * head + head * head * heads
    inner, size = keys.one("ssm.inner_size") or 0, keys.one("ssm.state_size") or 0
    groups = keys.one("ssm.group_count") or 0
    return max(0, conv - 1) * (inner + 2 * groups * size) + size * inner


def _window(keys: _Keys, count: int) -> tuple[int, tuple[bool, ...]]:
    """(tokens in the window, which layers keep no more than it)."""
    none = (False,) * count
    usual, period, first = _WINDOWS.get(keys.architecture, (0, 0, False))
    given = keys.one("attention.sliding_window")
    window = usual if given is None or (keys.architecture == "llama4" and given) else given
    only = _LAYERS_WITH_WINDOWS.get(keys.architecture, count)
    if not window or count != only or keys.architecture in {"phi3", "phimoe"}:
        return 0, none
    pattern = keys.raw("attention.sliding_window_pattern")
    if isinstance(pattern, Array) and len(pattern.items) >= count:
        return window, tuple(bool(item) for item in pattern.items[:count])
    period = pattern if isinstance(pattern, int) and 0 < pattern <= count else period
    if not period:
        return 0, none
    dense = 0 if first else period - 1
    return window, tuple(number % period != dense for number in range(count))
