"""The whole chain on one card, whoever speaks for it: devices, processes, a known holder, a refusal that names it.

The same steps run on scripted cards everywhere and on a real card where there is one; what they bring to light is one
record, which `TEST_RECORD_GPU=1` keeps in tests/fixtures/gpu for the tests that read it back.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually

from llamaagent.collect.gpu import READER

if TYPE_CHECKING:
    from collections.abc import Callable

    from scratch_site import Site

RECORDS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures", "gpu")
Record = dict[str, object]


def answers(site: Site) -> dict[str, object]:
    """What the reader of cards prints, as the pass gets it."""
    done = subprocess.run(READER, env=os.environ | site.env, capture_output=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def listed(site: Site) -> list[dict[str, object]]:
    """`gpus --json`."""
    done = site.run("gpus", "--json")
    assert done.rc == 0, done
    found = json.loads(done.out)
    assert isinstance(found, list)
    return found


def card_of(found: list[dict[str, object]], uuid: str) -> dict[str, object]:
    """The one card."""
    return next(card for card in found if card["uuid"] == uuid)


def chain(site: Site, uuid: str, holder: int, mib: int, let_go: Callable[[], None], source: str) -> Record:
    """Every step, with its assertions; gives the record. holder: a pid that holds at least mib there by now."""
    said = answers(site)
    eventually(lambda: listed(site), "the cards are read")
    cards = listed(site)
    assert {card["uuid"] for card in cards} == {card["uuid"] for card in said["cards"]}  # type: ignore[attr-defined]
    card = card_of(cards, uuid)
    total, free = int(str(card["memory_total_mib"])), int(str(card["memory_free_mib"]))
    assert 0 <= free <= total - mib
    on_it = [one for one in card["holders"] if one["pid"] == holder]  # type: ignore[attr-defined]
    if not on_it:
        pytest.skip("the driver names no process of this pid namespace, so none can be told")
    assert int(on_it[0]["memory_mib"]) >= mib
    assert on_it[0]["profile"] is None
    asked = free + mib // 2
    site.profile("model", resources={"gpus": [uuid], "gpu_memory": f"{asked}MiB"})
    site.once()
    refusal = site.one("SELECT reason, detail, arithmetic FROM decisions WHERE profile = 'model'")
    figures = json.loads(str(refusal["arithmetic"]))
    assert refusal["reason"] == "gpu-memory"
    check_refusal(figures, holder, mib)
    let_go()
    eventually(lambda: site.once() and site.newest()["model"]["status"] == "running", "it starts then", 90)
    with open(f"/proc/{site.newest()['model']['pid']}/environ") as file:
        assert f"CUDA_VISIBLE_DEVICES={uuid}" in file.read().split("\0")
    return {
        "source": source,
        "uuid": uuid,
        "holder": {"pid": holder, "mib": mib},
        "reader": said,
        "gpus": cards,
        "refusal": {**refusal, "arithmetic": figures},
    }


def check_refusal(figures: dict[str, object], holder: int, mib: int) -> None:
    """Its numbers add up, and whoever holds the memory is named with what it holds."""
    (number,) = {name.split("_")[0] for name in figures if re.fullmatch(r"gpu\d+_room_mib", name)}
    room = int(str(figures[f"{number}_free_mib"])) - int(str(figures[f"{number}_reserved_unused_mib"]))
    assert figures[f"{number}_room_mib"] == room - int(str(figures["headroom_mib"]))
    assert int(str(figures["needed_mib"])) > int(str(figures[f"{number}_room_mib"]))
    told = re.search(rf"pid {holder} \(.*?\) holds (\d+) MiB", str(figures[f"{number}_holders"]))
    assert told is not None, figures
    assert int(told[1]) >= mib


def keep(record: Record, name: str) -> None:
    """With TEST_RECORD_GPU=1, write the record where the tests read it back."""
    if os.environ.get("TEST_RECORD_GPU") != "1":
        return
    path = os.path.join(RECORDS, re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1, sort_keys=True)
        file.write("\n")
