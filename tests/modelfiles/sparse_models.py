"""GGUF models of real proportions without their weights: a header, and a hole in the file as large as the tensors.

llama-fit-params reads no weights, so it measures these like any others.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY_HEAD = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]


class Shape(NamedTuple):
    """Proportions of a model. more: keys of its architecture beyond those."""

    architecture: str = "llama"
    layers: int = 8
    width: int = 1024
    heads: int = 16
    kv_heads: int = 4
    feed_forward: int = 4096
    vocabulary: int = 32000
    context: int = 8192
    head_width: int | None = None
    tied: bool = False
    experts: int = 0
    weights: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.Q8_0
    more: tuple[tuple[str, Any], ...] = ()


def write_sparse(path: Path, shape: Shape) -> Path:
    """Write a model of this shape."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    _describe(writer, shape)
    _vocabulary(writer, shape)
    tensors = list(_recurrent(shape) if shape.architecture == "mamba" else _attention(shape))
    for name, dimensions in tensors:
        kind = (
            shape.weights
            if len(dimensions) > 1 and dimensions[-1] % 32 == 0
            else gguf.GGMLQuantizationType.F32
        )
        block, size = gguf.GGML_QUANT_SIZES[kind]
        count = int(np.prod(dimensions))
        raw = (*dimensions[:-1], dimensions[-1] // block * size)
        writer.add_tensor_info(
            f"{name}",
            raw if block > 1 else dimensions,
            np.dtype(np.uint8 if block > 1 else np.float32),
            count // block * size,
            raw_dtype=kind,
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    end = sum(_padded(info.nbytes) for part in writer.tensors for info in part.values())
    writer.close()
    os.truncate(path, _padded(path.stat().st_size) + end)
    return path


def _padded(size: int) -> int:
    return -(-size // 32) * 32


def _describe(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(7)
    if shape.head_width is not None:
        writer.add_key_length(shape.head_width)
        writer.add_value_length(shape.head_width)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(2)
    for key, value in shape.more:
        name = f"{shape.architecture}.{key}"
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        else:
            writer.add_uint32(name, value)


def _vocabulary(writer: gguf.GGUFWriter, shape: Shape) -> None:
    tokens = VOCABULARY_HEAD + [f"t{number}" for number in range(shape.vocabulary - len(VOCABULARY_HEAD))]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _attention(shape: Shape) -> Any:
    """(name, dimensions as numpy counts them) of each tensor."""
    head = shape.head_width or shape.width // shape.heads
    yield "token_embd.weight", (shape.vocabulary, shape.width)
    yield "output_norm.weight", (shape.width,)
    if not shape.tied:
        yield "output.weight", (shape.vocabulary, shape.width)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", (shape.width,)
        yield f"{block}.attn_q.weight", (head * shape.heads, shape.width)
        yield f"{block}.attn_k.weight", (head * shape.kv_heads, shape.width)
        yield f"{block}.attn_v.weight", (head * shape.kv_heads, shape.width)
        yield f"{block}.attn_output.weight", (shape.width, head * shape.heads)
        yield f"{block}.ffn_norm.weight", (shape.width,)
        if shape.architecture == "gemma3":
            yield f"{block}.attn_q_norm.weight", (head,)
            yield f"{block}.attn_k_norm.weight", (head,)
            yield f"{block}.post_attention_norm.weight", (shape.width,)
            yield f"{block}.post_ffw_norm.weight", (shape.width,)
        if shape.experts:
            yield f"{block}.ffn_gate_inp.weight", (shape.experts, shape.width)
            yield f"{block}.ffn_gate_exps.weight", (shape.experts, shape.feed_forward, shape.width)
            yield f"{block}.ffn_up_exps.weight", (shape.experts, shape.feed_forward, shape.width)
            yield f"{block}.ffn_down_exps.weight", (shape.experts, shape.width, shape.feed_forward)
        else:
            yield f"{block}.ffn_gate.weight", (shape.feed_forward, shape.width)
            yield f"{block}.ffn_up.weight", (shape.feed_forward, shape.width)
            yield f"{block}.ffn_down.weight", (shape.width, shape.feed_forward)


def _recurrent(shape: Shape) -> Any:
    more = dict(shape.more)
    inner, state = more["ssm.inner_size"], more["ssm.state_size"]
    conv, rank = more["ssm.conv_kernel"], more["ssm.time_step_rank"]
    yield "token_embd.weight", (shape.vocabulary, shape.width)
    yield "output_norm.weight", (shape.width,)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", (shape.width,)
        yield f"{block}.ssm_in.weight", (2 * inner, shape.width)
        yield f"{block}.ssm_conv1d.weight", (inner, conv)
        yield f"{block}.ssm_conv1d.bias", (inner,)
        yield f"{block}.ssm_x.weight", (rank + 2 * state, inner)
        yield f"{block}.ssm_dt.weight", (inner, rank)
        yield f"{block}.ssm_dt.bias", (inner,)
        yield f"{block}.ssm_a", (inner, state)
        yield f"{block}.ssm_d", (inner,)
        yield f"{block}.ssm_out.weight", (shape.width, inner)
