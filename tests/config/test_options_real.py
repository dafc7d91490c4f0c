"""Every option with a legal value, from YAML to the argument parser of the real binary.

The server is given a model that is not there: it parses the whole command line, says that it begins, and ends within
some hundredths of a second. What its parser refuses it tells before that line.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from option_values import value_of

from llamaagent.config.args import OWNED, canonical_args
from llamaagent.config.argv import argv_of
from llamaagent.config.catalogue import load_catalogue
from llamaagent.config.helptext import parse_help

if TYPE_CHECKING:
    from pathlib import Path

    from llamaagent.config.catalogue import Catalogue

BEGUN = "llama_server: initializing"
# What cannot be tried with one run like all others, and why.
EXIT_AT_ONCE = {
    "help",
    "version",
    "list-devices",
    "cache-list",
    "completion-bash",
}  # they print something and end
NOT_IN_THIS_BUILD = {"rpc": "RPC not supported in this build"}
SILENT = {"log-disable"}  # not even that it begins; a refusal would be printed all the same
# Refused by `check`, because the server refuses or ignores them: their advice is tested with the catalogue.
GONE = {
    "defrag-thold",
    "draft",
    "draft-min",
    "spec-ngram-min-hits",
    "spec-ngram-size-m",
    "spec-ngram-size-n",
}
# And the presets, `--embd-gemma-default`, `--gpt-oss-20b-default` and so on: they bring a model from the network.


@pytest.fixture(scope="module")
def catalogue(llama_server_binary: str) -> Catalogue:
    """What this binary offers."""
    text = subprocess.run(
        [llama_server_binary, "--help"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    found = parse_help(text, load_catalogue(), llama_server_binary)
    assert found is not None
    return found


def started(binary: str, words: tuple[str, ...], folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [binary, *words, "--model", "/nonexistent/model.gguf", "--port", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "empty"), "LLAMA_CACHE": str(folder)},
        cwd="/",
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def command_lines(catalogue: Catalogue, folder: Path) -> dict[str, tuple[str, ...]]:
    """What our builder makes of each option, and of its negation, when it stands in a profile."""
    made: dict[str, tuple[str, ...]] = {}
    for option in catalogue.options.values():
        if option.exits or option.gone or option.preset:
            continue
        value = value_of(option, folder)
        if option.name in OWNED:  # the agent passes it itself, by the same builder
            made[option.name] = argv_of([(option.name, value if isinstance(value, bool) else str(value))])
            continue
        written = yaml.safe_load(yaml.safe_dump({option.name: value}))
        for name, given in ((option.name, written), (f"no {option.name}", {option.name: False})):
            if name[:3] == "no " and not option.negations:
                continue
            result = canonical_args(given, catalogue, allow_dangerous=True)
            assert [fault for fault in result.faults if fault.severity == "error"] == [], option.name
            assert result.argv, option.name
            made[name] = result.argv
    return made


@pytest.mark.binary
def test_each_option_gets_past_the_real_parser(
    catalogue: Catalogue, llama_server_binary: str, tmp_path: Path
) -> None:
    refused: dict[str, str] = {}
    lines = command_lines(catalogue, tmp_path)
    for name, words in lines.items():
        _, told = started(llama_server_binary, words, tmp_path)
        if BEGUN not in told and not (name in SILENT and not told.strip()):
            refused[name] = told.strip()[:300]

    assert {name for name in refused if NOT_IN_THIS_BUILD.get(name, "?") not in refused[name]} == set(), (
        refused
    )
    options = {name.removeprefix("no ") for name in lines}
    assert len(options) == len(catalogue.options) - len(EXIT_AT_ONCE) - len(GONE) - sum(
        option.preset for option in catalogue.options.values()
    )


@pytest.mark.binary
def test_the_exceptions_are_those_that_are_listed(catalogue: Catalogue) -> None:
    options = catalogue.options.values()
    assert {option.name for option in options if option.exits} == EXIT_AT_ONCE
    assert {option.name for option in options if option.gone} == GONE
    assert all(option.name.endswith(("-default", "-spec")) for option in options if option.preset)
    assert [option.name for option in options if option.value != "none" and option.values > 1] == [
        "control-vector-layer-range"
    ]


@pytest.mark.binary
@pytest.mark.parametrize("word", sorted(EXIT_AT_ONCE))
def test_those_that_exit_at_once_do(llama_server_binary: str, word: str, tmp_path: Path) -> None:
    code, told = started(llama_server_binary, (f"--{word}",), tmp_path)
    assert (code, BEGUN in told) == (0, False)


@pytest.mark.binary
def test_a_refusal_is_noticed(llama_server_binary: str, tmp_path: Path) -> None:
    """The line that proves the parser is done is missing when it is not."""
    for words in (("--no-such-option",), ("--ctx-size", "many"), ("--flash-attn", "perhaps"), ("--temp",)):
        code, told = started(llama_server_binary, words, tmp_path)
        assert (code, BEGUN in told) == (1, False), words
