"""Cards lent to a person or to a program: who gets one, how it ends, and what others are told meanwhile."""

from __future__ import annotations

import json
import os
import pty
import pwd
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from carded_site import INSIDE
from scratch_site import PYTHON, eventually, kill, living

if TYPE_CHECKING:
    from pathlib import Path

    from carded_site import CardedSite

A, B = "GPU-aaaa", "GPU-bbbb"
ME = pwd.getpwuid(os.getuid()).pw_name


def test_a_lease_takes_whole_cards_and_names_them_for_the_shell(carded: CardedSite) -> None:
    done = carded.run("gpus", "allocate", "--reason", "training", "--for", "4h")
    assert done.rc == 0, done
    assert sorted(done.out.splitlines()) == [
        "export CUDA_DEVICE_ORDER=PCI_BUS_ID",
        f"export CUDA_VISIBLE_DEVICES={A}",
    ]
    (lease,) = carded.leases()
    assert (lease["uuid"], lease["memory_mib"], lease["exclusive"]) == (A, None, 1)
    assert (lease["holder"], lease["reason"], lease["project"]) == (ME, "training", "default")
    assert 14300 < int(str(lease["expires_ts"])) - int(str(lease["created_ts"])) <= 14400
    assert f"llamaagent gpus release {lease['id']}" in done.err
    both = carded.run("gpus", "allocate", "--gpus", "2")
    assert both.rc == 77
    assert f"lease {lease['id']} of {ME} has reserved the card" in both.err
    seen = {row["uuid"]: row["reservations"] for row in json.loads(carded.run("gpus", "--json").out)}
    assert [(one["reason"], one["lease_id"]) for one in seen[A]] == [("training", lease["id"])]
    assert f"lease {lease['id']}: training, until 2" in carded.run("gpus").out
    assert carded.site.one("SELECT container_name, gpu_id FROM gpu_allocations") == {
        "container_name": ME,
        "gpu_id": 0,
    }
    assert carded.run("gpus", "release", str(lease["id"])).rc == 0
    assert carded.leases() == []
    assert carded.run("gpus", "allocate", "--gpus", "2", "--json").rc == 0
    assert {row["lease_id"] for row in carded.leases()} == {carded.leases()[0]["id"]}
    assert carded.run("gpus", "release", "--mine").rc == 0
    assert carded.leases() == []


def test_a_profile_is_not_put_where_somebody_has_a_lease(carded: CardedSite) -> None:
    assert carded.run("gpus", "allocate", "--gpus", "1").rc == 0
    carded.site.profile("alpha", resources={"gpu_memory": "500MiB"})
    carded.once()
    row = carded.site.newest()["alpha"]
    assert (row["status"], json.loads(str(row["gpus"]))) == ("loading", [B])
    assert carded.run("gpus", "allocate", "--gpus", B).rc == 77
    assert carded.run("gpus", "allocate", "--gpus", "1", "--gpu-memory", "1401MiB").rc == 77
    done = carded.run("gpus", "allocate", "--gpus", "1", "--gpu-memory", "1400MiB")
    assert done.rc == 0, done
    carded.site.profile("beta", resources={"gpu_memory": "100MiB"})
    carded.once()
    assert carded.site.newest()["beta"]["reason"] == "gpu-memory"
    assert "lease" in str(carded.site.rows("SELECT arithmetic FROM decisions WHERE profile = 'beta'"))


def test_a_lease_ends_with_its_time(carded: CardedSite) -> None:
    assert carded.run("gpus", "allocate", "--gpus", "2", "--for", "1h").rc == 0
    assert carded.run("gpus", "allocate").rc == 77
    carded.site.edit("UPDATE reservations SET created_ts = created_ts - 4000, expires_ts = expires_ts - 4000")
    assert carded.run("gpus", "allocate").rc == 0  # free by itself, whether a pass came or not
    ended = carded.site.rows(
        "SELECT released_ts - expires_ts AS late FROM reservations WHERE expires_ts IS NOT NULL"
    )
    assert ended == [{"late": 0}, {"late": 0}]


