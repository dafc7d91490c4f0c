"""`notify` and `ping`: each change once, in the order of things, whatever hangs, fails or is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, kill, living

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from scratch_site import Site

TAKE = 'cat >> {0}; printf \'%s %s\\n\' "$LLAMAAGENT_EVENT_EVENT" "$LLAMAAGENT_EVENT_PROFILE" >> {0}.env'


@pytest.fixture
def told(fake_site: Site) -> Told:
    return Told(fake_site)


class Told:
    """What the command of a site was told: one JSON object a line."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.path = site.root / "told"
        self.settings()

    def settings(self, command: str | None = None, **more: object) -> None:
        notify = {"command": command or TAKE.format(self.path), "timeout": "2s"} | more
        self.site.settings(notify=notify)

    @property
    def objects(self) -> list[dict[str, object]]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    @property
    def events(self) -> list[tuple[object, object, object]]:
        return [(one["event"], one["profile"], one["reason"]) for one in self.objects]


def pid_of(site: Site, name: str) -> int:
    return int(str(site.newest()[name]["pid"]))


def test_a_crash_and_its_end_are_told_once_each(told: Told) -> None:
    site = told.site
    site.profile("alpha")
    site.settle()
    kill(pid_of(site, "alpha"), signal.SIGSEGV)
    eventually(lambda: not site.live(), "gone")
    first = site.once()
    assert "alpha: crashed" in first.err
    assert told.events == [("crash", "alpha", "crash")]
    site.settle()
    for _ in range(3):
        assert site.once().err == ""
    assert told.events == [("crash", "alpha", "crash"), ("recovered", "alpha", "healthy")]
    crash = told.objects[0]
    assert crash["state"] == "crashed, retry in 1s (1st)"
    assert "signal 11" in str(crash["detail"])
    assert crash["site"] == str(site.root / "llamaagent.yaml")
    assert crash["host"]
    assert str(crash["time"]).endswith("Z")
    assert (site.root / "told.env").read_text() == "crash alpha\nrecovered alpha\n"
    assert site.one("SELECT count(*) AS n FROM notifications WHERE sent_ts IS NOT NULL")["n"] == 2


def test_a_server_that_flaps_is_told_once(told: Told) -> None:
    site = told.site
    site.profile("alpha", restart={"backoff": "1s", "reset_after": "1h"})
    site.settle()
    said = []
    for _ in range(4):
        kill(pid_of(site, "alpha"))
        eventually(lambda: not site.live(), "gone")
        said.append(site.once().err)
        eventually(lambda: site.once() and site.newest()["alpha"]["status"] == "running", "back")
    assert [event for event, _, _ in told.events] == ["crash", "recovered", "crash"]
    assert ["crashed" in text for text in said] == [True, True, False, False]


def test_only_what_is_asked_for_is_told(told: Told) -> None:
    told.settings(on=["held"])
    told.site.profile("alpha", runtime={"env": {"FAKE_MODE": "exit-at-once:3"}})
    told.site.profile("beta", model="/nowhere/b.gguf")
    told.site.once()
    eventually(lambda: told.site.once() and told.site.newest()["alpha"]["status"] == "error", "crashed")
    assert told.events == [("held", "beta", "missing-model")]
    assert told.objects[0]["state"] == "held: model file missing"


def test_broken_files_are_told_and_their_repair_too(told: Told) -> None:
    site = told.site
    path = site.profile("alpha")
    site.settle()
    path.write_text("model: [unclosed\n")
    assert site.run("run", "--once").rc == 78
    assert {event for event, _, _ in told.events} == {"config_broken"}
    before = len(told.events)
    assert site.run("run", "--once").err == ""
    assert len(told.events) == before
    site.profile("alpha")
    site.once()
    assert {event for event, _, _ in told.events[before:]} == {"recovered"}


def test_a_failing_command_is_tried_again_and_said_once(told: Told) -> None:
    site = told.site
    flag = site.root / "broken"
    flag.touch()
    told.settings(f"test ! -e {flag} || {{ echo no route >&2; exit 7; }}; {TAKE.format(told.path)}")
    site.profile("beta", model="/nowhere/b.gguf")
    first = site.once()
    assert first.err.splitlines()[1:] == ["notify.command: exit status 7: no route"]
    time.sleep(1)
    eventually(lambda: site.once().err == "" and attempts(site) >= 2, "tried again, in silence")
    assert site.one("SELECT error FROM notifications")["error"] == "exit status 7: no route"
    flag.unlink()
    said: list[str] = []
    eventually(lambda: said.append(site.once().err) or told.events, "told at last")
    assert told.events == [("held", "beta", "missing-model")]
    assert said[-1] == "ended: notify.command works again\n"
    assert site.once().err == ""


def attempts(site: Site) -> int:
    return int(str(site.one("SELECT max(attempts) AS n FROM notifications")["n"]))


def test_a_hanging_command_is_ended_with_its_group_and_is_in_nobodys_way(told: Told) -> None:
    site = told.site
    pids = site.root / "pids"
    told.settings(f"sleep 300 & echo $! $$ > {pids}; wait", timeout="3s")
    site.profile("beta", model="/nowhere/b.gguf")
    site.profile("alpha")
    sending = site.start("run", "--once")
    eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2, "the command hangs")
    before = time.monotonic()
    assert (
        site.run("run", "--once", "--require-lock").rc == 0
    )  # the pass lock is free, and nobody sends it twice
    assert time.monotonic() - before < 3
    _, err = sending.communicate(timeout=30)
    assert sending.returncode == 0
    assert err.decode().count("notify.command: it did not end within 3 s and was killed") == 1
    eventually(lambda: not any(living(int(pid)) for pid in pids.read_text().split()), "all of it ended")
    assert attempts(site) == 1


