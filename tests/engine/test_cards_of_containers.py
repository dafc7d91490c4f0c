"""Cards of containers: asked of a real engine by their uuid, on a host whose NVML says what a test writes down.

An engine gives cards out where it finds a program of NVIDIA's on its path; ours does nothing and ends well, so that
the requests are real and only the driver is not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.boxed import Boxed
from engine.scratch_engine import IMAGE
from llamaagent.engine.body import gpu_requests
from system.carded_site import CardedSite, build_nvml
from system.scratch_site import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.scratch_engine import ScratchEngine
    from engine.scratch_podman import ScratchPodman
    from system.scratch_site import Site

pytestmark = pytest.mark.container
A, B = "GPU-aaaa", "GPU-bbbb"
NEEDS = {"memory": "64MiB", "gpu_memory": "500MiB"}


@pytest.fixture(scope="module")
def scripted_nvml(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a libnvidia-ml.so.1 that says what a file says."""
    return build_nvml(tmp_path_factory.mktemp("scripted_nvml"))


@pytest.fixture
def carded(site_of_ports: Site, scripted_nvml: str) -> CardedSite:
    """A host with two cards of 1000 and 2000 MiB; 100 MiB of each stay free."""
    site_of_ports.settings(headroom={"gpu_memory": "100MiB"})
    made = CardedSite(site_of_ports, scripted_nvml)
    made.say(aaaa=1000, bbbb=2000)
    return made


@pytest.fixture
def boxed(carded: CardedSite, docker: ScratchEngine) -> Iterator[Boxed]:
    """Its engine, which gives out cards."""
    made = Boxed(carded.site, docker)
    yield made
    made.end()


def settle(carded: CardedSite) -> dict[str, object]:
    """Pass until the box runs."""
    for _ in range(20):
        carded.once()
        row = carded.site.newest()["box"]
        if row["status"] == "running":
            return row
    raise AssertionError(row)


def requests(boxed: Boxed, row: dict[str, object]) -> object:
    """What the engine says that it was asked for."""
    raw = boxed.docker.engine().api.inspect_container(str(row["container_id"]))
    return raw["HostConfig"]["DeviceRequests"]


def reserved(site: Site) -> list[tuple[object, object]]:
    """Card and MiB of each reservation that holds."""
    found = site.rows(
        "SELECT g.uuid, r.memory_mib FROM reservations AS r JOIN gpus AS g ON g.id = r.gpu_id "
        "WHERE r.released_ts IS NULL ORDER BY g.uuid"
    )
    return [(row["uuid"], row["memory_mib"]) for row in found]


def test_the_card_it_was_placed_on_is_asked_for_by_uuid_and_reserved(
    boxed: Boxed, carded: CardedSite
) -> None:
    boxed.box(resources={**NEEDS, "gpus": [B]})
    row = settle(carded)
    (asked,) = requests(boxed, row)  # type: ignore[misc, attr-defined]
    assert (asked["DeviceIDs"], asked["Capabilities"], asked["Count"]) == ([B], [["gpu"]], 0)
    assert reserved(carded.site) == [(B, 500)]
    assert json.loads(str(row["gpus"])) == [B]
    seen = carded.site.one("SELECT gpu_devices FROM container_instances")
    assert json.loads(str(seen["gpu_devices"])) == ["1"]
    assert boxed.one().gpus == (B,)
    assert carded.run("stop", "box").rc == 0
    assert reserved(carded.site) == []


def test_each_gets_the_card_that_has_room(boxed: Boxed, carded: CardedSite) -> None:
    boxed.box("big", resources={"memory": "64MiB", "gpu_memory": "1500MiB"})
    boxed.box("box", resources={"memory": "64MiB", "gpu_memory": "800MiB"})
    row = settle(carded)
    assert reserved(carded.site) == [(A, 800), (B, 1500)]
    assert {name: one[0].gpus for name, one in boxed.ours().items()} == {"big": (B,), "box": (A,)}
    boxed.box("more", resources={"memory": "64MiB", "gpu_memory": "800MiB"})
    carded.once()
    held = carded.site.newest()["more"]
    assert (held["status"], held["reason"]) == ("created", "gpu-memory")
    assert row["gpu_memory_declared_mib"] == 800


