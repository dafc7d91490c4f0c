"""Write src/llamaagent/config/catalogue.json, the llama-server options known without asking a binary.

    python scripts/make_catalogue.py [FACTS [OUTPUT]]

FACTS is the list of options as read from llama.cpp's argument table (tests/fixtures/llama_server_flags.json);
what it cannot know (what to write instead of an option that is gone) stands below. Run it again whenever
the facts change; a test compares its output with the file in the tree.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FACTS = ROOT / "tests/fixtures/llama_server_flags.json"
OUTPUT = ROOT / "src/llamaagent/config/catalogue.json"
SOURCE = "llama.cpp b11434"

# Parsed by the server only to be refused: what to write today.
REPLACED = {
    "draft": "use spec-draft-n-max",
    "draft-min": "use spec-draft-n-min",
    "spec-ngram-size-n": "use spec-ngram-simple-size-n, spec-ngram-map-k-size-n or spec-ngram-mod-n-match",
    "spec-ngram-size-m": "use spec-ngram-simple-size-m or spec-ngram-map-k-size-m",
    "spec-ngram-min-hits": "use spec-ngram-simple-min-hits or spec-ngram-map-k-min-hits",
    "defrag-thold": "leave it out, the server ignores it",
}
# Not known to the server at all any more, but still found in people's files.
GONE = {
    "mmap": "use load-mode: mmap (or none)",
    "no-mmap": "use load-mode: none",
    "mlock": "use load-mode: mlock (or mmap+mlock)",
    "polling": "use poll",
    "polling-batch": "use poll-batch",
    "verbose-prompt": "leave it out, llama-server never had it",
    "ctx-size-draft": "leave it out, the draft's context follows the main one",
    "cd": "leave it out, the draft's context follows the main one",
    "model-url-draft": "use spec-draft-hf, or spec-draft-model with a local file",
    "spec-replace": "leave it out, it was removed",
    "hf-file-v": "leave it out, it was removed",
}
PRESET_SUFFIXES = ("-default", "-spec")


def canonical(names: list[str]) -> str:
    """The first long spelling, without its dashes."""
    return next(name for name in names if name.startswith("--"))[2:]


def entry(option: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """One option, with only what differs from the usual."""
    name = canonical(option["names"])
    out: dict[str, Any] = {"names": option["names"], "value": option["value"]}
    if option["negations"]:
        out["negations"] = option["negations"]
    if option["n_values"] > 1:
        out["values"] = option["n_values"]
    out.update({key: option[key] for key in ("choices", "separator", "env", "default") if option.get(key)})
    if option["repeatable"]:
        out["repeatable"] = True
    if option["deprecated"] or option["removed"]:
        out["gone"] = REPLACED[name]
    if option["exits"]:
        out["exits"] = True
    if name.endswith(PRESET_SUFFIXES) and option["group"] == "server":
        out["preset"] = name != "spec-default"
    out["group"] = option["group"]
    return name, {key: value for key, value in out.items() if value is not False}


def render(facts: list[dict[str, Any]]) -> str:
    """The file's text: one option a line, sorted, so that a change shows as a short diff."""
    options = dict(sorted(entry(option) for option in facts))
    lines = [
        f"  {json.dumps(name)}: {json.dumps(option, sort_keys=True)}" for name, option in options.items()
    ]
    gone = json.dumps(GONE, indent=1, sort_keys=True)
    return (
        f'{{"source": {json.dumps(SOURCE)},\n"gone": {gone},\n"options": {{\n' + ",\n".join(lines) + "\n}}\n"
    )


def main(arguments: list[str]) -> None:
    """Read the facts, write the catalogue."""
    facts = Path(arguments[0]) if arguments else FACTS
    output = Path(arguments[1]) if len(arguments) > 1 else OUTPUT
    output.write_text(render(json.loads(facts.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