def test_words_that_make_no_sense_are_wrong_usage(carded: CardedSite) -> None:
    for words in (
        ("allocate", "--gpus", "0"),
        ("allocate", "--gpus", "0,,1"),
        ("allocate", "--gpu-memory", "9G"),
        ("allocate", "--for", "4"),
        ("release",),
        ("release", "17"),
        ("release", "--mine", "17"),
        ("run",),
    ):
        done = carded.run("gpus", *words)
        assert done.rc == 2, (words, done)
    assert carded.run("gpus", "allocate", "--gpus", "GPU-none").rc == 77


# -- gpus run -------------------------------------------------------------------------------------------


SHOW = "import json, os; print(json.dumps({k: v for k, v in os.environ.items()}))"


@pytest.mark.parametrize("dashes", [("--",), ()], ids=["dashes", "bare"])
def test_a_program_sees_its_cards_and_its_exit_code_is_ours(
    carded: CardedSite, dashes: tuple[str, ...]
) -> None:
    done = carded.run("gpus", "run", *dashes, sys.executable, "-c", f"{SHOW}; raise SystemExit(7)")
    assert done.rc == 7, done
    seen = json.loads(done.out)
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["CUDA_DEVICE_ORDER"]) == (A, "PCI_BUS_ID")
    assert carded.leases() == []
    (row,) = carded.site.rows("SELECT id, released_ts, reason FROM reservations")
    assert seen["LLAMAAGENT_LEASE"] == str(row["id"])
    assert row["released_ts"] is not None
    assert str(row["reason"]).startswith(sys.executable)


def test_a_program_that_is_not_there_reserves_nothing(carded: CardedSite) -> None:
    assert carded.run("gpus", "run", "--", "no-such-program").rc == 127
    assert not os.path.exists(carded.site.database)
    (carded.site.root / "text").write_text("no program")
    (carded.site.root / "text").chmod(0o755)
    assert carded.run("gpus", "run", "--", "./text").rc == 126
    assert carded.leases() == []


def waiting(carded: CardedSite, *words: str) -> tuple[int, int]:
    """Start `gpus run` with a program that waits; its pid and the program's."""
    code = "import os, sys, signal; print(os.getpid(), flush=True); signal.pause()"
    child = carded.start("gpus", "run", *words, "--", sys.executable, "-c", code)
    assert child.stdout is not None
    assert child.stderr is not None
    line = child.stdout.readline()
    assert line, child.stderr.read().decode()
    return child.pid, int(line)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_passed_on_and_told_in_the_exit_code(carded: CardedSite, signum: signal.Signals) -> None:
    pid, program = waiting(carded)
    assert len(carded.leases()) == 1
    os.kill(pid, signum)
    child = carded.site.children[-1]
    assert child.wait(20) == 128 + signum  # Python ends by SIGINT itself, after its exception
    assert not living(program)
    assert carded.leases() == []


def test_the_lease_is_the_programs_whatever_becomes_of_us(carded: CardedSite) -> None:
    pid, program = waiting(carded, "--gpus", "2")
    assert {row["pid"] for row in carded.leases()} == {program}
    kill(pid)
    assert living(program)
    carded.once()
    assert len(carded.leases()) == 2  # it still runs, so it still has its cards
    assert carded.run("gpus", "allocate").rc == 77
    kill(program)
    carded.once()
    assert carded.leases() == []
    (said,) = carded.site.rows("SELECT message FROM logs WHERE source = 'gpus'")
    assert f"(pid {program}) is gone" in str(said["message"])
    assert carded.run("gpus", "allocate", "--gpus", "2").rc == 0


def test_a_program_of_the_boot_before_has_no_cards(carded: CardedSite) -> None:
    _, program = waiting(carded)
    carded.site.edit("UPDATE reservations SET boot_id = 'another boot'")
    carded.once()
    assert carded.leases() == []
    kill(program)


def test_what_a_program_holds_of_its_lease_is_not_counted_twice(carded: CardedSite) -> None:
    carded.say(aaaa=1000)
    _, program = waiting(carded, "--gpu-memory", "500MiB")
    assert carded.run("gpus", "allocate", "--gpu-memory", "401MiB").rc == 77
    carded.hold(A, program, 450)
    refused = carded.run("gpus", "allocate", "--gpu-memory", "401MiB")
    assert (refused.rc, "most that one card can give is 400 MiB" in refused.err) == (77, True), refused
    grandchild = os.fork()
    if not grandchild:
        signal.pause()
    try:
        carded.hold(A, grandchild, 300)  # ours, no child of the program: a stranger
        refused = carded.run("gpus", "allocate", "--gpu-memory", "200MiB")
        assert "most that one card can give is 100 MiB" in refused.err
    finally:
        kill(grandchild)
        os.waitpid(grandchild, 0)
    kill(program)


