"""A site whose profiles are containers, on an engine of the tests' own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from engine.scratch_engine import IMAGE, ScratchEngine
from llamaagent.engine.client import EngineError
from llamaagent.engine.container import LAUNCH_ID, PROFILE, SITE, Container

if TYPE_CHECKING:
    from pathlib import Path

    from system.scratch_site import Site

LOOP = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.1; done"


class Boxed:
    """The site, its engine, and what the engine says of its containers."""

    def __init__(self, site: Site, docker: ScratchEngine) -> None:
        self.site = site
        self.docker = docker
        self.kind = docker.engine().kind
        self.variable = "DOCKER_HOST" if self.kind == "docker" else "CONTAINER_HOST"
        site.env[self.variable] = docker.url

    def box(
        self, name: str = "box", script: str = LOOP, *, more: dict[str, Any] | None = None, **keys: Any
    ) -> Path:
        """Write a profile of a container that runs a shell script; `more`: keys of its runtime."""
        runtime = {"kind": "container", "image": IMAGE, "network": "none", "command": ["sh", "-c", script]}
        runtime["engine"] = self.kind
        keys = {"model": None, "args": None, "resources": {"memory": "64MiB", "gpus": "none"}, **keys}
        said = {key: value for key, value in {**runtime, **(more or {})}.items() if value is not None}
        return self.site.profile(name, runtime=said, **keys)

    def ours(self) -> dict[str, list[Container]]:
        """Every container of the site that the engine holds, by profile."""
        engine, found = self.docker.engine(), {}
        for one in engine.listed({SITE: self.site.id}):
            seen = engine.inspect(str(one["Id"]))
            if seen is not None:
                found.setdefault(seen.labels[PROFILE], []).append(seen)
        return found

    def one(self, name: str = "box") -> Container:
        """The one container of a profile."""
        (found,) = self.ours()[name]
        assert found.labels[LAUNCH_ID] == self.site.newest()[name]["launch_id"]
        return found

    def end(self) -> None:
        """Remove them all."""
        engine = self.docker.engine()
        for one in engine.listed({SITE: self.site.id}):
            with contextlib.suppress(EngineError):
                engine.remove(str(one["Id"]), force=True)
