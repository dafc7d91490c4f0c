"""`new` turns a llama-server command line into a profile that loads, or leaves nothing behind."""

import shlex
from pathlib import Path

import pytest
from scratch_home import Agent, program, written

from llamaagent.config.load import load_site
from llamaagent.domain.profile import Profile


def loaded(site: Path, name: str) -> Profile:
    found = load_site(
        config=str(site / "llamaagent.yaml"), profiles=(), environ={"HOME": "/"}, cwd="/", now=2_000_000_000
    )
    assert found.faults == ()
    return next(profile for profile in found.profiles if profile.name == name)


def test_every_kind_of_option_reaches_the_profile(agent: Agent, site: Path, home: Path) -> None:
    words = shlex.split(
        "-c 8192 --temp 0.70 -fa on --no-warmup --jinja --seed -1 --lora a.gguf --lora /b.gguf -ngl all "
        "--cache_type_k q8_0 --host 0.0.0.0 --port 8123 --alias 'two words' "
        """--chat-template-kwargs '{"a": "b"}'"""
    )

    result = agent("new", "qwen", "--model", "../m.gguf", "--", *words, cwd=site)
    assert result.stdout == f"{site / 'profiles' / 'qwen.yaml'}\n"
    profile = loaded(site, "qwen")
    assert profile.model.path == str(home / "m.gguf")
    assert (profile.listen.host, profile.listen.port) == ("0.0.0.0", 8123)
    assert dict(profile.args) == {
        "alias": "two words",
        "cache-type-k": "q8_0",
        "chat-template-kwargs": '{"a": "b"}',
        "ctx-size": 8192,
        "flash-attn": "on",
        "gpu-layers": "all",
        "jinja": True,
        "lora": (str(site / "a.gguf"), "/b.gguf"),
        "seed": -1,
        "temp": 0.7,
        "warmup": False,
    }


def test_a_secret_becomes_a_reference_and_is_written_nowhere(agent: Agent, site: Path, home: Path) -> None:
    result = agent("new", "q.1", "--model", "m.gguf", "--", "--api-key", "canary", "-hft", "canary", cwd=site)

    references = {option: str(ref) for option, ref in loaded(site, "q.1").secrets}
    assert references == {"api-key": "env:Q_1_API_KEY", "hf-token": "env:Q_1_HF_TOKEN"}
    assert "Q_1_API_KEY=..." in result.stderr
    assert "canary" not in result.stdout + result.stderr
    assert not [name for name, text in written(home).items() if b"canary" in text]


def test_a_file_with_keys_stays_a_file(agent: Agent, site: Path) -> None:
    agent("new", "q", "-m", "m.gguf", "--", "--api-key-file", "/run/keys", cwd=site)

    assert [(option, str(ref)) for option, ref in loaded(site, "q").secrets] == [
        ("api-key", "file:/run/keys")
    ]


def test_what_the_agent_passes_itself_is_left_out_and_said(agent: Agent, site: Path) -> None:
    result = agent("new", "q", "-m", "m.gguf", "--", "--metrics", "--log-file", "/x", "-lv", "1", cwd=site)

    assert loaded(site, "q").args == ()
    for word in ("--metrics", "--log-file", "-lv 1"):
        assert f"{word} was left out: " in result.stderr


@pytest.mark.parametrize(
    ("words", "kind", "value"),
    [
        (("-hf", "org/repo:Q4_K_M"), "hf", "org/repo:Q4_K_M"),
        (("--model-url", "https://example.org/m.gguf"), "url", "https://example.org/m.gguf"),
        (("-m", "/m/x y.gguf"), "path", "/m/x y.gguf"),
    ],
)
def test_the_model_may_stand_among_the_options(
    agent: Agent, site: Path, words: tuple[str, ...], kind: str, value: str
) -> None:
    agent("new", "q", "--", *words, cwd=site)

    assert loaded(site, "q").model._asdict()[kind] == value


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--ctx-siz", "4"), "did you mean 'ctx-size'?"),
        (("stray",), "'stray' is no option"),
        (("-c",), "'-c' needs a value"),
        (("-c", "many"), "'ctx-size' takes a whole number"),
        (("--no-mmap",), "load-mode"),
        (("--tools", "all"), "allow_dangerous"),
        (("--port", "99999"), "99999 is no port"),
        (("--version",), "'version' makes llama-server print something and end"),
    ],
)
def test_an_option_that_cannot_be_taken_over_leaves_nothing(
    agent: Agent, site: Path, words: tuple[str, ...], told: str
) -> None:
    before = written(site)

    result = agent("new", "q", "-m", "m.gguf", "--", *words, cwd=site, code=65)
    assert told in result.stderr
    assert written(site) == before


