"""Where each page and picture lies within a site."""

from __future__ import annotations

import os
import re

from llamaagent.base.errors import ConfigError, InstallError
from llamaagent.report.folder import site_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.report.model import LongPage
    from llamaagent.report.rows import GpuRow

_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def read_site_file(name: str, templates: str | None = None) -> str:
    """Read a file such as `style.css`, the user's own if there is one. Raises ConfigError over theirs, InstallError."""
    own = os.path.join(templates, name) if templates else ""
    path = own if own and os.path.isfile(own) else os.path.join(site_folder(), name)
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        kind = ConfigError if path == own else InstallError
        raise kind(f"{path} cannot be read: {reason}") from error


def page_path(profile: str) -> str:
    """The page of a profile, relative to the site; a name that is no plain file name gets a hash instead."""
    return f"profiles/{_safe(profile)}.html"


def card_path(gpu: GpuRow) -> str:
    """The page of a card: by its number, else by its identity."""
    return f"gpus/{gpu.idx if gpu.idx is not None else _safe(gpu.uuid)}.html"


def long_path(page: LongPage, cards: dict[str, str]) -> str:
    """The page of a week and longer. cards: the page of each card by its identity."""
    if page.kind == "profile":
        return f"{page.period.key}/{page_path(page.subject)}"
    return f"{page.period.key}/{cards[page.subject] if page.kind == 'gpu' else page.kind + '.html'}"


def picture_stem(kind: str, subject: str, slug: str, period: str) -> str:
    """A chart's files without their endings (`.png`, `@2x.png`, `.csv`); they stay the same, so wikis can use them."""
    return f"{picture_folder(kind, subject)}/{_safe(slug)}-{period}"


def picture_folder(kind: str, subject: str) -> str:
    """Where all pictures of one subject lie."""
    if kind == "gpu":
        return f"charts/gpu-{_safe(subject.lower().removeprefix('gpu-'))}"
    return f"charts/{kind}-{_safe(subject)}" if subject else f"charts/{kind}"


def _safe(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    import hashlib  # seldom needed, and dear to load

    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.")[:40]
    return f"{plain}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}".lstrip("-")
