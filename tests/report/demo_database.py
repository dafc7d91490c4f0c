"""A day of a plausible GPU machine, written with plain INSERTs: to look at the pages, and to test them.

`python tests/report/demo_database.py FILE [NOW]` writes one. The same NOW gives the same rows.
"""

from __future__ import annotations

import json
import math
import random
import sys
from typing import TYPE_CHECKING, NamedTuple

from small_database import insert

if TYPE_CHECKING:
    from apsw import Connection

NOW = 1_795_257_000  # Sat 21 Nov 2026 11:30 in Berlin
PERIOD_S = 30
GIB = 1024
BOOT = "5b1f0f0e-8a55-4d0e-9d3f-3f6a5f0f9a11"


class Server(NamedTuple):
    """A profile of the demo machine and how it behaves. busy: share of the time with a request at noon."""

    name: str
    project: str
    gpu: int | None
    memory_mib: int
    gpu_memory_mib: int
    speed: float
    prompt_speed: float
    busy: float
    port: int


SERVERS = (
    Server("embed-bge-m3", "search", None, 1450, 0, 0.0, 2100.0, 0.5, 8103),
    Server("gemma-3-27b", "research", 1, 2300, 19_800, 31.0, 640.0, 0.45, 8102),
    Server("qwen3-8b", "default", 0, 1900, 7_900, 88.0, 3100.0, 0.7, 8100),
    Server("qwen3-coder-30b", "default", 0, 2600, 13_600, 124.0, 1900.0, 0.3, 8101),
)
CARDS = (
    ("GPU-7c1e4a52-90d3-11ee-b9d1-0242ac120002", "NVIDIA RTX A6000", 49_140, 300_000),
    ("GPU-b02f7d18-90d3-11ee-b9d1-0242ac120002", "NVIDIA RTX A5000", 24_564, 230_000),
)
CRASH_AGO_S, CRASH_FOR_S = 8 * 3600 + 700, 260  # qwen3-coder ends by itself and comes back
GAP_AGO_S, GAP_FOR_S = 15 * 3600, 45 * 60  # cron was switched off


def fill(db: Connection, now: int = NOW) -> None:
    """Write the day into an empty database of ours."""
    rng = random.Random(7)
    with db:
        _cards(db, now)
        instances = _profiles(db, now)
        _samples(db, now, rng, instances)
        _others(db, now, instances)
        _decisions(db, now, instances)


def _cards(db: Connection, now: int) -> None:
    for index, (uuid, name, total, _) in enumerate(CARDS):
        insert(
            db,
            "gpus",
            id=index + 1,
            uuid=uuid,
            idx=index,
            name=name,
            driver="570.86.15",
            memory_total_mib=total,
            first_seen_ts=now - 90 * 86400,
            last_seen_ts=now - 12,
        )


def _revision(
    db: Connection, name: str, project: str, state: str, now: int, document: dict[str, object]
) -> None:
    insert(
        db,
        "profile_revisions",
        profile=name,
        profile_hash=f"p-{name}",
        launch_hash=f"l-{name}",
        document=json.dumps({"name": name, **document}),
        project=project,
        state=state,
        source=f"/etc/llamaagent/profiles/{name}.yaml",
        line=1,
        git_commit="4f1c2a9be07d",
        git_dirty=0,
        first_seen_ts=now - 20 * 86400,
        last_seen_ts=now - 12,
    )


def _profiles(db: Connection, now: int) -> dict[str, list[tuple[int, int, int]]]:
    """Declare all and launch the servers. Returns name -> (instance id, from, to)."""
    lives: dict[str, list[tuple[int, int, int]]] = {}
    for server in SERVERS:
        model = f"/models/{server.name}-q4_k_m.gguf"
        _revision(
            db,
            server.name,
            server.project,
            "running",
            now,
            {
                "model": {"path": model},
                "args": {"ctx-size": 16384, "parallel": 4},
                "listen": {"port": server.port},
            },
        )
        crash = now - CRASH_AGO_S
        spans = [(now - 6 * 86400, None)]
        if server.name == "qwen3-coder-30b":
            spans = [(now - 6 * 86400, crash), (crash + CRASH_FOR_S, None)]
        for begin, end in spans:
            lives.setdefault(server.name, []).append(
                (_launch(db, server, begin, end, now), begin, end or now)
            )
    return lives


