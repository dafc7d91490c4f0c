"""Which cards may be given at all."""

from __future__ import annotations

import pytest

from llamaagent.domain.admission import Refusal
from llamaagent.domain.sample import GpuSample
from llamaagent.domain.usable import Asked, refused_together, usable

GOOD = GpuSample("GPU-good", 0, "x")
BAD = GpuSample("GPU-bad", 1, "x", failed="Xid 79: fallen off the bus")
SPLIT = GpuSample("GPU-split", 2, "x", withheld="mig-parent")
PART = GpuSample("MIG-part", 300, "x", parent="GPU-split")
OTHER = GpuSample("GPU-amd", 3, "x", vendor="amd", withheld="other-maker")
LOST = ("card 4: GPU is lost",)


@pytest.mark.parametrize(
    ("asked", "cards", "missing", "left"),
    [
        ("auto", (GOOD, BAD, SPLIT, PART, OTHER), LOST, ["GPU-good", "MIG-part"]),
        (2, (GOOD, PART), (), ["GPU-good", "MIG-part"]),
        (("GPU-amd",), (GOOD, OTHER), (), ["GPU-good", "GPU-amd"]),
        (("3",), (GOOD, OTHER), (), ["GPU-good", "GPU-amd"]),
        ("none", (BAD,), LOST, ["GPU-bad"]),
        ("auto", (), (), []),
        ("auto", (OTHER,), (), []),
    ],
)
def test_what_is_left(
    asked: Asked, cards: tuple[GpuSample, ...], missing: tuple[str, ...], left: list[str]
) -> None:
    found = usable(asked, cards, missing)
    assert not isinstance(found, Refusal)
    assert [card.uuid for card in found] == left


@pytest.mark.parametrize(
    ("asked", "cards", "missing", "words"),
    [
        ("auto", (BAD,), (), "card 1 (GPU-bad) has failed: Xid 79"),  # never the CPU in silence
        ("auto", (), LOST, "GPU is lost"),
        ("all", (GOOD, BAD), (), "has failed"),
        ("all", (GOOD,), LOST, "GPU is lost"),
        (2, (GOOD, BAD), (), "has failed"),
        (("GPU-bad",), (GOOD, BAD), (), "has failed"),
        (("1",), (GOOD, BAD), (), "has failed"),
        (("2",), (GOOD, SPLIT, PART), (), "split into MIG devices"),
    ],
)
def test_what_is_refused(
    asked: Asked, cards: tuple[GpuSample, ...], missing: tuple[str, ...], words: str
) -> None:
    found = usable(asked, cards, missing)
    assert isinstance(found, Refusal)
    assert found.reason == "gpu-missing"
    assert words in found.detail


def test_a_program_can_use_one_part_only() -> None:
    assert refused_together(("MIG-a",)) is None
    assert refused_together(("GPU-a", "GPU-b")) is None
    assert refused_together(("MIG-a", "MIG-b")) is not None
    assert refused_together(("MIG-a", "GPU-b")) is not None
