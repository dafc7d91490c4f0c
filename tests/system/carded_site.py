"""A site on a host with scripted cards: the whole program as a child, with the real reader of cards.

A mount namespace of its own shows the child a driver in /proc; the NVML that pynvml finds there is ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from system.scratch_site import PYTHON, Outcome, Site

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fakes", "scripted_nvml.c")
_DRIVER = 'mount -t tmpfs none /proc/driver && mkdir /proc/driver/nvidia && exec "$@"'
INSIDE = ("unshare", "--mount", "sh", "-c", _DRIVER, "sh")


def build_nvml(folder: Path) -> str:
    """Build the library; the folder for LD_LIBRARY_PATH. Skips where that, or a namespace, is not to be had."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    output = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(output), SOURCE], check=True, capture_output=True)
    if subprocess.run([*INSIDE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace of our own")
    return str(folder)


class CardedSite:
    """The site, and the file that says which cards there are and who holds memory on them."""

    def __init__(self, site: Site, library: str) -> None:
        self.site = site
        self.cards: dict[str, int] = {}
        self.held: dict[tuple[str, int], int] = {}
        self.power_mw: int | None = None
        self._script = site.root / "cards"
        site.env |= {"LD_LIBRARY_PATH": library, "SCRIPTED_CARDS": str(self._script)}
        self.say()

    def say(self, **cards: int) -> None:
        """Write the cards down: name -> MiB; without words as they are."""
        self.cards = {f"GPU-{name}": mib for name, mib in cards.items()} or self.cards
        power = "" if self.power_mw is None else f" {self.power_mw}"
        lines = [f"card {uuid} {mib}{power}" for uuid, mib in self.cards.items()]
        lines += [f"hold {uuid} {pid} {mib}" for (uuid, pid), mib in self.held.items()]
        fresh = self._script.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        fresh.replace(self._script)

    def hold(self, uuid: str, pid: int, mib: int) -> None:
        """A process holds so much memory there from now on; 0 = no longer."""
        self.held[uuid, pid] = mib
        if not mib:
            del self.held[uuid, pid]
        self.say()

    def run(self, *words: str, env: dict[str, str] | None = None) -> Outcome:
        """One command to its end."""
        done = subprocess.run(
            [*INSIDE, *PYTHON, *words],
            cwd=self.site.root,
            env=self.site.env | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A command that goes on beside the test."""
        return self.site.start(*words, argv=(*INSIDE, *PYTHON))

    def once(self) -> None:
        """One pass, which must be fine."""
        done = self.run("run", "--once")
        assert (done.rc, "Traceback" in done.err) == (0, False), done

    def leases(self) -> list[dict[str, object]]:
        """What is lent now: a row a card."""
        return self.site.rows(
            "SELECT r.*, g.uuid FROM reservations AS r JOIN gpus AS g ON g.id = r.gpu_id "
            "WHERE r.kind = 'lease' AND r.released_ts IS NULL ORDER BY r.id"
        )
