"""A model on disk, as it is stored: what its header says, and what the file system says."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class ModelFile(NamedTuple):
    """One model, in one file or in parts. None = unknown; the fields are columns of `model_files`.

    path: absolute, of the first part. size_bytes: of all parts; mtime_ns: of the part changed last; mtime_ns is
    None when the file could not be opened, so that the next scan tries again. sha256: of the headers without the
    contents of their arrays. error: why the header could not be read, or why the file cannot be whole.
    """

    path: str
    filename: str
    size_bytes: int | None
    parts: int
    mtime_ns: int | None
    inode: int | None
    format: str | None = None
    name: str | None = None
    architecture: str | None = None
    parameter_count: int | None = None
    size_label: str | None = None
    quantization: str | None = None
    file_type: int | None = None
    context_length: int | None = None
    vocab_size: int | None = None
    embedding_size: int | None = None
    block_count: int | None = None
    head_count: int | None = None
    head_count_kv: int | None = None
    ffn_dim: int | None = None
    chat_template: str | None = None
    metadata_json: str | None = None
    sha256: str | None = None
    error: str | None = None


class KnownFile(NamedTuple):
    """What the last scan stored of a model: enough to see that nothing changed."""

    id: int
    path: str
    size_bytes: int | None
    parts: int
    mtime_ns: int | None
    inode: int | None
    error: str | None
    missing_ts: int | None