def _launch(db: Connection, server: Server, begin: int, end: int | None, now: int) -> int:
    gpus = json.dumps([CARDS[server.gpu][0]] if server.gpu is not None else [])
    argv = [
        "/usr/local/bin/llama-server",
        "--model",
        f"/models/{server.name}-q4_k_m.gguf",
        "--ctx-size",
        "16384",
    ]
    argv += ["--parallel", "4", "--host", "127.0.0.1", "--port", str(server.port), "--metrics"]
    insert(
        db,
        "instances",
        profile=server.name,
        kind="process",
        project=server.project,
        status="error" if end else "running",
        reason="crash" if end else "healthy",
        detail="ended by signal 11 (SIGSEGV) after 4 d 15 h" if end else None,
        since_ts=end or begin + 24,
        launch_id=f"{server.name}-{begin}",
        model_path=f"/models/{server.name}-q4_k_m.gguf",
        model_size_bytes=(server.gpu_memory_mib or server.memory_mib) * 1_000_000,
        git_commit="4f1c2a9be07d",
        git_dirty=0,
        build="b6730-c0ffee1",
        argv=json.dumps(argv),
        host="127.0.0.1",
        port=server.port,
        pid=4000 + server.port + (7 if begin > now - 86400 else 0),
        gpus=gpus,
        context_size=16384,
        gpu_layers=99 if server.gpu is not None else 0,
        gpu_memory_estimated_mib=server.gpu_memory_mib + 400 if server.gpu_memory_mib else None,
        gpu_memory_measured_mib=server.gpu_memory_mib or None,
        peak_rss_kib=server.memory_mib * 1024,
        created_ts=begin - 2,
        launched_ts=begin,
        ready_ts=begin + 24,
        ended_ts=end,
        exit_signal=11 if end else None,
        restarts=0,
    )
    return int(db.last_insert_rowid())


def _samples(
    db: Connection, now: int, rng: random.Random, lives: dict[str, list[tuple[int, int, int]]]
) -> None:
    first = now - 26 * 3600
    pending: dict[str, float] = dict.fromkeys(lives, 0.0)
    for ts in range(first, now, PERIOD_S):
        if now - GAP_AGO_S <= ts < now - GAP_AGO_S + GAP_FOR_S:
            continue
        day = 0.5 - 0.5 * math.cos(2 * math.pi * ((ts - now) / 86400 + 0.45))
        load = 0.0
        cards = [[0.0, 1.0 * 500] for _ in CARDS]
        for server in SERVERS:
            for instance, begin, end in lives[server.name]:
                if begin <= ts < end:
                    load += _instance_sample(db, rng, server, instance, ts, day, pending, cards)
        _machine_sample(db, rng, ts, load, ts == first)
        for index, (used, memory) in enumerate(cards):
            _card_sample(db, rng, ts, index, used, memory + (3100 if index == 1 and day > 0.5 else 0))


def _instance_sample(
    db: Connection,
    rng: random.Random,
    server: Server,
    instance: int,
    ts: int,
    day: float,
    pending: dict[str, float],
    cards: list[list[float]],
) -> float:
    busy = max(0.0, min(1.0, server.busy * (0.15 + 1.1 * day) + rng.gauss(0, 0.12)))
    if rng.random() > 0.35 + 0.6 * day:
        busy = 0.0
    pending[server.name] += busy * PERIOD_S * rng.uniform(0.4, 1.4)
    finished = 0
    prompt = generated = prompt_ms = generated_ms = 0
    while pending[server.name] > (took := rng.uniform(2, 14)) and finished < 6:
        pending[server.name] -= took
        finished += 1
        row = _request(db, rng, server, instance, ts - rng.randrange(PERIOD_S), took)
        prompt, generated = prompt + row[0], generated + row[1]
        prompt_ms, generated_ms = prompt_ms + row[2], generated_ms + row[3]
    cpu = 30 + 940 * busy if server.gpu is not None else 40 + 5200 * busy
    insert(
        db,
        "instance_samples",
        ts=ts,
        instance_id=instance,
        cpu_permille=int(cpu),
        rss_kib=int(server.memory_mib * 1024 * (0.97 + 0.03 * day) + rng.randrange(9000)),
        threads=21,
        prompt_tokens=prompt,
        predicted_tokens=generated,
        prompt_ms=prompt_ms,
        predicted_ms=generated_ms,
        requests_processing=min(4, round(busy * 4 * rng.random())),
        requests_deferred=1 if busy > 0.9 and rng.random() < 0.3 else 0,
        gpu_memory_mib=int(server.gpu_memory_mib * (0.98 + 0.02 * day)) if server.gpu is not None else None,
        gpu_utilization_percent=int(100 * busy) if server.gpu is not None else None,
    )
    if server.gpu is not None:
        cards[server.gpu][0] += busy * 90
        cards[server.gpu][1] += server.gpu_memory_mib * (0.98 + 0.02 * day)
    return cpu


