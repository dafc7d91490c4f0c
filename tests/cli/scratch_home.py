"""A scratch home, and what the tests of the command line put into it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Run = subprocess.CompletedProcess[str]
Agent = Callable[..., Run]


def scratch_environment(home: Path) -> dict[str, str]:
    """Nothing of the caller's but where Python and this package are."""
    return {
        "HOME": str(home),
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
    }


def program(home: Path, name: str, text: str) -> Path:
    """A shell script on the PATH of `agent`."""
    path = home / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return path


def written(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {
        os.path.relpath(os.path.join(place, name), folder): Path(place, name).read_bytes()
        for place, _, names in os.walk(folder)
        for name in names
    }
