"""llama.cpp's own server inside this Python: `python -m llamaagent.launch.embedded --model FILE ...`.

xllamacpp brings the C++ server of llama-server; this program gives it llama-server's command line and
manners: the same long options (as far as its parameters offer them), the same log on stderr, the same HTTP
answers, the same exit codes. 0: asked to end. 1: a bad argument, a model that does not load, a port that is
taken.
"""

from __future__ import annotations

import os
import sys

from llamaagent.launch.embedded_options import CHOICES, FLAGS, SAMPLING_BITS, VALUES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_AUTOMATIC_SLOTS = 4  # llama-server's choice when --parallel is not given, together with a unified cache
_FIT_TARGETS = 128  # GGML's limit of devices
_LAST_WORDS_S = 0.05  # the log is written by a thread of the server's own
_RERANK = "LLAMA_POOLING_TYPE_RANK"


class ArgumentError(Exception):
    """The command line holds something that the embedded server cannot do."""


def main(argv: list[str] | None = None) -> int:
    """Run the server until SIGTERM or SIGINT, and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words == ["--help"]:
        print("\n".join(sorted(known_options())))  # noqa: T201 - the answer to --help
        return 0
    try:
        import xllamacpp
    except ImportError:
        return _fail("the embedded server needs xllamacpp: pip install 'llamaagent[embedded]'")
    if words == ["--version"]:
        return _fail(f"version: xllamacpp {xllamacpp.__version__}", code=0)
    try:
        params = parse(words, xllamacpp, os.environ)
    except ArgumentError as error:
        return _fail(f"error: {error}")
    return _serve(params, xllamacpp)


def known_options() -> frozenset[str]:
    """Every spelling that is understood."""
    return frozenset({*VALUES, *FLAGS, *CHOICES, *_SPECIAL_VALUES, *_SPECIAL_FLAGS, "--help", "--version"})


def parse(words: list[str], library: Any, environ: Mapping[str, str]) -> Any:
    """Make the library's parameters from llama-server's words. Raises ArgumentError naming the word."""
    params = library.CommonParams()
    params.port = 8080
    given: set[str] = set()
    rest = iter(words)
    for word in rest:
        option = word.replace("_", "-") if word.startswith("--") else word
        given.add(option)
        if option in FLAGS:
            path, state = FLAGS[option]
            _set(params, path, state)
        elif option in _SPECIAL_FLAGS:
            _SPECIAL_FLAGS[option](params, library)
        elif option in known_options():
            value = next(rest, None)
            if value is None:
                raise ArgumentError(f"expected value for argument: {word}")
            _take(params, option, value, library)
        else:
            raise ArgumentError(f"invalid argument: {word} (not offered by the embedded server)")
    _finish(params, given, environ)
    return params


def _take(params: Any, option: str, value: str, library: Any) -> None:
    try:
        if option in CHOICES:
            attribute, enumeration, members = CHOICES[option]
            _set(params, attribute, getattr(getattr(library, enumeration), members[value]))
        elif option in _SPECIAL_VALUES:
            _SPECIAL_VALUES[option](params, value, library)
        else:
            kind, attributes = VALUES[option]
            for path in attributes:
                _set(params, path, _READ[kind](value))
    except (KeyError, ValueError, TypeError, OverflowError, AssertionError, OSError) as error:
        raise ArgumentError(f"error while handling argument {option!r}: {value!r}: {error}") from error
    if option in SAMPLING_BITS:
        params.sampling.user_sampling_config |= SAMPLING_BITS[option]


def _finish(params: Any, given: set[str], environ: Mapping[str, str]) -> None:
    """What llama-server does after its arguments: keys from the environment, automatic slots, a model."""
    if not params.api_keys and environ.get("LLAMA_API_KEY"):
        params.api_keys = _READ["words"](environ["LLAMA_API_KEY"])
    key_file = environ.get("LLAMA_ARG_API_KEY_FILE")
    if key_file and "--api-key-file" not in given:
        _take(params, "--api-key-file", key_file, None)
    if params.n_parallel < 1 or "--parallel" not in given:
        params.n_parallel = _AUTOMATIC_SLOTS
        if not given & {"--kv-unified", "--no-kv-unified"}:
            params.kv_unified = True
    if not params.model.path:
        raise ArgumentError("--model is required: the embedded server loads local files only")


def _set(params: Any, path: str, value: object) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        params = getattr(params, parent)
    setattr(params, name, value)


def _text_of(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


_READ: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": float,
    "text": str,
    "words": lambda value: [word for word in value.split(",") if word],
    "reals": lambda value: [float(word) for word in value.split(",")],
    "file": _text_of,
}


def _key_file(params: Any, value: str, _library: Any) -> None:
    """One key a line; lines starting with a hash are comments."""
    lines = (line.strip() for line in _text_of(value).splitlines())
    params.api_keys = [*params.api_keys, *(line for line in lines if line and not line.startswith("#"))]


def _gpu_layers(value: str) -> int:
    return {"auto": -1, "all": -2}.get(value) or int(value)


def _draft_layers(params: Any, value: str, _library: Any) -> None:
    params.speculative.draft.n_gpu_layers = _gpu_layers(value)


def _layers(params: Any, value: str, _library: Any) -> None:
    params.n_gpu_layers = _gpu_layers(value)


def _tensor_split(params: Any, value: str, _library: Any) -> None:
    parts = [float(word) for word in value.replace("/", ",").split(",")]
    params.tensor_split = parts + [0.0] * (len(params.tensor_split) - len(parts))


def _fit_target(params: Any, value: str, _library: Any) -> None:
    """MiB a device; a single value holds for all of them."""
    parts = [int(word) * 1024 * 1024 for word in value.split(",")]
    params.fit_params_target = (parts if len(parts) > 1 else parts * _FIT_TARGETS)[:_FIT_TARGETS]


def _on_off(**states: object) -> Callable[[str], object]:
    return lambda value: states[value]


def _lora(params: Any, value: str, library: Any) -> None:
    adapters = [library.CommonAdapterLoraInfo(path, 1.0) for path in value.split(",")]
    params.lora_adapters = [*params.lora_adapters, *adapters]


def _lora_scaled(params: Any, value: str, library: Any) -> None:
    pairs = [item.rpartition(":") for item in value.split(",")]
    adapters = [library.CommonAdapterLoraInfo(path, float(scale)) for path, _, scale in pairs]
    params.lora_adapters = [*params.lora_adapters, *adapters]


def _template_kwargs(params: Any, value: str, _library: Any) -> None:
    """A JSON object; the server keeps each value as JSON text."""
    import json

    more = {key: json.dumps(item) for key, item in json.loads(value).items()}
    params.default_template_kwargs = params.default_template_kwargs | more


def _grammar(params: Any, value: str, library: Any) -> None:
    kind = library.common_grammar_type.COMMON_GRAMMAR_TYPE_USER
    params.sampling.grammar = library.CommonGrammar(kind, value)


def _spec_types(params: Any, value: str, library: Any) -> None:
    names = [word.upper().replace("-", "_") for word in value.split(",")]
    kinds = library.common_speculative_type
    try:
        params.speculative.types = [getattr(kinds, f"COMMON_SPECULATIVE_TYPE_{name}") for name in names]
    except AttributeError as error:
        raise ValueError("unknown speculative type") from error


def _by(path: str, read: Callable[[str], object]) -> Callable[[Any, str, Any], None]:
    return lambda params, value, _library: _set(params, path, read(value))


def _cors_origins(params: Any, value: str, _library: Any) -> None:
    params.cors_origins = value
    params.cors_origins_explicit = True


_SPECIAL_VALUES: dict[str, Callable[[Any, str, Any], None]] = {
    "--api-key-file": _key_file,
    "--gpu-layers": _layers,
    "--n-gpu-layers": _layers,
    "--spec-draft-ngl": _draft_layers,
    "--tensor-split": _tensor_split,
    "--fit": _by("fit_params", _on_off(on=True, off=False)),
    "--fit-target": _fit_target,
    "--reasoning": _by("enable_reasoning", _on_off(on=1, off=0, auto=-1)),
    "--spec-draft-sampling": _by(
        "speculative.draft.probabilistic", _on_off(greedy=False, probabilistic=True)
    ),
    "--cpu-strict": _by("cpuparams.strict_cpu", lambda value: int(value) != 0),
    "--cpu-strict-batch": _by("cpuparams_batch.strict_cpu", lambda value: int(value) != 0),
    "--rope-scale": _by("rope_freq_scale", lambda value: 1.0 / float(value)),
    "--seed": _by("sampling.seed", lambda value: int(value) & 0xFFFFFFFF),
    "--alias": _by("model_alias", lambda value: {word.strip() for word in value.split(",")}),
    "--tags": _by("model_tags", lambda value: {word.strip() for word in value.split(",")}),
    "--cors-origins": _cors_origins,
    "--reverse-prompt": lambda params, value, _: _set(params, "antiprompt", [*params.antiprompt, value]),
    "--lora": _lora,
    "--lora-scaled": _lora_scaled,
    "--chat-template-kwargs": _template_kwargs,
    "--grammar": _grammar,
    "--grammar-file": lambda params, value, library: _grammar(params, _text_of(value), library),
    "--spec-type": _spec_types,
}


def _rerank(params: Any, library: Any) -> None:
    params.embedding = True
    params.pooling_type = getattr(library.llama_pooling_type, _RERANK)


_SPECIAL_FLAGS: dict[str, Callable[[Any, Any], None]] = {"--rerank": _rerank, "--reranking": _rerank}


def _serve(params: Any, library: Any) -> int:
    """Load, listen, wait for a signal, end.

    While the model loads (and until some milliseconds after the first healthy answer, because loading holds
    the interpreter) a signal ends the process at once, as it does llama-server. Afterwards the C++ server
    is not taken down but left to the kernel: taking it down waits for its clients (and for ever, when it
    comes too soon after the start), holds the interpreter meanwhile, and would save nothing.
    """
    import signal
    import time

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        server = library.Server(params)
    except (RuntimeError, ValueError) as error:
        return _fail(f"error: {error}")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)  # whichever thread the kernel picks, this one wakes up
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    os.read(reader, 1)
    sys.stderr.write(f"{server.listening_address} ends as asked\n")
    sys.stderr.flush()
    time.sleep(_LAST_WORDS_S)
    os._exit(0)


def _fail(message: str, code: int = 1) -> int:
    sys.stderr.write(message + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
