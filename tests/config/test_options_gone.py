"""What older servers and dashboards had and today's server does not: refused with what to write instead."""

from __future__ import annotations

import re
import subprocess

import pytest

from llamaagent.config.args import canonical_args
from llamaagent.config.catalogue import load_catalogue

CATALOGUE = load_catalogue()
# Spelling as people have it in their files -> what must be in the message. Each was tried on the real server.
OLD = {
    "mmap": "use load-mode: mmap",
    "no-mmap": "use load-mode: none",
    "mlock": "use load-mode: mlock",
    "draft": "use spec-draft-n-max",
    "draft-n": "use spec-draft-n-max",
    "draft-max": "use spec-draft-n-max",
    "draft-min": "use spec-draft-n-min",
    "draft-n-min": "use spec-draft-n-min",
    "ctx-size-draft": "leave it out",
    "cd": "leave it out",
    "spec-replace": "leave it out",
    "hf-file-v": "leave it out",
    "model-url-draft": "use spec-draft-hf",
    "polling": "use poll",
    "polling-batch": "use poll-batch",
    "verbose-prompt": "leave it out",
    "spec-ngram-size-n": "use spec-ngram-",
    "spec-ngram-size-m": "use spec-ngram-",
    "spec-ngram-min-hits": "use spec-ngram-",
    "defrag-thold": "leave it out",
}
OLD_ADVICE = [
    *CATALOGUE.gone.values(),
    *(option.gone for option in CATALOGUE.options.values() if option.gone),
]
SWITCHES = {"mmap", "no-mmap", "mlock", "verbose-prompt"}


@pytest.mark.parametrize("style", ["{}", "--{}", "{}_"])
@pytest.mark.parametrize("key", OLD)
def test_it_is_refused_with_what_to_write_today(key: str, style: str) -> None:
    spelling = key.replace("-", "_") if style == "{}_" else style.format(key)
    (fault,) = canonical_args({spelling: True if key in SWITCHES else "1"}, CATALOGUE).faults
    assert OLD[key] in fault.message
    assert spelling in fault.message
    assert fault.severity == "error"


def test_every_old_spelling_that_we_know_is_tried_here() -> None:
    known = set(CATALOGUE.gone)
    known |= {
        word.lstrip("-")
        for option in CATALOGUE.options.values()
        if option.gone
        for word in option.names
        if word.startswith("--")
    }
    assert known == set(OLD)


def test_what_is_advised_is_an_option() -> None:
    advised = {
        word for said in OLD_ADVICE for word in re.findall(r"[a-z]+(?:-[a-z]+)+", said.partition("use ")[2])
    }
    assert advised >= {"load-mode", "spec-draft-n-max", "poll-batch"}
    assert advised <= CATALOGUE.options.keys()


def test_other_words_of_dashboards_have_a_sentence_too() -> None:
    """Spellings that live on with another meaning."""
    for key, value, said in (
        ("log-verbose", "5", "'verbose' is a switch: write true or false, not '5' (or use 'verbosity: 3')"),
        ("webui", '{"a": 1}', "'ui' is a switch: write true or false, not '{\"a\": 1}' (or use 'ui-config')"),
    ):
        (fault,) = canonical_args({key: value}, CATALOGUE).faults
        assert said in fault.message


@pytest.mark.binary
@pytest.mark.parametrize("key", sorted(set(OLD) - {"defrag-thold"}))
def test_the_real_server_refuses_it(llama_server_binary: str, key: str) -> None:
    """Else it would stand in the table for nothing; --defrag-thold is taken, and ignored."""
    dash = "-" if key == "cd" else "--"
    words = [f"{dash}{key}", *(["1"] if key not in SWITCHES else [])]
    done = subprocess.run(
        [llama_server_binary, *words, "--model", "/nonexistent.gguf", "--port", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        env={},
        check=False,
    )
    assert done.returncode == 1
    assert "initializing" not in done.stdout + done.stderr
    assert "argument" in done.stdout + done.stderr
