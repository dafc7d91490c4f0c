"""Twenty minutes of a small machine, every figure of it chosen so that the pages can be reckoned by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apsw import Connection

NOW = 1_795_257_000  # 2026-11-21 10:30:00 UTC
PERIOD_S = 60
CARD = "GPU-00000000-0000-0000-0000-000000000001"


def insert(db: Connection, table: str, **row: object) -> int:
    """Add a row and return its rowid."""
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
    return int(db.last_insert_rowid())


def add_revision(db: Connection, profile: str, now: int = NOW, **more: object) -> None:
    """Declare a profile."""
    row: dict[str, object] = {"profile_hash": "p1", "launch_hash": "l1", "document": '{"name": "x"}'}
    row |= {
        "first_seen_ts": now - 5000,
        "last_seen_ts": now - 10,
        "source": f"/profiles/{profile}.yaml",
        "line": 3,
    }
    insert(db, "profile_revisions", profile=profile, **(row | more))


def add_launch(db: Connection, profile: str, status: str = "running", **more: object) -> int:
    """Add a launch, by default one that has run for an hour."""
    row: dict[str, object] = {"kind": "process", "since_ts": NOW - 3600, "created_ts": NOW - 3620}
    row |= {"launched_ts": NOW - 3610, "ready_ts": NOW - 3600, "launch_id": f"{profile}-1"}
    row |= {"host": "127.0.0.1", "port": 8100, "pid": 4711, "reason": "healthy"}
    return insert(db, "instances", profile=profile, status=status, **(row | more))


def add_samples(db: Connection, instance: int | None, *, first: int = NOW - 1200, last: int = NOW) -> None:
    """One sample of the machine, the card and the instance each minute; CPU rises by one percent a sample."""
    for number, ts in enumerate(range(first, last, PERIOD_S)):
        insert(
            db,
            "system_samples",
            ts=ts,
            interval_s=PERIOD_S if number else None,
            cpu_cores=8,
            cpu_permille=100 + 10 * number,
            memory_total_mib=16_384,
            memory_used_mib=4096,
            load_1min_centi=150,
            disk_total_mib=1_000_000,
            disk_used_mib=500_000,
            disk_read_bytes=6_000_000,
            disk_write_bytes=600,
            network_rx_bytes=60,
            network_tx_bytes=120,
            active_instances=1,
        )
        if instance is not None:
            _add_instance_sample(db, instance, ts)


def _add_instance_sample(db: Connection, instance: int, ts: int) -> None:
    insert(
        db,
        "instance_samples",
        ts=ts,
        instance_id=instance,
        cpu_permille=500,
        rss_kib=2 * 1024 * 1024,
        prompt_tokens=1200,
        predicted_tokens=600,
        requests_processing=1,
        requests_deferred=0,
        gpu_memory_mib=8192,
    )
    insert(
        db,
        "gpu_samples",
        ts=ts,
        gpu_id=1,
        utilization_percent=40,
        memory_total_mib=24_576,
        memory_used_mib=9000,
        temperature_celsius=55,
        power_mw=150_500,
        power_limit_mw=300_000,
    )


def fill(db: Connection) -> None:
    """Two profiles, one card, ten requests; the first pass was more than a day ago."""
    with db:
        insert(db, "system_samples", ts=NOW - 90_000)
        insert(
            db,
            "gpus",
            id=1,
            uuid=CARD,
            idx=0,
            name="Test Card",
            driver="1.0",
            memory_total_mib=24_576,
            first_seen_ts=NOW - 90_000,
            last_seen_ts=NOW - 60,
        )
        add_revision(db, "alpha", git_commit="0123456789abcdef", git_dirty=1)
        add_revision(db, "beta", project="research")
        gone = add_launch(
            db,
            "alpha",
            "error",
            reason="crash",
            detail="ended by signal 9",
            launch_id="alpha-0",
            launched_ts=NOW - 9000,
            ready_ts=NOW - 8990,
            ended_ts=NOW - 4000,
            exit_signal=9,
        )
        alpha = add_launch(
            db,
            "alpha",
            model_path="/models/alpha.gguf",
            model_size_bytes=3 * 1024**3,
            build="b100-abc",
            git_commit="0123456789abcdef",
            git_dirty=0,
            gpus=json.dumps([CARD]),
            argv=json.dumps(["llama-server", "--alias", "a b"]),
            context_size=4096,
        )
        add_launch(
            db,
            "beta",
            "created",
            reason="gpu-memory",
            detail="needs 20 GiB, 15 GiB are free",
            launch_id=None,
            launched_ts=None,
            ready_ts=None,
            pid=None,
            port=None,
        )
        add_samples(db, alpha)
        insert(
            db,
            "gpu_holders",
            gpu_id=1,
            pid=4711,
            memory_mib=8192,
            user="llama",
            command="llama-server",
            instance_id=alpha,
            first_seen_ts=NOW - 3000,
            last_seen_ts=NOW - 60,
        )
        _add_requests(db, alpha)
        _add_decisions(db, gone)


def _add_requests(db: Connection, alpha: int) -> None:
    for number in range(10):
        insert(
            db,
            "generations",
            ts=NOW - 1150 + 100 * number,
            instance_id=alpha,
            profile="alpha",
            task_id=number,
            prompt_tokens=100,
            cached_tokens=20,
            generated_tokens=10 * (number + 1),
            total_time_ms=1000.0 * (number + 1),
            prompt_tokens_per_second=800.0,
            tokens_per_second=50.0 + number,
            finish_reason="cancelled" if number == 9 else "stop",
        )


def _add_decisions(db: Connection, gone: int) -> None:
    journal: tuple[dict[str, object], ...] = (
        {"ts": NOW - 4000, "profile": "alpha", "instance_id": gone, "action": "end", "reason": "crash"},
        {"ts": NOW - 3610, "profile": "alpha", "action": "start", "reason": "declared"},
        {
            "ts": NOW - 3000,
            "profile": "beta",
            "action": "hold",
            "reason": "gpu-memory",
            "count": 50,
            "arithmetic": '{"free_mib": 15360, "needed_mib": 20480}',
        },
    )
    for row in journal:
        last = NOW - 60 if row.get("count") else row["ts"]
        insert(db, "decisions", last_ts=last, **row)
