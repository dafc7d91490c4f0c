"""llama-fit-params, llama.cpp's own tool: which context and layers fit, and what they take.

It is run twice, since it either fits or measures: first to fit, then with what it fitted to measure. It reads no
weights, listens nowhere and gets no secret. Source of its formats: tools/fit-params/fit-params.cpp and
common/fit.cpp of llama.cpp b11434.
"""

from __future__ import annotations

import os
import re

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.record import NamedTuple
from llamaagent.launch.command import EMBEDDED
from llamaagent.launch.environ import PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.base.run import Result
    from llamaagent.config.argv import ArgValue

    Args = Iterable[tuple[str, ArgValue]]

TOOL = "llama-fit-params"
GROUPS = ("common", "sampling")  # of options, for a tool whose help cannot be read
DEADLINE_S = 60.0
_OUTPUT_BYTES = 1 << 16
_RAW_CHARACTERS = 16384
_FITTED = re.compile(r"^-c (\d+) -ngl (-?\d+)(?: .*)?$", re.MULTILINE)
_ROW = re.compile(r"^(\S.*?) (\d+) (\d+) (\d+) ?$", re.MULTILINE)
# The tool's own words about a failure, the most telling first; its log and its standard error run into each other.
_WHY = tuple(
    re.compile(rf"{lead}(\S.*)")
    for lead in (r"error loading model: ", r"free device memory: ", r"error: ", r"what\(\):  ")
)
_FAULT = re.compile(r"^(?:[\d.]+ )?E (\S.*)$", re.MULTILINE)
_NO_ROWS = f"{TOOL} printed no table"
_OWN = ("model", "fit", "fit-print")
# They say how to log, not what to load.
_TALK = ("verbose", "verbosity", "offline")


class Fitted(NamedTuple):
    """What the tool said.

    error: why there is no figure, or why it does not fit. rows: (device, MiB of model, context, computing), the last
    of them for Host.
    """

    context: int | None = None
    gpu_layers: int | None = None
    tensor_split: str | None = None
    rows: tuple[tuple[str, int, int, int], ...] = ()
    error: str | None = None
    raw: str = ""

    @property
    def gpu_mib(self) -> int:
        """On all cards together."""
        return sum(sum(row[1:]) for row in self.rows if row[0] != "Host")

    @property
    def cpu_mib(self) -> int:
        """In the machine's memory."""
        return sum(sum(row[1:]) for row in self.rows if row[0] == "Host")


def find_tool(binary: str, path_env: str | None) -> str | None:
    """Beside the server program, then on PATH; None when there is none. binary: absolute, or embedded."""
    folders = (
        [] if binary == EMBEDDED else [os.path.dirname(binary), os.path.dirname(os.path.realpath(binary))]
    )
    for folder in (*folders, *(path_env or "").split(":"), *PATH.split(":")):
        path = f"{folder}/{TOOL}"
        if folder.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.normpath(path)
    return None


def fit_environment(environment: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The tool's environment, from that of a server: without what marks a launch, and without options."""
    from llamaagent.launch.adopt import LAUNCH_ID, PROFILE, SITE

    kept = {
        name: value
        for name, value in environment
        if name not in {LAUNCH_ID, PROFILE, SITE} and not name.startswith("LLAMA_ARG_")
    }
    return {**kept, "GGML_NO_BACKTRACE": "1"}  # an abort would start a debugger


def accepted(tool: str, environment: Mapping[str, str]) -> frozenset[str] | None:
    """The spellings that the tool's own help lists; None when it gives none."""
    from llamaagent.base.run import run
    from llamaagent.config.helptext import entries

    try:
        result = run([tool, "--help"], deadline_s=DEADLINE_S, env=environment, cwd="/")
    except ServiceUnavailableError:
        return None
    names = frozenset(name for entry in entries(result.text) for name in entry.names)
    return names if result.code == 0 and "--model" in names else None


def fit_args(args: Args, names: frozenset[str]) -> tuple[tuple[str, ArgValue], ...]:
    """Those of a profile's options that the tool takes. names: spellings as `accepted` gives them.

    The number of slots goes along only where it divides the cache: a server that chooses its slots itself, or
    whose slots share one cache, has the context once.
    """
    given = dict(args)
    kept: list[tuple[str, ArgValue]] = []
    for name, value in given.items():
        spelling = f"--no-{name}" if value is False else f"--{name}"
        if spelling not in names or name in {*_OWN, *_TALK} or name.startswith("log-"):
            continue
        if name == "parallel" and (given.get("kv-unified") is True or not str(value).isdigit()):
            continue
        kept.append((name, value))
    return tuple(kept)


def run_fit(
    tool: str, model: str, args: Args, environment: Mapping[str, str], *, deadline_s: float = DEADLINE_S
) -> Fitted:
    """Fit, then measure. Whatever happens to the tool is told in `error`; nothing is raised for it.

    deadline_s: of each run. Raises ServiceUnavailableError when the tool cannot be started or does not end in time.
    """
    from llamaagent.config.argv import argv_of

    plain = tuple(args)
    fit = _run([tool, "-m", model, *argv_of(plain), "-lv", "4"], environment, deadline_s)
    found = _FITTED.search(fit.text)
    error = None
    if fit.code or found is None:
        error, words = _why(fit), argv_of(plain)
    else:
        import shlex

        loose = {"ctx-size", "gpu-layers", "tensor-split", "override-tensor"}
        words = (*argv_of(pair for pair in plain if pair[0] not in loose), *shlex.split(found[0]))
        words += argv_of(pair for pair in plain if pair[0] == "override-tensor" and "-ot" not in words)
        words += argv_of(pair for pair in plain if pair[0] == "tensor-split" and "-ts" not in words)
    measured = _run([tool, "-m", model, *words, "-fitp", "on"], environment, deadline_s)
    rows = tuple((row[0], int(row[1]), int(row[2]), int(row[3])) for row in _ROW.findall(measured.text))
    if measured.code or not rows or rows[-1][0] != "Host":
        return Fitted(error=_why(measured) if measured.code else error or _NO_ROWS, raw=_raw(fit, measured))
    split = words[words.index("-ts") + 1] if "-ts" in words else None
    if error is not None:
        error = f"does not fit into what is free: {error}"
    context = int(found[1]) if found else None
    layers = int(found[2]) if found else None
    return Fitted(context, layers, split, rows, error, _raw(fit, measured))


def _run(argv: list[str], environment: Mapping[str, str], deadline_s: float) -> Result:
    from llamaagent.base.run import run

    result = run(argv, deadline_s=deadline_s, max_output_bytes=_OUTPUT_BYTES, env=dict(environment), cwd="/")
    if result.timed_out:
        raise ServiceUnavailableError(f"{argv[0]} did not end within {deadline_s:g} s")
    return result


def _why(result: Result) -> str:
    """The tool's own words about why it failed; how it ended when it had none."""
    text = result.err.decode("utf-8", "replace")
    found = [match[1] for pattern in _WHY if (match := pattern.search(text))] or _FAULT.findall(text)
    said = found[0] if found else ""
    how = f"signal {-result.code}" if result.code < 0 else f"status {result.code}"
    return "".join(c if c.isprintable() else " " for c in said).strip() or f"{TOOL} ended with {how}"


def _raw(*results: Result) -> str:
    """What both runs printed, as it is stored."""
    parts = []
    for title, result in zip(("fit", "measure"), results, strict=True):
        out, err = result.text, result.err.decode("utf-8", "replace")
        parts.append(f"[{title}] status {result.code}\n{out}{err}"[: _RAW_CHARACTERS // 2])
    return "\n".join(parts).replace("\0", "")
