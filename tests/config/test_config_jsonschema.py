"""The schemas against the loader: good files are good for both, typical mistakes are refused by both.

What only the loader can know stands in `BEYOND`, each a row of the loader's own table of mistakes.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from site_folder import Folder
from test_config_args import MISTAKES as OPTION_MISTAKES
from test_config_documents import PROFILES, load_one
from test_config_mistakes import MISTAKES as PROFILE_MISTAKES
from test_config_profiles import FULL, SHORT_FORMS
from test_config_settings import EVERYTHING
from test_config_settings import MISTAKES as SETTINGS_MISTAKES

from llamaagent.config.args import DANGEROUS
from llamaagent.config.catalogue import load_catalogue
from llamaagent.config.document import without_defaults
from llamaagent.config.jsonschema import schema_of
from llamaagent.config.node import Faults, plain
from llamaagent.config.schema import PROFILE, SETTINGS
from llamaagent.config.yamltext import parse_documents

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "configs").glob("**/*.yaml"))
CATALOGUE = load_catalogue()
SCHEMAS = {kind: schema_of(kind, CATALOGUE) for kind in ("profile", "settings")}
VALIDATORS = {kind: Draft202012Validator(schema) for kind, schema in SCHEMAS.items()}

BEYOND = {  # what the loader refuses and no schema can know, see docs/schema.md
    "args: {models-max: 2}",  # a model may be inherited
    "model: m\nschedule: {timezone: UTC}",  # what is missing may be inherited
    "model: m\nschedule: {timezone: Europe/Berln, windows: '8:00-9:00'}",
    "model: m\nhealth: {probe: command}",
    "model: m\nargs: {tools: all}",
    "model: m\nargs: {c: 1, ctx_size: 2}",
    "model: m\nargs: {sleep-idle-seconds: 5}\nidle: {sleep_after: 9s}",
    "model: m\nruntime: {image: x}",  # the kind may be inherited
    "model: m\nextends: _none.yaml",
    "model: m\nextends: p.yaml",
    "model: m\nresources: {cpus: 1e999}",
    "state: running",
    "runtime: {kind: container}",
    "runtime: {kind: external}",
    "runtime: {kind: container, image: a, ports: [80, '127.0.0.1:1:x']}",  # the kind may be inherited, so are its rules
    "runtime: {kind: container, image: a, ports: [70000]}",
    "runtime: {kind: container, image: a, volumes: [/data]}",
    "runtime: {kind: container, image: a, volumes: ['data/x:/data']}",
    "runtime: {kind: container, image: a}\nsecrets: {hf-token: {env: A}}",
    "",
    "# soon\n",
    "ports: 8199-8100",
}


def refusals(kind: str, value: object) -> list[str]:
    """What the schema says against a value, worst first."""
    found = VALIDATORS[kind].iter_errors(value)  # type: ignore[arg-type]
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def documents(text: str) -> list[Any]:
    """The documents of a file, as an editor that reads YAML 1.2 has them."""
    faults = Faults()
    parsed = parse_documents(text.encode(), "f.yaml", faults)
    assert not faults.broken
    return [plain(document.node) for document in parsed if document.node is not None]


@pytest.mark.parametrize("kind", ["profile", "settings"])
def test_a_schema_is_one_and_names_every_key(kind: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[kind])
    assert list(SCHEMAS[kind]["properties"]) == list({"profile": PROFILE, "settings": SETTINGS}[kind])
    json.dumps(SCHEMAS[kind], allow_nan=False)


def test_it_leads_to_no_outside_address() -> None:
    text = json.dumps(SCHEMAS)
    assert text.count("://") == 2
    assert text.count('"$schema": "https://json-schema.org/draft/2020-12/schema"') == 2


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_examples_are_good(path: Path) -> None:
    kind = "settings" if path.name.startswith("llamaagent.") else "profile"
    found = documents(path.read_text(encoding="utf-8"))
    assert found
    assert [refusals(kind, document) for document in found] == [[]] * len(found)


@pytest.mark.parametrize("text", [FULL, *(text for text, _ in SHORT_FORMS)])
def test_what_the_loader_takes_as_a_profile_is_good(text: str) -> None:
    (document,) = documents(text)
    assert refusals("profile", document) == []
    if "name" not in document:
        assert refusals("settings", {"defaults": document}) == []


@pytest.mark.parametrize(
    "text", [EVERYTHING, "interval: null\nports: ~", "profiles: [a, b]\nnotify: {on: crash}"]
)
def test_what_the_loader_takes_as_settings_is_good(folder: Folder, text: str) -> None:
    (folder.root / "extra").mkdir()
    (folder.root / "a").mkdir()
    (folder.root / "b").mkdir()
    folder.write("llamaagent.yaml", text)
    assert folder.faults() == []
    assert refusals("settings", documents(text)[0]) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=PROFILES)
def test_made_profiles_are_good_as_written_and_as_stored(folder: Folder, written: dict[str, object]) -> None:
    text = yaml.safe_dump({"model": "/m.gguf", **written}, allow_unicode=True)
    profile = load_one(folder, text)
    stored = json.loads(profile.document)
    for document in (documents(text)[0], stored, without_defaults(stored)):
        assert refusals("profile", document) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("profile", text) for text, _ in PROFILE_MISTAKES),
        *(("settings", text) for text, _ in SETTINGS_MISTAKES),
    ],
)
def test_a_mistake_is_refused_by_both_unless_only_the_loader_can_know(kind: str, text: str) -> None:
    found = [message for document in documents(text) for message in refusals(kind, document)]
    assert bool(found) is (text not in BEYOND), found


@pytest.mark.parametrize(("key", "value", "told"), OPTION_MISTAKES)
def test_a_wrong_option_is_refused_by_both(key: str, value: object, told: str) -> None:
    written = int(value) if isinstance(value, str) and value.isdecimal() else value
    found = refusals("profile", {"args": {key: written}})
    assert bool(found) is ("allow_dangerous" not in told), found


def test_every_option_is_known_in_every_spelling() -> None:
    good = {"none": True, "int": 7, "float": 0.5, "string": "x", "path": "x", "list": "x"}
    known = SCHEMAS["profile"]["$defs"]["args"]["properties"]
    for name in known:
        option = CATALOGUE.options[name]
        value = option.choices[0] if option.value == "enum" else good[option.value]
        for word in (*option.names, *option.negations):
            for spelling in (word, word.lstrip("-"), word.lstrip("-").replace("-", "_")):
                assert refusals("profile", {"args": {spelling: value}}) == [], spelling
        assert refusals("profile", {"args": {name: {"a": [None]} if option.value == "none" else [{}]}}), name
    assert set(DANGEROUS) <= set(known)
    assert "-c, --ctx-size" in SCHEMAS["profile"]["$defs"]["ctx-size"]["description"]


@pytest.mark.parametrize(
    "text",
    [
        "args: {-c: '8192', --temp: 1e-1, n_gpu_layers: all, seed: 0x10}",
        "args: {chat-template-kwargs: {a: {b: [1]}}, lora: a.gguf, temp: [0.5], seed: null}",
        "name: 7\nproject: 2024\nhosts: here\nlabels: {a: 1, b: null}",
        "stop: {drain: 0, grace: ' 1h30 m '}",
        "resources: {gpu_memory: 9 gib, memory: 0, gpus: [GPU-1234, 0, '1']}",
        "runtime: {env: {A_KEY: '', B: 1.50}, wrap: nice -n 5, cwd: null}",
        "secrets: {K: 'file:a b', hf-token: {env: X}}\nargs: null",
    ],
)
def test_unusual_spellings_are_good_for_both(folder: Folder, text: str) -> None:
    folder.profile(f"model: m\n{text}\n")
    assert refusals("profile", documents(text)[0]) == []


@pytest.mark.parametrize(
    "text",
    [
        "runtime: {kind: process, image: x}",
        "model: {path: a, hf: b}",
        "model: 7",
        "model: m\nextends: 7",
        "model: m\nextends: [7]",
        "model: m\nextends: ''",
        "listen: '8101'",
        "resources: 9G",
        "args: {ctx-size: true}",
        "args: {temp: [1, 2]}",
        "args: {jinja: 1}",
        "secrets: {api-key: {env: A, file: b}}",
        "labels: {a: [1]}",
        "runtime: {env: {1A: x}}",
        "schedule: {windows: [Mon]}",
        "restart: {give_up_after: {failures: 0}}",
        "stop: {grace: 1h 30m}",
        "health: {start_timeout: 0s}",
        "resources: {gpus: []}",
    ],
)
def test_more_mistakes_are_refused_by_both(folder: Folder, text: str) -> None:
    folder.write("profiles/p.yaml", f"{text}\n" if text.startswith("model") else f"model: m\n{text}\n")
    assert folder.faults()
    assert refusals("profile", documents(text)[0])
