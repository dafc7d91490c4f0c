"""A database that an older program filled: what it lacks is filled in by the next pass, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scratch_site import Site

CONFIG = ("sampling", "memory", "gpu", "advanced", "lora", "multimodal")


def test_configuration_that_was_never_stored_is_stored_once(fake_site: Site) -> None:
    site = fake_site
    site.profile("alpha", args={"temp": 0.5, "ctx-size": 512})
    site.profile("beta", state="stopped")
    site.settle("running", "alpha")
    before = site.one("SELECT pid, launch_hash FROM instances WHERE profile = 'alpha'")
    site.edit("DELETE FROM models")
    site.once()

    assert [row["name"] for row in site.rows("SELECT name FROM models ORDER BY name")] == ["alpha", "beta"]
    assert {site.count(f"model_{name}_config") for name in CONFIG} == {2}
    assert site.one("SELECT temperature FROM model_sampling_config WHERE temperature IS NOT NULL") == {
        "temperature": 0.5
    }
    assert site.count("profile_revisions") == 2
    assert site.one("SELECT pid, launch_hash FROM instances WHERE profile = 'alpha'") == before
    stored = site.rows("SELECT * FROM profile_revisions"), site.rows("SELECT * FROM models")
    site.once()
    assert (site.rows("SELECT * FROM profile_revisions"), site.rows("SELECT * FROM models")) == stored
