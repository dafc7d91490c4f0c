"""Ports of containers, published by a real engine; what is claimed is read back from it, and asked in its network."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from system.scratch_site import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.boxed import Boxed

pytestmark = pytest.mark.container
WEB = "echo it is here > /tmp/index.html; exec httpd -f -p 8081 -h /tmp"


def within(boxed: Boxed, *words: str) -> list[str]:
    """The words of a command that runs in the engine's network."""
    pid = (boxed.docker.folder / "pid").read_text()
    return ["nsenter", f"--net=/proc/{pid}/ns/net", "busybox", *words]


def fetched(boxed: Boxed, port: object) -> str:
    done = subprocess.run(
        within(boxed, "wget", "-q", "-O", "-", f"http://127.0.0.1:{port}/index.html"),
        env={"PATH": os.environ["PATH"]},  # without a proxy
        capture_output=True,
        timeout=20,
        check=False,
    )
    return (done.stdout + done.stderr).decode()


@contextlib.contextmanager
def holding(boxed: Boxed, port: int) -> Iterator[None]:
    """Somebody else listens there, in the engine's network only."""
    child = subprocess.Popen(within(boxed, "nc", "-ll", "-p", str(port), "-e", "true"))
    try:
        shown = within(boxed, "netstat", "-ltn")
        eventually(
            lambda: f":{port} " in subprocess.run(shown, capture_output=True, check=True).stdout.decode(),
            "somebody listens",
        )
        yield
    finally:
        child.kill()
        child.wait()


def test_its_ports_are_published_as_the_profile_says_and_counted(bridged: Boxed) -> None:
    site = bridged.site
    first = site.ports[0]
    bridged.box(
        script=WEB,
        listen={"port": first},
        more={"network": None, "port": 8081, "ports": [f"{first + 1}:9000", f"127.0.0.1:{first + 2}:53/udp"]},
    )
    row = site.settle()["box"]
    raw = bridged.docker.engine().api.inspect_container(str(row["container_id"]))
    assert raw["NetworkSettings"]["Ports"] == {
        "8081/tcp": [{"HostIp": "127.0.0.1", "HostPort": f"{first}"}],
        "9000/tcp": [{"HostIp": "127.0.0.1", "HostPort": f"{first + 1}"}],
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": f"{first + 2}"}],
    }
    stored = json.loads(str(site.one("SELECT port_mappings FROM container_instances")["port_mappings"]))
    assert stored == {"8081": f"{first}", "9000": f"{first + 1}", "53/udp": f"{first + 2}"}
    assert stored == dict(bridged.one().ports)
    assert fetched(bridged, row["port"]) == "it is here\n"
    sample = site.sampled()
    assert int(str(sample["network_rx_bytes_total"])) > 0
    assert int(str(sample["network_tx_bytes_total"])) > 0


def test_an_auto_port_is_published_and_kept_by_its_next_launch(bridged: Boxed) -> None:
    site = bridged.site
    bridged.box(script=WEB, listen={"port": "auto"}, more={"network": None, "port": 8081})
    port = site.settle()["box"]["port"]
    assert fetched(bridged, port) == "it is here\n"
    assert site.run("restart", "box").rc == 0
    row = site.settle()["box"]
    assert (row["port"], bridged.one().ports) == (port, {"8081": f"{port}"})
    assert fetched(bridged, port) == "it is here\n"


def test_a_port_that_the_engine_finds_taken_is_told_and_another_one_is_had(bridged: Boxed) -> None:
    """Nobody holds it where we can see it: only the engine finds out."""
    site = bridged.site
    bridged.box(script=WEB, listen={"port": "auto"}, more={"network": None, "port": 8081})
    with holding(bridged, site.ports[0]):
        site.once()
        (row,) = site.rows("SELECT * FROM instances")
        assert (row["status"], row["reason"], row["port"]) == ("error", "port-taken", site.ports[0]), row
        assert bridged.ours() == {}
        row = site.settle()["box"]
    assert row["port"] == site.ports[0] + 1
    assert fetched(bridged, row["port"]) == "it is here\n"


def test_a_port_of_its_own_that_is_taken_is_waited_for(bridged: Boxed) -> None:
    site = bridged.site
    port = site.ports[0]
    bridged.box(script=WEB, listen={"port": port}, more={"network": None, "port": 8081})
    with holding(bridged, port):
        site.once()
        row = site.newest()["box"]
        assert (row["status"], row["reason"], row["port"]) == ("error", "port-taken", port), row
    assert site.settle()["box"]["port"] == port


def test_it_is_adopted_with_the_port_that_it_has(bridged: Boxed) -> None:
    site = bridged.site
    bridged.box(
        script=WEB, listen={"port": "auto"}, more={"network": None, "port": 8081, "ports": ["9001:9000"]}
    )
    before = site.settle()["box"]
    for suffix in ("", "-wal", "-shm"):
        Path(site.database + suffix).unlink(missing_ok=True)
    site.once()
    row = site.settle()["box"]
    assert (row["container_id"], row["port"]) == (before["container_id"], before["port"])
    assert json.loads(str(row["port_mappings"])) == {"8081": f"{before['port']}", "9000": "9001"}