def _request(
    db: Connection, rng: random.Random, server: Server, instance: int, ts: int, took: float
) -> tuple[int, int, int, int]:
    prompt_speed = server.prompt_speed * rng.uniform(0.7, 1.15)
    speed = server.speed * rng.uniform(0.82, 1.08)
    prompt = int(rng.lognormvariate(6.3, 0.9))
    cached = int(prompt * rng.choice((0, 0, 0.5, 0.9)))
    prompt_ms = (prompt - cached) / prompt_speed * 1000
    generated = int(speed * max(0.3, took - prompt_ms / 1000)) if speed else 0
    generated_ms = generated / speed * 1000 if speed else 0.0
    insert(
        db,
        "generations",
        ts=ts,
        started_ts=ts - int(took),
        instance_id=instance,
        profile=server.name,
        project=server.project,
        slot_id=rng.randrange(4),
        task_id=rng.getrandbits(40),
        prompt_tokens=prompt,
        cached_tokens=cached,
        generated_tokens=generated,
        total_tokens=prompt + generated,
        prompt_time_ms=prompt_ms,
        generation_time_ms=generated_ms,
        total_time_ms=prompt_ms + generated_ms,
        prompt_tokens_per_second=prompt_speed,
        tokens_per_second=speed or None,
        finish_reason="cancelled" if rng.random() < 0.02 else "stop",
    )
    return prompt - cached, generated, int(prompt_ms), int(generated_ms)


def _machine_sample(db: Connection, rng: random.Random, ts: int, load: float, first: bool) -> None:
    cores = 32
    cpu = min(1000.0, load / cores + 18 + rng.expovariate(0.2))
    reading = rng.random() < 0.01
    insert(
        db,
        "system_samples",
        ts=ts,
        interval_s=None if first else PERIOD_S,
        boot_id=BOOT,
        cpu_cores=cores,
        cpu_permille=int(cpu),
        memory_total_mib=128 * GIB,
        memory_used_mib=int(21 * GIB + load / 3 + rng.randrange(300)),
        memory_available_mib=100 * GIB,
        swap_total_mib=8 * GIB,
        swap_used_mib=0,
        load_1min_centi=int(load / 9 + rng.randrange(60)),
        load_5min_centi=int(load / 10),
        load_15min_centi=int(load / 10),
        disk_total_mib=1_800 * GIB,
        disk_used_mib=1_214 * GIB + ts % 86400 // 60,
        disk_read_bytes=int(9e9 * rng.random()) if reading else rng.randrange(400_000),
        disk_write_bytes=rng.randrange(2_000_000, 9_000_000),
        network_rx_bytes=int(load * 900 + rng.randrange(90_000)),
        network_tx_bytes=int(load * 2_300 + rng.randrange(90_000)),
        active_instances=4,
    )


