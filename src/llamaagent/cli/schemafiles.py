"""The JSON Schemas as files beside the settings, and the line by which a YAML file names its own."""

from __future__ import annotations

import json
import os

KINDS = ("profile", "settings")
FOLDER = ".llamaagent"


def schema_text(kind: str | None = None) -> str:
    """One schema as a file holds it; without a kind, both in a mapping."""
    from llamaagent.config.catalogue import load_catalogue
    from llamaagent.config.jsonschema import schema_of

    catalogue = load_catalogue()
    both = {one: schema_of(one, catalogue) for one in ((kind,) if kind else KINDS)}
    return json.dumps(both[kind] if kind else both, indent=1, ensure_ascii=False) + "\n"


def schema_file(kind: str) -> str:
    """Where it lies, seen from the folder of the settings."""
    return f"{FOLDER}/{kind}.schema.json"


def modeline(kind: str, folder: str, settings_folder: str) -> str:
    """The line for a file in `folder`, which editors read; nothing where there is no schema to name.

    A path with a space cannot be named, for editors end it there.
    """
    path = os.path.join(settings_folder, schema_file(kind))
    named = os.path.relpath(path, os.path.realpath(folder))
    if not os.path.isfile(path) or len(named.split()) != 1:
        return ""
    return f"# yaml-language-server: $schema={named}\n"
