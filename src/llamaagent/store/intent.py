"""What is committed before a launch is made: its row, and what it reserves."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class Claim(NamedTuple):
    """What a launch reserves on one card."""

    uuid: str
    memory_mib: int
    exclusive: bool = False


class Intent(NamedTuple):
    """All that is known before the spawn; the columns of `instances` of the same names."""

    launch_id: str
    launch_hash: str
    profile_hash: str
    kind: str
    project: str
    host: str | None
    port: int | None
    boot_id: str
    log_path: str
    exit_path: str | None
    git_commit: str | None
    git_dirty: int | None
    gpus: str | None
    model_path: str | None
    model_size_bytes: int | None
    model_mtime_ns: int | None
    binary: str | None  # None for a container
    binary_identity: str | None
    argv: str
    environment: str
    working_directory: str | None
    api_prefix: str | None
    scheme: str
    gpu_memory_declared_mib: int | None
    gpu_memory_estimated_mib: int | None
    memory_limit_mib: int | None
    cpu_limit_milli: int | None
    inputs: str  # JSON: the files it depends on, and what they were
    oom_kills: str | None  # where the kernel counts its kills for memory, and the count
    sized_context: int | None = None  # what it was told for the memory reserved; None = left to the server
    sized_gpu_layers: int | None = None
    sized_tensor_split: str | None = None
    parameters_hash: str | None = None  # of `memory_observations`
    container_name: str | None = None
    image: str | None = None
    image_digest: str | None = None
    port_mappings: str | None = None
    engine: str | None = None
