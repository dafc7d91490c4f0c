"""What goes out comes back: profiles to a neighbour's file and home again, a neighbour's file to profiles and back.

Through the command line, with two sites: one exports, the other imports with --write, checks, plans and exports again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml
from export_readers import preset_sections, swap_words

from llamaagent.config.load import load_site

if TYPE_CHECKING:
    from pathlib import Path

    from llamaagent.domain.profile import Profile, SecretRef

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENDINGS = {"llama-swap": "yaml", "presets": "ini", "compose": "yaml", "shell": "sh"}
EVIL = 'it\'s "50%" of $HOME \\% x ü 🙂'
PROFILES = {
    "chat": """
model: /models of ü/50% 'q'/chat.gguf
priority: 3
listen: 8101
resources: {gpus: ["0", "1"]}
runtime: {env: {ODD: "a b 'c' 100%", FOO: bar}}
secrets: {api-key: {env: CHAT_KEY}, hf-token: {file: "/run/a token"}}
idle: {stop_after: 10m, sleep_after: 5m}
stop: {grace: 20s}
labels: {owner: ann}
args: {c: 8192, temp: 0.7, flash-attn: auto, jinja: true, warmup: false, override-kv: ["a=int:1", "b=int:2"],
       lora: [/l/a.gguf, /l/b.gguf], chat-template-kwargs: {enable_thinking: false}, alias: [big, best]}
""",
    "embed": """
state: stopped
model: {hf: "user/repo:Q4_K_M"}
resources: {gpus: none}
secrets: {api-key: {file: "/run/a key"}}
args: {embeddings: true, pooling: mean, logit-bias: ["5+1", "6-2"]}
""",
    "far": """
state: stopped
model: {url: "https://host.example/m.gguf"}
stop: {grace: 5s}
args: {parallel: 2, tensor-split: [3, 1]}
""",
}


class Home(NamedTuple):
    """A scratch home with sites in it."""

    path: Path

    def run(self, site: str, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "llamaagent", *map(str, words)],
            cwd=self.path / site,
            env={
                "HOME": str(self.path),
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": os.path.join(ROOT, "src"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "LANG": "C.UTF-8",
                **{f"XDG_{name}_HOME": str(self.path / site / "xdg") for name in ("DATA", "STATE", "CONFIG")},
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        told = f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, told
        assert done.returncode == code, told
        return done

    def site(self, name: str) -> Path:
        """An empty one."""
        folder = self.path / name
        (folder / "profiles").mkdir(parents=True)
        (folder / "llamaagent.yaml").write_text("binary: llama-server\nports: 8100-8199\n")
        return folder

    def profiles(self, site: str) -> dict[str, Profile]:
        """As a pass would load them; nothing is refused."""
        loaded = load_site(
            config=None,
            profiles=(),
            environ={"HOME": str(self.path)},
            cwd=str(self.path / site),
            now=int(time.time()),
        )
        assert not [fault for fault in loaded.faults if fault.severity == "error"], loaded.faults
        return {profile.name: profile for profile in loaded.profiles}

    def export(self, site: str, kind: str, *words: str) -> tuple[Path, str]:
        """The file, without the line that names its site, and what was said."""
        done = self.run(site, "export", kind, *words)
        path = self.path / f"{site}.{kind}.{ENDINGS[kind]}"
        path.write_text("".join(line for line in done.stdout.splitlines(True) if "# Made by" not in line))
        return path, done.stderr

    def take_in(self, site: str, path: Path) -> str:
        """Import into a new site; it checks, and a plan for it can be made. Gives what was said."""
        self.site(site)
        said = self.run(site, "import", path, "--write").stderr
        self.run(site, "check", "--portable")
        assert isinstance(json.loads(self.run(site, "plan", "--json").stdout), list)
        return said


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def first(home: Home) -> Home:
    """A home whose site `first` has the profiles above."""
    folder = home.site("first")
    for name, text in PROFILES.items():
        (folder / "profiles" / f"{name}.yaml").write_text(text)
    return home


def options(profile: Profile) -> dict[str, object]:
    """What reaches the server's command line, aliases apart; a list in one value is the list."""
    separators = {"lora", "override-kv", "tensor-split", "logit-bias"}
    return {
        name: ",".join(value) if isinstance(value, tuple) and name in separators else value
        for name, value in profile.args
        if name != "alias"
    }


def keys_only(profile: Profile) -> tuple[tuple[str, SecretRef], ...]:
    """References without those that only our launcher can follow: a variable out of a file."""
    return tuple((name, ref) for name, ref in profile.secrets if name != "hf-token")


# --- profiles -> neighbour -> profiles ---


