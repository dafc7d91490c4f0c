"""GGUF files for tests, written by the package gguf."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np


def write_model(path: Path, *, vocabulary: int = 300, big_endian: bool = False, **more: Any) -> Path:
    """A small model with a value of every type; `more`: keys and values of its architecture."""
    order = gguf.GGUFEndian.BIG if big_endian else gguf.GGUFEndian.LITTLE
    writer = gguf.GGUFWriter(path, "llama", endianess=order)
    writer.add_name("größer")
    writer.add_size_label("7B")
    writer.add_file_type(15)
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv([1, 2])
    writer.add_chat_template("{{ messages }}")
    writer.add_token_list([f"token {i}" for i in range(vocabulary)])
    writer.add_token_scores([0.5] * vocabulary)
    writer.add_token_types([1] * vocabulary)
    writer.add_token_merges([f"a b{i}" for i in range(vocabulary)])
    for letter, value in (("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000), ("int32", -(1 << 30)),
                          ("uint64", 1 << 63), ("int64", -(1 << 60)), ("float32", 0.25), ("float64", 1e300),
                          ("bool", True)):  # fmt: skip
        getattr(writer, f"add_{letter}")(f"test.{letter}", value)
    writer.add_array("test.flags", [True, False])
    writer.add_array("test.floats", [1.5, 2.5])
    for key, value in more.items():
        writer.add_uint32(f"llama.{key}", value)
    writer.add_tensor("token_embd.weight", np.zeros((vocabulary, 64), dtype=np.float16))
    writer.add_tensor("norm.weight", np.ones(64, dtype=np.float32))
    writer.add_tensor("blk.0.odd.weight", np.zeros((3, 5, 7), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
