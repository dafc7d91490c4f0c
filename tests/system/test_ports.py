"""A stranger on the port: a fixed one waits and names it, an automatic one moves on and stays there."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask, eventually, kill

if TYPE_CHECKING:
    from scratch_site import Site

pytestmark = pytest.mark.binary


def listen(port: int) -> socket.socket:
    """Listen there. The threads of a server that was just killed may hold its port for a moment longer."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def bound() -> bool:
        try:
            made.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

    try:
        eventually(bound, f"port {port} free")
    except BaseException:
        made.close()
        raise
    made.listen()
    return made


def test_a_fixed_port_that_a_stranger_holds_is_waited_for(site: Site) -> None:
    port = site.ports[0] + 5
    site.profile("alpha", listen={"port": port})
    with listen(port):
        said = site.once()
        row = site.newest()["alpha"]
        assert (row["status"], row["reason"]) == ("created", "port-taken")
        assert f"pid {os.getpid()}" in str(row["detail"])
        assert str(port) in said.err
        assert site.once().err == ""
        assert site.decisions("alpha") == [("hold", "port-taken")]
        held = site.one("SELECT count, arithmetic FROM decisions")
        assert held == {"count": 2, "arithmetic": f'{{"port": {port}}}'}
        assert site.live() == {}
    rows = site.settle()
    assert rows["alpha"]["port"] == port
    assert rows["alpha"]["id"] == row["id"]
    assert ask(port, "/health")[0] == 200


@pytest.mark.case("peers 5.6")
def test_an_automatic_port_avoids_strangers_and_is_kept_from_then_on(site: Site) -> None:
    first = site.ports[0]
    with listen(first):
        site.profile("alpha")
        row = site.settle()["alpha"]
        assert row["port"] == first + 1
    assert site.run("restart", "alpha").rc == 0
    again = site.settle()["alpha"]
    assert (again["port"], again["pid"] == row["pid"]) == (first + 1, False)
    site.profile("beta")
    assert site.settle()["beta"]["port"] == first


@pytest.mark.case("peers 5.6")
@pytest.mark.case("sqlite 5.13")
def test_a_kept_port_that_a_stranger_took_meanwhile_is_given_up_for_good(site: Site) -> None:
    site.profile("alpha")
    port = int(str(site.settle()["alpha"]["port"]))
    assert site.run("stop", "alpha").rc == 0
    with listen(port):
        assert site.run("start", "alpha").rc == 0
        assert site.newest()["alpha"]["port"] == port + 1
    assert site.run("restart", "alpha").rc == 0
    assert site.newest()["alpha"]["port"] == port + 1


@pytest.mark.case("peers 5.6")
def test_ports_that_are_declared_are_never_chosen(site: Site) -> None:
    first = site.ports[0]
    site.profile("alpha")
    site.profile("beta", listen={"port": first}, state="stopped")
    assert site.settle("running", "alpha")["alpha"]["port"] == first + 1


def test_no_port_left_is_a_reason_to_wait(site: Site) -> None:
    first = site.ports[0]
    site.settings(ports=f"{first}-{first}")
    site.profile("alpha")
    site.profile("beta")
    site.once()
    rows = site.newest()
    assert rows["alpha"]["port"] == first
    assert (rows["beta"]["status"], rows["beta"]["reason"]) == ("created", "port-taken")


@pytest.mark.case("peers 5.5")
def test_a_stranger_that_answers_for_a_dead_server_does_not_make_it_healthy(site: Site) -> None:
    """The port is taken between the look and the launch: whoever answers there, it is not our process. Peers 5.5."""
    site.profile("alpha", listen={"port": site.ports[0]})
    row = site.settle()["alpha"]
    kill(int(str(row["pid"])))
    with listen(site.ports[0]):
        site.once()
        assert site.newest()["alpha"]["status"] in {"error", "created"}
