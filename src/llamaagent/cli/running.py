"""`import running`: llama-servers that run now into profiles, and with --adopt into our hands, without a restart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import REFUSED, LlamaAgentError, UsageError
from llamaagent.cli.foundprofile import FoundProfile, found_profile, watched_profile
from llamaagent.cli.output import clean, say
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import load, reading
from llamaagent.domain import instance as st
from llamaagent.domain.takeover import Obstacle, obstacle

if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Identity
    from llamaagent.domain.profile import Profile
    from llamaagent.launch.foreign import Foreign


class Candidate(NamedTuple):
    """One server and what would become of it. profile: as this site loads the text, None when it is refused."""

    name: str
    server: Foreign
    text: str  # empty: nothing can be written
    watched: bool  # the text only watches it
    profile: Profile | None
    declared: bool  # the site has this very profile already
    obstacle: Obstacle | None  # to taking it over
    notes: tuple[str, ...]


def take_in(values: Values) -> int:
    """Print the profiles, write them, or write them and take the servers over; 77 when one was refused."""
    acting = values.flag("adopt") or values.flag("write")
    opened = load(values, need_settings=acting)
    if acting:
        refuse_broken_settings(opened)
    found = _selected(values, _candidates(values, opened))
    if not found:
        say("no llama-server runs here that this site does not know")
        return 0
    if values.flag("adopt"):
        from llamaagent.cli.adopting import adopt

        return adopt(values, opened, found)
    if values.flag("write"):
        return _write_all(opened, found)
    _print(found)
    return 0


def _known(opened: Opened) -> set[Identity | None]:
    """Servers that this site has in its rows."""
    from llamaagent.store.instances import InstanceStore

    if not opened.site_path:
        return set()
    with reading(opened) as db:
        return {row.server for row in InstanceStore(db).newest() if row.status in st.LIVE}


def _candidates(values: Values, opened: Opened) -> list[Candidate]:
    from llamaagent.config.catalogue import load_catalogue
    from llamaagent.launch.foreign import circumstances, find_foreign

    known, catalogue, binary = _known(opened), load_catalogue(), _binary(opened)
    taken = {p.name for p in opened.site.profiles} | set(opened.site.names_declared)
    declared = {p.runtime.port or p.listen.port: p.name for p in opened.site.profiles}
    made: list[Candidate] = []
    for server in find_foreign():
        if server.identity in known:
            continue
        at = circumstances(server)
        blocked = obstacle(at)
        unit = at.unit.name if at.unit is not None and blocked is not None and blocked.commands else None
        # First as the profile that has its port: an adoption that was cut off may have written it.
        names = [declared[server.port]] if server.port in declared else []
        for name in (*names, _name(server, taken)):
            found = found_profile(server, name, catalogue, binary=binary, defaults=_default_args(opened))
            one = _candidate(values, opened, name, server, found, blocked, unit)
            if one.declared:
                break
        if not one.declared and server.port in declared:
            text = f"{declared[server.port]} declares port {server.port} already, and says other things of it"
            one = one._replace(text="", profile=None, obstacle=Obstacle(text))
        made.append(one)
    return made


def _binary(opened: Opened) -> str | None:
    """The file that the settings' `binary` means; None when it means none now."""
    from llamaagent.launch.command import EMBEDDED, resolve_binary

    try:
        found = resolve_binary(opened.site.settings.binary, os.environ.get("PATH"))
    except LlamaAgentError:
        return None
    return None if found == EMBEDDED else found


def _default_args(opened: Opened) -> list[str]:
    import json

    args = json.loads(opened.site.settings.defaults).get("args", {})
    return list(args) if isinstance(args, dict) else []


def _name(server: Foreign, taken: set[str]) -> str:
    """By its model's file, else by its process."""
    from llamaagent.cli.init import profile_name
    from llamaagent.launch.outside import option_value

    words = list(server.words)
    model = option_value(words, "--model") or option_value(words, "-m")
    model = model or (server.environment or {}).get("LLAMA_ARG_MODEL") or option_value(words, "--hf-repo")
    return profile_name(model or f"server-{server.identity.pid}", taken)


