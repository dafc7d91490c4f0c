"""What loading gives: the settings, this host's profiles, and all that was wrong or could not be read."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.config.files import FolderState
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.settings import Fault, Settings


class Site(NamedTuple):
    """One settings file with its profiles, as seen at one moment."""

    settings: Settings
    profiles: tuple[Profile, ...]  # valid ones for this host (for every host when portable), by name
    other_hosts: tuple[str, ...]  # names of valid profiles that run elsewhere
    faults: tuple[Fault, ...]
    folders: tuple[FolderState, ...]
    real_file: str | None  # the settings file with symbolic links resolved
    names_declared: tuple[str, ...]  # every name in any file, refused ones included where the name is known
    settings_ok: bool  # False: the settings themselves are wrong, so nothing may be started or stopped
    broken_files: tuple[
        str, ...
    ] = ()  # refused in whole or part: what they declared before may still be meant
    young_files: tuple[str, ...] = ()  # changed less than two seconds ago: someone may still be writing


def format_faults(site: Site) -> str:
    """One `file:line:col: severity: message` a line; empty when there is nothing to say."""
    return "\n".join(str(fault) for fault in site.faults)
