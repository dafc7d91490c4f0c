"""What an engine is asked directly: a program that does not end, a name that is taken, what is not there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from engine.scratch_engine import IMAGE
from llamaagent.engine.client import Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

ALONE = {"network_mode": "none", "mem_limit": 64 << 20}


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.container),
        pytest.param("podman", marks=pytest.mark.podman),
    ]
)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each of the real engines in turn; no container of a test stays on it."""
    made: Engine = request.getfixturevalue(request.param).engine()
    before = {one["Id"] for one in made.listed()}
    yield made
    assert {one["Id"] for one in made.listed()} == before
    made.close()


def test_a_program_that_does_not_end_is_read_until_the_deadline_and_gone(engine: Engine) -> None:
    began = time.monotonic()
    words = {"image": IMAGE, "command": ["sh", "-c", "echo so far; sleep 60"]}
    assert engine.output(words, [], 2.0) == "so far\n"
    assert time.monotonic() - began < 30
    assert engine.version


def test_a_program_that_ends_is_read_to_its_end(engine: Engine) -> None:
    words = {"image": IMAGE, "command": ["sh", "-c", "echo one; echo two >&2; exit 3"]}
    assert sorted(engine.output(words, [], 20.0).split()) == ["one", "two"]


def test_what_is_not_there_is_none(engine: Engine) -> None:
    assert engine.inspect("nobody") is None
    assert engine.image("nobody.invalid/nothing:1") is None
    assert engine.kill("nobody", "SIGTERM") is False
    assert list(engine.logs("nobody")) == []
    engine.remove("nobody")


def test_a_name_that_is_taken_is_an_error_and_the_engine_is_asked_on(engine: Engine) -> None:
    made = engine.create("twice", {"image": IMAGE, "command": ["true"]}, ALONE)
    try:
        with pytest.raises(EngineError, match="in use"):
            engine.create("twice", {"image": IMAGE, "command": ["true"]}, ALONE)
        found = engine.inspect(made)
        assert found is not None
        assert (found.status, found.alive, found.pid) == ("created", False, None)
        engine.start(made)
        engine.start(made)
    finally:
        engine.remove(made, force=True)


def test_what_podman_calls_otherwise_reads_alike(engine: Engine) -> None:
    made = engine.create("ends", {"image": IMAGE, "command": ["sh", "-c", "exit 7"]}, ALONE)
    try:
        since = int(time.time()) - 1
        engine.start(made)
        engine.api.wait(made, timeout=20)
        found = engine.inspect(made)
        assert found is not None
        assert (found.exit_code, found.exit_signal, found.status) == (7, None, "exited")
        assert found.finished is not None
    finally:
        engine.remove(made, force=True)
    events = [one for one in engine.events(since, int(time.time()) + 1) if one.container_id == made]
    actions = [one.action for one in events]
    assert [one for one in actions if one in {"create", "start", "die", "destroy"}] == [
        "create",
        "start",
        "die",
        "destroy",
    ]
    assert next(one for one in events if one.action == "die").attributes["exitCode"] == "7"
