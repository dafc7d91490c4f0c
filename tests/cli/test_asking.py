"""The border to the server program: its --help is run under a deadline, in an environment without its options."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.paths import places
from llamaagent.cli.main import entry
from llamaagent.cli.site import asking

if TYPE_CHECKING:
    from pathlib import Path


def program(folder: Path, body: str) -> str:
    path = folder / "llama-server"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def ask(folder: Path, body: str) -> str | None:
    found = places({"HOME": str(folder)})
    return asking(found, deadline_s=1.0).help_of(program(folder, body), {})


@pytest.mark.parametrize("body", ["sleep 60", "echo --model; kill -ABRT $$", "exit 3", "exec /nowhere"])
def test_a_program_that_hangs_or_crashes_gives_no_help(tmp_path: Path, body: str) -> None:
    begin = time.monotonic()
    assert ask(tmp_path, body) is None
    assert time.monotonic() - begin < 10


def test_what_is_no_program_at_all_gives_no_help(tmp_path: Path) -> None:
    path = tmp_path / "llama-server"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    assert asking(places({"HOME": str(tmp_path)})).help_of(str(path), {}) is None


def test_the_program_is_not_told_of_options_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_PORT", "1")
    assert ask(tmp_path, 'echo "$1 ${LLAMA_ARG_PORT-unset}"') == "--help unset\n"


@pytest.mark.parametrize(("args", "code"), [("temp: 0.5", 0), ("slot-save-pth: x", 78), ("rpc: x", 78)])
def test_check_asks_the_embedded_server_what_it_offers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: str,
    code: int,
) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "llamaagent.yaml").write_text("binary: embedded\n")
    (tmp_path / "profiles/p.yaml").write_text(f"model: m.gguf\nallow_dangerous: true\nargs: {{{args}}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert entry(["check"]) == code
    assert ("the embedded server has no such option" in capsys.readouterr().out) == bool(code)


def test_the_program_runs_with_the_variables_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """[ "$LIBRARIES" = found ] && printf '%s\\n' '--model FNAME' '--port N' '--new-flag N'"""
    path = program(tmp_path, body)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "llamaagent.yaml").write_text(f"binary: {path}\nenv: {{LIBRARIES: found}}\n")
    (tmp_path / "profiles/p.yaml").write_text("model: m.gguf\nargs: {new-flag: 1}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert entry(["check"]) == 0


def test_check_asks_the_program_that_the_settings_name_unless_portable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = program(tmp_path, "printf '%s\\n' '--model FNAME' '--port N' '--new-flag N'")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "llamaagent.yaml").write_text(f"binary: {path}\n")
    (tmp_path / "profiles/p.yaml").write_text("model: m.gguf\nargs: {new-flag: 1}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert entry(["check"]) == 0
    assert len(list((tmp_path / "cache").rglob("options-*.json"))) == 1
    assert entry(["check", "--portable"]) == 78
    assert "unknown key 'new-flag'" in capsys.readouterr().out
