"""Where the server of a profile is and what it runs: from the database, else from the processes themselves.

Nothing here raises because a database cannot be had: a server that runs is found by its environment then, and what it
was started with by the profile's file.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.base.errors import ConfigError, ServiceUnavailableError, UsageError
from llamaagent.config.document import profile_from_document
from llamaagent.domain import instance as st
from llamaagent.domain.instance import Identity
from llamaagent.domain.shown import HELD_WORDS
from llamaagent.generate.client import Address
from llamaagent.launch.environ import read_env_file, resolve_secret
from llamaagent.launch.identity import alive
from llamaagent.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.domain.profile import Profile
    from llamaagent.domain.settings import Settings
    from llamaagent.library.link import Link

_SQL = statements("generations")
_ANSWERS = frozenset({st.RUNNING, st.UNHEALTHY})


class Known(NamedTuple):
    """What a site says: its settings, this host's profiles, and the short name that its servers carry."""

    settings: Settings
    profiles: Mapping[str, Profile]
    site_id: str


class Server(NamedTuple):
    """A profile as it can be asked. address: None when it does not run, and `why` says so. instance_id: its row."""

    name: str
    profile: Profile | None
    address: Address | None
    why: str = "not running"
    instance_id: int | None = None
    project: str = "default"
    model_path: str | None = None


def find_server(name: str, link: Link, known: Known, environ: Mapping[str, str]) -> Server:
    """The server of a profile. Raises UsageError for a name nobody knows, ConfigError for a key that is not set."""
    row = link.read(lambda db: db.execute(_SQL["select_server"], {"profile": name}).fetchone(), None)
    profile = known.profiles.get(name)
    if row is None:
        return _by_process(name, profile, known, environ)
    status, document = str(row[3]), row[13]
    if document is not None and status in st.LIVE:  # what it runs, whatever the file says now
        profile = _profile(str(document), str(row[14] or ""), int(str(row[15] or 1)))
    found = Server(name, profile, None, _state(status, row[4]), project=str(row[2]), model_path=_text(row[9]))
    identity = _identity(row[10], row[11], row[12])
    if status not in _ANSWERS or row[6] is None:
        return found
    if identity is not None and not alive(identity):
        return found._replace(why="gone: its process has ended")
    host, port = str(row[6]), int(str(row[7] or 0))
    way = (str(row[5] or "http"), str(row[8] or ""))
    address = Address(host, port, *way, api_key=_api_key(profile, known, environ))
    return found._replace(address=address, instance_id=int(str(row[0])))


@lru_cache(maxsize=256)
def _profile(document: str, source: str, line: int) -> Profile:
    """A revision as a record; read once, since each asking needs it."""
    return profile_from_document(document, source, line)


def choose(name: str | None, link: Link, known: Known) -> str:
    """The profile that a name, a pattern or a model's file means; without one the only one that there is, or that runs.

    Raises UsageError when that is none or several.
    """
    nothing: list[tuple[Any, ...]] = []
    rows = link.read(lambda db: db.execute(_SQL["list_asked"]).fetchall(), nothing)
    answering = {str(row[0]) for row in rows if row[1]}
    names = {str(row[0]) for row in rows} | known.profiles.keys()
    if name is None:
        meant = answering or set(known.profiles)
        if len(meant) == 1:
            return meant.pop()
        raise UsageError("which model? " + (_some(meant) or "no profile is declared"), hint="--model NAME")
    if name.endswith(".gguf"):
        of_file = {p.name for p in known.profiles.values() if _is_model(p, name)}
        meant = of_file & answering or of_file
        if len(meant) == 1:
            return meant.pop()
    from fnmatch import fnmatchcase

    found = sorted(one for one in names if fnmatchcase(one, name))
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name} means {', '.join(found)}; name one of them")
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(names), 1)
    raise UsageError(
        f"no profile is named {name}", hint=f"did you mean {near[0]}?" if near else "llamaagent ps -a"
    )


def _is_model(profile: Profile, name: str) -> bool:
    """Whether a profile runs this model: the path of a file, or its name alone."""
    path = profile.model.path
    if path is None:
        return False
    return (
        os.path.basename(path) == name
        if "/" not in name
        else os.path.realpath(path) == os.path.realpath(name)
    )


def need(server: Server) -> Address:
    """Its address. Raises ServiceUnavailableError when it does not run."""
    if server.address is None:
        raise ServiceUnavailableError(
            f"{server.name} is {server.why}", hint=f"--start, or: llamaagent start {server.name}"
        )
    return server.address


def _by_process(name: str, profile: Profile | None, known: Known, environ: Mapping[str, str]) -> Server:
    """A server that no row tells of: by what its process carries."""
    from llamaagent.launch.adopt import find_launched
    from llamaagent.launch.outside import command_words, option_value

    if profile is None:
        raise UsageError(f"no profile is named {name}", hint="llamaagent ps -a")
    found = Server(name, profile, None, project=profile.project, model_path=profile.model.path)
    for launch in find_launched(known.site_id) if known.site_id else ():
        if launch.profile == name and launch.server is not None:
            words = command_words(launch.server.pid)
            host, port = option_value(words, "--host"), option_value(words, "--port")
            if host is not None and (port or "0").isdigit():
                prefix = option_value(words, "--api-prefix") or ""
                scheme = "https" if option_value(words, "--ssl-cert-file") else "http"
                key = _api_key(profile, known, environ)
                return found._replace(address=Address(host, int(port or 0), scheme, prefix, key))
    return found


def _api_key(profile: Profile | None, known: Known, environ: Mapping[str, str]) -> str | None:
    ref = dict(profile.secrets).get("api-key") if profile is not None else None
    if ref is None:
        return None
    file = known.settings.env_file
    try:
        kept = read_env_file(file) if file else {}
    except ConfigError:
        if not environ.get(ref.value):
            raise
        kept = {}
    return resolve_secret(ref, environ, kept).split("\n", 1)[0]


def _identity(boot: object, pid: object, ticks: object) -> Identity | None:
    if boot is None or pid is None or ticks is None:
        return None
    return Identity(str(boot), int(str(pid)), int(str(ticks)))


def _state(status: str, reason: object) -> str:
    if status == st.LOADING:
        return "still loading its model"
    if status == st.CREATED:
        return f"held: {HELD_WORDS.get(str(reason), str(reason))}"
    return f"{status} ({reason})" if reason else status


def _text(value: object) -> str | None:
    return None if value is None or not str(value) else str(value)


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:12])


def read_known(environ: Mapping[str, str], cwd: str, now: int) -> Known:
    """What the site here says, for a program that is no command: read once, against the bundled options.

    Never raises: without a site there are the settings' defaults and no profiles.
    """
    from hashlib import sha256

    from llamaagent.config.load import load_site

    site = load_site(config=None, profiles=(), environ=environ, cwd=cwd, now=now)
    path = site.settings.file
    if path is None and site.settings.profiles and os.path.exists(site.settings.profiles[0]):
        path = site.settings.profiles[0]
    real = os.path.realpath(path) if path else ""
    site_id = sha256(real.encode("utf-8", "surrogateescape")).hexdigest()[:16] if real else ""
    return Known(site.settings, {profile.name: profile for profile in site.profiles}, site_id)
