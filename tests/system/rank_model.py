"""A tiny real model that puts documents in order: the noise of launch/tiny.py as `qwen3`, with a head of two labels."""

from __future__ import annotations

import gguf
import numpy as np

from llamaagent.launch import tiny


def write_rank_model(path: str) -> str:
    """Write it, as convert_hf_to_gguf.py does with Qwen3-Reranker, and return the path."""
    writer = gguf.GGUFWriter(path, "qwen3")
    tiny._describe(writer)
    tiny._add_vocabulary(writer)
    width = tiny._WIDTH // tiny._HEADS
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_classifier_output_labels(["yes", "no"])
    tiny._add_weights(writer, np.random.default_rng(0), np)
    for layer in range(tiny._LAYERS):
        for what in ("q", "k"):
            writer.add_tensor(f"blk.{layer}.attn_{what}_norm.weight", np.ones(width, dtype=np.float32))
    head = np.random.default_rng(1).standard_normal((2, tiny._WIDTH)).astype(np.float32)
    writer.add_tensor("cls.output.weight", head)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
