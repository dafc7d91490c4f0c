"""How much memory a launch is expected to take, and who says so. Plain values, no I/O."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

FIT_PARAMS, ESTIMATE = "fit-params", "estimate"


class Projection(NamedTuple):
    """One projection as it is stored; the fields are those of the statement `write_fit`.

    source: fit-params or estimate. file_size_bytes, file_mtime_ns: which file was looked at; parameters: canonical
    JSON of what was asked for. error: why there is no figure, or why what there is does not fit.
    """

    source: str
    parameters: str
    file_size_bytes: int | None = None
    file_mtime_ns: int | None = None
    ok: int = 0
    error: str | None = None
    context: int | None = None
    gpu_layers: int | None = None
    tensor_split: str | None = None
    gpu_mib: float | None = None
    cpu_mib: float | None = None
    architecture: str | None = None
    quantization: str | None = None
    parameter_count: int | None = None
    context_length: int | None = None
    raw_output: str | None = None
    arithmetic: str | None = None


class Known(NamedTuple):
    """What an earlier projection says, as far as a launch cares."""

    source: str | None
    file_size_bytes: int | None
    file_mtime_ns: int | None
    parameters: str | None
    ok: int
    gpu_mib: float | None
    cpu_mib: float | None
    error: str | None
    context: int | None = None
    gpu_layers: int | None = None
    tensor_split: str | None = None

    def holds_for(self, size_bytes: int | None, mtime_ns: int | None, parameters: str) -> bool:
        """Whether it was made for this very file and these parameters."""
        return (self.file_size_bytes, self.file_mtime_ns, self.parameters) == (
            size_bytes,
            mtime_ns,
            parameters,
        ) and size_bytes is not None


class Expected(NamedTuple):
    """The figure that admission takes for the GPU memory of a launch. source: the word it is shown under."""

    gpu_mib: int
    source: str


def margin_mib(measured_mib: int) -> int:
    """What is added to the most that was measured: a twentieth, at least 64 MiB."""
    return max(64, -(-measured_mib // 20))