def test_it_works_in_a_terminal_and_ctrl_c_reaches_the_program_once(
    carded: CardedSite, tmp_path: Path
) -> None:
    carded.run("db", "init")
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: os.write(1, b'once\\n'))\n"  # print may be on just then
        "print(sys.stdin.isatty(), sys.stdout.isatty(), flush=True)\n"
        "print(sys.stdin.readline().strip(), flush=True)\n"
        "raise SystemExit(5)\n"
    )
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(carded.site.root)
        os.execvpe(
            INSIDE[0],
            [*INSIDE, *PYTHON, "gpus", "run", "--", sys.executable, "-c", code],
            carded.site.env,
        )
    said = b""

    def reads(word: bytes) -> bool:
        nonlocal said
        said += os.read(terminal, 4096)
        return word in said

    eventually(lambda: reads(b"True True"), "the program sees a terminal")
    os.write(terminal, b"\x03")
    eventually(lambda: reads(b"once"), "Ctrl-C reaches it")
    os.write(terminal, b"hello\n")
    eventually(lambda: reads(b"hello\r\nhello"), "it reads the terminal")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 5
    assert said.count(b"once") == 1
    assert carded.leases() == []


def test_of_many_that_ask_for_the_last_place_one_gets_it(carded: CardedSite) -> None:
    carded.say(aaaa=1000)
    carded.run("db", "init")
    children = [carded.start("gpus", "allocate", "--reason", f"number {n}") for n in range(6)]
    codes = sorted(child.wait(60) for child in children)
    assert codes == [0, 77, 77, 77, 77, 77]
    assert len(carded.leases()) == 1


def test_a_pass_and_a_lease_do_not_both_get_it(carded: CardedSite) -> None:
    carded.say(aaaa=1000)
    carded.run("db", "init")
    for _ in range(4):
        carded.site.profile("alpha", resources={"gpu_memory": "600MiB"})
        asked = [carded.start("run", "--once"), carded.start("gpus", "allocate", "--gpu-memory", "600MiB")]
        codes = [child.wait(60) for child in asked]
        live = carded.site.rows("SELECT kind FROM reservations WHERE released_ts IS NULL")
        assert len(live) == 1
        assert (codes[0], codes[1]) == (0, 0 if live[0]["kind"] == "lease" else 77)
        carded.run("gpus", "release", "--mine")
        carded.site.profile("alpha", state="stopped")
        eventually(lambda: carded.once() or carded.site.live() == {}, "stopped")
        carded.once()


# -- quotas ---------------------------------------------------------------------------------------------