def test_two_passes_never_send_the_same_twice(told: Told) -> None:
    site = told.site
    told.settings(f"sleep 0.3; {TAKE.format(told.path)}")
    for name in ("alpha", "beta", "gamma"):
        site.profile(name, model="/nowhere/m.gguf")
    passes = [site.start("run", "--once") for _ in range(5)]
    for one in passes:
        one.communicate(timeout=60)
    site.once()
    assert sorted(str(name) for _, name, _ in told.events) == ["alpha", "beta", "gamma"]


def test_an_agent_killed_while_it_sends_sends_once_more(told: Told) -> None:
    site = told.site
    told.settings(f"{TAKE.format(told.path)}; sleep 1")
    site.profile("beta", model="/nowhere/b.gguf")
    sending = site.start("run", "--once")
    eventually(lambda: told.events, "the command has it")
    sending.kill()
    sending.communicate()
    time.sleep(2.1)
    site.once()
    assert told.events == [("held", "beta", "missing-model")] * 2
    time.sleep(2.1)
    site.once()
    assert len(told.events) == 2


def test_what_is_too_old_is_given_up(told: Told) -> None:
    site = told.site
    told.settings("exit 1")
    site.profile("beta", model="/nowhere/b.gguf")
    site.once()
    site.edit("UPDATE notifications SET ts = ts - 90000, tried_ts = tried_ts - 90000")
    told.settings()
    site.once()
    assert told.events == []
    assert site.one("SELECT gave_up_ts IS NOT NULL AS over FROM notifications")["over"] == 1


def test_the_loop_tells_without_a_late_beat(told: Told) -> None:
    site = told.site
    told.settings(f"sleep 2; {TAKE.format(told.path)}", timeout="10s")
    site.profile("beta", model="/nowhere/b.gguf")
    loop = site.start("run")
    eventually(lambda: told.events, "told")
    spaces = [int(str(row["interval_s"] or 1)) for row in site.rows("SELECT interval_s FROM system_samples")]
    assert max(spaces) <= 2
    assert ended_well(loop) == ""
    assert told.events == [("held", "beta", "missing-model")]


def ended_well(loop: subprocess.Popen[bytes]) -> str:
    """The loop's own words beyond the first line, which tells the problem."""
    loop.send_signal(signal.SIGTERM)
    _, err = loop.communicate(timeout=30)
    assert loop.returncode == 0
    return "\n".join(err.decode().splitlines()[1:])


def test_no_secret_reaches_the_command(told: Told) -> None:
    site = told.site
    told.settings(f"env >> {told.path}.all; {TAKE.format(told.path)}; cat {told.path} >> {told.path}.all")
    site.env["CANARY_KEY"] = "canary-7f1d"
    site.profile(
        "alpha", secrets={"api-key": {"env": "CANARY_KEY"}}, runtime={"env": {"FAKE_MODE": "exit-at-once:3"}}
    )
    eventually(lambda: site.once() and told.events, "told")
    text = (site.root / "told.all").read_text()
    assert "LLAMAAGENT_EVENT_EVENT=crash" in text
    assert "canary" not in text


# -- the dead man's switch ---------------------------------------------------------------------------


class Switch:
    """A server that counts who asks; it answers as told."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.status = 200
        switch = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                switch.paths.append(self.path)
                if switch.status:
                    self.send_response(switch.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    time.sleep(8)

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ping/canary-uuid"


@pytest.fixture
def switch() -> Iterator[Switch]:
    made = Switch()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_good_pass_pings_and_a_bad_one_does_not(fake_site: Site, switch: Switch) -> None:
    fake_site.settings(ping=switch.url)
    fake_site.profile("alpha", state="stopped")
    fake_site.once()
    fake_site.once()
    assert switch.paths == ["/ping/canary-uuid"] * 2
    (fake_site.root / "profiles" / "broken.yaml").write_text("model: [unclosed\n")
    assert fake_site.run("run", "--once").rc == 78
    assert len(switch.paths) == 2


@pytest.mark.parametrize(("status", "words"), [(404, "the answer was 404"), (0, "no answer within 5 s")])
def test_a_ping_that_fails_is_said_once_without_the_secret(
    fake_site: Site, switch: Switch, status: int, words: str
) -> None:
    fake_site.settings(ping=switch.url)
    fake_site.profile("alpha", state="stopped")
    switch.status = status
    host = switch.url.partition("/ping")[0]
    assert fake_site.once().err == f"ping: {host}/…: {words}\n"
    if status:
        assert fake_site.once().err == ""
    switch.status = 200
    assert fake_site.once().err == "ended: ping works again\n"
    assert fake_site.once().err == ""
    assert "canary" not in json.dumps(fake_site.rows("SELECT * FROM logs"))
    assert "canary" not in json.dumps(fake_site.rows("SELECT * FROM metadata"))


def test_a_ping_to_nobody_is_a_warning_and_the_pass_is_fine(fake_site: Site, free_port: int) -> None:
    fake_site.settings(ping=f"https://127.0.0.1:{free_port}/x")
    fake_site.profile("alpha", state="stopped")
    assert fake_site.once().err == f"ping: https://127.0.0.1:{free_port}/…: Connection refused\n"


def test_the_loop_pings_each_beat(fake_site: Site, switch: Switch) -> None:
    fake_site.settings(ping=switch.url)
    fake_site.profile("alpha", state="stopped")
    loop = fake_site.start("run")
    eventually(lambda: len(switch.paths) >= 3, "three beats")
    loop.send_signal(signal.SIGTERM)
    _, err = loop.communicate(timeout=20)
    assert (loop.returncode, err) == (0, b"")
    assert os.path.exists(fake_site.database)
