"""What admission counts with: a stored fit of the same file and options, else the header, else the file's size."""

from __future__ import annotations

import json
import os
import shutil
from math import ceil
from typing import TYPE_CHECKING

import pytest
from test_gpu_chain import HEADROOM, Box, Cards

from llamaagent.domain import instance as st
from llamaagent.domain.profile import ModelRef
from llamaagent.domain.projection import FIT_PARAMS, Projection
from llamaagent.gguf.demand import demand_of
from llamaagent.gguf.find import look_at
from llamaagent.gguf.header import open_header
from llamaagent.gguf.memory import GPU, MIB, estimate
from llamaagent.launch.process import bury
from llamaagent.reconcile.projecting import parameters_of
from llamaagent.store.fits import FitStore
from system.scratch_site import PORTS_PER_SITE, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARGS = {"ctx-size": 1024}


@pytest.fixture
def box(tmp_path: Path, fake_server: str, tiny_model: str) -> Iterator[Box]:
    """A site with a real model and one large card."""
    shutil.copy(tiny_model, tmp_path / "model.gguf")
    base = 12400 + os.getpid() % 20 * PORTS_PER_SITE
    site = Site(tmp_path, (base, base + PORTS_PER_SITE - 1), fake_server, str(tmp_path / "model.gguf"))
    site.settings(headroom={"gpu_memory": f"{HEADROOM}MiB"})
    yield Box(site, Cards(aaaa=3000))
    site.stop_all()
    bury()


def by_header(box: Box, args: dict[str, int]) -> int:
    header, _ = open_header(box.site.model)
    found = estimate([header], demand_of(args.items(), on_gpu=True))
    assert found is not None
    return ceil(found.total(GPU) / MIB)


def store_fit(box: Box, gpu_mib: float | None, **changed: object) -> None:
    """What `fit alpha` would have stored."""
    with box.context() as ctx:
        (profile,) = (one for one in ctx.site.profiles if one.name == "alpha")
        file = look_at(box.site.model)
        found = Projection(FIT_PARAMS, parameters_of(profile, cards=True), file.size_bytes, file.mtime_ns, 1)
        FitStore(ctx.db).keep("alpha", found._replace(gpu_mib=gpu_mib, **changed), 1000)  # type: ignore[arg-type]


def declare_only(box: Box) -> None:
    """A pass in which it waits for room."""
    size = box.cards.sizes.pop("GPU-aaaa")
    box.cards.sizes["GPU-aaaa"] = 1
    box.once()
    assert box.row("alpha")["reason"] == "gpu-memory"
    box.cards.sizes["GPU-aaaa"] = size


def test_the_header_speaks_where_nobody_else_does(box: Box) -> None:
    box.profile("alpha", None, args=ARGS)
    box.until(alpha=st.RUNNING)
    wanted = by_header(box, ARGS)
    assert box.reserved() == {"alpha": {"GPU-aaaa": wanted}}
    row = box.row("alpha")
    assert (row["gpu_memory_declared_mib"], row["gpu_memory_estimated_mib"]) == (None, wanted)
    started = box.site.one("SELECT arithmetic FROM decisions WHERE profile = 'alpha' AND action = 'start'")
    assert f'"header_estimate_mib":{wanted}' in str(started["arithmetic"]).replace(" ", "")


def test_both_figures_are_shown_and_the_declared_one_is_reserved(box: Box) -> None:
    box.profile("alpha", 700, args=ARGS)
    box.until(alpha=st.RUNNING)
    row = box.row("alpha")
    assert (row["gpu_memory_declared_mib"], row["gpu_memory_estimated_mib"]) == (700, by_header(box, ARGS))
    assert box.reserved() == {"alpha": {"GPU-aaaa": 700}}


def test_a_stored_fit_of_this_file_and_these_options_counts(box: Box) -> None:
    box.profile("alpha", None, args=ARGS)
    declare_only(box)
    store_fit(box, 1234.5)
    box.until(alpha=st.RUNNING)
    assert box.reserved() == {"alpha": {"GPU-aaaa": 1235}}
    started = box.site.one("SELECT arithmetic FROM decisions WHERE profile = 'alpha' AND action = 'start'")
    assert '"fit_params_mib":1235' in str(started["arithmetic"]).replace(" ", "")
    assert box.site.one("SELECT source FROM v_model_fit")["source"] == "fit-params"


