"""`catalog sync`: NGC's catalogue and OCI registries into the database."""

from __future__ import annotations

import os
import sys
from functools import partial

from llamaagent.base.errors import (
    BAD_INPUT,
    FINE,
    UNAVAILABLE,
    ConfigError,
    ServiceUnavailableError,
    UsageError,
)
from llamaagent.catalog.answers import Answers, Policy
from llamaagent.catalog.client import Client
from llamaagent.catalog.local import held, local_digests
from llamaagent.catalog.reference import open_to_plain, registry_name
from llamaagent.catalog.sync import Sync
from llamaagent.catalog.sync import run as run_sync
from llamaagent.cli.catalogwanted import Places, wanted
from llamaagent.cli.output import clean, emit, say
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import claim, database, engines_of_host, load
from llamaagent.store.catalog import CatalogStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.catalog.sync import Outcome
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values

_COLUMNS = ("target", "images", "versions", "new", "changed", "gone", "error")
_JOBS, _MOST_JOBS = 8, 32


def run(values: Values) -> int:
    """Ask, store, tell; 69 when a registry could not be reached, 65 when one answered nonsense."""
    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    settings = opened.site.settings.catalog
    places = Places(settings, allow=values.flag("insecure"))
    jobs = _JOBS if values.number("jobs") is None else values.number("jobs") or 0
    if not 1 <= jobs <= _MOST_JOBS:
        raise UsageError(f"--jobs takes 1 to {_MOST_JOBS}")
    bar = _Bar(shown=sys.stderr.isatty() and not values.flag("quiet"))
    with database(opened, write=True) as db:
        if opened.site_path:
            claim(db, opened)
        store = CatalogStore(db)
        todo = wanted(values, opened, places, store)
        if not open_to_plain(settings.ngc_api, places.insecure):
            raise ConfigError(
                "catalog.ngc_api would be asked over plain http", hint="catalog.insecure names hosts"
            )
        client = Client(opened.clock, _credentials(opened), places.insecure)
        answers = Answers(client, store, _policy(values, opened))
        sync = Sync(store, answers, settings.ngc_api, places.registry_of, jobs=jobs, show=bar.show)
        outcomes = []
        try:
            for outcome in run_sync(sync, store, todo):
                bar.end()
                outcomes.append(outcome)
        finally:
            client.stop.set()
            bar.end()
        _mark(values, store)
    rows = [
        {**one._asdict(), "error": None if one.error is None else clean(str(one.error))} for one in outcomes
    ]
    emit(values, rows, _COLUMNS, shown=_COLUMNS[:-1], empty="nothing to do")
    return _tell(values, outcomes, answers)


def _policy(values: Values, opened: Opened) -> Policy:
    if values.flag("refresh") and values.flag("offline"):
        raise UsageError("--refresh and --offline exclude each other")
    lasts = opened.site.settings.catalog.expires_s
    return Policy(opened.clock.now(), lasts, values.flag("refresh"), values.flag("offline"))


def _credentials(opened: Opened) -> Callable[[str], str | None]:
    """A host's secret, read when a host asks for one: the references stand in the settings."""
    references = {host: (kind, name) for host, kind, name in opened.site.settings.catalog.tokens}

    def secret_of(host: str) -> str | None:
        found = references.get(host) or references.get(registry_name(host))
        if found is None:
            return None
        from llamaagent.domain.profile import SecretRef
        from llamaagent.launch.environ import read_env_file, resolve_secret

        path = opened.site.settings.env_file
        return resolve_secret(SecretRef(*found), os.environ, read_env_file(path) if path is not None else {})

    return secret_of


def _mark(values: Values, store: CatalogStore) -> None:
    """Note which versions the container engine here holds; without one nothing is changed."""
    try:
        here = held(partial(local_digests, engines_of_host()()), os.uname().machine)
    except ServiceUnavailableError as error:
        if not values.flag("quiet"):
            say(clean(f"which images are here already is not known: {error}"))
        return
    store.mark(
        {row: now for row, image, version, was in store.marks() if (now := here.has(image, version)) != was}
    )


def _tell(values: Values, outcomes: list[Outcome], answers: Answers) -> int:
    """The sum for people, and the exit code."""
    quiet, offline = values.flag("quiet"), answers.policy.offline
    if not quiet:
        totals = [
            sum(getattr(one, field) for one in outcomes) for field in ("versions", "new", "changed", "gone")
        ]
        say(
            "versions: {}, of them new: {}, changed: {}; gone: {}; ".format(*totals)
            + f"requests: {answers.client.requests}, answers from before: {answers.cached}"
        )
        if offline:
            say("offline: nobody was asked")
    for reason in sorted(answers.stale):
        say(clean(f"{reason}; answers kept from before were used"))
    for one in outcomes:
        if one.error is not None:
            hint = f" (try: {one.error.hint})" if one.error.hint else ""
            say(clean(f"{one.target}: {one.error}{hint}"))
    codes = {one.error.exit_code for one in outcomes if one.error is not None}
    if answers.stale or UNAVAILABLE in codes:
        return UNAVAILABLE
    return BAD_INPUT if codes else FINE


class _Bar:
    """How far it is, on a terminal."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown

    def show(self, done: int, total: int, text: str) -> None:
        """Draw it anew."""
        if not self._shown:
            return
        share = min(1.0, done / total) if total else 1.0
        line = f"{clean(text)[-40:]} {100 * share:3.0f}% [{'#' * int(20 * share):<20}] {done}/{total}"
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line empty."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
