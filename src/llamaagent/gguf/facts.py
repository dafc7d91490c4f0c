"""From headers to what is stored of a model: one record, whatever the headers claim."""

from __future__ import annotations

import json
import os
from math import isfinite, prod

from llamaagent.domain.modelfile import ModelFile
from llamaagent.gguf.header import Array, Header, HeaderError, open_header
from llamaagent.gguf.types import FILE_TYPES, GUESSED, TENSORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llamaagent.gguf.find import Found
    from llamaagent.gguf.header import Tensor

    Open = Callable[[str, Callable[[bytes], object]], tuple[Header, int]]

_INT64 = (1 << 63) - 1


def read_model(found: Found, opened: Open = open_header) -> ModelFile:
    """Read the headers of all parts. What is wrong becomes `error`; nothing is raised for a file's contents."""
    import hashlib

    bare = bare_model(found)
    digest = hashlib.sha256()
    headers: list[Header] = []
    fault = found.fault
    for path in found.paths:
        try:
            header, size = opened(path, digest.update)
        except HeaderError as error:
            where = f"{os.path.basename(path)}: " if found.parts > 1 else ""
            return bare._replace(error=f"{where}{error}")
        except OSError as error:
            return bare._replace(error=f"cannot be read: {error.strerror or error}", mtime_ns=None)
        headers.append(header)
        end = data_end(header)
        if end > size and fault is None:
            fault = f"incomplete: tensor data ends at byte {end}, the file has {size}"
    return _described(bare, headers)._replace(sha256=digest.hexdigest(), error=fault)


def bare_model(found: Found) -> ModelFile:
    """What is known without opening it."""
    name = os.path.basename(found.paths[0])
    return ModelFile(found.paths[0], name, found.size_bytes, found.parts, found.mtime_ns, found.inode)


def _described(bare: ModelFile, headers: list[Header]) -> ModelFile:
    values = headers[0].values
    tensors = [tensor for header in headers for tensor in header.tensors]
    architecture = _text(values.get("general.architecture"))
    file_type = _count(values.get("general.file_type"))

    def of(key: str) -> int | None:
        return _count(values.get(f"{architecture}.{key}"))

    tokens = values.get("tokenizer.ggml.tokens")
    heads = of("attention.head_count")
    kv_heads = of("attention.head_count_kv")
    parameters = sum(prod(tensor.shape) for tensor in tensors)
    return bare._replace(
        format="gguf",
        name=_text(values.get("general.name")),
        architecture=architecture,
        parameter_count=parameters if 0 < parameters <= _INT64 else None,
        size_label=_text(values.get("general.size_label")),
        quantization=quantization(file_type, tensors),
        file_type=file_type,
        context_length=of("context_length"),
        vocab_size=of("vocab_size") or (_bounded(tokens.length) if isinstance(tokens, Array) else None),
        embedding_size=of("embedding_length"),
        block_count=of("block_count"),
        head_count=heads,
        head_count_kv=heads if kv_heads is None else kv_heads,  # as llama.cpp takes it
        ffn_dim=of("feed_forward_length"),
        chat_template=_text(values.get("tokenizer.chat_template")),
        metadata_json=metadata_json(headers[0]),
    )


def metadata_json(header: Header) -> str:
    """All values by key; an array is its type and count; what JSON has no number for is text."""
    made: dict[str, object] = {}
    for key, value in header.values.items():
        if isinstance(value, Array):
            made[key] = {"type": value.type, "count": value.length}
        elif isinstance(value, float) and not isfinite(value):
            made[key] = str(value)
        else:
            made[key] = value
    return json.dumps(made, ensure_ascii=False, allow_nan=False)


def quantization(file_type: int | None, tensors: Iterable[Tensor]) -> str | None:
    """The name of the file type; where that is unknown, the type that holds most of the weights."""
    known = None if file_type is None else FILE_TYPES.get(file_type & ~GUESSED)
    if known is not None:
        return known
    weights: dict[str, int] = {}
    for tensor in tensors:
        if tensor.type in TENSORS:
            name = TENSORS[tensor.type][0]
            amount = prod(tensor.shape) if len(tensor.shape) > 1 else 0  # vectors stay F32 in every file
            weights[name] = weights.get(name, 0) + amount
    return max(weights, key=lambda name: weights[name]) if weights else None


def data_end(header: Header) -> int:
    """The byte behind the last tensor, as far as the types are known."""
    end = 0
    for tensor in header.tensors:
        if tensor.type in TENSORS:
            _, values, size = TENSORS[tensor.type]
            end = max(end, header.data_start + tensor.offset + -(-prod(tensor.shape) // values) * size)
    return end


def _text(value: object) -> str | None:
    return value.replace("\0", "") or None if isinstance(value, str) else None


def _count(value: object) -> int | None:
    """A whole number; of a list with one for each layer, the largest."""
    if isinstance(value, Array):
        value = value.largest
    return None if isinstance(value, bool) or not isinstance(value, int) else _bounded(value)


def _bounded(value: int) -> int | None:
    return value if 0 <= value <= _INT64 else None