def _card_sample(db: Connection, rng: random.Random, ts: int, index: int, used: float, memory: float) -> None:
    use = int(min(100.0, used + rng.uniform(0, 4)))
    limit = CARDS[index][3]
    insert(
        db,
        "gpu_samples",
        ts=ts,
        gpu_id=index + 1,
        utilization_percent=use,
        memory_total_mib=CARDS[index][2],
        memory_used_mib=int(memory),
        memory_free_mib=CARDS[index][2] - int(memory),
        temperature_celsius=int(38 + use * 0.36 + rng.uniform(-1, 1)),
        power_mw=int(limit * (0.09 + use * 0.0082)),
        power_limit_mw=limit,
    )


def _others(db: Connection, now: int, lives: dict[str, list[tuple[int, int, int]]]) -> None:
    """One profile that is held, one that is stopped by a person, and what holds memory of the cards."""
    _revision(
        db,
        "llama-3.3-70b",
        "research",
        "running",
        now,
        {"model": {"path": "/models/llama-3.3-70b-q4_k_m.gguf"}},
    )
    insert(
        db,
        "instances",
        profile="llama-3.3-70b",
        kind="process",
        project="research",
        status="created",
        reason="gpu-memory",
        detail="needs 42 GiB, the largest card has 26 GiB free; gemma-3-27b and python (ann) hold the other",
        since_ts=now - 7000,
        created_ts=now - 7000,
    )
    _revision(db, "whisper-large-v3", "default", "running", now, {"model": {"path": "/models/whisper.gguf"}})
    insert(
        db,
        "overrides",
        profile="whisper-large-v3",
        action="stop",
        created_ts=now - 3 * 86400,
        username="ann",
        state_seen="running",
    )
    holders = (
        (1, 12100, 7742, "llama", "llama-server", "qwen3-8b"),
        (1, 12108, 13328, "llama", "llama-server", "qwen3-coder-30b"),
        (2, 12102, 19404, "llama", "llama-server", "gemma-3-27b"),
        (2, 30871, 3100, "ann", "python", None),
    )
    for gpu, pid, memory, user, command, profile in holders:
        insert(
            db,
            "gpu_holders",
            gpu_id=gpu,
            pid=pid,
            memory_mib=memory,
            user=user,
            command=command,
            instance_id=lives[profile][-1][0] if profile else None,
            first_seen_ts=now - 4000,
            last_seen_ts=now - 12,
        )


def _decisions(db: Connection, now: int, lives: dict[str, list[tuple[int, int, int]]]) -> None:
    crash = now - CRASH_AGO_S
    coder = [instance for instance, _, _ in lives["qwen3-coder-30b"]]
    free = {"free_mib": 26_240, "claimed_mib": 43_008, "largest_card_mib": 49_140, "headroom_mib": 512}
    rows = (
        (
            crash,
            crash,
            1,
            "qwen3-coder-30b",
            coder[0],
            "end",
            "crash",
            "ended by signal 11 (SIGSEGV)",
            {"lived_s": 401_000},
        ),
        (
            crash + 260,
            crash + 260,
            1,
            "qwen3-coder-30b",
            coder[1],
            "start",
            "declared",
            "2nd launch",
            {"free_mib": 41_000},
        ),
        (crash + 290, crash + 290, 1, "qwen3-coder-30b", coder[1], "ready", "healthy", None, {"load_s": 24}),
        (
            now - 7000,
            now - 20,
            233,
            "llama-3.3-70b",
            None,
            "hold",
            "gpu-memory",
            "waits for 42 GiB on one card",
            free,
        ),
        (
            now - 3 * 86400,
            now - 3 * 86400,
            1,
            "whisper-large-v3",
            None,
            "stop",
            "override",
            "stopped by ann",
            None,
        ),
    )
    for ts, last_ts, count, profile, instance, action, reason, detail, figures in rows:
        insert(
            db,
            "decisions",
            ts=ts,
            last_ts=last_ts,
            count=count,
            profile=profile,
            instance_id=instance,
            action=action,
            reason=reason,
            detail=detail,
            arithmetic=json.dumps(figures) if figures else None,
        )


def main(argv: list[str]) -> None:
    """Write the database named by the first argument."""
    from llamaagent.store.connect import open_database

    db = open_database(argv[0])
    fill(db, int(argv[1]) if len(argv) > 1 else NOW)
    db.close()


if __name__ == "__main__":
    main(sys.argv[1:])
