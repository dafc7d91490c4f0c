"""Looking at the host: Python packages, files that llama-server reads in silence, the NVIDIA driver."""

from __future__ import annotations

import os
import sys

from llamaagent.doctor import judge
from llamaagent.doctor.finding import ERROR, INFO, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.doctor.finding import Case
    from llamaagent.store.cards import FailedCard

# The project's own dependencies; a test holds this and pyproject.toml together.
NEEDED = (
    ("apsw", "3.51"),
    ("click", "8.2"),
    ("jinja2", "3.1"),
    ("matplotlib", "3.9"),
    ("nvidia-ml-py", "12.560"),
    ("pillow", "10.4"),
    ("psutil", "6"),
    ("pyyaml", "6.0.2"),
)
_PYTHON = (3, 11)
_NVML_TIMEOUT_S = 4.0


def packages(_case: Case) -> Iterator[Finding]:
    """Python and the packages that it must have; an installer sees to them, until somebody changes something."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    if sys.version_info < _PYTHON:
        yield Finding(ERROR, "python", f"Python {sys.version.split()[0]} is older than 3.11", None)
    for name, needed in NEEDED:
        try:
            found: str | None = installed(name)
        except PackageNotFoundError:
            found = None
        finding = judge.version(name, found, needed)
        if finding is not None:
            yield finding


def sqlite(_case: Case) -> Iterator[Finding]:
    """The library that APSW was built with, which a distribution may have exchanged."""
    from llamaagent.store.info import sqlite_version

    finding = judge.sqlite(sqlite_version())
    if finding is not None:
        yield finding


def config_ini(case: Case) -> Iterator[Finding]:
    """The one file of options that a server reads whatever its environment says."""
    path = os.path.join(case.etc, "llama.cpp", "config.ini")
    if os.path.exists(path):
        what = "every llama-server on this host reads it in silence, before its command line"
        yield Finding(WARNING, path, what, "move its options to `defaults: {args: ...}` in the settings")


def variables(case: Case) -> Iterator[Finding]:
    """Variables that steer a llama-server started by hand, and not ours."""
    names = sorted(name for name in case.environ if name.startswith("LLAMA_ARG_"))
    if names:
        what = f"{', '.join(names)} of this shell mean nothing here: a server's environment is made, not inherited"
        yield Finding(INFO, "environment", what, "write them as `args:` of a profile")


def cards(case: Case) -> Iterator[Finding]:
    """A driver that does not say what its cards do, cards that failed, and reports that nobody can read."""
    from llamaagent.collect.gpu import collect_gpus, has_nvidia

    reading = collect_gpus(case.host, _NVML_TIMEOUT_S, dev=case.dev)
    finding = judge.gpu(reading.available, reading.error)
    if finding is not None:
        yield finding
    for text in reading.missing:
        yield Finding(
            WARNING, "gpu", f"a card does not answer: {text}", "nvidia-smi; then reset it, or reboot"
        )
    if not reading.available or not os.path.exists(case.database):
        return
    source, failed = _remembered(case)
    for card in failed:
        what = f"card {card.number} ({card.uuid}) has failed: {card.reason}; nothing is started there"
        yield Finding(
            ERROR, "gpu", what, f"nvidia-smi --gpu-reset -i {card.uuid} with nothing on it, or reboot"
        )
    if source == "not-available" and has_nvidia(case.host, case.dev):
        what = "the driver's reports of failing cards (Xid) cannot be read: not the kernel's log, and no loop listens"
        yield Finding(INFO, "gpu", what, "sysctl kernel.dmesg_restrict=0, or `llamaagent run` as a loop")


def _remembered(case: Case) -> tuple[str | None, tuple[FailedCard, ...]]:
    """How reports of cards are learned of, and the cards that failed."""
    from llamaagent.store.cards import SOURCE_KEY, CardStore
    from llamaagent.store.connect import open_database
    from llamaagent.store.samples import SampleStore

    db = open_database(case.database, write=False)
    try:
        return SampleStore(db).metadata(SOURCE_KEY), CardStore(db).failed()
    finally:
        db.close()