def test_a_lease_counts_for_its_project(carded: CardedSite) -> None:
    carded.site.settings(
        headroom={"gpu_memory": "100MiB"}, projects={"research": {"gpus": 1, "gpu_hours": "1/day"}}
    )
    assert carded.run("gpus", "allocate", "--project", "research", "--gpu-memory", "300MiB").rc == 0
    first = carded.leases()[0]["uuid"]
    refused = carded.run("gpus", "allocate", "--project", "research", "--gpus", "1")
    assert refused.rc == 77
    assert f"1 of 1 GPUs are used (GPU 0 ({ME}) 1), and this asks for 1 more" in refused.err
    # A part of the card that it has already is no further card, even where another one would fit better.
    carded.say(aaaa=2000, bbbb=1000)
    assert carded.run("gpus", "allocate", "--project", "research", "--gpu-memory", "300MiB").rc == 0
    assert {row["uuid"] for row in carded.leases()} == {first}
    assert carded.site.one("SELECT current_gpus FROM project_quotas WHERE project_path = 'research'") == {
        "current_gpus": 1
    }
    # So is a profile's.
    carded.site.profile("alpha", project="research", resources={"gpu_memory": "300MiB"})
    carded.once()
    assert json.loads(str(carded.site.newest()["alpha"]["gpus"])) == [first]
    # An hour of the card, whoever of the project had it: it is used up for what asks for a card, and for that alone.
    carded.site.edit("UPDATE reservations SET created_ts = created_ts - 3600")
    refused = carded.run("gpus", "allocate", "--project", "research", "--gpu-memory", "10MiB")
    assert refused.rc == 77
    assert "1 of 1 GPU-hours per day are used" in refused.err
    carded.site.profile("beta", project="research", resources={"gpus": "none"})
    carded.site.profile("gamma", project="research", resources={"gpu_memory": "10MiB"})
    carded.once()
    rows = carded.site.newest()
    assert (rows["beta"]["status"], rows["gamma"]["reason"]) == ("loading", "quota")
    figures = json.loads(
        str(carded.site.one("SELECT arithmetic FROM decisions WHERE profile = 'gamma'")["arithmetic"])
    )
    shares = [int(part.rpartition(": ")[2]) for part in figures["gpu_hours_used_by_s"].split("; ")]
    assert sum(shares) == figures["gpu_hours_used_s"] >= figures["gpu_hours_limit_s"] == 3600


def test_energy_is_shared_by_what_is_reserved_and_holds_launches_when_used_up(carded: CardedSite) -> None:
    carded.site.settings(headroom={"gpu_memory": "100MiB"}, projects={"research": {"energy_kwh": "1/day"}})
    carded.say(aaaa=1000)
    assert carded.run("gpus", "allocate", "--project", "research", "--gpu-memory", "300MiB").rc == 0
    assert carded.run("gpus", "allocate", "--project", "other", "--gpu-memory", "100MiB").rc == 0
    carded.site.edit("UPDATE reservations SET created_ts = created_ts - 7200")
    # 8 kW over ten minutes are 1333 Wh, of which three quarters are the project's.
    sample = "INSERT INTO system_samples (ts, interval_s) VALUES (unixepoch('now') - ?, ?)"
    power = "INSERT INTO gpu_samples (ts, gpu_id, power_mw, memory_total_mib) SELECT ts, 1, ?, 1000 FROM system_samples"
    carded.site.edit(sample, 3600, 600)
    carded.site.edit(power, 8_000_000)
    done = carded.run("gpus", "allocate", "--project", "research", "--gpu-memory", "10MiB")
    assert done.rc == 77
    assert "1 of 1 kWh per day are used" in done.err
    (row,) = json.loads(carded.run("quota", "list", "--json").out)
    assert (row["used"], row["used_by"], row["unmeasured_s"]) == (1000, {ME: 1000}, None)
    carded.site.edit("UPDATE gpu_samples SET power_mw = NULL")
    assert carded.run("gpus", "allocate", "--project", "research", "--gpu-memory", "10MiB").rc == 0
    assert "for 10m of its cards' time no power is known" in carded.run("quota").out


def test_who_asked_is_in_the_audit_log_by_the_real_uid(carded: CardedSite) -> None:
    env = {"SUDO_UID": "4711", "USER": "somebody", "LOGNAME": "somebody"}
    assert carded.run("gpus", "allocate", "--reason", "why", env=env).rc == 0
    assert carded.run("gpus", "run", "--gpu-memory", "1MiB", "--", "true", env=env).rc == 0
    assert carded.run("gpus", "release", "--mine", env=env).rc == 0
    rows = carded.site.rows(
        "SELECT a.action, a.resource_type, a.resource_id, a.details, u.username, u.uid FROM audit_log AS a "
        "JOIN users AS u ON u.id = a.user_id WHERE a.action LIKE 'gpus %' ORDER BY a.id"
    )
    assert [row["action"] for row in rows] == ["gpus allocate", "gpus run", "gpus release"]
    assert {(row["username"], row["uid"], row["resource_type"]) for row in rows} == {(ME, os.getuid(), "gpu")}
    told = [json.loads(str(row["details"])) for row in rows]
    assert (told[0]["reason"], told[1]["reason"], told[2]["holder"]) == ("why", "true", ME)
    if os.getuid() == 0:
        assert {one["sudo_uid"] for one in told} == {4711}