def test_profiles_survive_llama_swap(first: Home) -> None:
    path, _ = first.export("first", "llama-swap")
    first.take_in("second", path)
    ours, theirs = first.profiles("first"), first.profiles("second")
    assert ours.keys() == theirs.keys()
    for name, before in ours.items():
        after = theirs[name]
        assert after.args == before.args, name
        assert after.model == before.model
        assert (after.state, after.priority, after.idle.stop_after_s, after.stop.grace_s) == (
            before.state,
            before.priority,
            before.idle.stop_after_s,
            before.stop.grace_s,
        )
        assert after.runtime.env == before.runtime.env, "what the agent adds for cards is its own again"
        assert (after.secrets, after.labels, after.resources.gpus) == (
            keys_only(before),
            before.labels,
            before.resources.gpus,
        )


def test_profiles_survive_presets(first: Home) -> None:
    path, said = first.export("first", "presets")
    first.take_in("second", path)
    ours, theirs = first.profiles("first"), first.profiles("second")
    assert ours.keys() == theirs.keys()
    for name, before in ours.items():
        after = theirs[name]
        expected = options(before)
        expected.pop("logit-bias", None)  # the server would drop all but the first of a list in one value
        assert options(after) == expected, name
        assert (after.model, after.state, after.stop.grace_s) == (
            before.model,
            before.state,
            before.stop.grace_s,
        )
    for key in (
        "chat: secrets.api-key",
        "chat: runtime.env.ODD",
        "chat: idle.stop_after",
        "embed: args.logit-bias",
    ):
        assert f"{key} was not carried over" in said, "what the file cannot say was said"


def test_profiles_survive_compose_as_containers(first: Home) -> None:
    path, _ = first.export("first", "compose", "--image", "img:1")
    said = first.take_in("second", path)
    ours, theirs = first.profiles("first"), first.profiles("second")
    assert ours.keys() == theirs.keys()
    for name, before in ours.items():
        after = theirs[name]
        command = json.loads(after.runtime.container or "{}")["command"]
        if "--api-key-file" in command:  # a secret of compose, mounted by it
            del command[(at := command.index("--api-key-file")) : at + 2]
        argv = json.loads(first.run("first", "show", name, "--command", "--json").stdout)["argv"]
        at = command.index("--host")
        assert command[:at] == argv[1 : at + 1]
        assert command[at + 4 :] == argv[at + 5 :], name
        assert (after.listen.host, after.runtime.port) == ("127.0.0.1", 8080)
        assert (after.secrets, after.labels, after.stop.grace_s) == (
            keys_only(before) if name != "embed" else (),
            before.labels,
            before.stop.grace_s,
        )
        assert dict(before.runtime.env).items() <= dict(after.runtime.env).items()
        assert after.state == "stopped", "whoever brings the service up is its supervisor"
    assert "services.embed.secrets" in said
    assert theirs["chat"].listen.port == 8101
    assert theirs["chat"].resources.gpus == ("0", "1")
    assert theirs["embed"].resources.gpus == "none"


def test_profiles_survive_a_script(first: Home) -> None:
    """Each branch is one server with its own variables: what one exports, another has not."""
    path, _ = first.export("first", "shell")
    said = first.take_in("second", path)
    ours, theirs = first.profiles("first"), first.profiles("second")
    assert ours.keys() == theirs.keys()
    for name, before in ours.items():
        after = theirs[name]
        assert (after.args, after.model, after.runtime.env) == (before.args, before.model, before.runtime.env)
        assert (after.secrets, after.resources.gpus) == (before.secrets, before.resources.gpus), name
    assert "neither llama-server nor docker" not in said, "what only chooses among servers is no loss"


@pytest.mark.parametrize("kind", ["llama-swap", "presets", "compose", "shell"])
def test_the_second_trip_changes_nothing(first: Home, kind: str) -> None:
    """What one trip settled (a port, a name) the next one keeps."""
    path, _ = first.export("first", kind)
    first.take_in("second", path)
    path, _ = first.export("second", kind)
    first.take_in("third", path)
    again, _ = first.export("third", kind)
    assert again.read_text() == path.read_text()
    second, third = first.profiles("second"), first.profiles("third")
    assert {name: one.launch_hash for name, one in third.items()} == {
        name: one.launch_hash for name, one in second.items()
    }


# --- neighbour -> profiles -> neighbour ---

