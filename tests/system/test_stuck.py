"""Busy and getting nowhere: told, then replaced; long work and long loads are left alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually

if TYPE_CHECKING:
    from scratch_site import Site

pytestmark = pytest.mark.alone

LIMIT = {"stuck_after": "2s", "timeout": "1s"}


def fake(site: Site, mode: str, **keys: object) -> None:
    site.profile("alpha", **({"runtime": {"env": {"FAKE_MODE": mode}}, "restart": {"backoff": "0s"}} | keys))


def status(site: Site) -> object:
    site.once("-q")
    return site.newest()["alpha"]["status"]


def test_busy_without_a_token_is_stuck_and_is_replaced(fake_site: Site) -> None:
    busy = fake_site.root / "busy"
    fake(fake_site, f"one-slot,busy-file:{busy}", health=LIMIT)
    row = fake_site.settle()["alpha"]
    fake_site.once("-q")
    busy.write_text("1")
    eventually(lambda: status(fake_site) == "unhealthy", "stuck")
    now = fake_site.newest()["alpha"]
    assert (now["reason"], now["pid"]) == ("stuck", row["pid"])
    assert "stuck" in fake_site.run("ps").out
    assert fake_site.run("status").rc == 1
    decision = fake_site.one("SELECT reason, arithmetic FROM decisions WHERE action = 'stuck'")
    assert '"stuck_after_s": 2' in str(decision["arithmetic"])
    eventually(lambda: fake_site.once("-q") and fake_site.newest()["alpha"]["id"] != row["id"], "replaced")
    old = fake_site.one("SELECT status, reason FROM instances WHERE id = ?", row["id"])
    assert old == {"status": "error", "reason": "stuck"}


def test_one_that_gets_on_again_is_not_replaced(fake_site: Site) -> None:
    busy = fake_site.root / "busy"
    fake(fake_site, f"one-slot,busy-file:{busy}", health=LIMIT, restart={"policy": "never"})
    row = fake_site.settle()["alpha"]
    fake_site.once("-q")
    busy.write_text("1")
    eventually(lambda: status(fake_site) == "unhealthy", "stuck")
    for _ in range(3):
        assert status(fake_site) == "unhealthy"
    busy.write_text("0")
    assert fake_site.settle()["alpha"]["pid"] == row["pid"]
    words = [word for word, _ in fake_site.decisions("alpha")]
    assert words.count("stuck") == words.count("recovered") == 1


def test_a_main_loop_that_hangs_is_stuck_although_health_is_fine(fake_site: Site) -> None:
    deaf = fake_site.root / "deaf"
    fake(fake_site, f"deaf-file:{deaf}", health=LIMIT)
    row = fake_site.settle()["alpha"]
    fake_site.once("-q")
    fake_site.once("-q")
    deaf.touch()
    eventually(lambda: status(fake_site) == "unhealthy", "stuck")
    assert fake_site.newest()["alpha"]["reason"] == "stuck"
    deaf.unlink()
    assert fake_site.settle()["alpha"]["pid"] == row["pid"]


def test_a_long_prompt_is_progress(fake_site: Site) -> None:
    """The counter of decodes moves long before the first token."""
    fake(fake_site, "one-slot,busy:1,decoding", health=LIMIT)
    fake_site.settle()
    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert status(fake_site) == "running"
        time.sleep(0.3)


def test_a_log_that_tells_of_progress_is_progress(fake_site: Site) -> None:
    fake(fake_site, "one-slot,busy:1", health=LIMIT)
    row = fake_site.settle()["alpha"]
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with open(str(row["log_path"]), "a", encoding="ascii") as log:
            log.write("0.09.000.000 I slot update_slots: id  0 | task 7 | prompt processing, n_tokens = 9\n")
        assert status(fake_site) == "running"
        time.sleep(0.2)


def test_one_free_slot_that_still_gives_tokens_is_not_stuck(fake_site: Site) -> None:
    """`auto` asks for a token before it says so."""
    hits = fake_site.root / "hits"
    fake(fake_site, "", runtime={"env": {"FAKE_MODE": "busy:1", "FAKE_HITS": str(hits)}}, health=LIMIT)
    fake_site.settle()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert status(fake_site) == "running"
        time.sleep(0.3)
    assert hits.read_text().count("/completion") >= 2


def test_a_long_load_is_not_stuck(fake_site: Site) -> None:
    fake(fake_site, "delay-ready:4,busy:1", health=LIMIT)
    fake_site.once("-q")
    time.sleep(3)
    assert status(fake_site) == "loading"


def test_never_means_never(fake_site: Site) -> None:
    fake(fake_site, "one-slot,busy:1", health={"stuck_after": "never"})
    fake_site.settle()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert status(fake_site) == "running"
        time.sleep(0.3)
