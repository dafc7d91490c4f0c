"""A real Podman of a test's own: every file under one folder, one unix socket, no bridge, no firewall rule.

Podman keeps no engine running: each container has a monitor (conmon) that outlives the service. Whatever paths it is
given, it keeps small caches under /var, and runc its state under /run; so it runs in a mount namespace of its own,
where these are folders of ours, and its mounts end with its last process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from engine.scratch_engine import IMAGE, ScratchEngine
from llamaagent.engine.client import EngineError

# runc, since crun refuses hybrid control groups; limits of its own, since the defaults are above what a container
# of a build machine may ask for; file locks, since the others leave a file in /dev/shm.
_CONFIG = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
image_default_transport = "docker://"
volume_path = "{folder}/volumes"
[network]
network_backend = "cni"
network_config_dir = "{folder}/networks"
"""
_FOLDERS = {"lib": "/var/lib", "cache": "/var/cache", "hostrun": "/run"}
_GROUP = "libpod_parent"  # of all its containers, in each hierarchy of control groups
_START_S = 60.0
_PACKAGES = (("podman", "podman"), ("runc", "runc"), ("conmon", "conmon"), ("busybox", "busybox-static"))


def missing() -> str | None:
    """Why there can be none here."""
    if os.geteuid() != 0:
        return "no Podman: not root"
    for program, package in _PACKAGES:
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            return f"no Podman: Debian's package {package} is not installed"
    return None


class ScratchPodman(ScratchEngine):
    """A podman service of our own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"unix://{folder}/podman.sock"

    def make_image(self) -> None:
        """The same image; Podman's import forgets the tag it is told, so it is given afterwards."""
        super().make_image()
        name, _, tag = IMAGE.partition(":")
        self.engine().api.tag(f"{name}:latest", name, tag)

    def start(self) -> None:
        """Start it and wait until it answers."""
        folder = self.folder
        (folder / "containers.conf").write_text(_CONFIG.format(folder=folder))
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/data"\nrunroot = "{folder}/run"\n'
        )
        (folder / "registries.conf").write_text("unqualified-search-registries = []\n")
        for name in _FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        inside = [f"mount --bind {folder}/{name} {path}" for name, path in _FOLDERS.items()]
        words = ["unshare", "--mount", "sh", "-c", " && ".join([*inside, 'exec "$@"']), "sh"]
        words += ["podman", "--root", f"{folder}/data", "--runroot", f"{folder}/run"]
        words += ["--tmpdir", f"{folder}/tmp", "system", "service", "--time=0", self.url]
        with open(f"{folder}/log", "ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,  # where conmon notes that a container ran out of memory
                env={
                    "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
                    "HOME": str(folder),
                    "TMPDIR": str(folder),
                    "XDG_RUNTIME_DIR": f"{folder}/xdg",
                    "CONTAINERS_CONF": f"{folder}/containers.conf",
                    "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
                    "CONTAINERS_REGISTRIES_CONF": f"{folder}/registries.conf",
                },
                start_new_session=True,
            )
        until = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(EngineError):
                if os.path.exists(f"{folder}/podman.sock"):
                    assert self.engine().kind == "podman"
                    return
            assert self._process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def end(self) -> None:
        """Its empty control groups go too."""
        super().end()
        for group in Path("/sys/fs/cgroup").glob(f"**/{_GROUP}"):
            for folder in sorted(group.rglob("*"), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()
