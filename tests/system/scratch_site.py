"""A whole site in a scratch folder: settings, profiles, places and ports of its own, the program as a child.

Whatever a test leaves alive of its site is killed by pid when the test is over.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import apsw

from llamaagent.cli.site import site_id
from llamaagent.launch.adopt import find_launched
from llamaagent.launch.identity import identify, read_stat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PORTS_PER_SITE = 20
PYTHON = (sys.executable, "-P", "-m", "llamaagent")


class Outcome(NamedTuple):
    """How a command ended and what it said."""

    rc: int
    out: str
    err: str


def eventually(question: Callable[[], object], what: str, deadline_s: float = 60.0) -> None:
    """Ask again and again until the answer is true; fail with `what` when the time is up."""
    until = time.monotonic() + deadline_s
    while not question():
        assert time.monotonic() < until, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)


def living(pid: int | None) -> bool:
    """Whether something runs under this pid; a zombie does not."""
    return pid is not None and identify(pid) is not None


def kill(pid: int | None, signum: int = signal.SIGKILL) -> None:
    """Signal a process that this test or its site started, and for SIGKILL wait until it is gone."""
    assert pid is not None
    os.kill(pid, signum)
    if signum == signal.SIGKILL:
        eventually(lambda: not living(pid), f"pid {pid} gone")


class Site:
    """One site below `root`, with `binary` as its server program."""

    def __init__(self, root: Path, ports: tuple[int, int], binary: str, model: str) -> None:
        self.root = root
        self.ports = ports
        self.binary = binary
        self.model = model
        self.children: list[subprocess.Popen[bytes]] = []
        self.env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(root / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.path.join(ROOT, "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for name in ("CONFIG", "DATA", "STATE", "CACHE", "RUNTIME"):
            suffix = "DIR" if name == "RUNTIME" else "HOME"
            self.env[f"XDG_{name}_{suffix}"] = str(root / "xdg" / name.lower())
            (root / "xdg" / name.lower()).mkdir(parents=True, mode=0o700)
        (root / "home").mkdir()
        (root / "profiles").mkdir()
        self.settings()

    # -- files ------------------------------------------------------------------------------------------

    def settings(self, **more: object) -> None:
        """Write llamaagent.yaml; JSON is YAML, so values are given as Python values."""
        made: dict[str, object] = {
            "ports": f"{self.ports[0]}-{self.ports[1]}",
            "binary": self.binary,
            "interval": "1s",
            "reports": {"every": "never"},
        }
        text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in (made | more).items())
        (self.root / "llamaagent.yaml").write_text(text + "\n", encoding="utf-8")

    def profile(self, name: str, **keys: object) -> Path:
        """Write profiles/NAME.yaml, by replacing it, as an editor or git does."""
        made: dict[str, object] = {
            "model": self.model,
            "args": {"threads": 1, "parallel": 2},
            "stop": {"drain": "0s", "grace": "2s"},
            "restart": {"backoff": "1s"},
        }
        path = self.root / "profiles" / f"{name}.yaml"
        lines = [f"{key}: {json.dumps(value)}" for key, value in (made | keys).items() if value is not None]
        fresh = path.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        fresh.replace(path)
        return path

    # -- the program ------------------------------------------------------------------------------------

    def run(self, *words: str, env: dict[str, str] | None = None, timeout_s: float = 60.0) -> Outcome:
        """One command to its end."""
        done = subprocess.run(
            [*PYTHON, *words],
            cwd=self.root,
            env=self.env if env is None else env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *words: str, argv: tuple[str, ...] = PYTHON) -> subprocess.Popen[bytes]:
        """A command that goes on beside the test; ended with the test if it still runs."""
        child = subprocess.Popen(
            [*argv, *words],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.children.append(child)
        return child

    def once(self, *words: str) -> Outcome:
        """One pass, which must be fine."""
        done = self.run("run", "--once", *words)
        assert done.rc == 0, done
        assert "Traceback" not in done.err, done.err
        return done

    def sampled(self) -> dict[str, object]:
        """The sample of an instance that a pass takes from now on; of two in one second the first stays."""
        newest = "SELECT * FROM instance_samples ORDER BY ts DESC LIMIT 1"
        since = [row["ts"] for row in self.rows(newest)]
        eventually(
            lambda: self.once() and [row["ts"] for row in self.rows(newest)] != since, "a sample is taken"
        )
        return self.one(newest)

    def settle(
        self, status: str = "running", *names: str, deadline_s: float = 60.0
    ) -> dict[str, dict[str, object]]:
        """Pass until every newest row (of these profiles) has this status; gives them by profile."""
        until = time.monotonic() + deadline_s
        while True:
            self.once()
            rows = {name: row for name, row in self.newest().items() if not names or name in names}
            if rows and all(row["status"] == status for row in rows.values()):
                return rows
            assert time.monotonic() < until, f"not {status} within {deadline_s} s: {rows}\n{self.logs()}"
            time.sleep(0.05)

    # -- what is stored ---------------------------------------------------------------------------------

    @property
    def database(self) -> str:
        return f"{self.env['XDG_DATA_HOME']}/llamaagent/llamaagent.db"

    def rows(self, sql: str, *given: object) -> list[dict[str, object]]:
        """What a SELECT answers, on a connection of its own that only reads."""
        db = apsw.Connection(self.database, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            db.set_busy_timeout(5000)
            cursor = db.execute(sql, given)
            found = cursor.fetchall()
            names = [column[0] for column in db.execute(sql, given).description] if found else []
            return [dict(zip(names, row, strict=True)) for row in found]
        finally:
            db.close()

    def journal(self) -> list[dict[str, object]]:
        """Every decision, or none where a test has left no database that can be read."""
        try:
            return self.rows("SELECT action, reason, arithmetic FROM decisions ORDER BY id")
        except (apsw.Error, OSError):
            return []

    def one(self, sql: str, *given: object) -> dict[str, object]:
        """The one row of an answer."""
        found = self.rows(sql, *given)
        assert len(found) == 1, found
        return found[0]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(str(self.one(f"SELECT count(*) AS n FROM {table}")["n"]))

    def newest(self) -> dict[str, dict[str, object]]:
        """The newest row of `instances` of each profile."""
        found = self.rows(
            "SELECT * FROM instances WHERE id IN (SELECT max(id) FROM instances GROUP BY profile)"
        )
        return {str(row["profile"]): row for row in found}

    def decisions(self, profile: str) -> list[tuple[str, str]]:
        """Action and reason of every decision, oldest first."""
        found = self.rows("SELECT action, reason FROM decisions WHERE profile = ? ORDER BY id", profile)
        return [(str(row["action"]), str(row["reason"])) for row in found]

    def edit(self, sql: str, *given: object) -> None:
        """Change the database behind the agent's back."""
        db = apsw.Connection(self.database)
        try:
            db.set_busy_timeout(5000)
            db.execute(sql, given)
        finally:
            db.close()

    def logs(self) -> str:
        """Every server's output, for messages."""
        paths = sorted((self.root / "xdg" / "state").rglob("*.log"))
        texts = [f"== {path.name}\n{path.read_text('utf-8', 'replace')[-1500:]}" for path in paths]
        return "\n".join(texts)

    # -- what lives -------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return site_id(os.path.realpath(self.root / "llamaagent.yaml"))

    def live(self) -> dict[str, list[int]]:
        """Pids of the live servers of this site by profile, as /proc shows them."""
        found: dict[str, list[int]] = {}
        for launch in find_launched(self.id):
            if launch.server is not None:
                found.setdefault(launch.profile, []).append(launch.server.pid)
        return found

    def stop_all(self) -> None:
        """Kill everything of this site that lives, and wait until it is gone."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        for _ in range(3):  # a pass that was killed a moment ago may have spawned meanwhile
            for launch in find_launched(self.id):
                for one in (*launch.others, launch.server, launch.wrapper):
                    if one is not None and identify(one.pid) == one:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(one.pid, signal.SIGKILL)
            eventually(lambda: not find_launched(self.id), "everything of the site gone")


def ask(
    port: object, path: str, body: object = None, *, key: str | None = None, timeout_s: float = 20.0
) -> tuple[int, str]:
    """One question to a server: GET, or POST of JSON when there is a body."""
    link = http.client.HTTPConnection("127.0.0.1", int(str(port)), timeout=timeout_s)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        text = None if body is None else json.dumps(body)
        link.request("GET" if body is None else "POST", path, text, headers)
        answer = link.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        link.close()


def complete(port: object, prompt: str, tokens: int, **more: object) -> dict[str, object]:
    """A completion that must succeed; gives the answer."""
    body = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "temperature": 0.0, **more}
    status, text = ask(port, "/completion", body)
    assert status == 200, (status, text)
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def zombie(pid: int) -> bool:
    """Whether the process has ended and nobody has asked how."""
    found = read_stat(pid)
    return found is not None and found.state == "Z"
