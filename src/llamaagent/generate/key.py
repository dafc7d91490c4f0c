"""What makes two askings one: the key of the response cache. Pure.

SHA-256 over canonical JSON of the effective generation: what was asked, the model, every option as request over
profile, and what else of the profile decides what is written. Left out, because another value gives as good an answer:
the seed (unless it was asked for on purpose), GPU layers, the context's size, threads, verbosity. An option that nobody
sets is left out too, so that asking for what the profile says anyway is the same asking.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.generate.options import BY_NAME, read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.generate.ask import Ask

# Of a profile: what is written by these files and ways of reading, beside the options that a request has too.
_FILES = frozenset({"mmproj", "lora", "control-vector"})  # weights: known by name and size
_SCALED = frozenset({"lora-scaled", "control-vector-scaled"})  # FILE:SCALE, commas between
_TEXTS = frozenset({"grammar-file", "json-schema-file", "chat-template-file"})  # known by their text
_PLAIN = frozenset(
    {
        "backend-sampling", "cache-type-k", "cache-type-v", "chat-template", "chat-template-kwargs",
        "control-vector-layer-range", "image-max-tokens", "image-min-tokens", "jinja", "keep", "logit-bias",
        "lora-init-without-apply", "mmproj-url", "override-kv", "prefill-assistant", "reasoning", "reasoning-budget",
        "reasoning-budget-message", "reasoning-effort", "reasoning-format", "rope-freq-base", "rope-freq-scale",
        "rope-scale", "rope-scaling", "sampler-seq", "skip-chat-parsing", "special", "yarn-attn-factor",
        "yarn-beta-fast", "yarn-beta-slow", "yarn-ext-factor", "yarn-orig-ctx",
    }
)  # fmt: skip
_CONSTRAINTS = ("grammar", "json_schema", "grammar-file", "json-schema-file")


class Marks(NamedTuple):
    """How files are known: by name and size, and by their text. None: cannot be read."""

    weights: Callable[[str], Any]
    text: Callable[[str], Any]


def effective(ask: Ask, model: Any, args: Mapping[str, Any], marks: Marks) -> dict[str, Any]:
    """The effective generation, as JSON has it.

    model: by what the model is known. args: the profile's options by llama-server's names.
    """
    made = _of_profile(args, marks)
    if any(name in ask.settings for name in _CONSTRAINTS):
        for name in _CONSTRAINTS:
            made.pop(name, None)
    made |= ask.settings
    if "stop" in made:
        made["stop"] = sorted(set(made["stop"]))
    whole: dict[str, Any] = {"model": model, "options": made, "n": ask.n}
    if ask.messages is None:
        whole["prompt"] = ask.prompt
    else:
        whole["messages"] = [dict(message) for message in ask.messages]
    if ask.images:
        whole["images"] = [hashlib.sha256(image.data).hexdigest() for image in ask.images]
    return whole


def key_of(whole: Mapping[str, Any]) -> str:
    """The key: 64 hexadecimal digits."""
    return hashlib.sha256(canonical(whole).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(value: Any) -> str:
    """JSON with one form for one meaning: sorted keys, no blanks, 1 and 1.0 the same."""
    return json.dumps(_one_form(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _one_form(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {str(key): _one_form(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_one_form(item) for item in value]
    return value


def _of_profile(args: Mapping[str, Any], marks: Marks) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in args.items():
        option = BY_NAME.get(name)
        if option is not None:
            if option.field != "seed":
                made[option.field] = read_value(option, name, value)
        elif name in _PLAIN:
            made[name] = value
        elif name in _TEXTS:
            made[name] = marks.text(str(value))
        elif name in _FILES:
            made[name] = [marks.weights(path) for path in _listed(value)]
        elif name in _SCALED:
            made[name] = [_scaled(entry, marks) for entry in _listed(value)]
    return made


def _scaled(entry: str, marks: Marks) -> list[Any]:
    path, _, scale = entry.rpartition(":")
    return [marks.weights(path or entry), scale]


def _listed(value: Any) -> list[str]:
    items = value if isinstance(value, (list, tuple)) else (value,)
    return [part for item in items for part in str(item).split(",")]
