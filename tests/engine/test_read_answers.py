"""What real engines answered once, read: see tests/engine/record_answers.py for how it was written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamaagent.engine.container import gpus_of, read_container, read_event

FOLDER = Path(__file__).parents[1] / "fixtures" / "engines"
NAMES = ("docker-20.10", "podman-4.3")


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_one_that_runs(name: str) -> None:
    answer = recorded(name)["containers"]["running"]
    found = read_container(answer)
    assert (found.status, found.alive, found.pid) == ("running", True, answer["State"]["Pid"])
    assert (found.exit_code, found.exit_signal, found.finished, found.error) == (None, None, None, None)
    assert (found.name, found.labels["owner"]) == ("recorded-running", "ann")
    assert found.image.rpartition("/")[2] == "llamaagent-test:bb"
    assert (found.memory_bytes, found.cpu_milli, found.network) == (64 << 20, 500, "none")
    assert found.started is not None
    assert found.image_id is not None


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_made_and_not_started(name: str) -> None:
    found = read_container(recorded(name)["containers"]["created-running"])
    assert (found.status, found.alive, found.pid) == ("created", False, None)
    assert (found.started, found.finished, found.exit_code, found.exit_signal) == (None, None, None, None)
    assert found.created is not None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("what", "ending"), [("ended", (3, None)), ("killed", (None, 9))])
def test_one_that_is_over(name: str, what: str, ending: tuple[int | None, int | None]) -> None:
    found = read_container(recorded(name)["containers"][what])
    assert (found.status, found.alive, found.pid, found.oom_killed) == ("exited", False, None, False)
    assert (found.exit_code, found.exit_signal) == ending
    assert found.finished is not None


def test_its_cards_and_ports_as_docker_tells_them_and_podman_drops_the_cards() -> None:
    docker, podman = (read_container(recorded(name)["containers"]["running"]) for name in NAMES)
    assert (docker.gpus, dict(docker.ports)) == (("GPU-aaaa",), {"8080": "8105"})
    assert podman.gpus == ()


@pytest.mark.parametrize("name", NAMES)
def test_the_events_are_in_dockers_words(name: str) -> None:
    answer = recorded(name)
    events = [event for event in map(read_event, answer["events"]) if event is not None]
    assert {one["Type"] for one in answer["events"]} > {"container"}
    assert [event.ns for event in events] == sorted(event.ns for event in events)
    told = {
        what: [
            (event.action, event.attributes.get("exitCode") if event.action == "die" else None)
            for event in events
            if event.attributes["name"] == f"recorded-{what}"
            and event.action not in {"init", "cleanup", "stop"}
        ]
        for what in ("ended", "killed")
    }
    assert told["ended"] == [("create", None), ("start", None), ("die", "3"), ("destroy", None)]
    assert told["killed"] == [
        ("create", None),
        ("start", None),
        ("kill", None),
        ("die", "137"),
        ("destroy", None),
    ]
    ids = {answer["containers"][what]["Id"] for what in ("running", "ended", "killed")}
    assert {event.container_id for event in events} == ids


@pytest.mark.parametrize("name", NAMES)
def test_parts_that_are_missing_or_of_another_type_are_no_error(name: str) -> None:
    whole = recorded(name)["containers"]["running"]
    for key in whole:
        for value in (None, [], {}, "x", 7):
            read_container({**whole, key: value})
    for part in ("State", "Config", "HostConfig", "NetworkSettings"):
        for key in whole[part]:
            for value in (None, [], {}, "x", 7):
                read_container({**whole, part: {**whole[part], key: value}})
    assert read_container({}).alive is False
    for event in (None, [], {}, {"Type": "image"}, "x"):
        assert read_event(event) is None


@pytest.mark.parametrize(
    ("host", "config", "cards"),
    [
        ({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}, {}, ("all",)),
        ({"DeviceRequests": [{"DeviceIDs": ["0", "GPU-b"]}]}, {}, ("0", "GPU-b")),
        ({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-a"]}]}, {}, ("GPU-a",)),
        ({}, {"CreateCommand": ["podman", "run", "--device=nvidia.com/gpu=1"]}, ("1",)),
        ({}, {"CreateCommand": ["podman", "run", "--device", "nvidia.com/gpu=all"]}, ("all",)),
        ({"Runtime": "nvidia"}, {"Env": ["NVIDIA_VISIBLE_DEVICES=0,GPU-b"]}, ("0", "GPU-b")),
        ({"Runtime": "nvidia"}, {"Env": ["NVIDIA_VISIBLE_DEVICES=void"]}, ()),
        ({"Runtime": "runc"}, {"Env": ["NVIDIA_VISIBLE_DEVICES=all"]}, ()),
        ({"Devices": [{"PathOnHost": "/dev/nvidia1"}, {"PathOnHost": "/dev/nvidiactl"}]}, {}, ("1",)),
        ({"DeviceRequests": None, "Devices": None}, {"Env": None, "CreateCommand": None}, ()),
    ],
)
def test_cards_are_found_however_they_were_asked_for(
    host: dict[str, Any], config: dict[str, Any], cards: tuple[str, ...]
) -> None:
    assert gpus_of({"HostConfig": host, "Config": config}) == cards
