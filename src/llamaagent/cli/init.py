"""`init`: a folder that can go into git, and the commands that would take in what is already on this host."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress

from llamaagent.base.errors import CannotCreateError, ConfigError
from llamaagent.cli.output import clean, say
from llamaagent.cli.schemafiles import KINDS, schema_file, schema_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.finds import Running
    from llamaagent.cli.spec import Values

_SHOWN = 20

_BINARY = "# binary: /opt/llama.cpp/bin/llama-server   # a name on PATH, a path, or: embedded"
_EMBEDDED = (
    "binary: embedded                          # llama.cpp inside Python; or a name on PATH, or a path"
)

SETTINGS = """\
# yaml-language-server: $schema=.llamaagent/settings.schema.json
# llamaagent: settings of this site. Everything is optional; `llamaagent settings` shows what is in force.
profiles: profiles/

{binary}
# ports: 8100-8199                          # where `listen: {port: auto}` picks from
# models: {directories: [/models]}          # where a profile's `model: file.gguf` is looked for
# env_file: secrets.env                     # NAME=value lines, 0600, not in git: for `secrets: {api-key: {env: NAME}}`
# headroom: {gpu_memory: 512MiB, memory: 1GiB, disk: 2GiB}
# reports: {directory: /var/www/llama, every: 5m}
"""

EXAMPLE = """\
# yaml-language-server: $schema=../.llamaagent/profile.schema.json
# One document declares one llama-server; its name is the file's name. Change `state`, then: llamaagent plan
state: stopped                 # running: every pass makes it so
model: /models/example.gguf    # llamaagent new NAME --model FILE -- OPTIONS writes such a file
args:                          # llama-server's own options, in any of their spellings
  ctx-size: 8192
# listen: {host: 127.0.0.1, port: auto}
# secrets: {api-key: {env: EXAMPLE_API_KEY}}
"""

IGNORED = """\
*.gguf
*.env
*.part
"""

FILES = (("profiles/example.yaml", EXAMPLE), (".gitignore", IGNORED))


def run(values: Values) -> int:
    """Write what is missing, overwrite nothing but the schemas, say what else is here."""
    folder = os.path.abspath(os.path.expanduser(values.text("dir") or "."))
    for name, text in (("llamaagent.yaml", _settings()), *FILES):
        path = os.path.join(folder, name)
        if name.startswith("profiles/") and _has_profiles(folder):
            print(f"kept     {os.path.dirname(path)}/")
            continue
        print(f"{'wrote' if _write(path, text) else 'kept':<8} {path}")
    for kind in KINDS:
        path = os.path.join(folder, schema_file(kind))
        print(f"{'wrote' if _renew(path, schema_text(kind)) else 'kept':<8} {path}")
    if not values.flag("quiet"):
        _suggest(folder)
    return 0


def _settings() -> str:
    """With the embedded server named where it is the only one: a pass could launch nothing else."""
    from llamaagent.launch.command import EMBEDDED, resolve_binary

    line = _BINARY
    try:
        resolve_binary("llama-server", os.environ.get("PATH"))
    except ConfigError:
        with suppress(ConfigError):
            resolve_binary(EMBEDDED)
            line = _EMBEDDED
    return SETTINGS.replace("{binary}", line)


def _has_profiles(folder: str) -> bool:
    """Whoever has profiles needs no example."""
    try:
        names = os.listdir(os.path.join(folder, "profiles"))
    except OSError:
        return False
    return any(name.endswith((".yaml", ".yml")) for name in names)


def _write(path: str, text: str) -> bool:
    """Make a file, and its folder; False when there is one already. Raises CannotCreateError."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path)):
            raise CannotCreateError(f"cannot make {path}: something else is in its place") from None
        return False
    except OSError as error:
        raise CannotCreateError(f"cannot make {path}: {error.strerror}") from error
    return True


def _renew(path: str, text: str) -> bool:
    """Bring a file that is ours alone up to date; False when it is. Raises CannotCreateError."""
    if _write(path, text):
        return True
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            if file.read() == text:
                return False
        with open(part, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except OSError as error:
        raise CannotCreateError(f"cannot write {path}: {error.strerror}") from error
    return True


def _suggest(folder: str) -> None:
    """What could come next, on stderr: the files made are the data, this is advice."""
    from llamaagent.base.clock import SystemClock
    from llamaagent.cli.finds import find_models, find_running

    taken: set[str] = set()
    if folder != os.getcwd():
        say(f"\n  cd {shlex.quote(folder)}")
    running = find_running()
    if running:
        say(
            "\nllama-servers that run now; to take them over without a restart: llamaagent import running --adopt"
        )
        say("or, each to be stopped before the profile made of it is started:")
        for one in running:
            _suggest_running(one, taken)
    served = {one.model for one in running}
    models = [path for path in find_models(folder, os.environ, SystemClock()) if path not in served]
    if models:
        say(f"\n{len(models)} GGUF file{'s' if len(models) > 1 else ''} found; a server for one:")
        for path in models[:_SHOWN]:
            say(clean(f"  llamaagent new {profile_name(path, taken)} --model {shlex.quote(path)}"))
        if len(models) > _SHOWN:
            say(f"  ... and {len(models) - _SHOWN} more")
    say("\nnext:")
    if not _in_git(folder):
        say("  git init             # profiles live well in git: each launch records its commit")
    say("  llamaagent check     # every fault of every file")
    say("  llamaagent run --once")
    say("  llamaagent install cron     # a pass each minute; or: install systemd")


def _suggest_running(one: Running, taken: set[str]) -> None:
    owner = f" of {one.user}" if one.user else ""
    if one.fault is not None:
        say(clean(f"  # pid {one.pid}{owner}: {one.fault}"))
        return
    name = profile_name(one.model or f"server-{one.pid}", taken)
    model = f" --model {shlex.quote(one.model)}" if one.model else ""
    words = f" -- {shlex.join(one.words)}" if one.words else ""
    left = f"; not shown: the value of {', '.join(one.secrets)}" if one.secrets else ""
    say(clean(f"  # pid {one.pid}{owner}{left}"))
    say(clean(f"  llamaagent new {name}{model}{words}"))


def profile_name(path: str, taken: set[str]) -> str:
    """A name for the profile of a model file that is not taken yet; it is taken afterwards.

    >>> profile_name("/m/Qwen3 8B-Q4_K_M.gguf", set()), profile_name("/m/a.gguf", {"a"})
    ('qwen3-8b-q4_k_m', 'a-2')
    """
    import re

    stem = os.path.basename(path).lower().removesuffix(".gguf")
    stem = re.sub(r"-00001-of-\d{5}$", "", stem)
    word = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("._-") or "model"
    name, number = word, 1
    while name in taken:
        number += 1
        name = f"{word}-{number}"
    taken.add(name)
    return name


def _in_git(folder: str) -> bool:
    while not os.path.exists(os.path.join(folder, ".git")):
        if os.path.dirname(folder) == folder:
            return False
        folder = os.path.dirname(folder)
    return True
