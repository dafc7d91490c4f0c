"""`show`: what a profile becomes: its command line, its environment, its merged form, its difference to what runs."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import NOT_FINE, LlamaAgentError, ServiceUnavailableError, UsageError
from llamaagent.cli.output import clean, emit_object, print_table, say
from llamaagent.cli.site import asking, context, load, one_name, reading
from llamaagent.domain import instance as st

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.store.types import Connection

_KINDS = ("command", "effective", "env", "diff")


def run(values: Values) -> int:
    """Print one view of a profile."""
    asked = [kind for kind in _KINDS if values.flag(kind)]
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} exclude each other")
    opened = load(values)
    names = {profile.name for profile in opened.site.profiles}
    name = one_name(values.text("name") or "", names)
    profile = next(p for p in opened.site.profiles if p.name == name)
    views = {"command": _command, "effective": _effective, "env": _env, "diff": _diff}
    with reading(opened) as db:
        return views.get(asked[0] if asked else "", _all)(values, opened, db, profile)


def _row(opened: Opened, db: Connection, profile: Profile) -> Instance | None:
    rows = context(opened, db).instances.newest()
    return next((row for row in rows if row.profile == profile.name), None)


def _argv(opened: Opened, db: Connection, profile: Profile) -> tuple[str, ...]:
    """The command line of the next launch; an auto port not chosen yet is the one that would be chosen."""
    from llamaagent.launch.command import resolve_binary, server_argv
    from llamaagent.launch.listeners import port_free

    if profile.runtime.kind == "external":
        return _watched_argv(opened, db, profile)
    ctx = context(opened, db)
    try:
        remembered = ctx.samples.metadata(f"binary.{profile.runtime.binary}")
        known = json.loads(remembered) if remembered else None
        binary = resolve_binary(profile.runtime.binary, os.environ.get("PATH"), known)
    except LlamaAgentError as error:
        say(str(error))
        binary = profile.runtime.binary
    port = profile.listen.port or ctx.instances.ports().get(profile.name)
    if port is None:
        from llamaagent.domain.ports import choose_port

        taken = {p.listen.port for p in opened.site.profiles if p.listen.port} | set(
            ctx.instances.ports().values()
        )
        port = choose_port(
            None, opened.site.settings.ports, taken, lambda p: port_free(profile.listen.host, p)
        )
    extra: tuple[str, ...] = ()
    row = _row(opened, db, profile)
    if row is not None and row.status in st.LIVE and row.gpus not in {None, "[]"}:
        from llamaagent.reconcile.fitted import fitting_of_running

        stored = json.loads(str(_stored(db, row).get("argv") or "[]"))
        told = fitting_of_running(ctx, profile, binary, row, stored)
        profile, extra = profile._replace(argv=told.argv), told.words
    return server_argv(profile, binary=binary, port=port or opened.site.settings.ports[0], extra=extra)


def _watched_argv(opened: Opened, db: Connection, profile: Profile) -> tuple[str, ...]:
    """The command line of a server that somebody else runs, as it was found. Raises ServiceUnavailableError."""
    row = _row(opened, db, profile)
    stored = _stored(db, row) if row is not None else {}
    if not stored.get("argv"):
        raise ServiceUnavailableError(f"{profile.name} is external, and was not seen running yet")
    return tuple(json.loads(str(stored["argv"])))


def _command(values: Values, opened: Opened, db: Connection, profile: Profile) -> int:
    """One line that a shell reads back; secrets in front as $NAME."""
    from llamaagent.launch.command import quoted
    from llamaagent.launch.environ import SECRET_VARIABLES

    argv = _argv(opened, db, profile)
    secrets = []
    for option, ref in profile.secrets:
        variable, file_variable = SECRET_VARIABLES.get(option, (option.upper(), None))
        if ref.kind == "file" and file_variable:
            secrets.append(f"{file_variable}={ref.value}")
        else:
            secrets.append(
                f'{variable}="${ref.value}"' if ref.kind == "env" else f'{variable}="$(cat {ref.value})"'
            )
    if values.flag("json"):
        emit_object(
            {"profile": profile.name, "argv": list(argv), "secrets": {o: str(r) for o, r in profile.secrets}}
        )
    else:
        print(" ".join([*secrets, quoted(argv)]))
    return 0


def _effective(values: Values, opened: Opened, _db: Connection, profile: Profile) -> int:
    """Every value with where it comes from."""
    from llamaagent.config.load import effective_profile

    rows = effective_profile(
        profile.name,
        config=values.text("config"),
        profiles=values.many("profiles"),
        environ=os.environ,
        cwd=os.getcwd(),
        asking=asking(opened.places),
    )
    if values.flag("json"):
        emit_object({row.key: {"value": row.value, "origin": row.origin} for row in rows})
    else:
        shown = [(row.key, clean(_text(row.value)), row.origin) for row in rows]
        print_table(shown, ("key", "value", "origin"))
    return 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _stored(db: Connection, row: Instance) -> dict[str, object]:
    from llamaagent.store.read import select

    return dict(select(db, "show_instance", {"id": row.id}).rows[0])


def _env(values: Values, opened: Opened, db: Connection, profile: Profile) -> int:
    """The environment of the launch that runs, else of the last one."""
    row = _row(opened, db, profile)
    stored = _stored(db, row) if row is not None else {}
    if not stored.get("environment"):
        say(f"{profile.name} was not launched yet")
        return NOT_FINE
    environment = json.loads(str(stored["environment"]))
    if values.flag("json"):
        emit_object(environment)
    else:
        for name, value in environment.items():
            print(f"{name}={clean(str(value))}")
    return 0


def _diff(values: Values, opened: Opened, db: Connection, profile: Profile) -> int:
    """What the next launch would have that the running one has not, as a unified diff of words and environment."""
    from difflib import unified_diff

    row = _row(opened, db, profile)
    if row is None or row.status not in st.LIVE:
        say(f"{profile.name} does not run")
        return 0
    stored = _stored(db, row)
    before = _lines(json.loads(str(stored["argv"])) if stored["argv"] else [])
    after = _lines(list(_argv(opened, db, profile)))
    changed = list(
        unified_diff(before, after, f"running (instance {row.id})", profile.source, lineterm="", n=100)
    )
    same = row.launch_hash == profile.launch_hash
    if values.flag("json"):
        emit_object({"profile": profile.name, "launch_hash_differs": not same, "diff": changed})
        return 0
    for line in changed:
        print(clean(line))
    if not changed and not same:
        say("the command line is the same; environment, secrets or cards differ")
    elif not changed:
        say("nothing differs")
    return 0


def _lines(argv: list[str]) -> list[str]:
    """An option and its value on one line."""
    lines: list[str] = []
    for word in argv:
        if word.startswith("-") or not lines or not lines[-1].startswith("--") or " " in lines[-1]:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return lines


def _all(values: Values, opened: Opened, db: Connection, profile: Profile) -> int:
    """The merged document, and how it stands."""
    document = json.loads(profile.document)
    if values.flag("json"):
        emit_object({"name": profile.name, "source": profile.source, "launch_hash": profile.launch_hash,
                     "profile_hash": profile.profile_hash, "document": document,
                     "memory": _memory(opened, db, profile)})  # fmt: skip
        return 0
    import yaml

    row = _row(opened, db, profile)
    print(f"# {profile.source}:{profile.line}")
    if row is not None:
        print(
            f"# instance {row.id}: {row.status}"
            + (f" at {row.host}:{row.port}" if row.status in st.LIVE else "")
        )
    said = ", ".join(f"{name} {value}" for name, value in _memory(opened, db, profile).items())
    if said:
        print(f"# {said}")
    print(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), end="")
    return 0


def _memory(opened: Opened, db: Connection, profile: Profile) -> dict[str, object]:
    """GPU memory and size of the newest launch, each figure under its own name; what is not known is left out."""
    row = _row(opened, db, profile)
    stored = _stored(db, row) if row is not None else {}
    names = {
        "declared_mib": "gpu_memory_declared_mib",
        "estimated_mib": "gpu_memory_estimated_mib",
        "measured_mib": "gpu_memory_measured_mib",
        "sized_context": "sized_context",
        "sized_gpu_layers": "sized_gpu_layers",
        "sized_tensor_split": "sized_tensor_split",
        "context_size": "context_size",
        "gpu_layers": "gpu_layers",
    }
    if stored.get("gpus") in {None, "[]"}:
        return {}
    return {name: stored[column] for name, column in names.items() if stored.get(column) is not None}
