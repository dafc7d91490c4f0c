"""The way in: settings and profiles of a site, read anew or as remembered from the last time.

Importing this costs little; PyYAML and the catalogue of options are imported when a file must be parsed.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.config.files import Places, is_young
from llamaagent.config.site import Site, format_faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.config.node import Faults
    from llamaagent.config.profiles import LoadedProfiles
    from llamaagent.config.settings import LoadedSettings

__all__ = [
    "Asking",
    "EffectiveValue",
    "Site",
    "effective_profile",
    "format_faults",
    "load_site",
    "load_site_cached",
]


class Asking(NamedTuple):
    """How loading learns what a server program offers: answers from outside, since nothing is run here."""

    # (path of a program, variables of the settings) -> what it prints for --help; None: no answer
    help_of: Callable[[str, Mapping[str, str]], str | None]
    embedded: Callable[[], Collection[str]]  # the spellings that the embedded server knows, with dashes
    cache_dir: str  # where answers are kept


class EffectiveValue(NamedTuple):
    """One value of a merged profile; value is canonical JSON's value, origin says who set it."""

    key: str
    value: object
    origin: str


def load_site(
    *,
    config: str | None,
    profiles: tuple[str, ...],
    environ: Mapping[str, str],
    cwd: str,
    now: int,
    portable: bool = False,
    host: str | None = None,
    asking: Asking | None = None,
) -> Site:
    """Read settings and profiles.

    config: the settings file, None = search. profiles: folders and files instead of those in the settings,
    relative to cwd. now: Unix seconds. portable: this host's overlay and `hosts:` are ignored.
    asking: options are checked against the program that will run them; None = against the bundled catalogue.
    Never raises for what stands in a file: see `Site.faults`.
    """
    return read_site(Places(environ, cwd), config, profiles, now, portable, host, asking)


def load_site_cached(
    *,
    config: str | None,
    profiles: tuple[str, ...],
    environ: Mapping[str, str],
    cwd: str,
    cache_dir: str,
    clock: Clock,
    portable: bool = False,
    host: str | None = None,
    asking: Asking | None = None,
) -> Site:
    """As `load_site`, but nothing is parsed while every file is as it was. cache_dir: made when missing."""
    from llamaagent.config import remember

    key = remember.key_of(config, profiles, environ, cwd, portable, host)
    now = clock.now()
    site = remember.recall(cache_dir, key, now)
    if site is None:
        places = Places(environ, cwd)
        site = read_site(places, config, profiles, now, portable, host, asking)
        remember.keep(cache_dir, key, site, places)
    return site


def read_site(
    places: Places,
    config: str | None,
    profiles: tuple[str, ...],
    now: int,
    portable: bool,
    host: str | None,
    asking: Asking | None = None,
) -> Site:
    """Parse everything; `places` afterwards knows every path that the result depends on."""
    from llamaagent.config.node import Faults
    from llamaagent.config.profiles import applies

    faults = Faults()
    site, found = _parse(places, config, profiles, portable, host, asking, faults)
    settings = site.settings
    valid = sorted(
        (one.profile for one in found.declared if one.profile is not None), key=lambda profile: profile.name
    )
    here = [profile for profile in valid if portable or applies(profile.hosts, settings.host)]
    names = {profile.name for profile in here}
    return Site(
        settings=settings,
        profiles=tuple(here),
        other_hosts=tuple(sorted({profile.name for profile in valid} - names)),
        faults=faults.all(),
        folders=found.folders,
        real_file=os.path.realpath(settings.file) if settings.file else None,
        names_declared=tuple(sorted({one.name for one in found.declared if one.name is not None})),
        settings_ok=site.ok,
        broken_files=found.broken_files,
        young_files=tuple(sorted(path for path, sign in places.signatures.items() if is_young(sign, now))),
    )


def effective_profile(
    name: str,
    *,
    config: str | None,
    profiles: tuple[str, ...],
    environ: Mapping[str, str],
    cwd: str,
    host: str | None = None,
    asking: Asking | None = None,
) -> tuple[EffectiveValue, ...]:
    """Every value of one profile with its origin, by dotted key.

    The origin is `FILE:LINE`, with `settings` or `base` before it where it was inherited, or `default`.
    Empty when no valid profile has this name. Always parses.
    """
    from llamaagent.config.effective import values_of
    from llamaagent.config.node import Faults

    _, found = _parse(Places(environ, cwd), config, profiles, False, host, asking, Faults())
    for one in found.declared:
        if one.name == name and one.profile is not None and one.node is not None:
            return tuple(EffectiveValue(*row) for row in values_of(one.node, one.profile.document))
    return ()


def _parse(
    places: Places,
    config: str | None,
    profiles: tuple[str, ...],
    portable: bool,
    host: str | None,
    asking: Asking | None,
    faults: Faults,
) -> tuple[LoadedSettings, LoadedProfiles]:
    from llamaagent.config.offered import Offered
    from llamaagent.config.profiles import load_profiles
    from llamaagent.config.settings import load_settings

    offered = Offered(places, None if portable else asking)
    places.portable = portable
    site = load_settings(config, host, places, offered, faults)
    places.model_directories = site.settings.model_directories
    here = os.path.join(places.cwd, ".")
    paths = [places.absolute(path, here) for path in profiles] or list(site.settings.profiles)
    return site, load_profiles(paths, site, places, offered, faults)
