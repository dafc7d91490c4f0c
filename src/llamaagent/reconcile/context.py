"""What one pass is given: the declared, the database, the clock and the borders to the host."""

from __future__ import annotations

from llamaagent.base.paths import HostPaths, Places
from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.config.site import Site
    from llamaagent.domain.settings import Settings
    from llamaagent.engine.engines import Engines
    from llamaagent.store.instances import InstanceStore
    from llamaagent.store.journal import Journal
    from llamaagent.store.samples import SampleStore
    from llamaagent.store.types import Connection
    from llamaagent.store.wishes import WishStore


def no_engines() -> Engines:
    """Of a host where none is looked for."""
    from llamaagent.engine.engines import Engines

    return Engines({}, home="/nonexistent", uid=0)


def nothing(_step: str) -> None:
    """The checkpoint of every day: go on."""


class Context(NamedTuple):
    """One pass's surroundings. checkpoint: called at each step of a launch; tests end the process there."""

    settings: Settings
    site: Site
    site_id: str
    db: Connection
    instances: InstanceStore
    journal: Journal
    samples: SampleStore
    wishes: WishStore
    clock: Clock
    places: Places
    environ: Mapping[str, str]
    read_gpus: Callable[[], GpuReading]
    host: HostPaths = HostPaths()
    only: frozenset[str] | None = None  # act for these profiles alone
    evicts: bool = False  # of others only those that make way for them, because an operator asked
    approved: bool = False  # retirements beyond the guard
    counting: bool = True  # failed probes count: not in the passes of someone who only waits
    checkpoint: Callable[[str], None] = nothing
    engines: Callable[[], Engines] = no_engines  # asked for only where there is something about a container

    def chosen(self, profile: str) -> bool:
        """Whether this pass acts for the profile."""
        return self.only is None or profile in self.only

    def may_evict(self, profile: str) -> bool:
        """Whether this pass may stop the profile to make room."""
        return self.evicts or self.chosen(profile)


class Borders(NamedTuple):
    """What only some actions need to know, asked once a pass and only then."""

    gpus: Callable[[], GpuReading]
    git: Callable[[], tuple[str | None, int | None]]
