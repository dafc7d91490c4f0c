"""Who asked for what: a row for every verb that changes something, by the real uid."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scratch_site import Site

ME = pwd.getpwuid(os.getuid()).pw_name


def test_every_verb_leaves_its_row(fake_site: Site) -> None:
    fake_site.profile("alpha", state="stopped")
    fake_site.env |= {"USER": "somebody", "LOGNAME": "somebody"}
    assert fake_site.run("db", "init").rc == 0
    assert fake_site.run("db", "init").rc == 0  # was there already: nothing changed
    for words in (
        ("start", "alpha", "--note", "demo"),
        ("restart", "alpha"),
        ("stop", "alpha"),
        ("reset", "alpha"),
        ("start", "alpha"),
    ):
        assert fake_site.run(*words).rc == 0, words
    pid = fake_site.newest()["alpha"]["pid"]
    assert fake_site.run("detach", "alpha").rc == 0
    os.kill(int(str(pid)), 9)
    (fake_site.root / "profiles" / "alpha.yaml").unlink()
    assert fake_site.run("rm", "alpha").rc == 0
    assert fake_site.run("models", "scan", str(fake_site.root)).rc == 0
    assert fake_site.run("models", "favorite", fake_site.model).rc == 0
    os.unlink(fake_site.model)
    (fake_site.root / "kept.gguf").write_bytes(b"GGUF")
    assert fake_site.run("models", "prune").rc == 0
    rows = fake_site.rows(
        "SELECT a.action, u.username, u.uid, u.first_seen_ts <= u.last_seen_ts AS seen, a.details "
        "FROM audit_log AS a JOIN users AS u ON u.id = a.user_id WHERE a.action <> 'config' ORDER BY a.id"
    )
    assert [row["action"] for row in rows] == [
        "db init", "start", "restart", "stop", "reset", "start", "detach", "rm", "models favorite", "models prune",
    ]  # fmt: skip
    assert {(row["username"], row["uid"], row["seen"]) for row in rows} == {(ME, os.getuid(), 1)}
    assert rows[1]["details"] == '{"note": "demo"}'


def test_a_launch_that_somebody_asked_for_names_them(fake_site: Site) -> None:
    fake_site.profile("alpha", state="stopped")
    fake_site.profile("beta")
    assert fake_site.run("start", "alpha").rc == 0
    fake_site.settle()
    started = {
        row["profile"]: row["started_by"]
        for row in fake_site.rows("SELECT profile, started_by FROM v_history")
    }
    assert started == {"alpha": ME, "beta": None}
