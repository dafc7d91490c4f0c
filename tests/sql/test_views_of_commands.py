"""The views that commands read."""

import json
from typing import Any

import apsw
import pytest

REVISION = (
    "INSERT INTO profile_revisions (profile, profile_hash, launch_hash, document, project, labels,"
    " first_seen_ts, last_seen_ts, retired_ts)"
    " VALUES (:profile, :hash, :hash, :document, 'research', :labels, :first, :last, :retired)"
)


def rows(db: apsw.Connection, text: str) -> list[dict[str, Any]]:
    cursor = db.execute(text)
    return [dict(zip([column[0] for column in cursor.get_description()], row, strict=True)) for row in cursor]


def declare(db: apsw.Connection, profile: str, digest: str, last: int, *, retired: int | None = None) -> None:
    document = json.dumps({"model": {"path": f"/models/{digest}.gguf"}})
    names = {"profile": profile, "hash": digest, "document": document, "labels": '{"tier": "gold"}'}
    db.execute(REVISION, {**names, "first": 5, "last": last, "retired": retired})


def test_a_profile_has_one_row_with_its_live_instance(site: apsw.Connection, now: int) -> None:
    declare(site, "qwen", "first", now - 500)
    declare(site, "qwen", "second", now - 30)
    (row,) = rows(site, "SELECT * FROM v_profiles WHERE profile = 'qwen'")
    assert (row["status"], row["instance_id"], row["port"], row["project"]) == (
        "running",
        4,
        8100,
        "research",
    )
    assert (row["memory_mib"], row["cpu_permille"], row["tokens_per_second"]) == (3072, 7000, 50.0)
    assert (row["declared_profile_hash"], row["labels"]) == ("second", '{"tier": "gold"}')
    assert row["model_path"] == "/models/qwen.gguf"


def test_a_profile_that_never_ran_is_stopped(site: apsw.Connection, now: int) -> None:
    declare(site, "new", "x", now)
    (row,) = rows(site, "SELECT * FROM v_profiles WHERE profile = 'new'")
    assert (row["status"], row["wanted"], row["pid"], row["kind"]) == ("stopped", 0, None, "process")
    assert row["model_path"] == "/models/x.gguf"


def test_a_profile_that_ended_shows_its_last_launch_without_samples(site: apsw.Connection, now: int) -> None:
    declare(site, "broken", "x", now)
    site.execute(
        "INSERT INTO instance_samples (ts, instance_id, rss_kib) VALUES (:ts, 7, 1024)", {"ts": now - 20}
    )
    (row,) = rows(site, "SELECT * FROM v_profiles WHERE profile = 'broken'")
    assert (row["status"], row["instance_id"], row["memory_mib"]) == ("error", 7, None)


def test_a_retired_profile_is_shown_only_while_it_lives(site: apsw.Connection, now: int) -> None:
    declare(site, "qwen", "x", now, retired=now)
    declare(site, "gone", "x", now, retired=now)
    declare(site, "back", "old", now - 100, retired=now - 50)
    declare(site, "back", "new", now)
    names = {row["profile"] for row in rows(site, "SELECT profile FROM v_profiles")}
    assert {"qwen", "back"} <= names
    assert "gone" not in names


def test_overrides_and_health_stand_beside_the_profile(site: apsw.Connection, now: int) -> None:
    site.execute(
        "INSERT INTO overrides (profile, action, created_ts, username) VALUES ('qwen', 'stop', 1, 'ann')"
    )
    for ts, status in ((now - 90, "loading"), (now - 60, "healthy")):
        site.execute(
            "INSERT INTO health_checks (instance_id, ts, last_ts, count, status, latency_ms)"
            " VALUES (4, :ts, :ts, 3, :s, 2)",
            {"ts": ts, "s": status},
        )
    (row,) = rows(site, "SELECT override, override_by, health FROM v_profiles WHERE profile = 'qwen'")
    assert row == {"override": "stop", "override_by": "ann", "health": "healthy"}
    (health,) = rows(site, "SELECT * FROM v_health WHERE profile = 'qwen'")
    assert (health["health"], health["health_count"], health["latency_ms"]) == ("healthy", 3, 2)


def test_history_has_every_launch(site: apsw.Connection) -> None:
    found = {row["instance_id"]: row for row in rows(site, "SELECT * FROM v_history")}
    assert len(found) == 7
    assert found[3]["lived_s"] == 90
    assert (found[1]["cpu_percent_avg"], found[1]["memory_mib_avg"]) == (250.0, 2048.0)


