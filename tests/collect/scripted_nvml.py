"""Cards that say what a text file says: NVML's binary interface, built by the system's compiler, for whole programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = os.path.join(os.path.dirname(__file__), "fake_nvml.c")


def build_library(folder: Path) -> str:
    """Build libnvidia-ml.so.1 in a folder and return the folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    words = [compiler, "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*words, "-o", str(folder / "libnvidia-ml.so.1"), SOURCE], check=True, capture_output=True)
    return str(folder)


class ScriptedCards:
    """A script, a /dev and a /sys of their own, and the variables by which a child finds them."""

    def __init__(self, library: str, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "cards.txt"
        self.dev = folder / "dev"
        self.sys = folder / "sys"
        self.dev.mkdir(parents=True)
        self.sys.mkdir()
        (self.dev / "nvidiactl").touch()
        self.env = {
            "LD_LIBRARY_PATH": library,
            "FAKE_NVML_SCRIPT": str(self.script),
            "LLAMAAGENT_HOST_DEV": str(self.dev),
            "LLAMAAGENT_HOST_SYS": str(self.sys),
        }
        self._sequence = 0

    def say(self, *lines: str) -> None:
        """From now on the driver says this; a reader sees the old or the new, never half."""
        fresh = self.script.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        fresh.replace(self.script)

    def kernel(self, *texts: str, facility: int = 0) -> None:
        """The kernel writes these lines into its log."""
        with (self.dev / "kmsg").open("a", encoding="utf-8") as log:
            for text in texts:
                self._sequence += 1
                log.write(f"{facility * 8 + 4},{self._sequence},{self._sequence * 1000},-;{text}\n")

    def xid(self, code: int, pci: str = "0000:01:00", words: str = "pid=77, name=python, words") -> None:
        """The driver reports an Xid."""
        self.kernel(f"NVRM: Xid (PCI:{pci}): {code}, {words}")
