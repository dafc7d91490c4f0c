"""A tiny real model: random weights in a real GGUF file, for the demo, the tests and a first try.

Two layers of the `llama` architecture, a vocabulary of the 256 byte tokens and some words, under half a
megabyte; any llama.cpp server loads it in milliseconds and answers completions, chat and embeddings with
noise.
"""

from __future__ import annotations

import os

from llamaagent.base.errors import CannotCreateError, InstallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LAYERS, _WIDTH, _HEADS, _KV_HEADS, _FEED_FORWARD, _CONTEXT = 2, 64, 4, 2, 128, 4096
_WORDS = """
the of and to in is you that it he was for on are as with his they at be this have from or one had by word
but not what all were we when your can said there use an each which she do how their if will up other about
"""
_FIRST_WORD = 3 + 256  # id of the first token that is neither special nor a byte
_UNKNOWN, _NORMAL, _CONTROL, _BYTE = 2, 1, 3, 6
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def write_tiny_model(path: str, seed: int = 0) -> str:
    """Write the model to path, all of it or nothing, and return the path.

    One seed always gives the same weights. Raises InstallError without the package gguf, CannotCreateError
    when the file cannot be written.
    """
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        raise InstallError(
            "writing a model needs the package gguf", hint="pip install 'llamaagent[embedded]'"
        ) from error
    part = f"{path}.{os.getpid()}.part"
    try:
        writer = gguf.GGUFWriter(part, "llama")
        _describe(writer)
        _add_vocabulary(writer)
        _add_weights(writer, np.random.default_rng(seed), np)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(part, path)
    except OSError as error:
        raise CannotCreateError(f"cannot write model {path}: {error.strerror}") from error
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return path


def _describe(writer: Any) -> None:
    writer.add_name("llamaagent tiny")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FEED_FORWARD)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_file_type(1)  # mostly f16


def _vocabulary() -> tuple[list[str], list[int]]:
    """Tokens and their types, in the order of their ids; a word carries the mark of a leading space."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256]
    words = ["\u2581", *(f"\u2581{word}" for word in _WORDS.split())]
    return tokens + words, kinds + [_NORMAL] * len(words)


def _add_vocabulary(writer: Any) -> None:
    tokens, kinds = _vocabulary()
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_vocab_size(len(tokens))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_weights(writer: Any, random: Any, np: Any) -> None:
    """Matrices are random f16 of shape (out, in), louder after the first `quiet` rows; norms are f32 ones."""
    vocabulary = len(_vocabulary()[0])
    key_width = _WIDTH // _HEADS * _KV_HEADS

    def matrix(name: str, out: int, into: int, quiet: int = 0) -> None:
        values = random.standard_normal((out, into)) / np.sqrt(into)
        values[quiet:] *= 4.0 if quiet else 1.0
        writer.add_tensor(f"{name}.weight", values.astype(np.float16))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(_WIDTH, dtype=np.float32))

    matrix("token_embd", vocabulary, _WIDTH)
    norm("output_norm")
    matrix("output", vocabulary, _WIDTH, quiet=_FIRST_WORD)  # it says words rather than bytes
    for layer in range(_LAYERS):
        block = f"blk.{layer}"
        norm(f"{block}.attn_norm")
        matrix(f"{block}.attn_q", _WIDTH, _WIDTH)
        matrix(f"{block}.attn_k", key_width, _WIDTH)
        matrix(f"{block}.attn_v", key_width, _WIDTH)
        matrix(f"{block}.attn_output", _WIDTH, _WIDTH)
        norm(f"{block}.ffn_norm")
        matrix(f"{block}.ffn_gate", _FEED_FORWARD, _WIDTH)
        matrix(f"{block}.ffn_up", _FEED_FORWARD, _WIDTH)
        matrix(f"{block}.ffn_down", _WIDTH, _FEED_FORWARD)
