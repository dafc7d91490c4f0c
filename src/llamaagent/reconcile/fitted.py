"""The options by which a launch takes the memory that is reserved for it, and no more.

llama-server's own fit asks what is free at that moment, so that the same profile would become another server on
another day. Where the model's header can be read it is switched off, and context, layers and split are said. Where it
cannot (a model that is downloaded), the fit is told to leave everything but the reserved memory.
"""

from __future__ import annotations

import json
from math import ceil

from llamaagent.base.record import NamedTuple
from llamaagent.domain.cardoptions import for_cards

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.admission import Placement
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.cardgate import Reckoned
    from llamaagent.reconcile.context import Context

    Value = str | int | float | bool | tuple[str, ...]

_FIT, _TARGET = "--fit", "--fit-target"


class Fitting(NamedTuple):
    """A launch as it is told to be. words: what stands behind the options; estimated_mib: what that should take."""

    argv: tuple[str, ...]
    words: tuple[str, ...] = ()
    context: int | None = None
    gpu_layers: int | None = None
    tensor_split: str | None = None
    estimated_mib: int | None = None


def fitting(
    ctx: Context,
    profile: Profile,
    binary: str,
    placement: Placement,
    reckoned: Reckoned | None,
    gpus: GpuReading,
) -> Fitting:
    """The options of a launch; without a card, or of what is no llama-server, they are the profile's own."""
    if not placement.uuids or not profile.is_server:
        return Fitting(profile.argv)
    from llamaagent.config.argv import argv_of

    told = _told(ctx, profile, reckoned)
    offered = _offered(ctx, profile, binary)
    # A build that does not fit by itself needs nothing said, and may have other defaults.
    said = told.said if told is not None and (_FIT in offered or profile.arg("ctx-size") == "max") else {}
    args = for_cards(profile, placement, said)
    words: tuple[str, ...] = ()
    if told is not None and _FIT in offered:
        words = (_FIT, "off")
    elif _TARGET in offered and placement.memory_mib:
        words = (_TARGET, _targets(placement, gpus))
    split, context, layers = (dict(args).get(name) for name in ("tensor-split", "ctx-size", "gpu-layers"))
    return Fitting(
        argv_of(args),
        words,
        context if isinstance(context, int) else None,
        layers if isinstance(layers, int) else None,
        None if split is None else str(split),
        told.gpu_mib if told is not None else None,
    )


def fitting_of_running(
    ctx: Context, profile: Profile, binary: str, row: Instance, words: Sequence[str]
) -> Fitting:
    """The options that a launch would have on the cards that this row has. words: its command line, as stored."""
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.admission import Placement
    from llamaagent.reconcile.cardgate import Reckoned

    shares = {r.uuid: r.memory_mib or 0 for r in ctx.instances.reservations() if r.instance_id == row.id}
    uuids = tuple(uuid for uuid in json.loads(row.gpus or "[]") if uuid in shares)
    placement = Placement(uuids, max(shares.values(), default=0), shares=tuple(shares[u] for u in uuids))
    reckoned = Reckoned(profile.resources.gpu_memory_mib)
    told = fitting(ctx, profile, binary, placement, reckoned, GpuReading(available=True))
    if _TARGET in told.words and _TARGET in words[:-1]:  # what was free then is no difference
        return told._replace(words=(_TARGET, words[words.index(_TARGET) + 1]))
    return told


class _Told(NamedTuple):
    """Context, layers and split as far as the profile leaves them open, and the MiB that the whole makes."""

    said: dict[str, Value]
    gpu_mib: int


def _told(ctx: Context, profile: Profile, reckoned: Reckoned | None) -> _Told | None:
    """From a stored fit that keeps to what is declared, else from the header; None where neither says anything."""
    from llamaagent.reconcile.projecting import sized, stored_fit

    declared = reckoned.declared_mib if reckoned is not None else None
    fit = stored_fit(ctx, profile)
    if fit is not None and fit.gpu_mib and (declared is None or fit.gpu_mib <= declared):
        layers = fit.gpu_layers if fit.gpu_layers is not None and fit.gpu_layers >= 0 else None
        return _Told(_open(profile, fit.context, layers, fit.tensor_split), ceil(fit.gpu_mib))
    found = sized(profile, budget_mib=declared)
    if found is None:
        return None
    return _Told(_open(profile, found.context, found.gpu_layers, None), ceil(found.gpu_mib))


def _open(profile: Profile, context: int | None, layers: int | None, split: str | None) -> dict[str, Value]:
    given = dict(profile.args)
    said: dict[str, Value] = {}
    if context and given.get("ctx-size") in {None, 0, "max"} and "kv-unified-per-slot" not in given:
        said["ctx-size"] = context
    if layers is not None and given.get("gpu-layers") in {None, "auto"}:
        said["gpu-layers"] = layers
    if split and "tensor-split" not in given:
        said["tensor-split"] = split
    return said


def _targets(placement: Placement, gpus: GpuReading) -> str:
    """MiB to leave free on each card, so that only what is reserved is taken."""
    free = {card.uuid: card.memory_free_mib or 0 for card in gpus.cards}
    pairs = zip(placement.uuids, placement.shares, strict=True)
    return ",".join(str(max(0, free.get(uuid, 0) - share)) for uuid, share in pairs)


def _offered(ctx: Context, profile: Profile, binary: str) -> frozenset[str]:
    """Which of the options by which a fit is steered this very program has; asked of it once."""
    if profile.runtime.kind == "container":
        from llamaagent.reconcile.containergate import IMAGE, engine_for
        from llamaagent.reconcile.imagehelp import image_options

        known = image_options(ctx, profile, engine_for(ctx, profile), binary.removeprefix(IMAGE))
        return frozenset({_FIT, _TARGET}) & (known or frozenset())
    from llamaagent.launch.command import EMBEDDED, file_identity

    if binary == EMBEDDED:
        return frozenset({_FIT, _TARGET})
    key, identity = f"fit_options.{binary}", file_identity(binary)
    stored = ctx.samples.metadata(key)
    if stored is not None:
        known = json.loads(stored)
        if known[0] == identity:
            return frozenset(known[1])
    from llamaagent.launch.environ import plain_environment
    from llamaagent.launch.fitting import accepted

    names = accepted(binary, {**plain_environment(), **dict(ctx.settings.env)})
    found = frozenset({_FIT, _TARGET} & names) if names is not None else frozenset()
    if names is not None and not ctx.db.readonly("main"):
        with ctx.db:
            ctx.samples.set_metadata(key, json.dumps([identity, sorted(found)]), ctx.clock.now())
    return found