def test_cards_show_their_sample_holders_and_reservations(site: apsw.Connection, now: int) -> None:
    site.execute(
        "INSERT INTO gpu_holders"
        " (gpu_id, pid, memory_mib, user, command, instance_id, first_seen_ts, last_seen_ts)"
        " VALUES (1, 77, 900, 'bob', 'python', NULL, 5, 6), (1, 40, 8000, 'me', 'llama-server', 4, 5, 6)"
    )
    cards = {row["uuid"]: row for row in rows(site, "SELECT * FROM v_gpus")}
    assert (cards["GPU-a"]["memory_used_mib"], cards["GPU-a"]["sample_ts"]) == (10000, now - 60)
    assert [(h["pid"], h["profile"]) for h in json.loads(cards["GPU-a"]["holders"])] == [
        (40, "qwen"),
        (77, None),
    ]
    (reservation,) = json.loads(cards["GPU-a"]["reservations"])
    assert (reservation["holder"], reservation["exclusive"]) == ("web-1", True)
    assert (cards["GPU-b"]["reserved_mib"], cards["GPU-b"]["holders"]) == (6000, "[]")
    assert (cards["GPU-c"]["sample_ts"], cards["GPU-c"]["reservations"]) == (None, "[]")


def test_cards_say_in_words_what_holds_their_clocks_and_what_was_reported(
    site: apsw.Connection, now: int
) -> None:
    site.execute("UPDATE gpu_samples SET throttle_reasons = 4 + 64, ecc_volatile = 3 WHERE gpu_id = 1")
    site.execute("UPDATE gpus SET vendor = 'amd' WHERE id = 3")
    for xid in range(12):
        site.execute(
            "INSERT INTO gpu_xids (ts, gpu_id, boot_id, xid, source) VALUES (?, 1, 'b', ?, 'kernel-log')",
            (now, xid),
        )

    def cards() -> dict[str, dict[str, object]]:
        return {str(row["uuid"]): row for row in rows(site, "SELECT * FROM v_gpus")}

    first = cards()["GPU-a"]
    assert json.loads(str(first["throttle"])) == ["power cap", "too hot"]
    assert first["ecc_volatile"] == 3
    assert [one["xid"] for one in json.loads(str(first["xids"]))] == list(range(11, 1, -1))
    assert [row["xid_source"] for row in cards().values()] == ["not-available", "not-available", None]
    site.execute("INSERT INTO metadata (key, value, updated_at) VALUES ('xid_source', 'events', 5)")
    assert cards()["GPU-a"]["xid_source"] == "events"


def test_the_newest_sample_of_the_machine(site: apsw.Connection, now: int) -> None:
    (row,) = rows(site, "SELECT * FROM v_system_latest")
    assert (row["ts"], row["cpu_percent"], row["disk_free_mib"], row["requests_per_minute"]) == (
        now - 60,
        50.0,
        150,
        8.0,
    )


def test_decisions_and_events_keep_their_json(site: apsw.Connection) -> None:
    site.execute(
        "INSERT INTO decisions (ts, last_ts, profile, instance_id, action, reason, arithmetic)"
        " VALUES (5, 9, 'qwen', 4, 'hold', 'gpu-memory', '{\"free_mib\": 12}')"
    )
    (row,) = rows(site, "SELECT * FROM v_decisions")
    assert (row["action"], row["instance_status"], row["arithmetic"]) == (
        "hold",
        "running",
        '{"free_mib": 12}',
    )
    assert len(rows(site, "SELECT * FROM v_events WHERE level = 'error'")) == 1


@pytest.mark.parametrize(
    ("host", "prefix", "url"),
    [
        ("0.0.0.0", None, "http://127.0.0.1:8100"),
        ("::", None, "http://[::1]:8100"),
        ("fe80::1", "/api", "http://[fe80::1]:8100/api"),
        ("gpu1", None, "http://gpu1:8100"),
        (None, None, None),
    ],
)
def test_the_address_is_one_that_a_client_can_use(
    site: apsw.Connection, host: str | None, prefix: str | None, url: str | None
) -> None:
    site.execute(
        "UPDATE instances SET host = :host, api_prefix = :prefix WHERE id = 4",
        {"host": host, "prefix": prefix},
    )
    assert site.execute("SELECT url FROM instances WHERE id = 4").get == url
