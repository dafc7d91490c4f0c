"""A model that this user may not read is held as such: not missing, and not tried."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ASK = """
import os, sys
from llamaagent.domain.profile import ModelRef, Profile
from llamaagent.reconcile.gates import HeldError, ask
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    ask(None, Profile(name="a", source="/a", line=1, model=ModelRef(path=sys.argv[1])), (), None)
except HeldError as error:
    print(error.reason, error)
"""


def held(path: Path) -> str:
    env = {"PYTHONPATH": os.path.join(ROOT, "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", ASK, str(path)], env=env, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_a_model_without_the_right_to_read_it_is_held_as_such(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    model.chmod(0)
    assert held(model).startswith(f"permission model {model}")
    assert held(tmp_path / "absent.gguf" if os.geteuid() else model.parent.parent / "x").startswith(
        ("missing-model", "permission")
    )
