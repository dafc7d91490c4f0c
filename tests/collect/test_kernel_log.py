"""NVIDIA's reports in the kernel's log: by a cursor, and never another program's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llamaagent.collect.kmsg import KMSG, KernelLog, parse_xid, read_xids
from llamaagent.domain.xid import Xid

if TYPE_CHECKING:
    from pathlib import Path

LOG = """\
6,100,1000000,-;nvidia: loading out-of-tree module taints kernel.
 SUBSYSTEM=pci
4,101,2000000,-;NVRM: Xid (PCI:0000:01:00): 13, pid=4242, name=llama-server, Graphics Exception: ESR 0x505224=0x80000000
12,102,3000000,-;NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=joker, written by a program
4,103,4000000,-;NVRM: Xid (PCI:0000:C1:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
garbled
4,104,5000000,-,caller=T12;NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid='77', Contained memory error
"""


def test_reports_are_read_from_a_cursor_on(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_text(LOG)
    found = read_xids(str(path), -1, 1_000_000, 10.0)
    assert found is not None
    assert found.last == 104
    assert [(one.xid, one.pci, one.pid, one.ts) for one in found.reports] == [
        (13, "0000:01:00", 4242, 999_992),
        (79, "0000:C1:00", None, 999_994),
        (94, "0000:01:00", 77, 999_995),
    ]
    assert [one.sequence for one in found.reports] == [101, 103, 104]
    assert found.reports[1].message.endswith("GPU has fallen off the bus.")
    assert read_xids(str(path), 103, 1_000_000, 10.0) == KernelLog(104, (found.reports[2],))
    assert read_xids(str(path), 104, 1_000_000, 10.0) == KernelLog(104, ())


def test_a_log_that_may_not_be_read_is_none_and_an_empty_one_is_not(tmp_path: Path) -> None:
    assert read_xids(str(tmp_path / "none"), -1, 5, 1.0) is None
    (tmp_path / "kmsg").touch()
    assert read_xids(str(tmp_path / "kmsg"), -1, 5, 1.0) == KernelLog(None, ())


def test_more_than_a_few_thousand_records_are_read(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    lines = [f"6,{number},{number},-;{'x' * 100}" for number in range(200_000)]
    path.write_text("\n".join(lines) + "\n4,200000,200000,-;NVRM: Xid (PCI:0000:01:00): 48, pid=1\n")
    found = read_xids(str(path), -1, 100, 1.0)
    assert found is not None
    assert [one.xid for one in found.reports] == [48]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "NVRM: Xid (PCI:0000:01:00): , pid=1",
        "NVRM: Xid (PCI:0000:01:00",
        "NVRM: GPU at PCI:0000:01:00",
        "Xid 79",
    ],
)
def test_what_is_no_report(line: str) -> None:
    assert parse_xid(line) is None


def test_a_driver_loaded_anew_is_told() -> None:
    found = parse_xid("NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  570.86.15")
    assert found == Xid(0, 0, message="loading NVIDIA UNIX Open Kernel Module for x86_64  570.86.15")


def test_the_real_log_does_no_harm() -> None:
    found = read_xids(KMSG, -1, 100, 1.0)
    assert found is None or all(one.xid >= 0 for one in found.reports)
