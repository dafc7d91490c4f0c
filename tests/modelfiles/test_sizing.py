"""Context and layers for so much memory: never more than that, as much as there is of it, the same every day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sparse_models import Shape, write_sparse

from llamaagent.gguf.demand import demand_of
from llamaagent.gguf.header import open_header
from llamaagent.gguf.memory import GPU, MIB, estimate
from llamaagent.gguf.sizing import LEAST_CONTEXT, size

if TYPE_CHECKING:
    from llamaagent.gguf.header import Header

FULL = 32768


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Header:
    path = tmp_path_factory.mktemp("sizing") / "m.gguf"
    return open_header(str(write_sparse(path, Shape(context=FULL))))[0]


def whole_mib(header: Header, **args: object) -> float:
    found = estimate([header], demand_of(args.items(), on_gpu=True))  # type: ignore[arg-type]
    assert found is not None
    return found.total(GPU) / MIB


def test_without_a_budget_it_is_what_the_profile_says(header: Header) -> None:
    found = size([header], demand_of([], on_gpu=True))
    assert found is not None
    assert (found.context, found.gpu_layers, found.fits) == (FULL, 9, True)
    assert found.gpu_mib == whole_mib(header)


@settings(max_examples=60, deadline=None)
@given(some.integers(1, 3000))
def test_it_takes_no_more_than_the_budget_and_a_step_more_would_not_fit(header: Header, budget: int) -> None:
    demand = demand_of([], on_gpu=True)
    found = size([header], demand, budget_mib=budget, context_gives=True, layers_give=True)
    assert found is not None
    if found.gpu_layers:
        assert found.fits
    assert not found.fits or found.gpu_mib <= budget
    if found.context < FULL and found.gpu_layers == 9:
        more = estimate([header], demand._replace(context=found.context + 256))
        assert more is not None
        assert more.total(GPU) > budget * MIB
    if found.gpu_layers < 9:  # layers leave only when the context has given all it may
        assert found.context == LEAST_CONTEXT
        more = estimate([header], demand._replace(context=LEAST_CONTEXT, gpu_layers=found.gpu_layers + 1))
        assert more is not None
        assert more.total(GPU) > budget * MIB


def test_what_the_profile_says_does_not_give_way(header: Header) -> None:
    args = [("ctx-size", 16384), ("gpu-layers", 9)]
    found = size([header], demand_of(args, on_gpu=True), budget_mib=10)
    assert found is not None
    assert (found.context, found.gpu_layers, found.fits) == (16384, 9, False)
