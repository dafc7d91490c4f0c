"""From a command line to an open site: settings and profiles, the database, the context of a pass."""

from __future__ import annotations

import os
from contextlib import contextmanager

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import ConfigError, UsageError
from llamaagent.base.paths import Places, home_of, host_paths, places
from llamaagent.base.record import NamedTuple
from llamaagent.config.load import Asking, Site, load_site_cached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from llamaagent.cli.spec import Values
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.engine.engines import Engines
    from llamaagent.reconcile.context import Context
    from llamaagent.store.samples import SampleStore
    from llamaagent.store.types import Connection

NVML_TIMEOUT_S = 4.0
_HELP_TIMEOUT_S = 10.0


class Opened(NamedTuple):
    """A loaded site and where its things are. The database is not open yet."""

    site: Site
    places: Places
    database: str
    site_path: str  # what the database remembers: the real path of the settings file
    clock: SystemClock


def load(values: Values, *, need_settings: bool = True) -> Opened:
    """Load settings and profiles as the command line says. Raises ConfigError when there is nothing to load."""
    clock = SystemClock()
    environ = os.environ
    found = places(environ)
    site = load_site_cached(
        config=values.text("config"),
        profiles=values.many("profiles"),
        environ=environ,
        cwd=os.getcwd(),
        cache_dir=found.cache,
        clock=clock,
        asking=asking(found),
    )
    path = site.settings.file
    if not site.settings_ok and path is not None and not os.path.exists(path):
        raise ConfigError(f"no settings at {path}", hint="llamaagent init")
    if path is None and (values.many("profiles") or os.path.exists(site.settings.profiles[0])):
        path = site.settings.profiles[0]
    if path is None:
        if need_settings:
            raise ConfigError("no llamaagent.yaml was found here or above", hint="llamaagent init")
        path = ""
    given = values.text("db")
    database = os.path.abspath(given) if given else site.settings.database or found.database
    return Opened(site, found, database, os.path.realpath(path) if path else "", clock)


def asking(found: Places, *, deadline_s: float = _HELP_TIMEOUT_S) -> Asking:
    """How options are learned from the program that will run them."""
    return Asking(lambda path, env: _help_of(path, env, deadline_s), _embedded_options, found.cache)


def _help_of(path: str, env: Mapping[str, str], deadline_s: float) -> str | None:
    """What a server program prints for --help, whatever LLAMA_ARG_ variables are set here; None after a failure."""
    from llamaagent.base.errors import ServiceUnavailableError
    from llamaagent.base.run import run

    given = {name: text for name, text in {**os.environ, **env}.items() if not name.startswith("LLAMA_ARG_")}
    try:
        result = run([path, "--help"], deadline_s=deadline_s, env=given, cwd="/")
    except (ServiceUnavailableError, ValueError):  # ValueError: a variable that cannot be, reported elsewhere
        return None
    return None if result.timed_out or result.truncated or result.code else result.text


def _embedded_options() -> frozenset[str]:
    from llamaagent.launch.embedded import known_options

    return known_options()


def site_id(site_path: str) -> str:
    """The short name that every server of this site carries in its environment."""
    import hashlib

    return hashlib.sha256(site_path.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@contextmanager
def database(
    opened: Opened, *, write: bool, create: bool = True, shared: bool = True
) -> Iterator[Connection]:
    """The site's database, open for the time of the block; what SQLite raises inside becomes one of our errors.

    shared: with the group that the settings name.
    """
    from llamaagent.domain.settings import unlogged
    from llamaagent.store.connect import open_database
    from llamaagent.store.errors import translate

    need_database(opened)
    group = opened.site.settings.access_read if write and shared else None
    db = open_database(opened.database, write=write, create=create, shared_group=group)
    db.unlogged = unlogged(opened.site.settings)
    with translate(opened.database):
        try:
            yield db
        finally:
            db.close()


def need_database(opened: Opened) -> None:
    """Raise ConfigError where the environment says that there is to be no database: nothing works without it."""
    if not opened.site.settings.db_enabled:
        raise ConfigError(
            "LLAMAAGENT_DB_ENABLED says that there is to be no database: nothing was read, started or stopped",
            hint="unset LLAMAAGENT_DB_ENABLED",
        )


@contextmanager
def reading(opened: Opened) -> Iterator[Connection]:
    """The site's database for reading; before the first pass an empty one, which leaves nothing behind."""
    need_database(opened)
    if _is_there(opened.database):
        with database(opened, write=False) as db:
            yield db
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="llamaagent-") as folder:
        scratch = opened._replace(database=os.path.join(folder, "scratch.db"))
        with database(scratch, write=True, shared=False) as db:
            yield db