def test_it_overwrites_nothing(agent: Agent, site: Path) -> None:
    before = written(site)

    assert "already there" in agent("new", "tiny", "-m", "m.gguf", cwd=site, code=73).stderr
    (site / "profiles" / "two.yaml").write_text("name: q\nmodel: m.gguf\n")
    assert "two.yaml:1" in agent("new", "q", "-m", "m.gguf", cwd=site, code=73).stderr
    (site / "profiles" / "two.yaml").unlink()
    assert written(site) == before


def test_printing_writes_nothing_and_needs_no_site(agent: Agent, home: Path) -> None:
    result = agent("new", "q", "-m", "m.gguf", "--state", "stopped", "--print", "--", "-c", "5")

    assert result.stdout.splitlines()[1:] == ["state: stopped", "model: m.gguf", "args:", "  ctx-size: 5"]
    assert not [name for name in written(home) if name.endswith(".yaml")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("Q", "-m", "m.gguf"), "no profile name"),
        (("../q", "-m", "m.gguf"), "no profile name"),
        (("q",), "no model is named"),
        (("q", "-m", "m.gguf", "--", "-m", "n.gguf"), "named twice"),
        (("q", "-m", "m.gguf", "--stat", "stopped"), "No such option"),
    ],
)
def test_wrong_usage(agent: Agent, site: Path, words: tuple[str, ...], told: str) -> None:
    assert told in agent("new", *words, cwd=site, code=2).stderr


def test_without_settings_it_says_what_to_do(agent: Agent) -> None:
    assert "llamaagent init" in agent("new", "q", "-m", "m.gguf", code=78).stderr


def test_no_schema_is_named_where_there_is_none_or_a_path_that_editors_cannot_read(
    agent: Agent, site: Path
) -> None:
    agent("new", "q", "-m", "m.gguf", cwd=site)
    assert "$schema" not in (site / "profiles" / "q.yaml").read_text()
    (site / ".llamaagent").mkdir()
    (site / ".llamaagent" / "profile.schema.json").write_text("{}")
    (site / "llamaagent.yaml").write_text("profiles: a b\n")
    agent("new", "q", "-m", "m.gguf", cwd=site)
    first = (site / "a b" / "q.yaml").read_text().partition("\n")[0]
    assert first == "# yaml-language-server: $schema=../.llamaagent/profile.schema.json"


def test_a_folder_that_cannot_be_made(agent: Agent, site: Path) -> None:
    (site / "file").write_text("")
    (site / "llamaagent.yaml").write_text("profiles: file/profiles\n")

    assert "cannot make folder" in agent("new", "q", "-m", "m.gguf", cwd=site, code=73).stderr


def test_the_line_is_read_by_what_the_configured_binary_offers(agent: Agent, site: Path, home: Path) -> None:
    """An option that only this build has is taken; one that it does not have is refused, by its name."""
    server = program(
        home, "own-server", "echo '--model FNAME  m'; echo '--port PORT  p'; echo '-nf, --new-flag N  new'\n"
    )
    (site / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {server}\n")

    agent("new", "own", "-m", "m.gguf", "--", "-nf", "5", cwd=site)
    assert (site / "profiles" / "own.yaml").read_text().endswith("args:\n  new-flag: 5\n")
    refused = agent("new", "other", "-m", "m.gguf", "--", "-c", "5", cwd=site, code=65)
    assert f"{server} has no such option" in refused.stderr


def test_what_follows_an_unknown_option_is_not_repeated(agent: Agent, site: Path) -> None:
    result = agent("new", "q", "-m", "m.gguf", "--", "--api-kei", "canary", cwd=site, code=65)

    assert "did you mean 'api-key'?" in result.stderr
    assert "canary" not in result.stderr
