"""`init` makes a folder that works at once, keeps what is there, and finds what is on the host."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scratch_home import Agent, program, scratch_environment, written


def test_the_folder_is_valid_and_starts_nothing(agent: Agent, home: Path) -> None:
    folder = home / "new"

    result = agent("init", folder)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["wrote"] * 5
    schemas = [".llamaagent/profile.schema.json", ".llamaagent/settings.schema.json"]
    assert sorted(written(folder)) == [".gitignore", *schemas, "llamaagent.yaml", "profiles/example.yaml"]
    agent("check", cwd=folder)
    assert "nothing to do" in agent("plan", cwd=folder).stderr


@pytest.mark.embedded
def test_where_only_the_embedded_server_is_the_settings_name_it(agent: Agent, home: Path) -> None:
    """Who followed the README to the letter has no llama-server on PATH, and wants the next pass to launch."""
    agent("init", home / "without")
    assert "\nbinary: embedded " in (home / "without" / "llamaagent.yaml").read_text()
    assert agent("settings", "binary", cwd=home / "without").stdout.splitlines()[1].split()[:2] == [
        "binary",
        "embedded",
    ]

    program(home, "llama-server", "exit 0")
    agent("init", home / "with")
    assert "\n# binary: " in (home / "with" / "llamaagent.yaml").read_text()


def test_it_overwrites_nothing(agent: Agent, home: Path) -> None:
    folder = home / "new"
    agent("init", folder)
    (folder / "llamaagent.yaml").write_text("interval: 1m\n")
    (folder / "profiles" / "example.yaml").rename(folder / "profiles" / "mine.yml")
    before = written(folder)

    result = agent("init", folder)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["kept"] * 5
    assert written(folder) == before


def test_the_files_name_schemas_that_are_there_and_are_renewed(agent: Agent, home: Path) -> None:
    folder = home / "new"
    agent("init", folder)
    agent("new", "q", "-m", "m.gguf", cwd=folder)
    for name, kind in (
        ("llamaagent.yaml", "settings"),
        ("profiles/example.yaml", "profile"),
        ("profiles/q.yaml", "profile"),
    ):
        file = folder / name
        mode, _, schema = file.read_text().partition("\n")[0].partition("$schema=")
        assert mode == "# yaml-language-server: "
        assert (file.parent / schema).read_text() == agent("check", "--schema", kind).stdout

    old = folder / ".llamaagent" / "profile.schema.json"
    now = old.read_text()
    old.write_text("{}")
    result = agent("init", folder)
    assert f"wrote    {old}\n" in result.stdout
    assert old.read_text() == now
    assert not list(old.parent.glob("*.part"))


def test_a_folder_that_cannot_be_made(agent: Agent, home: Path) -> None:
    (home / "file").write_text("")

    assert "cannot make" in agent("init", home / "file" / "new", code=73).stderr


def commands(text: str, word: str) -> list[list[str]]:
    """The command lines that init prints, as a shell reads them."""
    return [shlex.split(line) for line in text.splitlines() if line.startswith(f"  llamaagent {word} ")]


def test_models_in_usual_places_are_found_and_taken_in_as_printed(agent: Agent, home: Path) -> None:
    folder = home / "new"
    for path in ("models/deep/Big Model-Q4_K.gguf", "models/part-00001-of-00002.gguf",
                 "models/part-00002-of-00002.gguf", "models/mmproj-x.gguf", "new/here.gguf"):  # fmt: skip
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(b"GGUF")

    found = [words for words in commands(agent("init", folder).stderr, "new") if str(home) in words[-1]]
    assert [words[2:] for words in found] == [
        ["here", "--model", str(folder / "here.gguf")],
        ["big-model-q4_k", "--model", str(home / "models/deep/Big Model-Q4_K.gguf")],
        ["part", "--model", str(home / "models/part-00001-of-00002.gguf")],
    ]
    for words in found:
        agent(*words[1:], cwd=folder)
    agent("check", cwd=folder)


@contextmanager
def server(home: Path, *options: str) -> Iterator[int]:
    """A process that looks like a llama-server: Python takes `-c CODE`, and as an option `-c` may be given again."""
    code = "import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        ["/opt/llama-server", "-c", code, *options],
        executable=sys.executable,
        cwd=home,
        env=scratch_environment(home),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_a_running_server_is_taken_in_as_printed_without_its_secrets(agent: Agent, home: Path) -> None:
    folder = home / "new"
    folder.mkdir()
    (home / "my model.gguf").write_bytes(b"GGUF")
    with server(home, "-m", "my model.gguf", "--api-key", "canary", "-c", "4096", "--temp", "0.5") as pid:
        result = agent("init", folder)

    lines = result.stderr.splitlines()
    at = next(number for number, line in enumerate(lines) if f"# pid {pid} of " in line)
    assert "not shown: the value of --api-key" in lines[at]
    assert "canary" not in result.stdout + result.stderr
    words = shlex.split(lines[at + 1])
    assert words[:5] == ["llamaagent", "new", "my-model", "--model", str(home / "my model.gguf")]
    agent(*words[1:], cwd=folder)
    text = (folder / "profiles" / "my-model.yaml").read_text()
    assert "  ctx-size: 4096\n  temp: 0.5\n" in text
    assert "  api-key: {env: MY_MODEL_API_KEY}\n" in text


def test_a_command_line_that_cannot_be_read_is_said_and_not_shown(agent: Agent, home: Path) -> None:
    with server(home, "--no-such-option", "canary") as pid:
        result = agent("init", home / "new")

    (told,) = (line for line in result.stderr.splitlines() if f"# pid {pid} of " in line)
    assert "unknown key '--no-such-option'" in told
    assert "canary" not in result.stderr


def test_quiet_writes_and_advises_nothing(agent: Agent, home: Path) -> None:
    assert agent("init", home / "new", "-q").stderr == ""
