"""Looking at what is declared: settings, profiles, programs, model files, secrets, git."""

from __future__ import annotations

import os

from llamaagent.base.errors import ConfigError, LlamaAgentError, ServiceUnavailableError
from llamaagent.doctor import judge
from llamaagent.doctor.finding import ERROR, INFO, WARNING, Finding
from llamaagent.launch.command import EMBEDDED, resolve_binary
from llamaagent.launch.environ import PATH, read_env_file, resolve_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.doctor.finding import Case

_DEADLINE_S = 6.0


def faults(case: Case) -> Iterator[Finding]:
    """What `check` says, and folders that cannot be read."""
    if case.site.settings.file is None:
        yield Finding(WARNING, "settings", "no llamaagent.yaml was found here or above", "llamaagent init")
        if not case.site_path:
            return
    for fault in case.site.faults:
        place = f"{fault.file}:{fault.line}:{fault.column}"
        yield Finding(
            ERROR if fault.severity == "error" else WARNING, place, fault.message, "llamaagent check"
        )
    told = {fault.file for fault in case.site.faults}
    for folder in case.site.folders:
        if folder.error is not None and folder.path not in told:
            yield Finding(
                ERROR, folder.path, f"the profiles cannot be read: {folder.error}", f"ls -ld {folder.path}"
            )


def binaries(case: Case) -> Iterator[Finding]:
    """Each server program that a profile names, run with --version in the environment that a server gets."""
    settings = case.site.settings
    wanted = {(p.runtime.binary, p.runtime.env) for p in case.site.profiles if p.runtime.kind == "process"}
    for name, env in sorted(wanted or {(settings.binary, settings.env)}):
        try:
            path = resolve_binary(name, case.environ.get("PATH"))
        except ConfigError as error:
            yield Finding(ERROR if wanted else WARNING, name, str(error), error.hint)
            continue
        finding = None if path == EMBEDDED else _try(path, dict(env))
        if finding is not None:
            yield finding


def _try(path: str, env: dict[str, str]) -> Finding | None:
    from llamaagent.base.run import run

    given = {"PATH": PATH, "HOME": os.path.expanduser("~"), "LANG": "C.UTF-8", **env}
    try:
        result = run([path, "--version"], deadline_s=_DEADLINE_S, max_output_bytes=65536, env=given, cwd="/")
    except ServiceUnavailableError as error:
        return judge.binary(path, None, str(error), timed_out=False)
    output = (result.out + result.err).decode("utf-8", "replace")
    return judge.binary(path, result.code, output, timed_out=result.timed_out)


def engines(case: Case) -> Iterator[Finding]:
    """For profiles that run containers: the package, and an engine that answers."""
    wanted = [p for p in case.site.profiles if p.runtime.kind == "container" and p.state == "running"]
    if not wanted:
        return
    from llamaagent.base.paths import home_of
    from llamaagent.engine.body import keys_of
    from llamaagent.engine.engines import Engines

    engines = Engines(case.environ, home=home_of(os.geteuid()), uid=os.geteuid())
    for kind in sorted({keys_of(profile).engine or "" for profile in wanted}):
        names = ", ".join(p.name for p in wanted if (keys_of(p).engine or "") == kind)
        try:
            engine = engines.wanted(kind or None)
            _ = engine.kind
        except LlamaAgentError as error:
            yield Finding(ERROR, f"container engine of {names}", str(error), error.hint)
            continue
        cards = any(p.resources.gpus not in {"none", 0} for p in wanted if (keys_of(p).engine or "") == kind)
        if cards and not engine.takes_gpus():
            what = f"podman {engine.version} drops requests for cards in silence"
            yield Finding(WARNING, f"container engine of {names}", what, "podman 5.4 or later, or gpus: none")


def models(case: Case) -> Iterator[Finding]:
    """Model files that are not there or may not be read."""
    for profile in case.site.profiles:
        path = profile.model.path
        if path is None or profile.runtime.kind == "external" or os.access(path, os.R_OK):
            continue
        what = (
            f"the model {path} may not be read" if os.path.exists(path) else f"the model {path} is not there"
        )
        level = ERROR if profile.state == "running" else INFO
        yield Finding(level, profile.name, what, f"{profile.source}:{profile.line}")


def exposed(case: Case) -> Iterator[Finding]:
    """Servers that anybody on the network may use."""
    for profile in case.site.profiles:
        finding = judge.exposure(profile)
        if finding is not None:
            yield finding


def secrets(case: Case) -> Iterator[Finding]:
    """References behind which there is no value, or one that only this shell has."""
    file = case.site.settings.env_file
    stored: dict[str, str] = {}
    if file is not None:
        try:
            stored = read_env_file(file)
        except ConfigError as error:
            yield Finding(ERROR, "env_file", str(error), error.hint)
    for profile in case.site.profiles:
        for option, ref in profile.secrets:
            try:
                resolve_secret(ref, case.environ, stored)
            except ConfigError as error:
                level = ERROR if profile.state == "running" else INFO
                yield Finding(level, profile.name, f"{option}: {error}", error.hint)
                continue
            if ref.kind == "env" and ref.value not in stored:
                what = f"{option}: {ref.value} is set in this shell only; cron and systemd do not have it"
                yield Finding(WARNING, profile.name, what, "put it into the settings' env_file, mode 0600")


def git(case: Case) -> Iterator[Finding]:
    """Profiles outside of git have no history."""
    for folder in case.site.folders:
        if folder.readable and folder.files and not _in_work_tree(folder.path):
            what = "not in a git work tree: launches record no commit"
            yield Finding(INFO, folder.path, what, f"git init {os.path.dirname(folder.path)}")


def _in_work_tree(path: str) -> bool:
    while not os.path.exists(os.path.join(path, ".git")):
        if os.path.dirname(path) == path:
            return False
        path = os.path.dirname(path)
    return True
