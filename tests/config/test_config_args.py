"""llama-server's options: every spelling of the real catalogue, one canonical form, one command line."""

import doctest
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from llamaagent.config import argv, catalogue, near
from llamaagent.config.args import DANGEROUS, OWNED, Canonical, canonical_args
from llamaagent.config.argv import argv_of
from llamaagent.config.catalogue import FILE, Catalogue, bare, load_catalogue, make_catalogue

FACTS = Path(__file__).parents[1] / "fixtures" / "llama_server_flags.json"
CATALOGUE = load_catalogue()


def take(**raw: object) -> Canonical:
    return canonical_args({key.replace("__", "-"): value for key, value in raw.items()}, CATALOGUE)


def message(key: str, value: object) -> str:
    result = canonical_args({key: value}, CATALOGUE)
    assert result.args == ()
    (fault,) = result.faults
    assert fault.key == key
    return fault.message


@pytest.fixture(scope="module")
def facts() -> list[dict[str, object]]:
    return json.loads(FACTS.read_text(encoding="utf-8"))


def test_the_bundled_catalogue_is_what_the_script_writes(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "make_catalogue.py"
    subprocess.run([sys.executable, script, FACTS, tmp_path / "made.json"], check=True)
    assert Path(FILE).read_text(encoding="utf-8") == (tmp_path / "made.json").read_text(encoding="utf-8")


def test_all_spellings_of_the_real_binary_lead_to_its_options(facts: list[dict[str, object]]) -> None:
    spellings = [word for fact in facts for word in [*fact["names"], *fact["negations"]]]  # type: ignore[misc]
    assert len(facts) == len(CATALOGUE.options) == 256
    assert len(spellings) == 413
    for fact in facts:
        long = next(name for name in fact["names"] if name.startswith("--"))  # type: ignore[attr-defined]
        for negated, words in ((False, fact["names"]), (True, fact["negations"])):
            for word in words:  # type: ignore[attr-defined]
                for spelled in (word, bare(word), bare(word).replace("-", "_")):
                    hit = CATALOGUE.find(spelled)
                    assert hit is not None, spelled
                    assert (hit[0].name, hit[1]) == (long[2:], negated)


def test_every_negation_can_be_made_from_the_canonical_name() -> None:
    for option in CATALOGUE.options.values():
        assert not option.negations or f"--no-{option.name}" in option.negations


def test_each_option_makes_an_argv_that_the_binary_would_parse() -> None:
    samples = {"none": True, "int": "5", "float": "0.5", "string": "text", "path": "/x", "list": "1"}
    for option in CATALOGUE.options.values():
        if option.name in OWNED or option.gone or option.exits or option.preset:
            continue
        value: object = option.choices[0] if option.value == "enum" else samples[option.value]
        if option.values == 2:
            value = ["1", "2"]
        result = canonical_args({option.name: value}, CATALOGUE, allow_dangerous=True)
        assert [fault for fault in result.faults if fault.severity == "error"] == []
        assert result.argv[0] == f"--{option.name}"
        assert len(result.argv) == 1 + (0 if option.value == "none" else option.values)


def test_any_spelling_is_stored_as_the_long_one_in_order() -> None:
    result = take(temp="0.7", c="8192", flash_attn=True, ngl="all", n__predict="-1")
    assert result.args == (
        ("ctx-size", 8192),
        ("flash-attn", "on"),
        ("gpu-layers", "all"),
        ("predict", -1),
        ("temp", 0.7),
    )
    assert result.argv == (
        *(
            "--ctx-size",
            "8192",
            "--flash-attn",
            "on",
            "--gpu-layers",
            "all",
            "--predict",
            "-1",
            "--temp",
            "0.7",
        ),
    )


def test_switches_become_the_flag_its_negation_or_nothing() -> None:
    assert take(jinja=True, warmup=False, special=False).argv == ("--jinja", "--no-warmup")
    assert take(no__warmup=True).args == (("warmup", False),)
    assert take(nkvo=False).args == (("kv-offload", True),)


def test_lists_are_joined_or_repeated_as_the_option_wants() -> None:
    result = take(samplers=["top_k", "temp"], tensor_split=["3", "1"], lora=["/a", "/b"], l=["5+1", "6-2"])
    assert result.args == (
        ("logit-bias", ("5+1", "6-2")),
        ("lora", ("/a", "/b")),
        ("samplers", "top_k;temp"),
        ("tensor-split", "3,1"),
    )
    assert result.argv[:4] == ("--logit-bias", "5+1", "--logit-bias", "6-2")


def test_a_comma_in_a_logit_bias_would_be_dropped_in_silence() -> None:
    assert message("logit-bias", "5+1,6-2").startswith("'logit-bias' takes one TOKEN(+/-)BIAS")
    assert message("l", ["5+1", "6-2,7+1"]).endswith("write a list of them")


def test_the_layer_range_takes_two_values_in_one_go() -> None:
    for given in (["1", "20"], "1 20"):
        assert take(control__vector__layer__range=given).argv == ("--control-vector-layer-range", "1", "20")
    assert (
        message("control-vector-layer-range", ["1"]) == "'control-vector-layer-range' takes 2 values, not 1"
    )


def test_null_and_an_empty_list_leave_an_option_out() -> None:
    assert take(c=None, lora=[], temp="1") == (((("temp", 1.0)),), ("--temp", "1.0"), ())


def test_numbers_mean_what_was_written() -> None:
    assert take(c="1e3", s="017", mask="x").args[0] == ("ctx-size", 1000)
    assert take(s="0x10").args == (("seed", 16),)
    assert take(alias="017", cpu__mask="0010").args == (("alias", "017"), ("cpu-mask", "0010"))


def test_a_mapping_is_written_as_json_where_the_option_takes_json() -> None:
    assert take(chat_template_kwargs={"enable_thinking": False}).argv[1] == '{"enable_thinking":false}'
    assert message("temp", {"a": 1}) == "'temp' takes a number, not a mapping"


MISTAKES: list[tuple[str, object, str]] = [
    ("tempp", "1", "unknown key 'tempp', did you mean 'temp'?"),
    ("no-warmupp", True, "unknown key 'no-warmupp', did you mean 'no-warmup'?"),
    ("qqqqqqqq", "1", "unknown key 'qqqqqqqq': llama-server has no such option"),
    ("mirostat", True, "'mirostat' takes a whole number, not true"),
    ("temp", "hot", "'temp' takes a number, not 'hot'"),
    ("temp", "nan", "'temp' takes a number, not 'nan'"),
    ("ctx-size", "8k", "'ctx-size' takes a whole number, not '8k'"),
    ("gpu-layers", "most", "'gpu-layers' takes a whole number or auto or all, not 'most'"),
    ("jinja", "on", "'jinja' is a switch: write true or false, not 'on'"),
    ("jinja", "no", "'jinja' is a switch: write true or false, not 'no'"),
    ("verbose", "3", "'verbose' is a switch: write true or false, not '3' (or use 'verbosity: 3')"),
    ("temp", ["1", "2"], "'temp' takes one value, not a list"),
    ("samplers", ["a", None], "'samplers' takes a list or a text, not nothing inside a list"),
    ("flash-attn", "sometimes", "'flash-attn' takes one of on, off, auto, not 'sometimes'"),
    ("pooling", True, "'pooling' takes one of none, mean, cls, last, rank, not true"),
    ("m", "x.gguf", "'model' is set by the agent; use 'model:' of the profile"),
    ("port", "1", "'port' is set by the agent; use 'listen: {port: NUMBER}'"),
    ("api_key", "x", "'api-key' is set by the agent; use 'secrets: {api-key: {env: NAME}}'"),
    ("hft", "x", "'hf-token' is set by the agent; use 'secrets: {hf-token: {env: NAME}}'"),
    ("lv", "2", "'verbosity' must be 3 or more: below it no request is logged or counted"),
    (
        "mlock",
        True,
        "'mlock' is not an option of today's llama-server; use load-mode: mlock (or mmap+mlock)",
    ),
    ("no-mmap", True, "'no-mmap' is not an option of today's llama-server; use load-mode: none"),
    ("draft-max", "16", "'draft-max' is no longer an option of llama-server; use spec-draft-n-max"),
    (
        "dt",
        "0.1",
        "'defrag-thold' is no longer an option of llama-server; leave it out, the server ignores it",
    ),
    ("version", True, "'version' makes llama-server print something and end; run it by hand"),
    (
        "gpt-oss-20b-default",
        True,
        "'gpt-oss-20b-default' chooses a model by itself; use 'model: {hf: USER/REPO:QUANT}'",
    ),
    ("rpc", "h:1", "'rpc' lets clients act on this machine; it needs 'allow_dangerous: true'"),
]


@pytest.mark.parametrize(("key", "value", "expected"), MISTAKES)
def test_what_is_refused_says_what_to_write(key: str, value: object, expected: str) -> None:
    assert message(key, value) == expected


def test_everything_that_the_agent_owns_is_refused() -> None:
    for name in OWNED:
        assert "is set by the agent; " in message(name, "x")


def test_dangerous_options_pass_only_when_allowed_or_off() -> None:
    for name in DANGEROUS:
        option = CATALOGUE.options[name]
        value: object = True if option.value == "none" else ["a", "b"]
        if option.value in {"string", "path"}:
            value = "x"
        assert "needs 'allow_dangerous: true'" in message(name, value)
        assert canonical_args({name: value}, CATALOGUE, allow_dangerous=True).faults == ()
    assert take(agent=False).faults == ()


def test_two_spellings_of_one_option_are_an_error() -> None:
    result = take(c="1", ctx_size="2")
    assert [fault.message for fault in result.faults] == ["'c' and 'ctx_size' are the same option"]


def test_too_much_talk_is_a_warning_not_an_error() -> None:
    result = take(v=True)
    assert result.args == (("verbose", True),)
    assert [fault.severity for fault in result.faults] == ["warning"]


def test_paths_are_resolved_and_scales_kept() -> None:
    result = canonical_args(
        {"mmproj": "p.gguf", "lora-scaled": "a.gguf:0.5,b.gguf:1", "alias": "a.gguf"},
        CATALOGUE,
        resolve=lambda key, path: f"/{key}/{path}",
    )
    assert dict(result.args) == {
        "alias": "a.gguf",
        "lora-scaled": "/lora-scaled/a.gguf:0.5,/lora-scaled/b.gguf:1",
        "mmproj": "/mmproj/p.gguf",
    }


def test_a_hundred_thousand_unknown_options_cost_little() -> None:
    result = canonical_args({f"unknown{n}": "1" for n in range(100_000)}, CATALOGUE)
    assert len(result.faults) == 100_000


def test_argv_needs_no_catalogue() -> None:
    args = take(c="8192", lora=["/a", "/b"], warmup=False).args
    assert argv_of(args) == ("--ctx-size", "8192", "--lora", "/a", "--lora", "/b", "--no-warmup")


def test_a_catalogue_of_another_build_is_made_the_same_way() -> None:
    made: Catalogue = make_catalogue(
        {"source": "x", "gone": {}, "options": {"new": {"names": ["--new"], "value": "int"}}}
    )
    assert canonical_args({"new": "1"}, made).argv == ("--new", "1")


@pytest.mark.parametrize("module", [argv, catalogue, near])
def test_examples_in_the_docstrings_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)
