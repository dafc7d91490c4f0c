"""Where an engine is looked for: what is named holds, then what was found before, then the usual places."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.engine.find import find

if TYPE_CHECKING:
    from pathlib import Path

UID = 4_000_000  # nobody's: /run/user/UID is not there


def context(home: Path, name: str, host: str, *, chosen: bool = True) -> None:
    """A context as `docker context create` and `use` leave it."""
    folder = home / ".docker" / "contexts" / "meta" / sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    if chosen:
        (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def url(home: Path, engine: str | None = None, remembered: str | None = None, **environ: str) -> str:
    return find(environ, engine, home=str(home), uid=UID, remembered=remembered).url


def test_the_environment_holds_whether_it_is_there_or_not(tmp_path: Path) -> None:
    context(tmp_path, "far", "tcp://far:2376")
    said = {"DOCKER_HOST": "unix:///no/docker.sock", "CONTAINER_HOST": "unix:///no/podman.sock"}
    assert url(tmp_path, **said) == "unix:///no/docker.sock"
    assert url(tmp_path, "docker", **said) == "unix:///no/docker.sock"
    assert url(tmp_path, "podman", **said) == "unix:///no/podman.sock"
    assert url(tmp_path, "docker", "unix:///kept", **said) == "unix:///no/docker.sock"
    assert url(tmp_path, None, CONTAINER_HOST="unix:///no/podman.sock") == "unix:///no/podman.sock"


def test_the_context_of_docker_is_for_docker_only(tmp_path: Path) -> None:
    context(tmp_path, "far", "tcp://far:2376")
    context(tmp_path, "other", "tcp://other:2376", chosen=False)
    assert url(tmp_path, "docker") == "tcp://far:2376"
    assert url(tmp_path, None) == "tcp://far:2376"
    assert url(tmp_path, "docker", DOCKER_CONTEXT="other") == "tcp://other:2376"
    moved = tmp_path / ".docker"
    assert url(tmp_path / "nowhere", "docker", DOCKER_CONFIG=str(moved)) == "tcp://far:2376"
    runtime = tmp_path / "run"
    (runtime / "podman").mkdir(parents=True)
    (runtime / "podman" / "podman.sock").touch()
    found = find({"XDG_RUNTIME_DIR": str(runtime)}, "podman", home=str(tmp_path), uid=UID)
    assert (found.url, found.origin) == (f"unix://{runtime}/podman/podman.sock", "podman, rootless")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"currentContext": 7}', '{"currentContext": "gone"}'])
def test_a_context_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(text)
    (tmp_path / "docker.sock").touch()
    assert url(tmp_path, "docker", XDG_RUNTIME_DIR=str(tmp_path)) == f"unix://{tmp_path}/docker.sock"


def test_what_was_found_before_is_found_by_cron_too_as_long_as_it_is_there(tmp_path: Path) -> None:
    kept, own = tmp_path / "kept.sock", tmp_path / "docker.sock"
    kept.touch()
    own.touch()
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert url(tmp_path, "docker", f"unix://{kept}", **environ) == f"unix://{kept}"
    assert url(tmp_path, "docker", "tcp://far:2376", **environ) == "tcp://far:2376"
    kept.unlink()
    assert url(tmp_path, "docker", f"unix://{kept}", **environ) == f"unix://{own}"


def test_the_users_own_goes_before_the_machines_and_docker_before_podman(tmp_path: Path) -> None:
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman" / "podman.sock").touch()
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert url(tmp_path, "podman", **environ) == f"unix://{tmp_path}/podman/podman.sock"
    (tmp_path / "docker.sock").touch()
    assert url(tmp_path, None, **environ) == f"unix://{tmp_path}/docker.sock"


@pytest.mark.skipif(os.path.exists("/run/podman/podman.sock"), reason="this machine has a Podman of its own")
def test_where_there_is_none_it_is_said_how_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailableError, match=r"no container engine is there \(podman\)") as told:
        url(tmp_path, "podman", XDG_RUNTIME_DIR=str(tmp_path))
    assert "CONTAINER_HOST=unix:///PATH" in str(told.value.hint)
