"""What the doctor is given, and what it says."""

from __future__ import annotations

from typing import NamedTuple

from llamaagent.base.paths import HostPaths, Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.config.site import Site

ERROR = "error"  # something that is wanted cannot work
WARNING = "warning"  # it works, and may cost data, safety or sleep
INFO = "info"  # worth knowing
LEVELS = (ERROR, WARNING, INFO)


class Finding(NamedTuple):
    """One thing. subject: the profile, file or part that it is about; remedy: what to type or to change."""

    level: str
    subject: str
    what: str
    remedy: str | None = None


class Case(NamedTuple):
    """A site and its host. etc, dev, var, host: other folders in tests."""

    site: Site
    site_path: str  # real path of the settings file, empty when there is none
    site_id: str
    database: str
    places: Places
    environ: Mapping[str, str]
    clock: Clock
    host: HostPaths = HostPaths()
    etc: str = "/etc"
    dev: str = "/dev"
    var: str = "/var"
