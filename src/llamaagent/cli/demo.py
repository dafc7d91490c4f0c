"""`demo`: the main job on real servers, from an empty folder to a report, a line for each step.

Every step runs the same commands that a person would type, in a folder with a database and state of its own.
"""

from __future__ import annotations

import json
import os
import sys

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.paths import ensure_private_dir
from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.cli.spec import Values

_SETTINGS = """# Made by `llamaagent demo`. Everything of the demo lies in this folder.
profiles: profiles/
database: demo.db
binary: {binary}
ports: 8300-8399
models: {{directories: [models]}}
reports: {{title: llamaagent demo, every: never}}
"""
_PROFILES = {
    "story.yaml": """# A model server that the demo kills, to show that it comes back.
model: tiny.gguf
args: {ctx-size: 2048, temp: 0.8, parallel: 2}
restart: {backoff: 1s}
labels: {owner: demo}
""",
    "chat.yaml": """model: tiny.gguf
args: {ctx-size: 1024, temp: 0.2, parallel: 2}
labels: {owner: demo}
""",
}
_READY_S = 60.0
_PASSES = 4


class _Demo(NamedTuple):
    """Where the demo works, and with what environment its commands run."""

    folder: str
    environment: dict[str, str]
    clock: SystemClock

    def step(self, text: str) -> None:
        """One line for people; flushed, so that it is seen when it happens."""
        print(f"==> {text}", flush=True)

    def agent(self, *words: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run one llamaagent command and give its output. Raises ServiceUnavailableError with what it said."""
        from llamaagent.base.run import run

        argv = [
            sys.executable,
            "-m",
            "llamaagent",
            *words,
            "--config",
            os.path.join(self.folder, "llamaagent.yaml"),
        ]
        result = run(argv, deadline_s=150, env=self.environment, cwd=self.folder)
        said = result.err.decode("utf-8", "replace").strip()
        if result.code not in ok:
            raise ServiceUnavailableError(f"llamaagent {' '.join(words)} ended with {result.code}: {said}")
        for line in said.splitlines():
            print(f"    {line}", flush=True)
        return result.text

    def instances(self) -> dict[str, dict[str, object]]:
        """What `ps --json` says, by profile."""
        return {row["profile"]: row for row in json.loads(self.agent("ps", "--json"))}


def run(values: Values) -> int:
    """Run the demo; 0 when every step did what it should."""
    demo = _prepare(values)
    try:
        _serve(demo)
        _crash(demo)
        report = demo.agent("report", "build", "-q").strip()
        demo.step("the report is built")
        print(demo.agent("stats", "--by", "model"), end="")
    finally:
        if values.flag("keep"):
            demo.step(
                f"the servers go on; stop them with: llamaagent stop --all --config {demo.folder}/llamaagent.yaml"
            )
        else:
            demo.agent("stop", "--all", "--timeout", "30s", "-q", ok=(0, 1, 2))
            demo.step("the servers are stopped")
    print(f"\nreport:   file://{report}\ndatabase: {os.path.join(demo.folder, 'demo.db')}")
    return 0


def _prepare(values: Values) -> _Demo:
    given = values.text("dir")
    if given is None:
        import tempfile

        folder = tempfile.mkdtemp(prefix="llamaagent-demo-")
    else:
        folder = ensure_private_dir(os.path.abspath(given))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMAAGENT_", "XDG_"))}
    for name, part in (("XDG_DATA_HOME", "data"), ("XDG_STATE_HOME", "state"), ("XDG_CACHE_HOME", "cache")):
        environment[name] = os.path.join(folder, part)
    demo = _Demo(folder, environment, SystemClock())
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH"))))
    demo.step(f"a folder of its own: {folder}")
    _write_files(demo, values.text("binary") or "embedded")
    return demo


def _write_files(demo: _Demo, binary: str) -> None:
    from llamaagent.launch.tiny import write_tiny_model

    models = ensure_private_dir(os.path.join(demo.folder, "models"))
    profiles = ensure_private_dir(os.path.join(demo.folder, "profiles"))
    model = os.path.join(models, "tiny.gguf")
    write_tiny_model(model)
    demo.step(f"a tiny real model: {os.path.getsize(model) // 1024} KiB of GGUF with random weights")
    files = {os.path.join(profiles, name): text for name, text in _PROFILES.items()}
    files[os.path.join(demo.folder, "llamaagent.yaml")] = _SETTINGS.format(
        binary=json.dumps(os.path.abspath(binary) if "/" in binary else binary)
    )
    for path, text in files.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    demo.agent("check")
    demo.step(f"two profiles in YAML, run by {binary}")


def _serve(demo: _Demo) -> None:
    """Start both, send requests, pass a few times."""
    demo.agent("reset", "--all", "--no-wait")
    demo.agent("run", "--once", "--wait", "--timeout", f"{_READY_S:.0f}s")
    found = demo.instances()
    for name, row in found.items():
        if row["status"] != "running":
            raise ServiceUnavailableError(f"{name} is {row['state']}: {demo.agent('logs', name, '-n', '20')}")
    demo.step(
        "one pass started two real model servers: "
        + ", ".join(f"{n} at {r['url']}" for n, r in found.items())
    )
    asked = 0
    for number in range(_PASSES):
        asked += _ask(found, number)
        demo.clock.sleep(1.1)
        demo.agent("run", "--once")
    demo.step(f"{asked} requests and {_PASSES} passes later, counted from the servers' own logs:")
    print(demo.agent("ps"), end="", flush=True)


def _ask(found: dict[str, dict[str, object]], number: int) -> int:
    """A few completions and chats of different length."""
    for row in found.values():
        for length in (12, 40, 90):
            body = {
                "prompt": f"story {number} of {length} words about the",
                "n_predict": length,
                "cache_prompt": True,
            }
            _post(f"{row['url']}/completion", body)
        messages = [{"role": "user", "content": f"say something, number {number}"}]
        _post(f"{row['url']}/v1/chat/completions", {"messages": messages, "max_tokens": 24})
    return 4 * len(found)


def _post(url: str, body: Mapping[str, object]) -> None:
    """POST JSON to one of the demo's own servers. Raises ServiceUnavailableError."""
    import urllib.error
    import urllib.request

    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - our own URL
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            answer.read()
    except urllib.error.HTTPError as error:
        if (
            error.code != 500
        ):  # random weights can write what the chat parser refuses; the request counts all the same
            raise ServiceUnavailableError(f"{url} answered {error.code}") from error
    except OSError as error:
        raise ServiceUnavailableError(f"{url} does not answer: {error}") from error


def _crash(demo: _Demo) -> None:
    """Kill one server the hard way and let the next passes bring it back."""
    before = demo.instances()["story"]
    demo.step(f"kill -9 {before['pid']} (story)")
    os.kill(int(str(before["pid"])), 9)
    demo.agent("run", "--once")
    until = demo.clock.monotonic() + _READY_S
    while demo.instances()["story"]["status"] != "running":
        if demo.clock.monotonic() > until:
            raise ServiceUnavailableError("story did not come back")
        demo.clock.sleep(0.5)
        demo.agent("run", "--once")
    after = demo.instances()["story"]
    demo.step(
        f"the next passes saw it and brought it back: pid {after['pid']}, same address {after['url']}; why:"
    )
    print(demo.agent("why", "story", "-n", "4"), end="", flush=True)
