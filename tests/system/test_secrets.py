"""An API key reaches the server and our own questions, and is written nowhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask

if TYPE_CHECKING:
    from scratch_site import Outcome, Site

CANARY = "canary-5f3a9c71e2"
pytestmark = pytest.mark.binary


def files_with(folder: object, text: str) -> list[str]:
    """Every file below a folder that holds the text."""
    found = []
    for base, _, names in os.walk(str(folder)):
        for name in names:
            with open(os.path.join(base, name), "rb") as file:
                if text.encode() in file.read():
                    found.append(os.path.join(base, name))
    return found


def everything_shown(site: Site) -> list[Outcome]:
    words = """
        show alpha|show alpha --command|show alpha --env|show alpha --json|show alpha --effective|show alpha --diff
        |ps --json|ps -o wide|status|why --json|history --json|logs alpha|events --json|env alpha|url alpha
        |settings --json|plan --json|check|doctor|db info --json
    """
    found = [site.run(*command.split()) for command in words.split("|")]
    return [*found, site.run("query", "SELECT * FROM instances")]


@pytest.mark.case("peers 5.26")
def test_a_canary_key_works_and_leaves_no_trace(site: Site) -> None:
    site.env["ALPHA_KEY"] = CANARY
    site.settings(reports={"every": "1s"})
    site.profile("alpha", secrets={"api-key": {"env": "ALPHA_KEY"}})
    row = site.settle()["alpha"]
    assert ask(row["port"], "/v1/models")[0] == 401
    assert ask(row["port"], "/v1/models", key=CANARY)[0] == 200
    site.once()
    assert ask(row["port"], "/completion", {"prompt": "a", "n_predict": 3}, key=CANARY)[0] == 200
    sample = site.rows("SELECT requests_processing FROM instance_samples ORDER BY ts DESC LIMIT 1")[0]
    assert sample["requests_processing"] == 0, "its counters were read with the key"
    built = site.run("report", "build")
    assert built.rc == 0, built
    with open(f"/proc/{row['pid']}/cmdline", "rb") as file:
        assert CANARY.encode() not in file.read()
    with open(f"/proc/{row['wrapper_pid']}/cmdline", "rb") as file:
        assert CANARY.encode() not in file.read()
    for shown in everything_shown(site):
        assert "Traceback" not in shown.err, shown.err
        assert CANARY not in shown.out + shown.err
    assert os.path.exists(f"{site.database}-wal")
    assert files_with(site.root, CANARY) == []
    assert files_with(site.root / "xdg", "env:ALPHA_KEY") != [], "the reference is what is kept"


def test_an_env_file_feeds_cron_and_a_shell_alike(site: Site) -> None:
    path = site.root / "secrets.env"
    path.write_text(f"# keys\nexport ALPHA_KEY='{CANARY}'\n")
    path.chmod(0o600)
    site.settings(env_file="secrets.env")
    site.profile("alpha", secrets={"api-key": {"env": "ALPHA_KEY"}})
    row = site.settle()["alpha"]
    assert ask(row["port"], "/v1/models", key=CANARY)[0] == 200
    assert files_with(site.root, CANARY) == [str(path)]
    path.chmod(0o644)
    site.once()
    assert site.live() == {"alpha": [row["pid"]]}, (
        "a file that others may read is not used, and stops nothing"
    )
    assert site.run("stop", "alpha").rc == 0
    assert site.run("start", "alpha", "--timeout", "5s").rc == 77
    assert site.newest()["alpha"]["reason"] == "missing-secret"


def test_a_key_in_a_file_is_handed_over_by_its_path(site: Site) -> None:
    path = site.root / "key"
    path.write_text(f"{CANARY}\n")
    path.chmod(0o600)
    site.profile("alpha", secrets={"api-key": {"file": str(path)}})
    row = site.settle()["alpha"]
    assert ask(row["port"], "/v1/models")[0] == 401
    assert ask(row["port"], "/v1/models", key=CANARY)[0] == 200
    assert files_with(site.root, CANARY) == [str(path)]
    with open(f"/proc/{row['pid']}/environ", "rb") as file:
        assert CANARY.encode() not in file.read()


def test_a_secret_that_is_not_set_holds_the_launch(site: Site) -> None:
    site.profile("alpha", secrets={"api-key": {"env": "ALPHA_KEY"}})
    said = site.once()
    assert "ALPHA_KEY" in said.err
    row = site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("created", "missing-secret")
    site.env["ALPHA_KEY"] = CANARY
    site.settle()


def test_a_pass_that_does_not_know_the_key_stops_nothing(site: Site) -> None:
    site.env["ALPHA_KEY"] = CANARY
    site.profile("alpha", secrets={"api-key": {"env": "ALPHA_KEY"}})
    pids = [site.settle()["alpha"]["pid"]]
    del site.env["ALPHA_KEY"]
    for _ in range(5):
        site.once("-q")
    assert site.live() == {"alpha": pids}
    assert site.newest()["alpha"]["status"] == "running"
