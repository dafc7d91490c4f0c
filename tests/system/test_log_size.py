"""A server's log stays below `logs.max_size` on disk while the server writes it, and no request is lost by that."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from scratch_site import ROOT, Site, ask, complete, eventually, kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAP = 4 << 20
DRIVER = (sys.executable, "-P", os.path.join(ROOT, "tests", "system", "crash_driver.py"))


@contextlib.contextmanager
def state_folder(kind: str, tmp_path: Path) -> Iterator[str]:
    """A folder on the file system of this kind: the disk, tmpfs, or ramfs, which makes no holes."""
    if kind == "disk":
        (tmp_path / "logs").mkdir(mode=0o700)
        yield str(tmp_path / "logs")
        return
    where = tmp_path / kind
    where.mkdir()
    done = subprocess.run(["mount", "-t", kind, "none", str(where)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount {kind}: {done.stderr.decode().strip()}")
    try:
        os.chmod(where, 0o700)
        yield str(where)
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


FILE_SYSTEMS = [
    "disk",
    pytest.param("tmpfs", marks=pytest.mark.root),
    pytest.param("ramfs", marks=pytest.mark.root),
]


@pytest.fixture(params=FILE_SYSTEMS)
def small(
    request: pytest.FixtureRequest, tmp_path: Path, port_block: tuple[int, int], fake_server: str
) -> Iterator[Site]:
    """A site with one running server, whose logs lie on the file system named by the parameter."""
    (tmp_path / "site").mkdir()
    model = tmp_path / "fake.gguf"
    model.write_bytes(b"GGUF" + bytes(60))
    with state_folder(request.param, tmp_path) as folder:
        made = Site(tmp_path / "site", port_block, fake_server, str(model))
        made.env["XDG_STATE_HOME"] = folder
        made.settings(logs={"max_size": f"{CAP}B"})
        made.profile("alpha", health={"probe": "health"})  # every request is the test's
        try:
            made.settle()
            yield made
        finally:
            made.stop_all()


def path_of(site: Site) -> str:
    return str(site.newest()["alpha"]["log_path"])


def on_disk(path: str) -> int:
    """Bytes that the log and what lies beside it take."""
    return sum(os.stat(p).st_blocks * 512 for p in (path, f"{path}.1") if os.path.exists(p))


def request(site: Site, number: int = 1) -> None:
    for _ in range(number):
        assert ask(site.newest()["alpha"]["port"], "/completion", {"prompt": "a"})[0] == 200


def spew(site: Site, size: int, line: int = 200) -> None:
    assert ask(site.newest()["alpha"]["port"], f"/spew/{size}/{line}", timeout_s=60)[0] == 200


def stored(site: Site) -> list[int]:
    rows = site.rows("SELECT task_id FROM generations ORDER BY task_id")
    return [int(str(row["task_id"])) for row in rows]


@pytest.mark.alone
@pytest.mark.case("peers 5.19")
def test_fifty_megabytes_in_three_passes_stay_below_the_cap(small: Site) -> None:
    """Peers 5.19. Every request in between is counted, and the child writes on into the same file."""
    inode = os.stat(path_of(small)).st_ino
    for _ in range(3):
        spew(small, 8 << 20)
        request(small, 5)
        spew(small, 9 << 20)
        small.once()
        assert on_disk(path_of(small)) <= CAP
    assert os.stat(path_of(small)).st_ino == inode
    for path in (path_of(small), f"{path_of(small)}.1"):
        if os.path.exists(path):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    request(small)
    small.once()
    assert stored(small) == list(range(16))
    assert int(str(small.newest()["alpha"]["log_freed_bytes"])) > 40 << 20
    asked = small.one("SELECT sum(requests) AS n FROM system_samples")
    assert asked["n"] == 16


def test_the_log_still_reads_well_after_it_was_made_small(small: Site) -> None:
    spew(small, 9 << 20)
    request(small)
    small.once()
    done = small.run("logs", "alpha", "-n", "100")
    assert "\0" not in done.out
    lines = done.out.splitlines()
    assert len(lines) == 100
    assert "stop processing" in lines[-1]
    assert re.fullmatch(r"spew \d+ *", lines[0])
    everything = small.run("logs", "alpha", "-n", "1000000").out
    assert "\0" not in everything
    assert 1000 < everything.count("\n") < 50_000
    assert all(re.fullmatch(r"spew \d+ *", line) for line in everything.splitlines()[:-8])


def test_a_file_system_without_holes_is_told_once(small: Site, request: pytest.FixtureRequest) -> None:
    for _ in range(2):
        spew(small, 6 << 20)
        small.once()
    told = small.rows("SELECT level, message FROM logs WHERE category = 'log'")
    if request.node.callspec.params["small"] == "ramfs":
        assert [row["level"] for row in told] == ["warning"]
        assert "cannot punch holes (copytruncate)" in str(told[0]["message"])
    else:
        assert told == []


@pytest.mark.parametrize(
    ("small", "step"),
    [
        ("disk", "before-punch"),
        ("disk", "after-punch"),
        pytest.param("ramfs", "before-cut", marks=pytest.mark.root),
        pytest.param("ramfs", "after-cut", marks=pytest.mark.root),
    ],
    indirect=["small"],
)
def test_an_agent_killed_while_it_gives_space_back_loses_and_doubles_nothing(small: Site, step: str) -> None:
    request(small, 3)
    spew(small, 6 << 20)
    small.start(step, argv=DRIVER).wait(60)
    request(small, 2)
    spew(small, 7 << 20)  # grown beyond where it was cut, before anybody looks
    request(small, 2)
    small.once()
    small.once()
    assert stored(small) == list(range(7))
    assert on_disk(path_of(small)) <= CAP
    assert small.rows("SELECT key FROM metadata WHERE key = 'log_cut'") == []


def test_many_requests_and_killed_passes_with_a_tiny_log(
    tmp_path: Path, port_block: tuple[int, int], fake_server: str
) -> None:
    import random
    import time

    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(60))
    site = Site(tmp_path, port_block, fake_server, str(tmp_path / "fake.gguf"))
    try:
        site.settings(logs={"max_size": "64KiB"})
        site.profile("alpha", health={"probe": "health"})
        site.settle()
        chance = random.Random(11)
        for round_number in range(8):
            request(site, 60)
            if round_number % 2:
                child = site.start("run", "--once", "-q")
                time.sleep(0.05 + chance.random() * 0.2)
                child.kill()
                child.communicate()
            else:
                site.once()
                assert on_disk(path_of(site)) <= 65536
        site.once()
        assert stored(site) == list(range(480))
        assert int(str(site.newest()["alpha"]["log_freed_bytes"])) > 0
    finally:
        site.stop_all()


@pytest.mark.binary
def test_a_real_servers_requests_survive_a_tiny_log_and_killed_passes(site: Site) -> None:
    import random
    import threading
    import time
    from concurrent.futures import ThreadPoolExecutor

    site.settings(logs={"max_size": "16KiB"})
    args = {"threads": 1, "parallel": 4, "ctx-size": 2048}
    site.profile("alpha", args=args, health={"probe": "health"})
    port = site.settle()["alpha"]["port"]
    done, chance, passes = threading.Event(), random.Random(5), [0, 0]

    def keep_passing() -> None:
        while not done.is_set():
            child = site.start("run", "--once", "-q")
            if sum(passes) % 3 == 2:
                time.sleep(0.05 + chance.random() * 0.25)
                child.kill()
            child.communicate(timeout=60)
            passes[child.returncode == -9] += 1

    def send(number: int) -> int:
        answer = complete(port, f"number {number} and", 1 + number % 20)
        timings = answer["timings"]
        assert isinstance(timings, dict)
        return int(timings["predicted_n"])

    with ThreadPoolExecutor(5) as pool:
        passing = pool.submit(keep_passing)
        try:
            expected = sorted(pool.map(send, range(160)))
            eventually(lambda: min(passes) > 1, "passes that ended and passes that were killed")
        finally:
            done.set()
        passing.result(60)
    eventually(lambda: site.once("-q") and site.count("generations") >= 160, "all stored")
    rows = site.rows("SELECT generated_tokens AS n FROM generations ORDER BY n")
    assert [row["n"] for row in rows] == expected
    assert int(str(site.newest()["alpha"]["log_freed_bytes"])) > 0
    assert on_disk(path_of(site)) <= 16384


def test_what_was_not_read_is_never_given_back(small: Site) -> None:
    """A line that has no end yet is no reason to keep the log; a part that was not read is."""
    request(small)
    spew(small, 6 << 20)
    small.edit("UPDATE instances SET log_offset_bytes = 0, log_state = NULL")
    kept = os.stat(path_of(small)).st_size
    small.run("stop", "alpha", "--no-wait")
    assert os.stat(path_of(small)).st_blocks * 512 >= kept - 4096
    small.once()
    assert stored(small) == [0]


@pytest.mark.case("peers 5.20")
def test_a_line_of_a_megabyte_does_no_harm(small: Site) -> None:
    """Peers 5.20: the reader goes on behind it, the child keeps running."""
    request(small)
    spew(small, 1 << 20, 0)
    small.once()
    pid = small.newest()["alpha"]["pid"]
    with open(path_of(small), "ab") as file:
        file.write(b"\n")
    request(small)
    small.once()
    assert stored(small) == [0, 1]
    assert small.newest()["alpha"]["pid"] == pid
    assert small.newest()["alpha"]["status"] == "running"
    assert small.run("logs", "alpha", "-n", "3").rc == 0
    kill(int(str(pid)))
    small.once()
    kept = str(small.one("SELECT lines FROM log_tails")["lines"])
    assert len(kept) < 20_000
    assert "more characters" in kept or "xxxx" not in kept


def test_following_goes_on_over_a_log_that_is_made_small(small: Site) -> None:
    import select
    import time

    child = small.start("logs", "alpha", "-f", "-n", "0")
    assert child.stdout is not None
    time.sleep(0.5)
    spew(small, 6 << 20)
    small.once()
    request(small, 1)
    data, until = b"", time.monotonic() + 20
    while b"task 0 | stop processing" not in data:
        assert time.monotonic() < until, data[-300:]
        if select.select([child.stdout], [], [], 1)[0]:
            data += os.read(child.stdout.fileno(), 1 << 20)
    assert b"\0" not in data
    child.send_signal(2)
    child.communicate(timeout=10)
    eventually(lambda: child.returncode == 130, "ended")