def _is_there(path: str) -> bool:
    """Whether the database has been made. Raises StorageError where we may not even look."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        from llamaagent.base.errors import StorageError

        raise StorageError(f"cannot reach {path}: {error.strerror}") from error
    return True


def claim(db: Connection, opened: Opened) -> None:
    """One database, one site. Raises ConfigError when it belongs to another."""
    from llamaagent.store.samples import SampleStore

    samples = SampleStore(db)
    known = _remembered(samples)
    if known is None:
        import json

        if samples.metadata("simulated") is not None:
            raise ConfigError(
                f"{opened.database} holds simulated history: no pass adds to it",
                hint="choose another database with --db or `database:`",
            )
        with db:
            value = {"path": opened.site_path, "id": site_id(opened.site_path)}
            samples.set_metadata("site", json.dumps(value), opened.clock.now())
    elif known[0] != opened.site_path:
        raise ConfigError(
            f"{opened.database} belongs to the site {known[0]}, not to {opened.site_path}",
            hint="choose another database with --db or `database:`, or llamaagent db adopt-site",
        )


def _remembered(samples: SampleStore) -> tuple[str, str] | None:
    """Path and id of the site that the database belongs to, None while it belongs to nobody."""
    import json

    stored = samples.metadata("site")
    if stored is None:
        return None
    value = json.loads(stored)
    return str(value["path"]), str(value["id"])


def context(
    opened: Opened, db: Connection, *, only: frozenset[str] | None = None, approved: bool = False
) -> Context:
    """Everything that a pass needs."""
    from llamaagent.reconcile.context import Context
    from llamaagent.store.instances import InstanceStore
    from llamaagent.store.journal import Journal
    from llamaagent.store.samples import SampleStore
    from llamaagent.store.wishes import WishStore

    host = host_paths(os.environ)
    samples = SampleStore(db)
    known = _remembered(samples)  # hashing anew would load OpenSSL on every pass

    def read_gpus() -> GpuReading:
        from llamaagent.collect.gpu import collect_gpus

        if not (reading := collect_gpus(host, NVML_TIMEOUT_S)).available:
            return reading
        from llamaagent.reconcile.cardhealth import with_health

        return with_health(reading, db, host, opened.clock)

    return Context(
        settings=opened.site.settings,
        site=opened.site,
        site_id=known[1] if known is not None and known[0] == opened.site_path else site_id(opened.site_path),
        db=db,
        instances=InstanceStore(db),
        journal=Journal(db),
        samples=samples,
        wishes=WishStore(db),
        clock=opened.clock,
        places=opened.places,
        environ=os.environ,
        read_gpus=read_gpus,
        host=host,
        only=only,
        approved=approved,
        engines=engines_of_host(),
    )


def engines_of_host() -> Callable[[], Engines]:
    """The engines of one context, made with the first question."""
    made: list[Engines] = []

    def engines() -> Engines:
        from llamaagent.engine.engines import Engines

        if not made:
            made.append(Engines(os.environ, home=home_of(os.geteuid()), uid=os.geteuid()))
        return made[0]

    return engines


def known_names(opened: Opened, db: Connection) -> set[str]:
    """Every profile that a command may name: declared here, or launched once."""
    from llamaagent.store.instances import InstanceStore

    return {p.name for p in opened.site.profiles} | {row.profile for row in InstanceStore(db).newest()}


def one_name(pattern: str, names: frozenset[str] | set[str]) -> str:
    """The one profile that a pattern means. Raises UsageError when it means none or several."""
    found = sorted(matching((pattern,), names))
    if len(found) > 1:
        raise UsageError(f"{pattern} means {', '.join(found)}; name one of them")
    return found[0]


def matching(patterns: tuple[str, ...], names: frozenset[str] | set[str]) -> frozenset[str]:
    """Names that the patterns (with * and ?) mean. Raises UsageError for one that means nothing."""
    from fnmatch import fnmatchcase

    found: set[str] = set()
    for pattern in patterns:
        hits = {name for name in names if fnmatchcase(name, pattern)}
        if not hits:
            from difflib import get_close_matches

            near = get_close_matches(pattern, list(names), 1)
            hint = f"did you mean {near[0]}?" if near else "llamaagent ps -a"
            raise UsageError(f"no profile is named {pattern}", hint=hint)
        found |= hits
    return frozenset(found)
