"""`metrics`, and the file that node_exporter reads: written by each pass, whole, and never a reason to fail."""

import os
import stat
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from scratch_home import Agent


def names(text: str) -> set[str]:
    return {family.name for family in text_string_to_metric_families(text)}


def test_metrics_before_and_after_a_pass(agent: Agent, site: Path, home: Path) -> None:
    assert names(agent("metrics", cwd=site).stdout) == {"llamaagent_build_info"}
    assert not (home / "data").exists()
    agent("run", "--once", cwd=site)
    text = agent("metrics", cwd=site).stdout
    assert {
        "llamaagent_last_pass_timestamp_seconds",
        "llamaagent_instance_up",
        "llamaagent_system_cpu_cores",
    } <= names(text)
    assert 'llamaagent_instance_up{profile="tiny",project="default",kind="process"} 0\n' in text
    assert agent("metrics", "--openmetrics", cwd=site).stdout.endswith("\n# EOF\n")


def test_each_pass_writes_the_textfile(agent: Agent, site: Path, home: Path) -> None:
    folder = home / "textfile"
    folder.mkdir()
    with (site / "llamaagent.yaml").open("a") as settings:
        settings.write(f"prometheus: {{textfile: {folder}/llamaagent.prom}}\n")
    (folder / ".llamaagent.prom.part").write_text("of a writer that was killed")
    agent("check", cwd=site)
    first = agent("run", "--once", cwd=site)
    assert first.stderr == ""
    target = folder / "llamaagent.prom"
    assert os.listdir(folder) == ["llamaagent.prom"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert target.read_text() == agent("metrics", cwd=site).stdout
    inode = target.stat().st_ino
    agent("run", "--once", cwd=site)
    assert target.stat().st_ino != inode  # replaced, never written over


def test_a_textfile_that_cannot_be_written_is_told_once_and_stops_no_pass(
    agent: Agent, site: Path, home: Path
) -> None:
    with (site / "llamaagent.yaml").open("a") as settings:
        settings.write(f"prometheus: {{textfile: {home}/nowhere/llamaagent.prom}}\n")
    told = agent("run", "--once", cwd=site)
    assert f"prometheus.textfile: cannot write {home}/nowhere/llamaagent.prom: No such file" in told.stderr
    assert "prometheus" not in agent("run", "--once", cwd=site).stderr
    (home / "nowhere").mkdir()
    agent("run", "--once", cwd=site)
    assert (home / "nowhere" / "llamaagent.prom").exists()
