"""What is so with Podman only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.boxed import Boxed
from system.scratch_site import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.scratch_podman import ScratchPodman
    from system.scratch_site import Site

pytestmark = pytest.mark.podman


@pytest.fixture
def boxed(site_of_ports: Site, podman: ScratchPodman) -> Iterator[Boxed]:
    made = Boxed(site_of_ports, podman)
    yield made
    made.end()


def test_an_image_of_its_own_is_named_with_localhost(boxed: Boxed) -> None:
    boxed.docker.engine().api.tag("llamaagent-test:bb", "localhost/own", "1")
    boxed.box(more={"image": "localhost/own:1", "pull": "never"})
    row = boxed.site.settle()["box"]
    assert (row["image"], boxed.one().image) == ("localhost/own:1", "localhost/own:1")


def test_an_engine_of_podman_may_be_named_as_one_of_docker(boxed: Boxed) -> None:
    """By DOCKER_HOST, as many do: what it is is asked of it and not of the variable."""
    site = boxed.site
    site.env["DOCKER_HOST"] = site.env.pop("CONTAINER_HOST")
    boxed.box(more={"engine": "docker"})
    row = site.settle()["box"]
    assert row["engine"] == boxed.docker.url
    raw = boxed.docker.engine().api.inspect_container(boxed.one().id)
    assert raw["LogPath"].endswith("ctr.log")


def test_its_log_does_not_grow_without_bound_and_is_copied_all_the_same(boxed: Boxed) -> None:
    """It throws the beginning away while it is copied, and within one second, which is all that its times tell."""
    site = boxed.site
    site.settings(logs={"max_size": "1MiB"})
    line = "0123456789" * 100
    boxed.box(
        script=f"i=0; while [ $i -lt 300 ]; do echo $i {line}; i=$((i+1)); done; echo half;"
        f" while [ ! -e /tmp/go ]; do sleep 0.05; done; i=0; while [ $i -lt 3000 ]; do echo {line}; i=$((i+1)); done;"
        " echo last; sleep 60"
    )
    site.settle()
    eventually(lambda: site.once() and "half" in site.run("logs", "box").out, "half of it is written")
    assert site.run("exec", "box", "--", "touch", "/tmp/go").rc == 0  # in the container
    eventually(lambda: site.once() and "last" in site.run("logs", "box").out, "all of it is written")
    path = boxed.docker.inspect(boxed.one().id).log_path
    assert path is not None
    with open(path, "rb") as file:
        assert len(file.read()) <= 1 << 20


def test_one_that_had_to_be_killed_by_a_stop_from_outside_did_not_run_out_of_memory(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(script="trap '' TERM; while :; do sleep 0.1; done")
    site.settle()
    boxed.docker.engine().api.stop(boxed.one().id, timeout=1)
    site.once()
    row = site.rows("SELECT * FROM instances ORDER BY id")[0]
    assert (row["status"], row["exit_signal"]) == ("error", 9)
    assert row["reason"] in {"crash", "outside"}, row["detail"]  # it does not always write a stop down
    assert "memory" not in str(row["detail"])