def _candidate(
    values: Values,
    opened: Opened,
    name: str,
    server: Foreign,
    found: FoundProfile,
    blocked: Obstacle | None,
    unit: str | None,
) -> Candidate:
    from llamaagent.cli.trial import loaded_as

    pid, who = server.identity.pid, f" of {server.user}" if server.user else ""
    faults = found.faults
    profile: Profile | None = None
    text = ""
    if not faults:
        text = found.text(f"{name}: taken from pid {pid}{who}, which ran when this was written")
        profile, faults = loaded_as(values, opened, name, text)
    if faults and blocked is None:
        blocked = Obstacle("; ".join(faults))
    if blocked is None:
        declared = _is_declared(opened, profile)
        return Candidate(name, server, text, False, profile, declared, None, found.notes)
    watch = watched_profile(server.port, unit)
    if not blocked.watchable or len(watch["runtime"]) < 2:  # type: ignore[arg-type]
        return Candidate(name, server, "", False, None, False, blocked, found.notes)
    own = text if profile is not None else ""
    text = _watch_text(name, watch, blocked, own)
    profile, _ = loaded_as(values, opened, name, text)
    return Candidate(name, server, text if profile else "", True, profile, False, blocked, found.notes)


def _watch_text(name: str, watch: dict[str, object], blocked: Obstacle, own: str) -> str:
    """The profile that watches it; below, as comments, the one that would run it."""
    from llamaagent.cli.profiletext import document_text

    lines = [f"# {name}: only watched, for {blocked.reason}", *document_text(watch).splitlines()]
    if own:
        lines += ["", "# To run it from here, end that, and put this in place of the above:"]
        lines += [f"#   {command}" for command in blocked.commands]
        lines += [f"# {line}" for line in own.splitlines()[1:]]
    return clean_lines(lines)


def clean_lines(lines: list[str]) -> str:
    """Lines as a file's text; what a terminal would obey is not in it."""
    return "".join(f"{clean(line)}\n" for line in lines)


def _is_declared(opened: Opened, profile: Profile | None) -> bool:
    """Whether a profile of the site has this name and would launch just this."""
    return profile is not None and any(
        (p.name, p.launch_hash) == (profile.name, profile.launch_hash) for p in opened.site.profiles
    )


def _selected(values: Values, found: list[Candidate]) -> list[Candidate]:
    """Those that are named, by name, pattern or pid. Raises UsageError for one that means nothing."""
    from fnmatch import fnmatchcase

    patterns = values.many("name")
    chosen: dict[int, Candidate] = {}
    for pattern in patterns:
        hits = [
            one for one in found if fnmatchcase(one.name, pattern) or str(one.server.identity.pid) == pattern
        ]
        if not hits:
            known = ", ".join(one.name for one in found) or "none"
            raise UsageError(f"no running server is called {pattern}; there are: {known}")
        chosen |= {one.server.identity.pid: one for one in hits}
    return list(chosen.values()) if patterns else found


def _print(found: list[Candidate]) -> None:
    """The files that would be written, as one stream of documents; what is not in them on stderr."""
    for one in found:
        if one.text and not one.declared:
            print(f"---\n{one.text}", end="")
        tell(one)
    names = " ".join(one.name for one in found if one.obstacle is None)
    if names:
        say(f"to take over without a restart: llamaagent import running {names} --adopt")


def tell(one: Candidate) -> None:
    """What has to be known of it."""
    pid = one.server.identity.pid
    say(clean(f"{one.name}: pid {pid}" + (f", port {one.server.port}" if one.server.port else "")))
    for note in one.notes:
        say(clean(f"  {note}"))
    if one.declared:
        say("  this site declares it already; --adopt takes it over")
    if one.obstacle is not None:
        say(clean(f"  cannot be taken over: {one.obstacle.reason}"))
        if one.text:
            say("  what is written only watches it (runtime: {kind: external})")
        for command in one.obstacle.commands:
            say(f"  to run it from here, change the file and type: {command}")


def _write_all(opened: Opened, found: list[Candidate]) -> int:
    refused = False
    for one in found:
        tell(one)
        if one.text and not one.declared:
            print(write(opened, one))
            if not one.watched:
                pid = one.server.identity.pid
                say(f"  it is held until pid {pid} is stopped; or: import running {one.name} --adopt")
        refused = refused or not one.text
    return REFUSED if refused else 0


def write(opened: Opened, one: Candidate) -> str:
    """Write its file; gives the path. Raises CannotCreateError."""
    from llamaagent.cli.trial import target_of, write_profile

    path = target_of(opened, one.name)
    write_profile(opened, path, one.text)
    return path
