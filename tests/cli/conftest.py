"""Running the program as a user does: a child process, a scratch home, no terminal."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from scratch_home import Agent, Run, scratch_environment


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A scratch home folder; everything that the program writes lies below it."""
    (tmp_path / "bin").mkdir()
    return tmp_path


@pytest.fixture
def site(home: Path) -> Path:
    """A site with settings and one stopped profile."""
    folder = home / "site"
    (folder / "profiles").mkdir(parents=True)
    (folder / "llamaagent.yaml").write_text("profiles: profiles/\nbinary: /bin/true\n")
    (home / "m.gguf").write_bytes(b"GGUF")
    (folder / "profiles" / "tiny.yaml").write_text(f"model: {home / 'm.gguf'}\nstate: stopped\n")
    return folder


@pytest.fixture
def agent(home: Path) -> Agent:
    """`agent("ps", "--json", cwd=...)`: one command to its end; `code` is the exit code expected (None = any)."""

    def run(
        *words: str | Path,
        cwd: Path | None = None,
        code: int | None = 0,
        env: Mapping[str, str] | None = None,
        stdin: str | None = "",
        before: Sequence[str] = (),
    ) -> Run:
        result = subprocess.run(
            [*before, sys.executable, "-m", "llamaagent", *map(str, words)],
            cwd=cwd or home,
            env={**scratch_environment(home), **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        told = f"{words}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stderr, told
        assert code is None or result.returncode == code, told
        return result

    return run