def test_both_cards_are_one_request(boxed: Boxed, carded: CardedSite) -> None:
    boxed.box(resources={**NEEDS, "gpus": "all"})
    (asked,) = requests(boxed, settle(carded))  # type: ignore[misc, attr-defined]
    assert sorted(asked["DeviceIDs"]) == [A, B]
    assert [uuid for uuid, _ in reserved(carded.site)] == [A, B]


def test_memory_that_its_processes_hold_is_its_own(boxed: Boxed, carded: CardedSite) -> None:
    """Its first process, a child of that, and one that was brought in through the engine."""
    boxed.box(resources={**NEEDS, "gpus": [B]})
    row = settle(carded)
    engine, container = boxed.docker.engine(), str(row["container_id"])
    made = engine.api.exec_create(container, ["sleep", "60"])
    engine.api.exec_start(made["Id"], detach=True)
    eventually(lambda: engine.api.exec_inspect(made["Id"])["Pid"], "it came in")
    guest = int(engine.api.exec_inspect(made["Id"])["Pid"])
    carded.hold(B, int(str(row["pid"])), 300)
    carded.hold(B, guest, 50)

    def sampled() -> bool:
        carded.once()  # of two passes in one second, the first is the sample
        held = carded.site.one("SELECT max(gpu_memory_mib) AS mib FROM instance_samples")
        return held["mib"] == 350

    eventually(sampled, "a sample of their memory")
    holders = carded.site.rows("SELECT pid, instance_id FROM gpu_holders ORDER BY memory_mib DESC")
    assert [(one["pid"], one["instance_id"]) for one in holders] == [
        (row["pid"], row["id"]),
        (guest, row["id"]),
    ]


def test_a_lost_database_leaves_it_its_cards(boxed: Boxed, carded: CardedSite) -> None:
    boxed.box(resources={**NEEDS, "gpus": [B]})
    before = settle(carded)
    for suffix in ("", "-wal", "-shm"):
        Path(carded.site.database + suffix).unlink(missing_ok=True)
    after = settle(carded)
    assert after["container_id"] == before["container_id"]
    assert json.loads(str(after["gpus"])) == [B]
    assert reserved(carded.site) == [(B, 500)]
    seen = carded.site.one("SELECT gpu_devices FROM container_instances")
    assert json.loads(str(seen["gpu_devices"])) == ["1"]


@pytest.mark.podman
def test_a_podman_that_does_not_hear_the_request_gets_none(carded: CardedSite, podman: ScratchPodman) -> None:
    made = Boxed(carded.site, podman)
    try:
        made.box(resources={**NEEDS, "gpus": [B]})
        carded.once()
        row = carded.site.newest()["box"]
        assert (row["status"], row["reason"]) == ("created", "unsupported"), row
        assert "5.4" in str(row["detail"])
        assert made.ours() == {}
        made.box(resources={"memory": "64MiB", "gpus": "none"})
        settle(carded)
    finally:
        made.end()


def test_a_container_of_others_is_named_with_its_card_and_left_alone(
    carded: CardedSite, docker: ScratchEngine
) -> None:
    site, engine = carded.site, docker.engine()
    site.env["DOCKER_HOST"] = docker.url
    theirs = engine.create(
        "somebodys-training",
        {"image": IMAGE, "command": ["sleep", "300"]},
        {"network_mode": "none", "device_requests": gpu_requests([B], "docker")},
    )
    try:
        engine.start(theirs)
        pid = docker.inspect(theirs).pid
        assert pid is not None
        carded.hold(B, pid, 700)
        carded.once()
        told = carded.run("gpus").out
        assert f"container somebodys-training ({theirs[:12]}, {IMAGE}) is not ours; it may use {B}" in told
        assert f"in container {theirs[:12]}" in told
        assert docker.inspect(theirs).alive
    finally:
        engine.remove(theirs, force=True)
