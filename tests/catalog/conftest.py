"""A site whose catalogue comes from a server on this machine, and the program run in it as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from fakes.ngc_server import NgcServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def server() -> Iterator[NgcServer]:
    made = NgcServer()
    yield made
    made.close()


class CatalogSite:
    """One site."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "a.db"
        self.settings = folder / "llamaagent.yaml"
        self.environment = {
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.path.join(ROOT, "src"),
            "LANG": "C.UTF-8",
            "DOCKER_HOST": f"unix://{folder}/no-engine.sock",
            **{
                f"XDG_{name}_HOME": str(folder / name.lower())
                for name in ("CACHE", "CONFIG", "DATA", "STATE")
            },
        }

    def write(self, text: str) -> None:
        self.settings.write_text(f"database: a.db\nprofiles: profiles/\n{text}\n")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "llamaagent", *words]

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        told = f"{words}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stderr, told
        assert result.returncode == code, told
        return result

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def ask(self, query: str) -> list[Any]:
        db = apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return [row[0] if len(row) == 1 else row for row in db.execute(query).fetchall()]
        finally:
            db.close()

    def change(self, statement: str) -> None:
        db = apsw.Connection(str(self.database))
        db.execute(statement)
        db.close()


@pytest.fixture
def site(tmp_path: Path, server: NgcServer) -> CatalogSite:
    made = CatalogSite(tmp_path)
    (tmp_path / "profiles").mkdir()
    made.write(f"catalog: {{ngc_api: '{server.url}', mirrors: {{nvcr.io: '{server.url}'}}}}")
    return made
