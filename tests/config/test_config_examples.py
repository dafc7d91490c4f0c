"""Each example site loads without a fault, on the host it is written for and for every host."""

import shutil
from pathlib import Path

import pytest

from llamaagent.config.load import load_site

EXAMPLES = Path(__file__).parents[2] / "examples" / "configs"
NAMES = {
    "embeddings": ["embed", "rerank"],
    "laptop": ["assistant"],
    "lora": ["support", "support-fixed"],
    "minimal": ["qwen3-8b"],
    "multimodal": ["vision"],
    "nightly": ["day", "night"],
    "one-card": ["chat", "code"],
    "router": ["folder", "presets"],
    "speculative": ["with-draft", "with-ngrams"],
    "two-cards": ["large"],
    "two-models": ["chat", "night-batch"],
    "team": ["coder", "embed"],
    "containers": ["old-server", "vision"],
}


def test_every_example_is_tested() -> None:
    assert sorted(NAMES) == sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("example", sorted(NAMES))
def test_an_example_loads_without_a_fault(tmp_path: Path, example: str, portable: bool) -> None:
    shutil.copytree(EXAMPLES / example, tmp_path / "site")
    site = load_site(
        config="site",
        profiles=(),
        environ={"HOME": "/home/ann"},
        cwd=str(tmp_path),
        now=0,
        portable=portable,
        host="gpu1",
    )
    assert [str(fault) for fault in site.faults] == []
    assert [profile.name for profile in site.profiles] == NAMES[example]


def test_the_second_host_of_the_team_has_its_own_ports_and_profiles(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "team", tmp_path / "site")
    site = load_site(config="site", profiles=(), environ={}, cwd=str(tmp_path), now=0, host="gpu2")
    assert site.settings.ports == (8300, 8399)
    assert site.other_hosts == ("coder",)
    assert dict(site.profiles[0].args)["warmup"] is False
