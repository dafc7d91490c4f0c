"""When a card counts as failed, and when it is well again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamaagent.domain.xid import NEEDS_RESET, RECOVERY, RELOAD, Standing, Xid, judge, same_slot

NONE = "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"
REBOOT = "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"
DRAIN = "GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)"


@pytest.mark.parametrize("code", sorted(NEEDS_RESET))
def test_a_report_that_needs_a_reset_fails_the_card(code: int) -> None:
    assert f"Xid {code}" in (judge(None, [Xid(code, 1)], None, "b") or "")


@pytest.mark.parametrize("code", [13, 31, 43, 45, 63, 92, 94, 137, 144, 149])
def test_a_report_of_an_application_or_one_that_is_harmless_does_not(code: int) -> None:
    assert judge(None, [Xid(code, 1)], None, "b") is None


@pytest.mark.parametrize(
    ("words", "failed"),
    [(REBOOT, "Xid 154: the driver asks for a reboot"), (DRAIN, None), (NONE, None), ("garbled", None)],
)
def test_what_the_driver_asks_for_decides(words: str, failed: str | None) -> None:
    assert judge(None, [Xid(RECOVERY, 1, message=words)], None, "b") == failed


def test_it_stays_failed_until_a_reset_or_a_reboot() -> None:
    failed = Standing("Xid 79: fallen off the bus", "b", 2)
    assert judge(failed, [], 2, "b") == failed.failed
    assert judge(failed, [], None, "b") == failed.failed
    assert judge(failed, [Xid(13, 1)], None, "b") == failed.failed
    assert judge(failed, [], 0, "b") is None  # the driver asked, and asks no more
    assert judge(failed, [Xid(RELOAD, 1)], None, "b") is None
    assert judge(failed, [Xid(RECOVERY, 1, message=NONE)], None, "b") is None
    assert judge(failed, [], None, "another boot") is None
    assert judge(failed, [Xid(RELOAD, 1), Xid(48, 2)], None, "b") is not None  # and failed again


def test_a_driver_that_never_asked_for_anything_clears_nothing() -> None:
    """Its 0 says nothing about a failure that it did not join to an action."""
    assert judge(Standing("Xid 119", "b", 0), [], 0, "b") == "Xid 119"
    assert judge(Standing("Xid 119", "b", None), [], 0, "b") == "Xid 119"


def test_old_reports_seen_for_the_first_time_yield_to_what_the_driver_says_now() -> None:
    """It may have been reset hours ago, before anybody looked."""
    assert judge(None, [Xid(79, 1)], 0, "b", history=True) is None
    assert judge(None, [Xid(79, 1)], None, "b", history=True) is not None
    assert judge(None, [Xid(79, 1)], 2, "b", history=True) is not None


@given(
    st.lists(st.sampled_from([13, 48, 79, RELOAD, RECOVERY]).map(lambda code: Xid(code, 1, message=NONE))),
    st.lists(st.sampled_from([13, 48, 79, RELOAD, RECOVERY]).map(lambda code: Xid(code, 1, message=REBOOT))),
)
def test_reports_of_two_passes_lead_where_those_of_one_do(first: list[Xid], second: list[Xid]) -> None:
    between = Standing(judge(None, first, None, "b"), "b", None)
    assert judge(between, second, None, "b") == judge(None, [*first, *second], None, "b")


def test_addresses_of_the_log_and_of_nvml_meet() -> None:
    assert same_slot("0000:c1:00", "00000000:C1:00.0")
    assert not same_slot("0000:c1:00", "00000000:C2:00.0")
    assert not same_slot("0000:c1:00", None)
    assert not same_slot("garbled", "00000000:C1:00.0")
