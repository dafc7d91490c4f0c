"""A real Docker engine of a test's own: every file under one folder, one unix socket, no bridge, no firewall rule.

It is a child of the test run and leads a session of its own; when it ends, its containers are removed first and its
mounts are gone. The image `llamaagent-test:bb` is made of the host's static busybox.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tarfile
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from llamaagent.engine.client import Engine, EngineError
from llamaagent.launch.process import children_of

if TYPE_CHECKING:
    from llamaagent.engine.container import Container

IMAGE = "llamaagent-test:bb"
_APPLETS = ("sh", "sleep", "cat", "echo", "kill", "httpd", "nc", "true", "false", "test", "dd", "head", "tail", "id",
            "env", "ls", "mkdir", "touch", "ps", "date", "awk", "tr", "df", "grep", "wget")  # fmt: skip
_START_S, _END_S = 120.0, 60.0


def missing() -> str | None:
    """Why there can be none here."""
    if os.geteuid() != 0:
        return "no container engine: not root"
    for program, package in (("dockerd", "docker.io"), ("busybox", "busybox-static")):
        if shutil.which(program) is None and not os.path.exists(f"/usr/sbin/{program}"):
            return f"no container engine: Debian's package {package} is not installed"
    return None


class ScratchEngine:
    """A dockerd of our own. folder: short, since a unix socket's path may have 107 bytes only."""

    def __init__(self, folder: Path, *, bridge: bool = False) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/docker.sock"
        self._bridge = bridge
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; on a busy machine its containerd may not come up the first time."""
        self._give_cards()
        until = time.monotonic() + _START_S
        while not self._answers(until):
            assert time.monotonic() < until, (self.folder / "log").read_text()[-2000:]

    def _answers(self, until: float) -> bool:
        self._process = self._begin()
        while self._process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(EngineError):
                _ = self.engine().kind
                return True
            time.sleep(0.05)
        return False

    def _begin(self) -> subprocess.Popen[bytes]:
        words = ["dockerd", "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"]
        words += ["--pidfile", f"{self.folder}/pid", "-H", self.url, "--storage-driver", "overlay2"]
        words += ["--oom-score-adjust", "0", "--group", "root"]
        if self._bridge:
            inner = 'ip link set lo up; exec "$@" --bip 10.254.7.1/24'
            words = ["unshare", "-n", "sh", "-c", inner, "sh", *words]
        else:
            words += ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
            words += ["--ip-masq=false"]
        words = [
            "setpriv",
            "--pdeathsig",
            "TERM",
            *words,
        ]  # a test run that is killed leaves no engine behind
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:{self.folder}/bin"
        with open(f"{self.folder}/log", "ab") as log:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": path, "HOME": str(self.folder)},
                start_new_session=True,
            )

    def engine(self) -> Engine:
        """A connection of its own."""
        return Engine(self.url, timeout_s=30.0)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """End the engine; killed, it leaves its containers running."""
        if self._process is None:
            return
        pid = int((self.folder / "pid").read_text()) if self._bridge else self._process.pid
        os.kill(pid, signum)
        self._process.wait(_END_S)
        self._process = None

    def end(self) -> None:
        """Remove every container, end the engine with its containerd, unmount what is left."""
        try:
            if self._process is None:
                self.start()
            engine = self.engine()
            for one in engine.listed():
                engine.remove(str(one["Id"]), force=True)
            self.stop()
        finally:
            self._end_all()
            with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
                mounts = [line.split()[1] for line in file]
            for mount in sorted((one for one in mounts if one.startswith(f"{self.folder}/")), reverse=True):
                subprocess.run(["umount", "-l", mount], check=False)

    def _end_all(self) -> None:
        """Whatever survived a killed engine: its containerd, the shims, and the containers under them."""
        mine = f"{self.folder}/".encode()
        until = time.monotonic() + _END_S
        while left := [pid for pid in _pids() if mine in _words(pid) and pid != os.getpid()]:
            for pid in (*(child for one in left for child in children_of(one)), *left):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert time.monotonic() < until, f"left of the engine: {left}"
            time.sleep(0.05)

    def make_image(self) -> None:
        """`llamaagent-test:bb`: busybox under a few of its names."""
        api = self.engine().api
        data = BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name in ("bin", "tmp", "etc", "proc", "sys", "dev", "run", "usr", "lib", "lib64"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
                tar.addfile(entry)
            tar.add(shutil.which("busybox") or "/usr/bin/busybox", "bin/busybox")
            for name in _APPLETS:
                entry = tarfile.TarInfo(f"bin/{name}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        api.import_image_from_data(data.getvalue(), repository=IMAGE.partition(":")[0], tag="bb")

    def _give_cards(self) -> None:
        """An engine that finds this program takes requests for NVIDIA's cards; it gives nothing for them."""
        (self.folder / "bin").mkdir(exist_ok=True)
        hook = self.folder / "bin" / "nvidia-container-runtime-hook"
        hook.write_text("#!/bin/sh\nexit 0\n")
        hook.chmod(0o755)

    def inspect(self, ref: str) -> Container:
        """A container that must be there."""
        found = self.engine().inspect(ref)
        assert found is not None, ref
        return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
