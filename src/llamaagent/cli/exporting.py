"""From a loaded site to what is exported: each profile with the words and variables of its next launch."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import ConfigError, LlamaAgentError
from llamaagent.base.record import NamedTuple
from llamaagent.cli.output import say
from llamaagent.cli.site import context, load, matching, reading
from llamaagent.domain import instance as st
from llamaagent.neighbours.outgoing import Left, Secret, Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context


class Gathered(NamedTuple):
    """What is to be exported. live: names whose server runs under the agent now."""

    opened: Opened
    servers: tuple[Server, ...]
    live: frozenset[str]
    left: tuple[Left, ...]  # files that are refused, so that nobody knows what they say


def gather(values: Values) -> Gathered:
    """The named profiles, or all of this host. Raises ConfigError when the settings are wrong."""
    opened = load(values)
    site = opened.site
    if not site.settings_ok:
        raise ConfigError(f"{site.settings.file} is wrong", hint="llamaagent check")
    patterns = values.many("name")
    names = {profile.name for profile in site.profiles}
    chosen = matching(patterns, names) if patterns else names
    left = [
        Left(os.path.basename(file), "the file", "it is refused: llamaagent check")
        for file in site.broken_files
    ]
    with reading(opened) as db:
        ctx = context(opened, db)
        ports = _ports(opened, ctx)
        servers = tuple(
            _server(ctx, profile, ports[profile.name])
            for profile in sorted(site.profiles, key=lambda one: one.name)
            if profile.name in chosen
        )
        live = frozenset(name for name in _live(ctx) if name in chosen)
    return Gathered(opened, servers, live, () if patterns else tuple(left))


def _live(ctx: Context) -> Iterator[str]:
    """Profiles whose process is there, looked at and not believed."""
    from llamaagent.launch.identity import alive, boot_id

    boot = boot_id()
    for row in ctx.instances.newest():
        known = row.server or row.wrapper
        if row.status in st.LIVE and (known is None or alive(known, boot=boot)):
            yield row.profile


def _ports(opened: Opened, ctx: Context) -> dict[str, int]:
    """A port for each: its own, the one it had last, or the lowest that nobody else has."""
    first, last = opened.site.settings.ports
    known = ctx.instances.ports()
    ports: dict[str, int] = {}
    for profile in opened.site.profiles:
        port = profile.listen.port or known.get(profile.name)
        if port is not None:
            ports[profile.name] = port
    taken = {*ports.values(), *known.values()}
    free = (port for port in range(first, last + 1) if port not in taken)
    for profile in sorted(opened.site.profiles, key=lambda one: one.name):
        if profile.name not in ports:
            ports[profile.name] = next(free, first)
    return ports


def _server(ctx: Context, profile: Profile, port: int) -> Server:
    from llamaagent.launch.command import EMBEDDED, embedded_environment, program, server_argv

    runtime = profile.runtime
    binary = _binary(ctx, runtime.binary) if runtime.kind == "process" else "llama-server"
    env = dict(_cards(profile))
    if binary == EMBEDDED:
        env |= embedded_environment()
    return Server(
        profile,
        server_argv(profile, binary=binary, port=port),
        len(runtime.wrap) + len(program(binary)),
        port,
        tuple(sorted((env | dict(runtime.env)).items())),
        _secrets(profile),
    )


def _binary(ctx: Context, name: str) -> str:
    """The program as a launch would find it; the bare name where this host has none."""
    from llamaagent.launch.command import resolve_binary

    remembered = ctx.samples.metadata(f"binary.{name}")
    try:
        return resolve_binary(name, os.environ.get("PATH"), json.loads(remembered) if remembered else None)
    except LlamaAgentError as error:
        say(f"{error}; it is written as it is")
        return name


def _cards(profile: Profile) -> Iterator[tuple[str, str]]:
    """What a launch says about the cards that the profile names; what it would choose itself is not known here."""
    gpus = profile.resources.gpus
    if isinstance(gpus, tuple) or gpus == "none":
        yield "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
        yield "CUDA_VISIBLE_DEVICES", ",".join(gpus) if isinstance(gpus, tuple) else "-1"


def _secrets(profile: Profile) -> tuple[Secret, ...]:
    from llamaagent.launch.environ import SECRET_VARIABLES

    made = []
    for option, ref in profile.secrets:
        variable, file_variable = SECRET_VARIABLES.get(option, (option, None))
        by_path = ref.kind == "file" and file_variable is not None
        made.append(
            Secret(option, file_variable or variable if by_path else variable, ref.kind, ref.value, by_path)
        )
    return tuple(made)
