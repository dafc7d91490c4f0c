"""What the commands that ask a server share: the site, the store, the server, the rules, what was typed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from llamaagent.base.errors import UsageError
from llamaagent.base.record import NamedTuple
from llamaagent.cli.output import say
from llamaagent.cli.site import load, site_id
from llamaagent.library.source import Known, choose

if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.generate.ask import Image
    from llamaagent.library.generating import Asker, Rules
    from llamaagent.library.store import Store

_TIMEOUT_S = 600
_EVER_S = 365 * 86400
_LARGEST = 64 << 20
_OPTIONS = ("n_predict", "temp", "top_k", "top_p", "min_p", "seed", "grammar")


class Ready(NamedTuple):
    """Everything for an asking. name: the profile."""

    opened: Opened
    store: Store
    asker: Asker
    name: str
    rules: Rules


def prepare(values: Values, named: str | None = None) -> Ready:
    """Load the site, open the store, find the profile (named, else --model), and start it where that is wanted."""
    from llamaagent.library.generating import Asker

    opened = load(values)
    store = open_site_store(opened, told=values.flag("start"))
    profiles = {profile.name: profile for profile in opened.site.profiles}
    known = Known(opened.site.settings, profiles, site_id(opened.site_path))
    name = choose(named or values.text("model"), store.link, known)
    asker = Asker(store, known, opened.clock, os.environ)
    if values.flag("start") and asker.server(name).address is None:
        _start(values, opened, name)
        if store.kind == "memory":  # there is a database now
            store = open_site_store(opened)
            asker = Asker(store, known, opened.clock, os.environ)
    return Ready(opened, store, asker, name, rules_of(values, opened))


def open_site_store(opened: Opened, *, told: bool = False) -> Store:
    """The store of a site; one in memory where there is no database, because an asking makes none.

    told: do not warn of that.
    """
    from llamaagent.library.opening import store_at

    settings = opened.site.settings
    there = os.path.exists(opened.database)
    store = store_at(opened.database, enabled=settings.db_enabled, there=there, told=told, clock=opened.clock)
    store.cache.max_bytes = settings.cache_max_size_bytes
    return store


def rules_of(values: Values, opened: Opened) -> Rules:
    """How this asking is treated, by the settings and the command line."""
    from llamaagent.library.generating import Rules

    settings = opened.site.settings
    if values.flag("cache") and values.flag("no_cache"):
        raise UsageError("--cache and --no-cache exclude each other")
    cache = values.flag("cache") or (settings.cache_enabled and not values.flag("no_cache"))
    if values.flag("single_flight") and not cache:
        raise UsageError("--single-flight needs the cache", hint="--cache, or `cache: {enabled: true}`")
    ttl = values.text("ttl")
    patience = values.text("timeout")
    timeout_s = _TIMEOUT_S if patience is None else span(patience, "--timeout")
    if timeout_s == 0:
        raise UsageError("--timeout of nothing leaves no time for an answer")
    return Rules(
        cache,
        settings.cache_ttl_s if ttl is None else span(ttl, "--ttl"),
        values.flag("single_flight"),
        values.text("session") or os.environ.get("LLAMAAGENT_SESSION") or None,
        float(_EVER_S if timeout_s is None else timeout_s),
        settings.cache_model_identity,
    )


def span(text: str, name: str) -> int | None:
    """A length of time as it is typed, in seconds; None = `never`. Raises UsageError naming the option."""
    from llamaagent.base.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def _start(values: Values, opened: Opened, name: str) -> None:
    """Start a profile and wait for it. Raises RefusedError or ServiceUnavailableError when it does not come."""
    from llamaagent.base.errors import REFUSED, RefusedError, ServiceUnavailableError
    from llamaagent.cli import verbs
    from llamaagent.cli.spec import Values as Given

    profile = next((p for p in opened.site.profiles if p.name == name), None)
    patience = profile.health.start_timeout_s if profile is not None else None
    given = {key: values.text(key) for key in ("config", "db") if values.text(key)}
    words: dict[str, object] = {**given, "name": (name,), "timeout": f"{patience or 3600}s", "quiet": True}
    words["profiles"] = values.many("profiles")
    with _progress(values, name):
        code = verbs.start(Given(words))
    if code == REFUSED:
        raise RefusedError(f"{name} was not started", hint=f"llamaagent why {name}")
    if code:
        raise ServiceUnavailableError(f"{name} did not start", hint=f"llamaagent logs {name}")


class _progress:  # noqa: N801 - reads as what it does
    """`starting NAME … 3s` on the terminal while something lasts."""

    def __init__(self, values: Values, name: str) -> None:
        import threading

        self._name, self._shown = name, sys.stderr.isatty() and not values.flag("quiet")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if not values.flag("quiet") and not self._shown:
            say(f"starting {name}")

    def __enter__(self) -> None:
        if self._shown:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._shown:
            self._thread.join()
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _run(self) -> None:
        seconds = 0
        while not self._done.wait(1 if seconds else 0.2):
            sys.stderr.write(f"\rstarting {self._name} … {seconds}s")
            sys.stderr.flush()
            seconds += 1


def settings_from(values: Values) -> dict[str, object]:
    """Fields of the request from the command line."""
    from llamaagent.generate.options import pairs, settings_of

    given: dict[str, object] = {
        name.replace("_", "-"): values.text(name) for name in _OPTIONS if values.text(name) is not None
    }
    if values.many("stop"):
        given["stop"] = list(values.many("stop"))
    file = values.text("grammar_file")
    if file is not None:
        if "grammar" in given:
            raise UsageError("--grammar and --grammar-file exclude each other")
        given["grammar"] = read_text(file)
    schema = values.text("schema")
    if schema is not None:
        given["json-schema"] = schema if schema.lstrip().startswith("{") else read_text(schema)
    return settings_of({**given, **pairs(values.many("option"))})


def words_of(values: Values, first: str) -> str | None:
    """What was typed, then the files, a blank line between; else standard input. None: nothing, on a terminal."""
    typed = values.text(first)
    parts = [] if typed is None else [read_text("-") if typed == "-" else typed]
    parts += [read_text(name) for name in values.many("file")]
    if parts:
        return "\n\n".join(parts)
    return None if sys.stdin.isatty() else read_text("-")


def read_text(name: str) -> str:
    """A file's text without its last line end; - is standard input. Raises BadInputError."""
    from llamaagent.base.errors import BadInputError

    try:
        data = sys.stdin.buffer.read(_LARGEST + 1) if name == "-" else _bytes(name)
    except OSError as error:
        raise BadInputError(f"{name}: {error.strerror}") from error
    shown = "standard input" if name == "-" else name
    if len(data) > _LARGEST:
        raise BadInputError(f"{shown} is larger than 64 MiB")
    try:
        return data.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{shown} is not UTF-8 text (byte {error.start})") from error


def images_of(values: Values) -> tuple[Image, ...]:
    """The images that were named. Raises BadInputError for what is none."""
    from mimetypes import guess_type

    from llamaagent.base.errors import BadInputError
    from llamaagent.generate.ask import Image

    made = []
    for name in values.many("image"):
        try:
            data = _bytes(name)
        except OSError as error:
            raise BadInputError(f"{name}: {error.strerror}") from error
        kind = guess_type(name)[0] or ""
        if not kind.startswith("image/"):
            raise BadInputError(f"{name} is not named like an image", hint="such as cat.png or cat.jpg")
        made.append(Image(data, kind))
    return tuple(made)


def _bytes(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read(_LARGEST + 1)
