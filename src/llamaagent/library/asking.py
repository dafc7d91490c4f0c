"""`llamaagent.complete()`, `chat()`, `LLM`: generations for programs, over one store for all or over several.

The answer comes whatever becomes of the database. What does raise: a wrong argument (UsageError), and a server that
does not run, refuses or does not answer in time, as everywhere.
"""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.base.clock import SystemClock
from llamaagent.generate.ask import Ask, Image
from llamaagent.generate.options import settings_of
from llamaagent.library.generating import Asker, Rules
from llamaagent.library.opening import open_store
from llamaagent.library.source import Known, choose, read_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llamaagent.generate.answer import Answer
    from llamaagent.library.store import Store

    Span = timedelta | float  # seconds

_MIB = 1 << 20


class _Configured(NamedTuple):
    """What `configure_db` was told. cache: None = as the settings say."""

    path: str | None = None
    enabled: bool = True
    cache: bool | None = None
    ttl_s: int | None = None
    ttl_given: bool = False
    max_bytes: int | None = None
    log_level: str | None = None


class _Program:
    """The store and the site of this program, each found when it is first needed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.configured = _Configured()
        self._store: Store | None = None
        self._known: Known | None = None

    def configure(self, configured: _Configured) -> None:
        with self.lock:
            store, self._store, self._known = self._store, None, None
            self.configured = configured
        if store is not None:
            store.close()

    def known(self) -> Known:
        with self.lock:
            if self._known is None:
                self._known = read_known(os.environ, os.getcwd(), SystemClock().now())
            return self._known

    def store(self) -> Store:
        with self.lock:
            if self._store is None:
                given, settings = self.configured, self.known().settings
                path = given.path or settings.database
                self._store = open_store(path, given.enabled, log_level=given.log_level)
                self._store.cache.max_bytes = given.max_bytes or settings.cache_max_size_bytes
            return self._store


_PROGRAM = _Program()


def configure_db(
    path: str | os.PathLike[str] | None = None,
    enabled: bool = True,
    *,
    cache: bool | None = None,
    cache_ttl: Span | str | None = "",
    max_cache_size_mb: float | None = None,
    log_level: str | None = None,
) -> Store:
    """Choose the database of this program and how its answers are cached; gives the store.

    path: default as for `open_store`, or what the settings here say. cache: whether askings use the response cache;
    default: yes when cache_ttl or max_cache_size_mb is given, else as the settings say. cache_ttl: how long answers are
    kept, None = for ever. max_cache_size_mb: in MiB. Stores handed out before are closed.
    """
    ttl_given = not isinstance(cache_ttl, str)
    if cache is None and (ttl_given or max_cache_size_mb is not None):
        cache = True
    configured = _Configured(
        None if path is None else os.path.abspath(os.path.expanduser(os.fspath(path))),
        enabled,
        cache,
        None if isinstance(cache_ttl, str) else span_s(cache_ttl),
        ttl_given,
        None if max_cache_size_mb is None else int(max_cache_size_mb * _MIB),
        log_level,
    )
    _PROGRAM.configure(configured)
    return _PROGRAM.store()


def get_db() -> Store:
    """The store of this program."""
    return _PROGRAM.store()


def span_s(span: Span | None) -> int | None:
    """A length of time in whole seconds; None = for ever."""
    if span is None:
        return None
    return int(span.total_seconds() if isinstance(span, timedelta) else span)


class LLM:
    r"""A model to be asked, by the name of its profile: `LLM("qwen")("Once upon a time")`.

    name: None means the only one that runs. db: a store of its own instead of the program's. The options given here are
    the defaults of every call: cache, ttl, single_flight, session, timeout_s, and options of a generation by
    llama-server's names (`temp=0.2, n_predict=64, stop=["\n"], schema={...}`). May be called from any thread.
    """

    def __init__(self, name: str | None = None, *, db: Store | None = None, **defaults: Any) -> None:
        self.name, self._db = name, db
        self._defaults = defaults
        _split(defaults)

    def __repr__(self) -> str:
        return f"<llamaagent LLM {self.name or '(the one that runs)'}>"

    def __call__(self, prompt: str, **options: Any) -> Answer:
        """Continue a text; options as for `complete`."""
        return self.complete(prompt, **options)

    def complete(self, prompt: str, **options: Any) -> Answer:
        """Continue a text; options as for the function `complete`."""
        return self._ask(prompt, None, options)

    def chat(self, messages: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """Answer a conversation; options as for the function `chat`."""
        system = options.pop("system", None)
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        first = [{"role": "system", "content": str(system)}] if system else []
        return self._ask("", (*first, *said), options)

    def embed(self, texts: str | Sequence[str], **options: Any) -> list[list[float]]:
        """A vector for each text."""
        given = [texts] if isinstance(texts, str) else list(texts)
        asker, rules = self._asker(), self._rules(_split({**self._defaults, **options})[0])
        return asker.embed(self._named(asker), given, rules)

    def history(self, limit: int = 100, **options: Any) -> list[dict[str, Any]]:
        """What was generated, newest first, as the function `history` gives it."""
        return history(limit, model=self.name, db=self._db, **options)

    def with_defaults(self, **defaults: Any) -> LLM:
        """The same model with other defaults."""
        return LLM(self.name, db=self._db, **{**self._defaults, **defaults})

    def _ask(
        self, prompt: str, messages: tuple[Mapping[str, Any], ...] | None, options: dict[str, Any]
    ) -> Answer:
        rules, more, settings = _split({**self._defaults, **options})
        asker = self._asker()
        images = tuple(_image(image) for image in more.get("images") or ())
        ask = Ask(prompt, messages, settings_of(settings), images, int(more.get("n") or 1))
        return asker.ask(self._named(asker), ask, self._rules(rules), more.get("on_text"))

    def _asker(self) -> Asker:
        store = self._db if self._db is not None else _PROGRAM.store()
        return Asker(store, _PROGRAM.known(), SystemClock(), os.environ)

    def _named(self, asker: Asker) -> str:
        return choose(self.name, asker.store.link, asker.known)

    def _rules(self, given: dict[str, Any]) -> Rules:
        configured, settings = _PROGRAM.configured, _PROGRAM.known().settings
        cache = given.get("cache")
        if cache is None:
            cache = settings.cache_enabled if configured.cache is None else configured.cache
        ttl_s = configured.ttl_s if configured.ttl_given else settings.cache_ttl_s
        session = given.get("session") or os.environ.get("LLAMAAGENT_SESSION") or None
        return Rules(
            bool(cache),
            span_s(given["ttl"]) if "ttl" in given else ttl_s,
            bool(given.get("single_flight")),
            None if session is None else str(session),
            float(given.get("timeout_s") or 600.0),
            settings.cache_model_identity,
        )


_RULES = frozenset({"cache", "ttl", "single_flight", "session", "timeout_s"})
_MORE = frozenset({"images", "n", "on_text"})


def _split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """How it is treated, what else is asked, and options of the generation. Raises UsageError for one that is none."""
    rules = {name: value for name, value in options.items() if name in _RULES}
    more = {name: value for name, value in options.items() if name in _MORE}
    rest = {name: value for name, value in options.items() if name not in _RULES | _MORE}
    settings_of(rest)
    return rules, more, rest


def _image(image: bytes | str | os.PathLike[str] | Image) -> Image:
    if isinstance(image, Image):
        return image
    if isinstance(image, bytes):
        return Image(image, "image/jpeg" if image[:2] == b"\xff\xd8" else "image/png")
    from mimetypes import guess_type

    path = os.fspath(image)
    with open(path, "rb") as file:
        return Image(file.read(), guess_type(path)[0] or "image/png")


def complete(prompt: str, model: str | None = None, *, db: Store | None = None, **options: Any) -> Answer:
    """Let a model continue a text.

    model: a profile; None = the only one that runs. options: `cache`, `ttl`, `single_flight`, `session`, `timeout_s`,
    `images` (paths or bytes), `n`, `on_text` (told each piece as it comes), and options of the generation by
    llama-server's names. Raises as `Asker.ask`.
    """
    return LLM(model, db=db).complete(prompt, **options)


def chat(
    messages: str | Sequence[Mapping[str, Any]],
    model: str | None = None,
    *,
    db: Store | None = None,
    **options: Any,
) -> Answer:
    """Let a model answer: a text, or messages with `role` and `content`. options: as for `complete`, and `system`."""
    return LLM(model, db=db).chat(messages, **options)


def history(
    limit: int = 100, *, model: str | None = None, db: Store | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Generations, newest first, a flat dict each, as `pandas.DataFrame` takes them.

    options: `since`, `offset` and `before` of `store.stats.get_history`. `gpus` is text, `cache_hit` a truth.
    """
    store = db if db is not None else _PROGRAM.store()
    rows = store.stats.get_history(limit, model=model, **options)
    for row in rows:
        row["gpus"] = ",".join(row["gpus"]) if isinstance(row["gpus"], list) else row["gpus"]
        row["cache_hit"] = bool(row["cache_hit"])
    return rows
