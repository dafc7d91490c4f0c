"""What is kept of the logs of launches that are over: the last lines in the database, the newest few files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scratch_site import ask, kill

if TYPE_CHECKING:
    from scratch_site import Site

CANARY = "canary-81d0f7"


def test_the_last_two_hundred_lines_are_kept_with_every_end(fake_site: Site) -> None:
    fake_site.profile("alpha")
    row = fake_site.settle()["alpha"]
    assert ask(row["port"], "/spew/100000/100")[0] == 200
    kill(int(str(row["pid"])))
    fake_site.once()
    with open(str(row["log_path"]), encoding="utf-8") as file:
        expected = file.read().splitlines()[-200:]  # the last is the shell's own: Killed
    kept = fake_site.one("SELECT instance_id, lines FROM log_tails")
    assert kept["instance_id"] == row["id"]
    assert str(kept["lines"]).splitlines() == expected
    fake_site.settle()
    assert fake_site.run("stop", "alpha").rc == 0
    assert fake_site.count("log_tails") == 2


def test_a_launch_whose_file_is_gone_is_told_from_the_database(fake_site: Site) -> None:
    fake_site.profile("alpha", restart={"policy": "never"})
    row = fake_site.settle()["alpha"]
    kill(int(str(row["pid"])))
    fake_site.once()
    said = fake_site.run("logs", "alpha", "-n", "2").out
    assert fake_site.run("start", "alpha").rc == 0
    os.unlink(str(row["log_path"]))
    assert fake_site.run("logs", "alpha", "--previous", "-n", "2").out == said
    assert fake_site.run("logs", "alpha", "--instance", str(row["id"]), "-n", "2").out == said
    assert said.count("\n") == 2
    fake_site.edit("DELETE FROM log_tails")
    done = fake_site.run("logs", "alpha", "--previous")
    assert (done.rc, done.out, "is gone" in done.err) == (1, "", True)


def test_our_secrets_never_get_from_a_log_into_the_database(fake_site: Site) -> None:
    """A server that prints what it was given: its own file is private, the database is not a place for it."""
    fake_site.env["ALPHA_KEY"] = CANARY
    fake_site.profile(
        "alpha",
        secrets={"api-key": {"env": "ALPHA_KEY"}},
        runtime={
            "wrap": ["/bin/sh", "-c", 'echo "key is $LLAMA_API_KEY" >&2; echo "bad $LLAMA_API_KEY"; exit 3']
        },
        restart={"policy": "never"},
    )
    row = fake_site.settle("error")["alpha"]
    with open(str(row["log_path"]), encoding="utf-8") as file:
        assert CANARY in file.read()
    assert fake_site.one("SELECT lines FROM log_tails")["lines"] == "key is ***\nbad ***"
    assert "***" in str(row["detail"])
    for name in (fake_site.database, f"{fake_site.database}-wal"):
        with open(name, "rb") as data:
            assert CANARY.encode() not in data.read()


def test_only_the_newest_few_files_stay(fake_site: Site) -> None:
    fake_site.profile("alpha")
    row = fake_site.settle()["alpha"]
    folder = os.path.dirname(str(row["log_path"]))
    for number in range(14):
        path = os.path.join(folder, f"{number}-old.log")
        with open(path, "w", encoding="utf-8") as file:
            file.write("old\n")
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    assert fake_site.run("stop", "alpha").rc == 0
    names = sorted(os.listdir(folder))
    assert len(names) == 10
    assert os.path.basename(str(row["log_path"])) in names
    assert "13-old.log" in names
    assert "4-old.log" not in names
