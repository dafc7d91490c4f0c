"""A legal value for every option of llama-server, as a person would write it in YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from llamaagent.config.catalogue import Option

# Where the kind of value does not say enough: what the server's own checks want.
SPECIAL: dict[str, object] = {
    "alias": ["one", "two"],
    "chat-template-kwargs": {"enable_thinking": False},
    "control-vector-layer-range": ["1", "2"],
    "cors-origins": "http://127.0.0.1",
    "cpu-mask": "0x3",
    "cpu-mask-batch": "0x3",
    "cpu-range": "0-1",
    "cpu-range-batch": "0-1",
    "device": "none",
    "dry-sequence-breaker": ["x", "y"],
    "fit-target": [512, 1024],
    "grammar": 'root ::= "x"',
    "json-schema": {"type": "object"},
    "logit-bias": ["5+1", "6-2"],
    "mcp-servers-json": '{"mcpServers": {}}',
    "override-kv": "llama.block_count=int:2",
    "override-tensor": "ffn=CPU",
    "reasoning-effort": "low",
    "samplers": ["top_k", "temperature"],
    "spec-draft-cpu-mask": "0x3",
    "spec-draft-cpu-mask-batch": "0x3",
    "spec-draft-cpu-range": "0-1",
    "spec-draft-device": "none",
    "spec-draft-override-tensor": "ffn=CPU",
    "spec-synth-rates": [0.5, 0.5],
    "spec-type": "ngram-simple",
    "tensor-split": [3, 1],
    "tools": "all",
    "ui-config": {"a": 1},
    "verbosity": 3,
}
_TEXTS = {".json": "{}", ".gbnf": 'root ::= "x"', ".ini": ""}
_FILES = {
    "json-schema-file": ".json",
    "ui-config-file": ".json",
    "mcp-servers-config": ".json",
    "grammar-file": ".gbnf",
}
_FOLDERS = frozenset(
    {"path", "media-path", "models-dir", "slot-save-path", "log-prompts-dir", "video-ffmpeg-dir"}
)


def value_of(option: Option, folder: Path) -> object:
    """A value that the option takes. folder: where files that must exist are made."""
    if option.name in SPECIAL:
        return SPECIAL[option.name]
    if option.value == "none":
        return True
    if option.value == "enum" or (option.value == "list" and option.choices):
        return option.choices[0]
    if option.value == "path" or option.name.startswith(("lora", "control-vector")):
        return path_of(option, folder)
    if option.value == "int":
        return int(option.default) if option.default and option.default.lstrip("-").isdigit() else 1
    if option.value in {"float", "number"}:
        return 0.5 if option.value == "float" else 1
    return "text"


def path_of(option: Option, folder: Path) -> str:
    """A file or folder that is there, with contents that the option can read."""
    if option.name in _FOLDERS:
        return str(folder)
    ending = _FILES.get(option.name, ".txt")
    path = folder / f"{option.name}{ending}"
    path.write_text(_TEXTS.get(ending, "text"))
    return f"{path}:0.5" if option.name.endswith("-scaled") else str(path)
