"""A site whose profiles hold what other tools trip over, and a server that says how it was started."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_home import Agent

EVIL = 'it\'s "50%" of $HOME ${PORT} ${env.HOME} \\% ;x #y ü 🙂'
LINES = "root ::= 'x' # ${y}\n# b\\\n;z 100%"
PLACE = "/models of ü/50% 'q' $x"
SERVER = """
import json, os, sys
if "--help" in sys.argv:
    sys.exit(1)
print(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}))
"""
SECRET = "s3cret $(x) \"'%"


def text(value: object) -> str:
    """A value as YAML."""
    return (
        json.dumps(value, ensure_ascii=False)
        if not isinstance(value, str) or value.isascii()
        else _unicode(value)
    )


def _unicode(value: str) -> str:
    return (
        '"' + "".join(c if c.isprintable() and c not in '"\\' else json.dumps(c)[1:-1] for c in value) + '"'
    )


def evil_site(home: Path, *, lines: bool = True) -> Path:
    """Three profiles: `evil` (fixed port, a key by variable), `file` (a key by file, stopped), `cpu`."""
    folder = home / "evil site"
    (folder / "profiles").mkdir(parents=True)
    server = home / "bin" / "llama-server"
    server.write_text(f"#!{sys.executable} -S\n{SERVER}")
    server.chmod(0o755)
    (folder / "llamaagent.yaml").write_text(f"binary: {server}\nenv: {{ODD: {text(EVIL)}}}\n")
    grammar = LINES if lines else EVIL
    (folder / "profiles" / "all.yaml").write_text(f"""
name: evil
model: {text(f"{PLACE}/m.gguf")}
listen: 8101
resources: {{gpus: [1, "GPU-{"a" * 8}"]}}
secrets: {{api-key: {{env: EVIL_KEY}}}}
idle: {{stop_after: 5m, sleep_after: 1m}}
labels: {{note: {text(EVIL.replace("${", "$ {"))}, "on": "no"}}
args: {{c: 8192, alias: "one,two", grammar: {text(grammar)}, warmup: false, lora: [/l/a.gguf, /l/b.gguf]}}
---
name: file
state: stopped
priority: 3
evict: {{pinned: true}}
model: /m/f.gguf
listen: 8105
secrets: {{api-key: {{file: "/run/a key"}}, hf-token: {{file: {text(str(home / "hf token"))}}}}}
health: {{path: /v1/health, start_timeout: 10m}}
stop: {{grace: 20s, drain: 1m}}
schedule: "22:00-06:00"
---
name: cpu
model: {{hf: "user/repo:Q4_K_M"}}
resources: {{gpus: none}}
health: {{probe: none}}
""")
    (home / "hf token").write_text("hf-value\n")
    return folder


def launch_words(agent: Agent, site: Path, name: str) -> list[str]:
    """The command line of our own launch."""
    argv: list[str] = json.loads(agent("show", name, "--command", "--json", cwd=site).stdout)["argv"]
    return argv


def no_secret(*texts: str) -> bool:
    """The values of secrets are in none of the texts."""
    return all("hf-value" not in one and SECRET not in one for one in texts)
