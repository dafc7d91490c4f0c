"""Settings without an effect yet are named; plain ones name none."""

from __future__ import annotations

from llamaagent.domain.pending import pending_in_settings
from llamaagent.domain.settings import Reports, Settings


def test_plain_settings_have_nothing_pending() -> None:
    assert pending_in_settings(Settings()) == ()


def test_settings_without_an_effect_yet_are_named() -> None:
    settings = Settings(cache_enabled=True, reports=Reports(logo="x.png"))
    assert pending_in_settings(settings) == ("reports.logo",)
