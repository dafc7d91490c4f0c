"""What else a llama-server log tells: that it is ready, how it is set up, and why it ended. Pure.

The wording is that of b11434 and, where it changed, of older builds.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.logline import number_after, split_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.collect.logline import LogLine

MODEL_LOADED = "model-loaded"
LISTENING = "listening"
BUILD = "build"
SLOTS = "slots"  # numbers: (slots, context of each)
GPU_LAYERS = "gpu-layers"  # numbers: (on the cards, of the model)
ERROR = "error"  # a line of level E that names no cause we know

PORT_TAKEN = "port-taken"
MISSING_MODEL = "missing-model"
BAD_OPTION = "bad-option"
BAD_MODEL = "bad-model"
MISSING_BINARY = "missing-binary"
PERMISSION = "permission"
OOM_HOST = "oom-host"
OOM_GPU = "oom-gpu"
FAILED = "failed"
NOT_DOWNLOADED = "not-downloaded"  # told as FAILED; stronger than what the server says for want of a model
CRASH = "crash"
EXITED = "exited"
FAULTS = frozenset({PORT_TAKEN, MISSING_MODEL, BAD_OPTION, BAD_MODEL, PERMISSION, OOM_HOST, OOM_GPU, FAILED})

_MAX_LINE = 400
_FAULT_LEVELS = frozenset({"E", ""})
_NUMBERED = {SLOTS: (b"n_slots = ", b"n_ctx_slot = "), GPU_LAYERS: (b"offloaded ", b"/")}
# A phrase and its meaning; in each group the first that is found decides.
_NEWS = (
    (b"model loaded", MODEL_LOADED),
    (b"listening on http", LISTENING),
    (b"listening on unix", LISTENING),
    (b"build_info: ", BUILD),
    (b"n_slots = ", SLOTS),
    (b"offloaded ", GPU_LAYERS),
)
# What llama-server says of a request while it works on it, and when it is done.
_PROGRESS = (b"prompt processing", b"n_gen = ", b"eval time = ", b"processing task", b"stop processing")
_CAUSES = (
    # A host that did not answer is no fault of the model: the next try may find it.
    *(
        (phrase, NOT_DOWNLOADED)
        for phrase in (b"HTTPLIB failed", b"failed to download", b"download failed", b"cannot make GET")
    ),
    (b"error while loading shared libraries", FAILED),
    (b"couldn't bind", PORT_TAKEN),
    (b"error: invalid argument", BAD_OPTION),
    (b"error while handling argument", BAD_OPTION),
    (b"error: unknown argument", BAD_OPTION),
    (b"expected value for argument", BAD_OPTION),
    (b"cudaMalloc failed: out of memory", OOM_GPU),
    (b"CUDA error: out of memory", OOM_GPU),
    (b"hipMalloc failed: out of memory", OOM_GPU),
    (b"ErrorOutOfDeviceMemory", OOM_GPU),
    (b"ggml_aligned_malloc: insufficient memory", OOM_HOST),
    (b"std::bad_alloc", OOM_HOST),
    (b"Cannot allocate memory", OOM_HOST),
    (b"failed to allocate CPU", OOM_HOST),
    (b"unable to allocate CPU", OOM_HOST),
    (b"failed to allocate Host", OOM_HOST),
    (b"unable to allocate Host", OOM_HOST),
    (b"unable to allocate CUDA", OOM_GPU),
    (b"failed to allocate CUDA", OOM_GPU),
    (b"unable to allocate ROCm", OOM_GPU),
    (b"failed to allocate ROCm", OOM_GPU),
    (b"unable to allocate Vulkan", OOM_GPU),
    (b"failed to allocate Vulkan", OOM_GPU),
    (b"No such file or directory", MISSING_MODEL),
    (b"Permission denied", PERMISSION),
    (b"invalid magic", BAD_MODEL),
    (b"model is corrupted or incomplete", BAD_MODEL),
    (b"unknown model architecture", BAD_MODEL),
    (b"error loading model", BAD_MODEL),
    (b"failed to load model", BAD_MODEL),
    (b"exiting due to", FAILED),
)
# Of several causes in one log the earlier in this order is the one that explains the others.
_WEIGHT = (
    PORT_TAKEN,
    BAD_OPTION,
    OOM_GPU,
    OOM_HOST,
    NOT_DOWNLOADED,
    MISSING_MODEL,
    PERMISSION,
    BAD_MODEL,
    FAILED,
)
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
            11: "SIGSEGV", 15: "SIGTERM"}  # fmt: skip
_SIGABRT = 6


class LogEvent(NamedTuple):
    """Something worth keeping. kind: one of the words above; at_us: since the server's start, if printed."""

    kind: str
    line: str
    at_us: int | None = None
    numbers: tuple[int, ...] = ()