SWAP = """
healthCheckTimeout: 60
startPort: 9000
macros:
  srv: /opt/llama-server --port ${PORT}
models:
  qwen:
    cmd: |
      ${srv}
      # the big one
      -m '/m/q w.gguf' -c 8192 \\
      -ngl 99
    env: ["CUDA_VISIBLE_DEVICES=0", "FOO=a b"]
    ttl: 300
    aliases: [gpt-4]
  small:
    cmd: ${srv} -m /m/s.gguf --temp 0.5
    unloadTimeout: 3
hooks: {on_startup: {preload: [qwen]}}
"""


def test_a_llama_swap_config_comes_back_with_the_same_servers(home: Home) -> None:
    theirs = home.path / "config.yaml"
    theirs.write_text(SWAP)
    home.take_in("here", theirs)
    back = yaml.safe_load(home.export("here", "llama-swap")[0].read_text())
    assert back["healthCheckTimeout"] == 60
    assert back["hooks"] == {"on_startup": {"preload": ["qwen"]}}
    qwen, small = back["models"]["qwen"], back["models"]["small"]
    assert (qwen["ttl"], qwen["aliases"], small["unloadTimeout"]) == (300, ["gpt-4"], 3)
    assert {"CUDA_VISIBLE_DEVICES=0", "FOO=a b"} <= set(qwen["env"])
    words = swap_words(qwen["cmd"], {})
    assert words[:3] == ["/opt/llama-server", "--model", "/m/q w.gguf"]
    for pair in (["--port", "9000"], ["--ctx-size", "8192"], ["--gpu-layers", "99"]):
        assert words[(at := words.index(pair[0])) : at + 2] == pair
    assert "9001" in swap_words(small["cmd"], {}), "ports stay where clients know them"


PRESETS = """
[*]
c = 4096
[one]
model = /m/one.gguf
LLAMA_ARG_N_PARALLEL = 2
no-mmproj-offload = true
load-on-startup = true
stop-timeout = 7
[two]
hf = user/repo:q8_0 ; said once
"""


def test_a_presets_file_comes_back_with_the_same_options(home: Home) -> None:
    theirs = home.path / "models.ini"
    theirs.write_text(PRESETS)
    home.take_in("here", theirs)
    back = preset_sections(home.export("here", "presets")[0].read_text())
    assert back["one"] == {
        "model": "/m/one.gguf",
        "metrics": "true",
        "ctx-size": "4096",
        "mmproj-offload": "false",
        "parallel": "2",
        "load-on-startup": "true",
        "stop-timeout": "7",
    }
    assert (back["two"]["hf-repo"], back["two"]["ctx-size"]) == ("user/repo:q8_0", "4096")


COMPOSE = """
services:
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server-cuda
    command: -m /models/a.gguf -c 4096 --port 8080 --host 0.0.0.0
    environment: {FOO: "a $$b", CUDA_VISIBLE_DEVICES: "1"}
    volumes: ["/srv/models:/models:ro", "cache:/root/.cache"]
    ports: ["127.0.0.1:9001:8080"]
    deploy:
      resources:
        limits: {memory: 16g, cpus: "4"}
        reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu]}]}
    restart: "no"
    stop_grace_period: 30s
    labels: {tier: gold}
volumes: {cache: {}}
"""


def test_a_compose_file_comes_back_with_the_same_service(home: Home) -> None:
    theirs = home.path / "compose.yaml"
    theirs.write_text(COMPOSE)
    said = home.take_in("here", theirs)
    before = yaml.safe_load(COMPOSE)["services"]["llm"]
    back = yaml.safe_load(home.export("here", "compose")[0].read_text())
    service = back["services"]["llm"]
    assert service["command"] == before["command"].split()
    for key in ("image", "ports", "volumes", "restart", "stop_grace_period", "labels"):
        assert service[key] == before[key], key
    assert service["environment"]["FOO"] == "a $$b"
    assert service["deploy"]["resources"]["limits"] == {"cpus": "4", "memory": "16384m"}
    assert service["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "device_ids": ["1"], "capabilities": ["gpu"]}
    ], "of all cards the server was to see one"
    assert set(back["volumes"]) == {"cache"}, "a named volume that no file declares is refused by compose"
    assert "volumes.cache" in said, "compose puts the project's name in front of the volume's"


def test_cards_that_a_variable_counts_within_a_reservation(home: Home) -> None:
    """Inside of the container the first card of the reservation is number 0."""
    theirs = home.path / "compose.yaml"
    device = "[{driver: nvidia, device_ids: ['2', '3'], capabilities: [gpu]}]"
    theirs.write_text(
        "services:\n  llm:\n    image: i\n    environment: [CUDA_VISIBLE_DEVICES=1]\n"
        f"    deploy: {{resources: {{reservations: {{devices: {device}}}}}}}\n"
    )
    home.take_in("here", theirs)
    assert home.profiles("here")["llm"].resources.gpus == ("3",)
