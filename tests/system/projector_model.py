"""A tiny real projector for images, as LLaVA 1.5 has one: two layers of noise that see 64 x 64 pixels in 16 patches."""

from __future__ import annotations

import gguf
import numpy as np

from llamaagent.launch import tiny

PATCHES = 16
_PIXELS, _PATCH, _WIDTH, _FEED_FORWARD, _LAYERS = 64, 16, 32, 64, 2


def write_projector(path: str) -> str:
    """Write one that fits the tiny model, and return the path."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", "mlp")
    for key, number in (
        ("image_size", _PIXELS),
        ("patch_size", _PATCH),
        ("embedding_length", _WIDTH),
        ("feed_forward_length", _FEED_FORWARD),
        ("projection_dim", tiny._WIDTH),
        ("attention.head_count", 2),
        ("block_count", _LAYERS),
    ):
        writer.add_uint32(f"clip.vision.{key}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    for key in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{key}", [0.5, 0.5, 0.5])
    writer.add_file_type(0)
    _add_tensors(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tensors(writer: gguf.GGUFWriter) -> None:
    random = np.random.default_rng(0)

    def noise(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32))

    def layer(name: str, out: int, into: int) -> None:
        noise(f"{name}.weight", out, into)
        writer.add_tensor(f"{name}.bias", np.zeros(out, dtype=np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, dtype=np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(_WIDTH, dtype=np.float32))

    noise("v.class_embd", _WIDTH)
    noise("v.patch_embd.weight", _WIDTH, 3, _PATCH, _PATCH)
    noise("v.position_embd.weight", PATCHES + 1, _WIDTH)
    norm("v.pre_ln")
    norm("v.post_ln")
    for number in range(_LAYERS):
        block = f"v.blk.{number}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            layer(f"{block}.{name}", _WIDTH, _WIDTH)
        norm(f"{block}.ln1")
        norm(f"{block}.ln2")
        layer(f"{block}.ffn_down", _FEED_FORWARD, _WIDTH)
        layer(f"{block}.ffn_up", _WIDTH, _FEED_FORWARD)
    layer("mm.0", tiny._WIDTH, _WIDTH)
    layer("mm.2", tiny._WIDTH, tiny._WIDTH)
