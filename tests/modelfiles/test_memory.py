"""The estimate from a header: which layers keep what, what goes where, and that no header breaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sparse_models import Shape, write_sparse

from llamaagent.gguf.demand import ALL_LAYERS, Demand, demand_of, other_files
from llamaagent.gguf.header import Array, Header, Tensor, open_header
from llamaagent.gguf.layers import model_of
from llamaagent.gguf.memory import CPU, GPU, MIB, Estimate, estimate

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Shape(layers=4, width=256, heads=4, kv_heads=2, feed_forward=512, vocabulary=300, context=2048)


def header_of(path: Path, shape: Shape = SMALL) -> Header:
    return open_header(str(write_sparse(path / "m.gguf", shape)))[0]


def terms(found: Estimate | None, name: str) -> dict[str, int]:
    """Bytes by place of the terms of this name."""
    assert found is not None
    return {term.place: term.size_bytes for term in found.terms if term.name == name}


def values(architecture: str, **keys: Any) -> dict[str, Any]:
    plain = {"block_count": 8, "embedding_length": 64, "attention.head_count": 4, "feed_forward_length": 128}
    told = {**plain, **{key.replace("__", "."): value for key, value in keys.items()}}
    return {
        "general.architecture": architecture,
        **{f"{architecture}.{key}": value for key, value in told.items()},
    }


def kinds(architecture: str, **keys: Any) -> str:
    """A letter for each layer: a(ll tokens), w(indow), s(tate), b(oth), - (nothing)."""
    model = model_of(values(architecture, **keys))
    assert model is not None
    letters = {(True, False): "a", (False, True): "s", (True, True): "b", (False, False): "-"}
    return "".join(
        "w" if layer.windowed and layer.k else letters[bool(layer.k or layer.v), bool(layer.state)]
        for layer in model.layers
    )


def array(*items: int) -> Array:
    return Array("int32", len(items), max(items), items)


@pytest.mark.parametrize(
    ("architecture", "keys", "expected"),
    [
        ("llama", {}, "aaaaaaaa"),
        ("gemma2", {}, "wawawawa"),
        ("gemma3", {"attention__sliding_window": 512}, "wwwwwaww"),
        ("gemma3", {}, "aaaaaaaa"),
        ("gpt-oss", {"attention__sliding_window": 128}, "wawawawa"),
        ("cohere2moe", {"attention__sliding_window": 128}, "awwwawww"),
        ("llama4", {}, "wwwawwwa"),
        ("llama4", {"attention__sliding_window": 0}, "aaaaaaaa"),
        ("exaone4", {}, "aaaaaaaa"),  # only the one with 64 layers has windows
        ("phi3", {"attention__sliding_window": 2048}, "aaaaaaaa"),
        ("newcomer", {"attention__sliding_window": 64}, "aaaaaaaa"),  # which layers is not known: all of it
        (
            "newcomer",
            {
                "attention__sliding_window": 64,
                "attention__sliding_window_pattern": Array("bool", 8, None, (1, 0) * 4),
            },
            "wawawawa",
        ),
        ("gemma3", {"attention__sliding_window": 64, "attention__sliding_window_pattern": 4}, "wwwawwwa"),
        (
            "gemma4",
            {
                "attention__sliding_window": 64,
                "attention__sliding_window_pattern": Array("bool", 8, None, (1,) * 8),
                "attention__shared_kv_layers": 3,
            },
            "wwwww---",
        ),
        ("bert", {}, "--------"),
        (
            "mamba",
            {"attention__head_count": 0, "ssm__inner_size": 128, "ssm__state_size": 16, "ssm__conv_kernel": 4},
            "ssssssss",
        ),
        ("rwkv7", {"wkv__head_size": 64, "token_shift_count": 2}, "ssssssss"),
        (
            "jamba",
            {"attention__head_count_kv": array(0, 0, 0, 2, 0, 0, 0, 2), "ssm__inner_size": 128, "ssm__state_size": 16},
            "sssasssa",
        ),
        ("lfm2", {"attention__head_count_kv": array(0, 2, 0, 2, 0, 2, 0, 2), "shortconv__l_cache": 3}, "sasasasa"),
        ("qwen3next", {"ssm__inner_size": 128, "ssm__state_size": 16}, "sssasssa"),
        ("falcon-h1", {"ssm__inner_size": 128, "ssm__state_size": 16}, "bbbbbbbb"),
        (
            "nemotron_h",
            {
                "attention__head_count_kv": array(0, 0, 2, 0, 0, 0, 2, 0),
                "feed_forward_length": array(0, 128, 0, 128, 0, 128, 0, 128),
                "ssm__inner_size": 128,
                "ssm__state_size": 16,
            },
            "s-a-s-a-",
        ),
    ],
)  # fmt: skip
def test_what_each_layer_keeps(architecture: str, keys: dict[str, Any], expected: str) -> None:
    assert kinds(architecture, **keys) == expected


def test_keys_and_values_of_their_own_widths_and_compressed_ones() -> None:
    given = {"attention__head_count_kv": 2, "attention__key_length": 96, "attention__value_length": 32}
    model = model_of(values("llama", **given))
    assert model is not None
    assert (model.layers[0].k, model.layers[0].v) == (192, 64)
    given = {"attention__head_count_kv": 1, "attention__key_length": 576, "attention__value_length": 512}
    model = model_of(
        values("deepseek2", **given, attention__key_length_mla=192, attention__value_length_mla=128)
    )
    assert model is not None
    assert (model.layers[0].k, model.layers[0].v) == (576, 0)


def test_on_the_cpu_everything_is_in_the_machines_memory(tmp_path: Path) -> None:
    found = estimate([header_of(tmp_path)], demand_of((), on_gpu=False))
    assert found is not None
    assert (found.gpu_layers, found.total(GPU), found.context, found.slots) == (0, 0, 2048, 4)
    assert terms(found, "KV cache") == {CPU: 2048 * 4 * (2 * 64) * 2 * 2}
    assert found.total(CPU) == sum(term.size_bytes for term in found.terms)


def test_on_a_card_only_what_looks_up_tokens_stays_behind(tmp_path: Path) -> None:
    header = header_of(tmp_path)
    lookup = 300 * 256 // 32 * 34  # Q8_0
    found = estimate([header], demand_of((), on_gpu=True))
    assert found is not None
    assert found.gpu_layers == 5
    whole = terms(estimate([header], Demand()), "weights")[CPU]
    assert terms(found, "weights") == {GPU: whole - lookup, CPU: lookup}
    assert terms(found, "KV cache").keys() == {GPU}
    assert terms(found, "compute buffers").keys() == {GPU, CPU}


def test_an_output_that_is_the_input_stands_on_the_card_once_more(tmp_path: Path) -> None:
    header = header_of(tmp_path, SMALL._replace(tied=True))
    split = terms(estimate([header], demand_of((), on_gpu=True)), "weights")
    assert sum(split.values()) == terms(estimate([header], Demand()), "weights")[CPU] + split[CPU]


def test_layers_are_split_from_the_last(tmp_path: Path) -> None:
    found = estimate([header_of(tmp_path)], demand_of([("gpu-layers", 3)], on_gpu=True))
    assert found is not None
    assert found.gpu_layers == 3
    cache = terms(found, "KV cache")
    assert cache[GPU] == cache[CPU]  # the output counts as one, so two layers of four
    assert "3 of 5 layers" in next(term.how for term in found.terms if term.name == "weights")


def test_experts_and_cache_can_be_kept_off_the_card(tmp_path: Path) -> None:
    header = header_of(tmp_path, SMALL._replace(experts=4))
    every = 4 * 4 * 3 * 512 * 256 // 32 * 34
    plain = terms(estimate([header], demand_of((), on_gpu=True)), "weights")[GPU]
    args: list[tuple[str, Any]] = [("cpu-moe", True), ("kv-offload", False)]
    found = estimate([header], demand_of(args, on_gpu=True))
    assert plain - terms(found, "weights")[GPU] == every
    assert terms(found, "KV cache").keys() == {CPU}
    half = estimate([header], demand_of([("n-cpu-moe", 2)], on_gpu=True))
    assert plain - terms(half, "weights")[GPU] == every // 2


@pytest.mark.parametrize(
    ("args", "context", "slots"),
    [
        ({}, 2048, 4),
        ({"ctx-size": 1000}, 1024, 4),
        ({"ctx-size": 0}, 2048, 4),
        ({"parallel": 2}, 4096, 2),  # each slot has the model's own
        ({"parallel": 2, "ctx-size": 1000}, 1024, 2),
        ({"parallel": 3, "ctx-size": 1024}, 1536, 3),
        ({"parallel": 2, "kv-unified": True}, 2048, 2),
        ({"kv-unified-per-slot": 512}, 2048, 4),
        ({"parallel": -1}, 2048, 4),
    ],
)
def test_context_and_slots(tmp_path: Path, args: dict[str, Any], context: int, slots: int) -> None:
    found = estimate([header_of(tmp_path)], demand_of(args.items(), on_gpu=False))
    assert found is not None
    assert (found.context, found.slots) == (context, slots)


def test_files_beside_the_model_are_named_and_placed() -> None:
    args: list[tuple[str, Any]] = [
        ("lora", ("/a.gguf", "/b.gguf")),
        ("lora-scaled", "/c.gguf:0.5,/d.gguf:1"),
        ("mmproj", "/p.gguf"),
        ("spec-draft-model", "/d.gguf"),
        ("temp", 0.7),
    ]
    assert other_files(args) == (
        ("LoRA adapter", "/a.gguf"),
        ("LoRA adapter", "/b.gguf"),
        ("LoRA adapter", "/c.gguf"),
        ("LoRA adapter", "/d.gguf"),
        ("projector", "/p.gguf"),
        ("draft model", "/d.gguf"),
    )
    header = Header(3, values("llama", context_length=512), (), 0)
    files = [("projector", 7 * MIB), ("draft model", 5 * MIB)]
    found = estimate([header], demand_of([("mmproj-offload", False)], on_gpu=True), files)
    assert terms(found, "projector") == {CPU: 7 * MIB}
    assert terms(found, "draft model") == {GPU: 5 * MIB}


def test_a_header_without_the_numbers_gives_no_estimate() -> None:
    for wrong in (
        {},
        {"general.architecture": 3},
        values("llama", block_count=0),
        values("llama", block_count=1 << 30),
    ):
        assert estimate([Header(3, wrong, (), 0)], Demand()) is None  # fmt: skip


_NUMBERS = st.one_of(
    st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), st.booleans(), st.sampled_from(["", "x"])
)
_LISTS = st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=9).map(
    lambda found: array(*found)
)
_KEYS = [
    "block_count",
    "embedding_length",
    "context_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.shared_kv_layers",
    "feed_forward_length",
    "expert_count",
    "expert_used_count",
    "ssm.inner_size",
    "ssm.state_size",
    "ssm.conv_kernel",
    "ssm.group_count",
    "wkv.head_size",
    "token_shift_count",
    "shortconv.l_cache",
    "kda.head_dim",
    "full_attention_interval",
    "vocab_size",
]


@given(
    architecture=st.sampled_from(["llama", "gemma3", "mamba", "rwkv6", "jamba", "lfm2", "qwen35", "falcon-h1"]),
    keys=st.dictionaries(st.sampled_from(_KEYS), st.one_of(_NUMBERS, _LISTS), max_size=8),
    layers=st.integers(1, 8),
    args=st.dictionaries(
        st.sampled_from(["ctx-size", "parallel", "gpu-layers", "ubatch-size", "batch-size", "n-cpu-moe"]),
        st.integers(-(1 << 31), 1 << 31),
    ),
)  # fmt: skip
def test_no_header_and_no_options_break_it(
    architecture: str, keys: dict[str, Any], layers: int, args: dict[str, int]
) -> None:
    told = {f"{architecture}.{key}": value for key, value in keys.items()}
    told |= {"general.architecture": architecture}
    told.setdefault(f"{architecture}.block_count", layers)
    told.setdefault(f"{architecture}.embedding_length", 64)
    tensors = (Tensor("blk.0.ffn_up.weight", (64, 64), 1, 0), Tensor("odd", (), 999, 0))
    found = estimate([Header(3, told, tensors, 0)], demand_of(args.items(), on_gpu=True))
    if found is not None:
        assert all(term.size_bytes > 0 for term in found.terms)
        assert 0 <= found.gpu_layers <= ALL_LAYERS
        assert found.context > 0