@pytest.mark.parametrize("change", ["file", "options", "tool without cards", "failed"])
def test_one_of_another_file_or_other_options_does_not(box: Box, change: str) -> None:
    box.profile("alpha", None, args=ARGS)
    declare_only(box)
    store_fit(box, {"tool without cards": 0.0, "failed": None}.get(change, 1234.5))
    args = ARGS
    if change == "file":
        os.utime(box.site.model, ns=(0, 10**18))
    elif change == "options":
        args = {"ctx-size": 2048}
        box.profile("alpha", None, args=args)
    box.until(alpha=st.RUNNING)
    assert box.reserved() == {"alpha": {"GPU-aaaa": by_header(box, args)}}
    kept = box.site.one("SELECT source FROM v_model_fit")["source"]
    assert kept == ("estimate" if change in {"file", "options"} else "fit-params")


def test_another_temperature_asks_for_no_new_fit(box: Box) -> None:
    box.profile("alpha", None, args=ARGS)
    declare_only(box)
    store_fit(box, 1234.5)
    box.profile("alpha", None, args={**ARGS, "temp": 0.3})
    box.until(alpha=st.RUNNING)
    assert box.reserved() == {"alpha": {"GPU-aaaa": 1235}}


def test_what_is_no_model_counts_with_its_size(box: Box) -> None:
    with open(box.site.model, "wb") as file:
        file.truncate(10 * MIB)
    box.profile("alpha", None, args=ARGS)
    box.until(alpha=st.RUNNING)
    assert box.reserved() == {"alpha": {"GPU-aaaa": 13}}
    assert '"file_size_estimate_mib"' in str(
        box.site.one("SELECT arithmetic FROM decisions WHERE action = 'start'")["arithmetic"]
    )
    assert "not a GGUF file" in str(box.site.one("SELECT error FROM v_model_fit")["error"])


def test_one_that_waits_is_read_once_not_in_every_pass(box: Box) -> None:
    """A header costs little, and a card may be full for weeks."""
    box.profile("alpha", None, args=ARGS)
    declare_only(box)
    before = os.stat(box.site.model)
    with open(box.site.model, "r+b") as file:
        file.write(b"XXXX")  # whoever opens it now finds no model
    os.utime(box.site.model, ns=(before.st_atime_ns, before.st_mtime_ns))
    wanted = box.figures("alpha")["header_estimate_mib"]
    box.cards.sizes["GPU-aaaa"] = 1
    box.once()
    box.once()
    assert box.figures("alpha")["header_estimate_mib"] == wanted
    box.cards.sizes["GPU-aaaa"] = 3000
    box.until(alpha=st.RUNNING)
    assert box.reserved() == {"alpha": {"GPU-aaaa": wanted}}


def test_a_host_without_cards_reads_no_header(box: Box) -> None:
    box.cards.sizes.clear()
    box.profile("alpha", None, args=ARGS)
    box.until(alpha=st.RUNNING)
    assert box.site.count("model_fit_params") == 0
    assert box.row("alpha")["gpu_memory_estimated_mib"] is None


@pytest.mark.parametrize("is_here", [True, False])
def test_a_model_by_its_address_counts_once_it_is_here(box: Box, tmp_path: Path, *, is_here: bool) -> None:
    """Before it was ever downloaded nobody knows, and no figure says so as if it were one."""
    url = "http://127.0.0.1:9/m.gguf"
    if is_here:
        (tmp_path / "cache").mkdir()
        shutil.copy(box.site.model, tmp_path / "cache" / str(ModelRef(url=url).url_file))
    runtime = {"env": {"LLAMA_CACHE": str(tmp_path / "cache")}}
    box.profile("alpha", None, args=ARGS, model={"url": url}, runtime=runtime)
    box.until(alpha=st.RUNNING)
    started = box.site.one("SELECT arithmetic FROM decisions WHERE profile = 'alpha' AND action = 'start'")
    figures = json.loads(str(started["arithmetic"]))
    assert figures.get("header_estimate_mib") == (by_header(box, ARGS) if is_here else None)
    assert "file_size_estimate_mib" not in figures
