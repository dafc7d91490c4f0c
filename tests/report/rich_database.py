"""A machine with a past: last words, git history, health, measured memory, energy, limits, Xid, people; and trends.

On top of small_database's rows; every text from outside can be made a hostile one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from small_database import CARD, NOW, PERIOD_S, add_launch, add_revision, add_samples, insert

if TYPE_CHECKING:
    from apsw import Connection

DAY = 86_400
WEEK = 7 * DAY
MODEL = "/models/alpha.gguf"
PROJECT = "research"


def fill(db: Connection) -> None:
    """Write it all into an empty database of ours."""
    with db:
        insert(db, "system_samples", ts=NOW - 20 * DAY)
        _card(db)
        launches = _profile(db)
        insert(
            db, "instance_samples", ts=NOW - 20 * DAY, instance_id=launches[0]
        )  # so far back samples are kept
        add_samples(db, launches[-1])
        _requests(db, launches[-1])
        _limits(db, launches[-1])
        _people(db)
        _rollups(db)
        _files(db)


def _card(db: Connection) -> None:
    seen = {"first_seen_ts": NOW - 20 * DAY, "last_seen_ts": NOW - 60}
    insert(
        db, "gpus", id=1, uuid=CARD, idx=0, name="Test Card", driver="1.0", memory_total_mib=24_576, **seen
    )
    for ago, xid, message in (
        (7000, 79, "GPU has fallen off the bus"),
        (900, 13, "Graphics Engine Exception"),
    ):
        insert(
            db, "gpu_xids", ts=NOW - ago, gpu_id=1, boot_id="b", xid=xid, message=message, source="kernel-log"
        )


def _profile(db: Connection) -> list[int]:
    """Three contents of its file, two ends by itself with their last words, one that runs."""
    documents = (
        ({"args": {"ctx-size": 2048, "temp": 0.7}}, "aaaaaaaaaaaa1111", 0),
        ({"args": {"ctx-size": 4096, "temp": 0.7}}, "bbbbbbbbbbbb2222", 1),
        ({"args": {"ctx-size": 4096}, "labels": {"owner": "ann"}}, "cccccccccccc3333", 0),
    )
    for number, (document, commit, dirty) in enumerate(documents):
        seen = NOW - (3 - number) * 2 * DAY
        add_revision(
            db,
            "alpha",
            project=PROJECT,
            profile_hash=f"p{number}",
            launch_hash=f"l{number}",
            document=json.dumps({"name": "alpha", **document}),
            git_commit=commit,
            git_dirty=dirty,
            first_seen_ts=seen,
            last_seen_ts=NOW - 10 if number == 2 else seen + DAY,
            applied_ts=seen + 60,
            refused_ts=seen + 90 if number == 1 else None,
            refusal="the server ended at once" if number == 1 else None,
        )
    launches = []
    for number in range(2):
        begin = NOW - 20_000 + 5000 * number
        launches.append(
            add_launch(
                db,
                "alpha",
                "error",
                project=PROJECT,
                reason="crash",
                detail="ended by signal 11",
                exit_signal=11,
                launch_id=f"alpha-{number}",
                launched_ts=begin,
                ready_ts=begin + 30,
                ended_ts=begin + 3000,
            )
        )
        lines = f"llama_decode: failed, ret = -{number}\nGGML_ASSERT(n > 0) failed & <abort>"
        insert(db, "log_tails", instance_id=launches[-1], ts=begin + 3000, lines=lines)
    running = add_launch(
        db,
        "alpha",
        project=PROJECT,
        launch_id="alpha-2",
        model_path=MODEL,
        gpus=json.dumps([CARD]),
        gpu_memory_declared_mib=10_240,
        gpu_memory_estimated_mib=7168,
        gpu_memory_measured_mib=8192,
    )
    _health(db, running)
    _memory(db, running)
    return [*launches, running]


def _health(db: Connection, launch: int) -> None:
    answers = (
        ("loading", 503, 4, "Loading model"),
        ("healthy", 200, 90, None),
        ("unhealthy", 500, 2, "slot is stuck"),
    )
    for number, (status, http, count, detail) in enumerate(answers):
        ts = NOW - 3000 + 1000 * number
        given = {
            "status": status,
            "http_status": http,
            "count": count,
            "detail": detail,
            "latency_ms": 7 + number,
        }
        insert(db, "health_checks", instance_id=launch, ts=ts, last_ts=ts + 900, **given)


def _memory(db: Connection, launch: int) -> None:
    for number, (gpu, name, peak, oom) in enumerate(
        ((CARD, "Test Card", 8192, 9000), ("host", None, 2300, None))
    ):
        insert(
            db,
            "memory_observations",
            model_path=MODEL,
            model_size_bytes=1,
            model_mtime_ns=1,
            parameters_hash="h",
            build="b100-abc",
            gpu=gpu,
            gpu_name=name,
            peak_mib=peak,
            estimated_mib=7168 + number,
            n=3,
            instance_id=launch,
            first_ts=NOW - DAY,
            last_ts=NOW - 100 - number,
            oom_mib=oom,
        )


def _requests(db: Connection, launch: int) -> None:
    """Ten today, four on the day before."""
    times = [*(NOW - 1150 + 100 * n for n in range(10)), *(NOW - DAY - 9000 + 100 * n for n in range(4))]
    for number, ts in enumerate(times):
        insert(
            db,
            "generations",
            ts=ts,
            instance_id=launch,
            profile="alpha",
            project=PROJECT,
            task_id=number,
            prompt_tokens=100,
            cached_tokens=20,
            generated_tokens=50 + number,
            total_tokens=150 + number,
            total_time_ms=1000.0,
            tokens_per_second=50.0,
            finish_reason="stop",
        )


def _limits(db: Connection, launch: int) -> None:
    """Energy is used up, tokens are not; cards are limited by somebody's word."""
    for resource, amount, window in (
        ("energy", 40, WEEK),
        ("tokens", 10_000, DAY),
        ("gpu_hours", 7200, WEEK),
    ):
        insert(
            db,
            "quotas",
            project=PROJECT,
            resource=resource,
            amount=amount,
            window_s=window,
            created_ts=NOW - DAY,
        )
    told = {"origin": "override", "username": "ann", "reason": "the demo on Monday"}
    insert(db, "quotas", project=PROJECT, resource="gpus", amount=4, created_ts=NOW - DAY, **told)
    insert(
        db,
        "reservations",
        kind="instance",
        instance_id=launch,
        gpu_id=1,
        memory_mib=8192,
        holder="alpha",
        project=PROJECT,
        created_ts=NOW - 3610,
    )


