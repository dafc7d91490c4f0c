"""A folder to launch real programs from, and to see them gone again."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.clock import SystemClock
from llamaagent.launch.adopt import members
from llamaagent.launch.ending import signal_launch
from llamaagent.launch.environ import made_environment
from llamaagent.launch.process import LaunchRequest, bury, start, wait_for_server

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from llamaagent.domain.instance import Identity


class Launched:
    """One launch of a program through the wrapper."""

    def __init__(self, ground: Ground, request: LaunchRequest, shell: str) -> None:
        self.ground, self.request = ground, request
        self.launch_id = request.launch_id
        self.wrapper = start(request, shell=shell)
        self.server: Identity | None = None

    def joined(self) -> Identity:
        """The server, once it is there."""
        clock = SystemClock()
        self.server = wait_for_server(self.wrapper, clock.monotonic() + 10, clock)
        assert self.server is not None, self.log()
        return self.server

    def signal(self, signum: int) -> bool:
        return signal_launch(self.wrapper, self.server, self.launch_id, signum)

    def gone(self) -> bool:
        return not members(self.wrapper, self.server, self.launch_id)

    def log(self) -> str:
        with open(self.request.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()


class Ground:
    """Where launches of one test lie; ends what is left of them."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.site = f"site-{uuid.uuid4().hex}"
        self.launches: list[Launched] = []

    def launch(
        self, *argv: str, shell: str = "/bin/sh", env: tuple[tuple[str, str], ...] = (), profile: str = "p"
    ) -> Launched:
        launch_id = f"{profile}-{len(self.launches)}-{uuid.uuid4().hex}"
        environment = made_environment(
            site_id=self.site,
            profile=profile,
            launch_id=launch_id,
            state_dir=self.folder,
            runtime_env=env,
        )
        request = LaunchRequest(
            launch_id=launch_id,
            profile=profile,
            site_id=self.site,
            argv=argv,
            environment=environment,
            log_path=f"{self.folder}/{launch_id}.log",
            exit_path=f"{self.folder}/{launch_id}.exit",
            cwd=self.folder,
        )
        self.launches.append(Launched(self, request, shell))
        return self.launches[-1]

    def python(self, program: str, **how: object) -> Launched:
        """Launch a Python program given as text, and wait until it has printed `up`."""
        launched = self.launch(sys.executable, "-S", "-c", program, **how)  # type: ignore[arg-type]
        launched.joined()
        self.until(lambda: "up" in launched.log())
        return launched

    @staticmethod
    def until(condition: Callable[[], object], seconds: float = 10) -> None:
        """Poll a condition; fail when it does not come true in time."""
        clock = SystemClock()
        end = clock.monotonic() + seconds
        while not condition():
            assert clock.monotonic() < end, "waited too long"
            clock.sleep(0.01)

    def close(self) -> None:
        for launched in self.launches:
            for _ in range(2):  # the second time for a wrapper that has nothing under it any more
                launched.signal(signal.SIGKILL)
            self.until(launched.gone)
        bury()


@pytest.fixture
def ground(tmp_path: pathlib.Path) -> Iterator[Ground]:
    """Launch programs from here; all of them are gone afterwards."""
    made = Ground(os.fspath(tmp_path))
    yield made
    made.close()
