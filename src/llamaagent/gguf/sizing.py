"""Context and layers for a given amount of GPU memory, from the header alone. Pure.

The order is llama.cpp's own: first the context gives way, down to 4096 tokens, then layers move to the machine's
memory. Unlike llama.cpp's fit it does not ask what happens to be free: the same profile gets the same server.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.gguf.memory import GPU, MIB, estimate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llamaagent.gguf.demand import Demand
    from llamaagent.gguf.header import Header
    from llamaagent.gguf.memory import Estimate

_STEP = 256  # tokens
LEAST_CONTEXT = 4096


class Sized(NamedTuple):
    """What fits. context: tokens over all slots; gpu_layers: the output counts as one; gpu_mib: what that takes."""

    context: int
    gpu_layers: int
    gpu_mib: float
    fits: bool = True


def size(
    headers: Sequence[Header],
    demand: Demand,
    files: Iterable[tuple[str, int]] = (),
    *,
    budget_mib: int | None = None,
    context_gives: bool = False,
    layers_give: bool = False,
) -> Sized | None:
    """The largest server that takes no more than the budget; None when the header lacks the numbers.

    budget_mib None: as the demand says. context_gives, layers_give: whether context and layers may be made smaller;
    where neither may, or both do not help, `fits` is False and the figures are those of the smallest.
    """
    held = tuple(files)

    def at(context: int | None, layers: int) -> Estimate | None:
        return estimate(headers, demand._replace(context=context, gpu_layers=layers), held)

    whole = at(demand.context, demand.gpu_layers)
    if whole is None:
        return None
    if budget_mib is None or _fits(whole, budget_mib):
        return _sized(whole, budget_mib)
    best, context = whole, demand.context
    if context_gives:
        most = whole.context // _STEP
        least = min(LEAST_CONTEXT // _STEP, most)

        def in_context(steps: int) -> Estimate | None:
            return at(steps * _STEP, demand.gpu_layers)

        best = _largest(in_context, least, most, budget_mib) or whole
        context = best.context
    if layers_give and not _fits(best, budget_mib):

        def in_layers(layers: int) -> Estimate | None:
            return at(context, layers)

        best = _largest(in_layers, 0, whole.gpu_layers, budget_mib) or best
    return _sized(best, budget_mib)


def _fits(found: Estimate, budget_mib: int) -> bool:
    return found.total(GPU) <= budget_mib * MIB


def _sized(found: Estimate, budget_mib: int | None) -> Sized:
    fits = budget_mib is None or _fits(found, budget_mib)
    return Sized(found.context, found.gpu_layers, found.total(GPU) / MIB, fits)


def _largest(
    asked: Callable[[int], Estimate | None], least: int, most: int, budget_mib: int
) -> Estimate | None:
    """The estimate of the largest number that fits, by halving; of `least` when none does."""
    best = asked(least)
    if best is None or not _fits(best, budget_mib):
        return best
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        found = asked(middle)
        if found is not None and _fits(found, budget_mib):
            best, low = found, middle
        else:
            high = middle - 1
    return best