def _people(db: Connection) -> None:
    user = insert(db, "users", username="ann", uid=1000, first_seen_ts=1, last_seen_ts=2)
    for ago, action, kind, name in ((9000, "stop", "profile", "alpha"), (60, "quota set", "quota", PROJECT)):
        row = {"action": action, "resource_type": kind, "resource_id": name, "details": "{}"}
        insert(db, "audit_log", ts=NOW - ago, user_id=user, **row)


def _rollups(db: Connection) -> None:
    """A week in which the processor gets busier and the card cooler; it draws 200 W."""
    begin, end = (NOW - WEEK - 7200) // 300 * 300, NOW // 300 * 300
    for ts in range(begin, end, 300):
        share = (ts - begin) / (end - begin)
        busy, celsius = round(100 + 700 * share), round(80 - 50 * share)
        spread = {"sum": 5 * busy, "min": busy, "max": busy}
        row = {f"cpu_permille_{name}": value for name, value in spread.items()}
        insert(db, "system_rollups", resolution_s=300, ts=ts, n=5, covered_s=300, cpu_permille_n=5, **row)
        heat = {"n": 5, "sum": 5 * celsius, "min": celsius, "max": celsius}
        row = {f"temperature_celsius_{name}": value for name, value in heat.items()}
        row |= {
            "power_mw_n": 5,
            "power_mw_sum": 5 * 200_000,
            "power_mw_min": 200_000,
            "power_mw_max": 200_000,
        }
        insert(db, "gpu_rollups", resolution_s=300, ts=ts, gpu_id=1, n=5, covered_s=300, **row)
    for ts in range(begin // 3600 * 3600, end // 3600 * 3600, 3600):
        drawn = {"power_mw_n": 60, "power_mw_sum": 60 * 200_000}
        insert(db, "gpu_rollups", resolution_s=3600, ts=ts, gpu_id=1, n=60, covered_s=3600, **drawn)
    insert(db, "metadata", key="rollup_300_ts", value=str(end), updated_at=NOW)


def _files(db: Connection) -> None:
    insert(
        db,
        "model_files",
        path=MODEL,
        filename="alpha.gguf",
        size_bytes=3 * 1024**3,
        architecture="llama",
        quantization="Q4_K_M",
        size_label="8B",
        context_length=8192,
        first_seen_ts=NOW - DAY,
        last_used_ts=NOW - 60,
    )


def fill_with(db: Connection, nasty: str) -> None:
    """Every text of it that comes from outside, and all that small_database knows, as bad as `nasty`."""
    fill(db)
    with db:
        for table, columns in OUTSIDE.items():
            for column in columns:
                db.execute(f"UPDATE {table} SET {column} = ?", (nasty,))
        # What must stay apart from the others of its table gets a number at its end.
        for table, column in (("gpus", "uuid"), ("model_files", "path"), ("users", "username")):
            db.execute(f"UPDATE {table} SET {column} = ? || rowid", (nasty,))
        db.execute("UPDATE profile_revisions SET profile_hash = ? || rowid", (nasty,))
        document = {nasty: nasty, "args": {nasty: [nasty]}}
        db.execute(
            "UPDATE profile_revisions SET document = json_set(?, '$.n', rowid)", (json.dumps(document),)
        )
        db.execute("UPDATE instances SET argv = ?", (json.dumps(["llama-server", nasty]),))
        for name, value in (("<b>_mib", 5), ("x", nasty)):
            insert(
                db,
                "decisions",
                ts=NOW - PERIOD_S,
                last_ts=NOW,
                profile="alpha",
                action="hold",
                reason=nasty,
                detail=nasty,
                arithmetic=json.dumps({name: value}),
            )
        holder = {"memory_mib": 77, "user": nasty, "command": nasty}
        insert(db, "gpu_holders", gpu_id=1, pid=1, first_seen_ts=1, last_seen_ts=2, **holder)
        insert(db, "logs", ts=NOW - 5, level="error", source=nasty, profile=nasty, message=nasty)
        backup = {"ts": NOW - DAY, "path": nasty, "size_bytes": 1}
        insert(db, "metadata", key="last_backup", value=json.dumps(backup), updated_at=NOW)


OUTSIDE = {
    "log_tails": ("lines",),
    "health_checks": ("detail",),
    "model_files": (
        "filename",
        "name",
        "architecture",
        "quantization",
        "size_label",
        "chat_template",
        "error",
    ),
    "memory_observations": ("build", "gpu_name"),
    "audit_log": ("action", "resource_type", "resource_id"),
    "gpus": ("name", "driver", "pci_bus_id", "failed_reason"),
    "gpu_xids": ("message",),
    "quotas": ("project", "reason", "username"),
    "reservations": ("reason", "holder", "project"),
    "profile_revisions": ("project", "source", "git_commit", "refusal"),
    "instances": (
        "project",
        "detail",
        "reason",
        "stop_reason",
        "build",
        "git_commit",
        "host",
        "container_id",
    ),
    "generations": ("finish_reason", "project"),
}
