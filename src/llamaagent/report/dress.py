"""How a site looks: style sheet, logo, chart definitions, ours or the user's, and a mark that changes with them."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from llamaagent import __version__
from llamaagent.base.errors import ConfigError
from llamaagent.report.definitions import Definitions, read_definitions
from llamaagent.report.folder import site_folder
from llamaagent.report.html import Look
from llamaagent.report.paths import read_site_file
from llamaagent.report.sections import find_sections
from llamaagent.report.sources import check_pages
from llamaagent.report.times import local

if TYPE_CHECKING:
    import datetime as dt

    from llamaagent.report.choices import Choices
    from llamaagent.report.model import Report
    from llamaagent.report.publish import Site

LOGOS = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
         ".webp": "image/webp", ".gif": "image/gif"}  # fmt: skip
_LARGEST_LOGO = 1 << 20


def choose_look(site: Site, choices: Choices, cache_directory: str | None) -> Look:
    """Stage style sheet and logo, and say where they are. Raises ConfigError for a logo that is none."""
    style = read_site_file("style.css", choices.templates).encode()
    style_path = f"assets/style-{_digest(style)}.css"
    site.add_asset(style_path, style)
    logo = None
    if choices.logo is not None:
        content, ending = read_logo(choices.logo)
        logo = f"assets/logo-{_digest(content)}{ending}"
        site.add_asset(logo, content)
    return Look(style_path, logo, choices.links, choices.sections, choices.templates, cache_directory)


def read_logo(path: str) -> tuple[bytes, str]:
    """(content, ending) of a picture. Raises ConfigError naming the settings' key."""
    ending = os.path.splitext(path)[1].lower()
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_LOGO + 1)
    except OSError as error:
        raise ConfigError(f"reports.logo: {path} cannot be read: {error.strerror}") from error
    if ending not in LOGOS or len(content) > _LARGEST_LOGO:
        endings = ", ".join(LOGOS)
        raise ConfigError(f"reports.logo: {path} is not a picture ({endings}) of at most 1 MiB")
    return content, ending


def read_chart_definitions(templates: str | None, cache_directory: str | None = None) -> Definitions:
    """Our charts.toml, and what the user's adds to it. Raises ConfigError over the user's."""
    ours = read_definitions(read_site_file("charts.toml"), cache_directory=cache_directory)
    if templates is None or not os.path.isfile(os.path.join(templates, "charts.toml")):
        return ours
    path = os.path.join(templates, "charts.toml")
    own = read_definitions(read_site_file("charts.toml", templates), path, cache_directory, own=True)
    check_pages(own, (spec.key for spec in find_sections(templates, None)), path)
    return Definitions(ours.sources + own.sources, ours.charts + own.charts)


def template_mark(look: Look, title: str, zone: dt.tzinfo, report: Report, sections: list[str]) -> str:
    """What a page of a longer span looks like beside its figures: the mark changes when it would look otherwise."""
    files = []
    for folder in filter(None, (site_folder(), look.templates)):
        for name in sorted(os.listdir(folder)):
            stat = os.stat(os.path.join(folder, name))
            files.append((name, stat.st_size, stat.st_mtime_ns))
    cards = [(gpu.row.uuid, gpu.row.idx, gpu.row.name) for gpu in report.gpus]
    year = local(report.now, zone).year  # a date of another year is written with it
    text = repr((__version__, look._replace(cache_directory=None), title, str(zone), files, cards, sections, year,
                 report.periods))  # fmt: skip
    return _digest(text.encode("utf-8", "replace"))


def _digest(content: bytes) -> str:
    """Length and checksum: a real digest would load OpenSSL, and nobody gains anything by forging this."""
    return f"{len(content):x}-{zlib.crc32(content):08x}"