def find_event(line: LogLine) -> LogEvent | None:
    """Say what a line tells, None for most. A router's child speaks for itself, not for the router."""
    text = line.text
    for phrase, kind in _NEWS:
        if phrase in text:
            numbers = _numbers(kind, text)
            return _event(kind, line, numbers) if numbers or kind not in _NUMBERED else None
    if text.startswith(b"build: "):  # before there was a build_info
        return _event(BUILD, line, ())
    cause = _cause(text) if line.level in _FAULT_LEVELS else None
    if cause == NOT_DOWNLOADED or (cause is None and line.level == "E"):
        cause = ERROR
    return None if cause is None else _event(cause, line, ())


def shows_progress(text: bytes) -> bool:
    """Whether something in this piece of a log says that a request gets on."""
    return any(phrase in text for phrase in _PROGRESS)


def classify_exit(exit_code: int | None, exit_signal: int | None, tail: bytes) -> tuple[str, str]:
    """Give (reason word, detail) for a server that ended by itself.

    exit_code: as the wrapper wrote it; above 128 a shell means a signal by it. exit_signal: when known
    apart. tail: the end of its log, some KiB. Reasons: port-taken, missing-model, bad-option, bad-model,
    permission, missing-binary (the shell found no such program), oom-host, oom-gpu, failed (it said only that it
    fails), crash (a signal, or an unexplained code), exited (code 0). A kernel out-of-memory kill writes no log and is
    a crash by signal 9 here.
    """
    if exit_signal is None and exit_code is not None and exit_code > 128:
        exit_signal = exit_code - 128
    kind, line = _explain(tail)
    if exit_signal is not None:
        # Any text before a signal is about something else, but for memory: ggml aborts when it runs out.
        if exit_signal == _SIGABRT and kind in {OOM_HOST, OOM_GPU}:
            return kind, line
        name = _SIGNALS.get(exit_signal)
        return CRASH, f"killed by signal {exit_signal}" + (f" ({name})" if name else "")
    if exit_code == 0:
        return EXITED, "ended by itself with code 0"
    if exit_code in {126, 127}:
        return _not_run(exit_code, kind, line, tail)
    if kind is not None:
        return kind, line
    said = _last_words(tail)
    code = "ended with an unknown code" if exit_code is None else f"ended with code {exit_code}"
    return CRASH, f"{code}: {said}" if said else code


def _not_run(exit_code: int, kind: str | None, line: str, tail: bytes) -> tuple[str, str]:
    """The shell could not run the program: not there, not allowed, or it does not start here."""
    detail = line or _last_words(tail) or f"the server program cannot be run (code {exit_code})"
    if kind == PERMISSION:
        return PERMISSION, detail
    missing = exit_code == 127 and kind != FAILED and b"not found" in tail
    return MISSING_BINARY if missing else FAILED, detail


def _explain(tail: bytes) -> tuple[str | None, str]:
    found: dict[str, str] = {}
    for raw in tail.split(b"\n"):
        for line in split_line(raw[:4096]):
            kind = _cause(line.text) if line.level in _FAULT_LEVELS else None
            if kind is not None:
                found.setdefault(kind, _printable(line.text))
    for kind in _WEIGHT:
        if kind in found:
            return FAILED if kind == NOT_DOWNLOADED else kind, found[kind]
    return None, ""


def _cause(text: bytes) -> str | None:
    for phrase, kind in _CAUSES:
        if phrase in text:
            return kind
    return None


def _last_words(tail: bytes) -> str:
    for raw in reversed(tail.split(b"\n")):
        for line in reversed(split_line(raw[:4096])):
            if line.text:
                return _printable(line.text)
    return ""


def _numbers(kind: str, text: bytes) -> tuple[int, ...]:
    labels = _NUMBERED.get(kind, ())
    numbers = tuple(number for label in labels if (number := number_after(text, label)) is not None)
    return numbers if len(numbers) == len(labels) else ()


def _event(kind: str, line: LogLine, numbers: tuple[int, ...]) -> LogEvent:
    return LogEvent(kind, _printable(line.text), line.at_us, numbers)


def _printable(text: bytes) -> str:
    decoded = text[:_MAX_LINE].decode(errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in decoded).strip()
