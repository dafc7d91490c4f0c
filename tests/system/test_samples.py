"""What a pass measures: the machine, the instances, and the views that answer from it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import complete

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_site import Site

NO_CARD = not os.path.exists("/dev/nvidiactl")


def passes(site: Site, count: int) -> None:
    """So many passes in so many seconds: a sample is kept a second."""
    for _ in range(count):
        before = int(time.time())
        while int(time.time()) == before:
            time.sleep(0.01)
        site.once("-q")


@pytest.mark.binary
def test_samples_are_filled_and_plausible(site: Site) -> None:
    site.profile("alpha", args={"threads": 1, "ctx-size": 2048, "parallel": 1})
    row = site.settle()["alpha"]
    passes(site, 1)
    own = int(str(site.newest()["alpha"]["probe_tokens"]))  # the token that is asked for after a start
    assert 1 < own < 10
    sent = [complete(row["port"], f"count {n}", 100)["timings"] for n in range(5)]
    passes(site, 2)
    machine = site.rows("SELECT * FROM system_samples ORDER BY ts")[-1]
    with open("/proc/meminfo", encoding="ascii") as file:
        total_kib = int(file.readline().split()[1])
    assert machine["cpu_cores"] >= 1
    assert machine["memory_total_mib"] <= total_kib // 1024 + 1
    assert 0 < machine["memory_used_mib"] <= machine["memory_total_mib"]
    assert 0 < machine["memory_available_mib"] <= machine["memory_total_mib"]
    assert 0 <= machine["cpu_permille"] <= 1000
    assert 0 <= machine["load_1min_centi"] < 100_000
    assert 0 < machine["disk_used_mib"] <= machine["disk_total_mib"]
    assert 1 <= machine["interval_s"] < 60
    assert machine["network_rx_bytes"] >= 0
    assert (machine["active_instances"], machine["boot_id"] is not None) == (1, True)
    assert 0 <= machine["uptime_s"] < 600
    samples = site.rows("SELECT * FROM instance_samples WHERE instance_id = ? ORDER BY ts", row["id"])
    assert len(samples) >= 3
    last = samples[-1]
    with open(f"/proc/{row['pid']}/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    rss_kib = int(status["VmRSS"].split()[0])
    assert rss_kib / 2 < last["rss_kib"] < rss_kib * 2
    assert last["threads"] >= int(status["Threads"])
    assert all(0 <= s["cpu_permille"] <= 1000 * machine["cpu_cores"] for s in samples[1:])
    assert last["requests_processing"] == last["requests_deferred"] == 0
    assert last["health_ms"] is not None
    generated = sum(t["predicted_n"] for t in sent) + 1
    assert last["predicted_tokens_total"] == generated
    assert generated - 1 <= sum(s["predicted_tokens"] or 0 for s in samples) <= generated
    assert last["prompt_tokens_total"] == sum(t["prompt_n"] for t in sent) + own - 1
    busy = [s for s in samples if s["predicted_tokens"]]
    assert sum(s["predicted_ms"] for s in busy) <= sum(t["predicted_ms"] for t in sent) + 5 * len(sent)
    assert int(str(site.one("SELECT sum(requests) AS n FROM system_samples")["n"])) == 5


@pytest.mark.binary
def test_the_views_of_the_seeds_answer(site: Site) -> None:
    site.profile("alpha")
    row = site.settle()["alpha"]
    passes(site, 2)
    summary = site.one("SELECT * FROM v_system_summary")
    assert summary["snapshot_count"] == site.count("system_samples")
    assert 0 < summary["avg_memory_percent"] <= summary["max_memory_percent"] <= 100
    assert summary["avg_available_gb"] > 0
    assert site.rows("SELECT * FROM v_active_containers") == []
    found = site.one("SELECT * FROM model_instances")
    assert (found["status"], found["port"], found["pid"]) == ("running", row["port"], row["pid"])
    newest = site.rows("SELECT * FROM metrics ORDER BY timestamp DESC LIMIT 1")[0]
    assert newest["active_models"] == 1
    assert 0 <= newest["cpu_usage"] <= 100
    assert 0 < newest["memory_usage"] <= 100
    assert 0 < newest["disk_usage"] <= 100
    history = site.rows("SELECT * FROM metrics_history ORDER BY timestamp")
    assert len(history) == site.count("system_samples")
    assert history[-1]["timestamp"] == 1000 * history[-1]["created_at"]
    assert history[-1]["requests_per_minute"] == 0


@pytest.mark.binary
@pytest.mark.skipif(not NO_CARD, reason="no NVIDIA GPU")
def test_without_a_card_nothing_is_said_of_cards(site: Site) -> None:
    site.profile("alpha")
    site.settle()
    passes(site, 1)
    assert (site.count("gpus"), site.count("gpu_samples"), site.count("reservations")) == (0, 0, 0)
    for sample in site.rows("SELECT gpu_memory_mib, gpu_utilization_percent FROM instance_samples"):
        assert sample == {"gpu_memory_mib": None, "gpu_utilization_percent": None}
    card = site.rows("SELECT gpu_usage, gpu_memory_used, gpu_memory_total FROM metrics LIMIT 1")[0]
    assert card == {"gpu_usage": 0, "gpu_memory_used": 0, "gpu_memory_total": 0}
    columns = "gpu_usage, gpu_temperature, gpu_memory_used, gpu_memory_total, gpu_power_usage"
    assert set(site.rows(f"SELECT {columns} FROM metrics_history LIMIT 1")[0].values()) == {0}
    row = site.newest()["alpha"]
    assert (row["gpus"], row["gpu_memory_estimated_mib"], row["gpu_memory_measured_mib"]) == (
        None,
        None,
        None,
    )


@pytest.mark.case("peers 5.21")
def test_nothing_that_wakes_a_sleeping_model_is_ever_asked(fake_site: Site, tmp_path: Path) -> None:
    """Asking /slots would, or for a token; what is asked leaves a model asleep. Peers 5.21."""
    hits = tmp_path / "hits"
    env = {"FAKE_HITS": str(hits), "FAKE_MODE": "asleep"}
    fake_site.profile("alpha", runtime={"env": env}, idle={"sleep_after": "1m"})
    fake_site.settle()
    passes(fake_site, 1)
    for words in (
        ("ps",),
        ("status",),
        ("show", "alpha"),
        ("plan",),
        ("stats",),
        ("doctor",),
        ("report", "build"),
    ):
        fake_site.run(*words)
    assert {line.split()[1] for line in hits.read_text().splitlines()} <= {"/health", "/metrics", "/props"}


def test_one_probe_an_instance_and_pass(fake_site: Site, tmp_path: Path) -> None:
    hits = tmp_path / "hits"
    fake_site.profile("alpha", runtime={"env": {"FAKE_HITS": str(hits)}})
    fake_site.settle()
    hits.unlink()
    fake_site.once("-q")
    assert sorted(line.split()[1] for line in hits.read_text().splitlines()) == ["/health", "/metrics"]


def test_servers_that_do_not_answer_do_not_hold_a_pass_up(fake_site: Site, tmp_path: Path) -> None:
    for name in ("one", "two", "three", "four"):
        fake_site.profile(name, runtime={"env": {"FAKE_MODE": "hang"}}, health={"timeout": "2s"})
    fake_site.once("-q")
    began = time.monotonic()
    fake_site.once("-q")
    assert time.monotonic() - began < 9
    assert {row["status"] for row in fake_site.newest().values()} == {"loading"}
