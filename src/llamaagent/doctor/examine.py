"""All examinations, in the order in which a person would make them."""

from __future__ import annotations

from llamaagent.base.errors import LlamaAgentError
from llamaagent.doctor import alike, host, lockfiles, running, site, storage, times, units, unmeasured
from llamaagent.doctor.finding import LEVELS, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llamaagent.doctor.finding import Case

EXAMINATIONS: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    host.packages,
    host.sqlite,
    site.faults,
    site.binaries,
    site.engines,
    site.models,
    site.secrets,
    site.exposed,
    alike.programs,
    alike.variables,
    alike.writable,
    storage.database,
    storage.folders,
    storage.disks,
    storage.logs,
    lockfiles.locks,
    running.ports,
    running.strays,
    running.passes,
    unmeasured.metrics,
    times.spacing,
    times.clock,
    times.zones,
    units.units,
    units.sessions,
    units.ulimits,
    units.memory,
    host.cards,
    host.config_ini,
    host.variables,
    site.git,
)


def examine(case: Case) -> tuple[Finding, ...]:
    """Everything found, worst first. An examination that cannot be made is a finding itself."""
    found: dict[Finding, None] = {}
    for look in EXAMINATIONS:
        try:
            found |= dict.fromkeys(look(case))
        except (LlamaAgentError, OSError) as error:
            hint = error.hint if isinstance(error, LlamaAgentError) else None
            found[Finding(WARNING, look.__name__, f"this could not be looked at: {error}", hint)] = None
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))
