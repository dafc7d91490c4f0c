"""The table of `gpus`, from rows as the view gives them."""

from __future__ import annotations

import pytest

from llamaagent.cli.gputable import print_gpus

NOW = 1_000_000
_NAMES = """
idx uuid name status memory_total_mib memory_used_mib utilization_percent temperature_celsius power_mw power_limit_mw
sm_clock_mhz memory_clock_mhz ecc_volatile ecc_aggregate failed_reason failed_ts withheld parent_uuid xid_source
"""
BLANK: dict[str, object] = dict.fromkeys(_NAMES.split()) | {
    "throttle": [], "xids": [], "holders": [], "reservations": []
}  # fmt: skip


def printed(capsys: pytest.CaptureFixture[str], *rows: dict[str, object]) -> list[str]:
    print_gpus([BLANK | {"idx": 0, "name": "Card", "status": "present"} | row for row in rows], NOW)
    return capsys.readouterr().out.splitlines()


def test_what_is_unknown_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    (_, line) = printed(capsys, {})
    assert line.split() == ["0", "Card", *["-"] * 8, "present"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"memory_total_mib": 1024, "memory_used_mib": 512}, "######......  0.5/1.0 GiB"),
        ({"memory_total_mib": 1024}, "????????????    ?/1.0 GiB"),
        ({"memory_total_mib": 1024, "memory_used_mib": 9999}, "############  9.8/1.0 GiB"),
        ({"power_mw": 312_900, "power_limit_mw": 700_000}, "312/700 W"),
        ({"power_mw": 312_900}, "312 W"),
        ({"sm_clock_mhz": 1980, "memory_clock_mhz": 3201}, "1980/3201 MHz"),
        ({"sm_clock_mhz": 1980}, "1980/- MHz"),
        ({"throttle": ["power cap", "too hot"]}, "power cap, too hot"),
        ({"ecc_volatile": 0, "ecc_aggregate": 7}, "0 (7 ever)"),
        ({"ecc_aggregate": 7}, "- (7 ever)"),
        ({"xid_source": "kernel-log"}, "  none  "),
        ({"xid_source": "events"}, "  none  "),
        ({"xid_source": "not-available"}, "  not available  "),
        ({"xid_source": "not-available", "xids": [{"xid": 79, "ts": NOW - 300}]}, "  79, 5m ago  "),
        ({"withheld": "mig-parent"}, "  split (MIG)"),
        ({"withheld": "other-maker"}, "  by name only"),
        ({"withheld": "mig-parent", "status": "gone"}, "  gone"),
        ({"idx": 302, "parent_uuid": "GPU-a"}, "  2:2  Card"),
        ({"name": "evil\x1b[2J"}, "evil [2J"),
    ],
)
def test_how_a_figure_is_shown(
    capsys: pytest.CaptureFixture[str], row: dict[str, object], words: str
) -> None:
    (_, line) = printed(capsys, row)
    assert words in line


def test_a_failed_card_says_why_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, {"status": "failed", "failed_reason": "Xid 79: fallen off the bus"})
    assert (
        lines[2]
        == "gpu 0 has failed: Xid 79: fallen off the bus; nothing is started there until it was reset"
    )


def test_who_is_on_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    """What a profile holds and reserves is one line; leases and reservations not used yet are lines as well."""
    holders = [
        {
            "pid": 5,
            "memory_mib": 700,
            "user": "me",
            "command": "llama-server",
            "instance_id": 1,
            "profile": "qwen",
        },
        {
            "pid": 6,
            "memory_mib": None,
            "user": "ann",
            "command": "python",
            "instance_id": None,
            "profile": None,
        },
        {"pid": 7, "memory_mib": 5, "user": None, "command": None, "instance_id": None, "profile": None},
    ]
    plain = {"kind": "instance", "exclusive": False, "reason": None, "expires_ts": None}
    reservations = [
        plain | {"instance_id": 1, "holder": "qwen", "memory_mib": 900},
        plain | {"instance_id": 2, "holder": "gemma", "memory_mib": 400, "exclusive": True},
        plain
        | {
            "instance_id": None,
            "holder": "bob",
            "memory_mib": 300,
            "kind": "lease",
            "lease_id": 3,
            "reason": "a test",
        },
    ]
    lines = printed(capsys, {"holders": holders, "reservations": reservations})
    assert [line.split() for line in lines[3:]] == [
        ["GPU", "WHO", "PID", "HOLDS", "RESERVED", "NOTE"],
        ["0", "qwen", "5", "700", "MiB", "900", "MiB", "-"],
        ["0", "ann:", "python", "6", "?", "-", "-"],
        ["0", "?:", "?", "7", "5", "MiB", "-", "-"],
        ["0", "gemma", "-", "-", "whole", "card", "-"],
        ["0", "bob", "-", "-", "300", "MiB", "lease", "3:", "a", "test"],
    ]
