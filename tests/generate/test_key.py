"""When two askings are one: the laws of the cache's key."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from llamaagent.config.catalogue import load_catalogue
from llamaagent.generate.ask import Ask, Image
from llamaagent.generate.key import Marks, effective, key_of
from llamaagent.generate.options import BY_NAME, OPTIONS, settings_of

MARKS = Marks(lambda path: {"file": path.rpartition("/")[2], "size": 7}, lambda path: f"text of {path}")
MODEL = {"file": "m.gguf", "size": 1000}

numbers = some.floats(0, 2, allow_nan=False)
settings = some.fixed_dictionaries(
    {},
    optional={
        "temp": numbers,
        "top-k": some.integers(1, 100),
        "top-p": numbers,
        "min-p": numbers,
        "repeat-penalty": numbers,
        "n-predict": some.integers(1, 512),
        "stop": some.lists(some.text(min_size=1, max_size=5), min_size=1, max_size=3, unique=True),
        "grammar": some.text(max_size=10),
    },
)
# Of a profile, beside the options that a request has too.
others = some.fixed_dictionaries(
    {},
    optional={
        "lora": some.sampled_from(["/l/a.gguf", "/l/b.gguf"]),
        "chat-template": some.text(min_size=1, max_size=8),
        "mmproj": some.sampled_from(["/p/a.gguf", "/p/b.gguf"]),
        "control-vector": some.sampled_from(["/c/a.gguf"]),
    },
)
left_out = some.fixed_dictionaries(
    {},
    optional={
        "seed": some.integers(0, 9),
        "gpu-layers": some.integers(0, 99),
        "ctx-size": some.integers(512, 4096),
        "threads": some.integers(1, 8),
        "verbosity": some.integers(3, 5),
        "parallel": some.integers(1, 4),
    },
)


def key(ask: Ask, args: dict[str, Any] | None = None, model: object = MODEL) -> str:
    return key_of(effective(ask, model, args or {}, MARKS))


def shuffled(given_: dict[str, Any], seed: int) -> dict[str, Any]:
    items = list(given_.items())
    random.Random(seed).shuffle(items)
    return dict(items)


@given(some.text(), settings, others, left_out, some.integers())
def test_one_effective_generation_has_one_key(
    prompt: str, asked: dict[str, Any], more: dict[str, Any], infrastructure: dict[str, Any], seed: int
) -> None:
    """Said by the request or by the profile, in any order, whole numbers as either kind, stops in any order."""
    by_request = key(Ask(prompt, None, settings_of(asked)), dict(more))
    turned = {name: list(reversed(v)) if name == "stop" else v for name, v in asked.items()}
    as_profile = {("reverse-prompt" if name == "stop" else name): value for name, value in turned.items()}
    if "n-predict" in as_profile:
        as_profile["predict"] = as_profile.pop("n-predict")
    by_profile = key(Ask(prompt), shuffled({**as_profile, **more, **infrastructure}, seed))

    assert by_request == by_profile


@given(settings, some.integers(2, 99))
def test_the_request_outranks_the_profile(asked: dict[str, Any], top_k: int) -> None:
    asked = {**asked, "top-k": top_k}

    assert key(Ask("p", None, settings_of(asked)), {"top-k": 1}) == key(Ask("p", None, settings_of(asked)))


CHANGES: dict[str, tuple[Ask, dict[str, Any], object]] = {
    "prompt": (Ask("other"), {}, MODEL),
    "messages": (Ask("p", ({"role": "user", "content": "p"},)), {}, MODEL),
    "a role": (Ask("", ({"role": "system", "content": "p"},)), {}, MODEL),
    "model's name": (Ask("p"), {}, {"file": "other.gguf", "size": 1000}),
    "model's size": (Ask("p"), {}, {"file": "m.gguf", "size": 1001}),
    "image": (Ask("p", None, {}, (Image(b"a"),)), {}, MODEL),
    "another image": (Ask("p", None, {}, (Image(b"b"),)), {}, MODEL),
    "how many": (Ask("p", n=2), {}, MODEL),
    "seed on purpose": (Ask("p", None, settings_of({"seed": 1})), {}, MODEL),
    "another seed": (Ask("p", None, settings_of({"seed": 2})), {}, MODEL),
    "stop": (Ask("p", None, settings_of({"stop": "x"})), {}, MODEL),
    "schema": (Ask("p", None, settings_of({"schema": "{}"})), {}, MODEL),
    "grammar": (Ask("p", None, settings_of({"grammar": "root ::= x"})), {}, MODEL),
    "lora": (Ask("p"), {"lora": "/l/a.gguf"}, MODEL),
    "lora's scale": (Ask("p"), {"lora-scaled": "/l/a.gguf:0.5"}, MODEL),
    "another scale": (Ask("p"), {"lora-scaled": "/l/a.gguf:0.6"}, MODEL),
    "control vector": (Ask("p"), {"control-vector": "/c/a.gguf"}, MODEL),
    "projector": (Ask("p"), {"mmproj": "/p/a.gguf"}, MODEL),
    "chat template": (Ask("p"), {"chat-template": "chatml"}, MODEL),
    "template's file": (Ask("p"), {"chat-template-file": "/t"}, MODEL),
    "reasoning": (Ask("p"), {"reasoning-budget": 0}, MODEL),
    **{
        f"option {option.names[0]}": (Ask("p", None, {option.field: 3}), {}, MODEL)
        for option in OPTIONS
        if option.kind in {"float", "int"} and option.field != "seed"
    },
}


def test_any_named_part_makes_another_key() -> None:
    keys = {name: key(*parts) for name, parts in CHANGES.items()} | {"nothing": key(Ask("p"))}

    assert len(set(keys.values())) == len(keys), sorted(keys.items(), key=lambda item: item[1])


@pytest.mark.parametrize("name", ["seed", "gpu-layers", "ctx-size", "threads", "verbosity"])
def test_what_makes_no_better_answer_is_left_out(name: str) -> None:
    assert key(Ask("p"), {name: 1}) == key(Ask("p"), {name: 2}) == key(Ask("p"))


def test_a_constraint_of_the_request_replaces_that_of_the_profile() -> None:
    ask = Ask("p", None, settings_of({"grammar": "root ::= x"}))

    assert key(ask, {"json-schema": "{}"}) == key(ask, {"grammar-file": "/g"}) == key(ask)


def test_every_option_is_one_that_the_profile_knows() -> None:
    known = load_catalogue().options
    missing = [o.field for o in OPTIONS if o.field != "stop" and not any(name in known for name in o.names)]

    assert missing == []
    assert "reverse-prompt" in known
    assert BY_NAME["predict"].field == "n_predict"
