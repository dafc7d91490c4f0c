"""Keys without an effect yet are named; a plain profile names none."""

from __future__ import annotations

from llamaagent.domain.pending import pending_in_profile, pending_in_settings
from llamaagent.domain.profile import (
    Evict,
    Health,
    Idle,
    ModelRef,
    Profile,
    Resources,
    Restart,
    Runtime,
    Schedule,
    Update,
)
from llamaagent.domain.settings import Reports, Settings

PLAIN = Profile(name="a", source="/a.yaml", line=1, model=ModelRef(path="/m.gguf"))


def test_a_plain_profile_and_plain_settings_have_nothing_pending() -> None:
    assert pending_in_profile(PLAIN) == ()
    assert pending_in_settings(Settings()) == ()


def test_each_key_that_has_no_effect_yet_is_named() -> None:
    profile = PLAIN._replace(
        runtime=Runtime(kind="container"),
    )
    assert pending_in_profile(profile) == ("runtime.kind",)


def test_keys_that_act_are_not_named() -> None:
    profile = PLAIN._replace(
        health=Health(probe="command", failures=1, stuck_after_s=1),
        restart=Restart(policy="never", backoff_s=1, max_backoff_s=1, give_up_failures=None),
        update=Update(rollback=False),
        schedule=Schedule(("Mon-Fri 08:00-18:00",)),
        idle=Idle(sleep_after_s=30, stop_after_s=60),
        evict=Evict(pinned=True),
        runtime=Runtime(kind="external", port=8080),
        resources=Resources(gpus=2, memory_mib=1, cpus=1.0),
    )
    assert pending_in_profile(profile) == ()


def test_settings_without_an_effect_yet_are_named() -> None:
    settings = Settings(cache_enabled=True, reports=Reports(logo="x.png"))
    assert pending_in_settings(settings) == ("cache.enabled",)
