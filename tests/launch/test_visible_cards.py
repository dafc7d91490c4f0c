"""The variables that show a server its cards, and the way back."""

from __future__ import annotations

import pytest

from llamaagent.domain.sample import GpuSample
from llamaagent.launch.visible import shown_cards, visible_variables

NVIDIA = (GpuSample("GPU-n0", 0, "H200"), GpuSample("MIG-n1", 100, "part", parent="GPU-n0"))
AMD = (
    GpuSample("GPU-a0", 0, "W7900", vendor="amd", position=0),
    GpuSample("GPU-a1", 1, "W7900", vendor="amd", position=1),
)
OLD = GpuSample("PCI-0000:03:00.0", 2, "old", vendor="amd", position=2)
ARC = (
    GpuSample("PCI-0000:04:00.0", 0, "Arc", vendor="intel", position=1),
    GpuSample("PCI-0000:05:00.0", 1, "Arc", vendor="intel", position=2),
)


@pytest.mark.parametrize(
    ("uuids", "cards", "wanted"),
    [
        (("GPU-n0",), NVIDIA, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "GPU-n0"}),
        (("MIG-n1",), NVIDIA, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "MIG-n1"}),
        ((), NVIDIA, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "-1"}),
        (("GPU-a1",), AMD, {"ROCR_VISIBLE_DEVICES": "GPU-a1", "HIP_VISIBLE_DEVICES": "0"}),
        (
            ("GPU-a1", "GPU-a0"),
            AMD,
            {"ROCR_VISIBLE_DEVICES": "GPU-a1,GPU-a0", "HIP_VISIBLE_DEVICES": "0,1"},
        ),
        (("PCI-0000:03:00.0",), (*AMD, OLD), {"HIP_VISIBLE_DEVICES": "2"}),
        ((), AMD, {"HIP_VISIBLE_DEVICES": "-1"}),
        (("PCI-0000:05:00.0",), ARC, {"ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1", "ZE_AFFINITY_MASK": "2"}),
        ((), ARC, {}),
        ((), (), {}),
        (
            ("GPU-n0",),
            (*NVIDIA, *AMD),
            {
                "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
                "CUDA_VISIBLE_DEVICES": "GPU-n0",
                "HIP_VISIBLE_DEVICES": "-1",
            },
        ),
    ],
)
def test_each_maker_gets_the_form_that_its_runtime_takes(
    uuids: tuple[str, ...], cards: tuple[GpuSample, ...], wanted: dict[str, str]
) -> None:
    made = dict(visible_variables(uuids, cards))
    assert made == wanted
    assert {card.uuid for card in shown_cards(made, cards)} == set(uuids)
