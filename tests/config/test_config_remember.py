"""The remembered parse: as good as reading, never older than the files, and believed only when it is ours."""

import binascii
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from site_folder import Folder

from llamaagent.base.clock import SystemClock
from llamaagent.config.load import load_site_cached
from llamaagent.config.site import Site

HEAVY = ["yaml", "difflib", "zoneinfo", "pathlib", "dataclasses", "logging", "hashlib", "fnmatch", "shlex"]
CHILD = """
import sys
from llamaagent.base.clock import SystemClock
from llamaagent.config.load import load_site_cached, format_faults
site = load_site_cached(config=None, profiles=(), environ={"HOME": "/"}, cwd=sys.argv[1], cache_dir=sys.argv[2],
                        clock=SystemClock(), host="here")
print(format_faults(site))
print(len(site.profiles), *sorted(sys.modules))
"""


class LateClock(SystemClock):
    """A minute later, so that what was just written is no longer young."""

    def now(self) -> int:
        return super().now() + 60


def cached(folder: Folder, clock: SystemClock | None = None, **environ: str) -> Site:
    return load_site_cached(
        config=None,
        profiles=(),
        environ={**folder.environ, **environ},
        cwd=str(folder.root),
        cache_dir=str(folder.root / "state/cache"),
        clock=clock or LateClock(),
        host="here",
    )


def entries(folder: Folder) -> list[Path]:
    return sorted((folder.root / "state/cache").glob("*"))


def age(folder: Folder) -> None:
    """Make every file look an hour old."""
    old = time.time() - 3600
    for path in [folder.root, *folder.root.rglob("*")]:
        if "state" not in path.parts:
            os.utime(path, (old, old), follow_symlinks=False)


def test_the_second_answer_equals_the_first_and_reading_anew(folder: Folder) -> None:
    folder.write(
        "llamaagent.yaml",
        "projects: {a: {gpus: 1, tokens: 5M/day}}\nreports: {links: {a: b}}\nenv: {A: 1}\nhost: here\n",
    )
    folder.write(
        "profiles/a.yaml",
        "name: a\nmodel: m\nargs: {lora: [/x, /y], jinja: true}\n---\nname: b\nhosts: z\nmodel: m\n",
    )
    folder.write("profiles/c.yaml", "modeel: m\n")
    first = cached(folder)
    assert len(entries(folder)) == 1
    assert cached(folder) == first
    assert folder.load() == first._replace(young_files=folder.load().young_files)
    assert len(first.faults) == 2


def test_the_memory_is_private(folder: Folder) -> None:
    cached(folder)
    (entry,) = entries(folder)
    assert entry.stat().st_mode & 0o777 == 0o600
    assert entry.parent.stat().st_mode & 0o777 == 0o700


def test_a_hit_imports_nothing_heavy_and_shows_the_faults_again(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "model: /m\nschedule: {timezone: UTC, windows: 8:00-9:00}\n")
    folder.write("profiles/b.yaml", "modeel: /m\n")
    age(folder)
    command = [sys.executable, "-c", CHILD, folder.root, folder.root / "state/cache"]
    first, second = (
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines() for _ in "12"
    )
    assert "yaml" in first[-1].split()
    assert "unknown key 'modeel', did you mean 'model'?" in second[0]
    assert second[:-1] == first[:-1]
    loaded = second[-1].split()
    assert loaded[0] == "1"
    assert not set(loaded) & {*HEAVY, "llamaagent.config.catalogue", "llamaagent.config.schema"}


def _edit(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "model: m2\n")


def _same_size(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "model: n\n")


def _replace(folder: Folder) -> None:
    new = folder.write("new", "model: m\npriority: 1\n")
    new.rename(folder.root / "profiles/a.yaml")


def _add(folder: Folder) -> None:
    folder.write("profiles/b.yaml", "model: m\n")


def _remove(folder: Folder) -> None:
    (folder.root / "profiles/a.yaml").unlink()


def _base(folder: Folder) -> None:
    folder.write("profiles/_base.yaml", "priority: 7\n")


def _settings(folder: Folder) -> None:
    folder.write("llamaagent.yaml", "interval: 9m\n")


def _overlay(folder: Folder) -> None:
    folder.write("llamaagent.here.yaml", "interval: 9m\n")


def _model(folder: Folder) -> None:
    folder.write("models/m", "")


@pytest.mark.parametrize(
    "change", [_edit, _same_size, _replace, _add, _remove, _base, _settings, _overlay, _model]
)
def test_every_change_is_seen(folder: Folder, change) -> None:  # noqa: ANN001
    folder.write("llamaagent.yaml", "models: {directories: [gone, models]}\n")
    folder.write("profiles/_base.yaml", "priority: 3\n")
    folder.write("profiles/a.yaml", "model: m\nextends: _base.yaml\n")
    age(folder)
    before = cached(folder)
    assert cached(folder) == before
    change(folder)
    after = cached(folder)
    assert after != before
    assert after == folder.load()._replace(young_files=after.young_files)


def test_what_is_young_is_always_read_again(folder: Folder) -> None:
    path = folder.write("profiles/a.yaml", "model: m\n")
    cached(folder, SystemClock())
    assert entries(folder) == []  # it may change again within the tick of its time stamp
    before = path.stat()
    folder.write("profiles/a.yaml", "model: n\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, inode and time stamp
    assert cached(folder, SystemClock()).profiles[0].model.path == "/models/n"


def test_the_environment_is_part_of_the_question(folder: Folder) -> None:
    assert cached(folder).settings.interval_s == 30
    assert cached(folder, LLAMAAGENT_INTERVAL="9s").settings.interval_s == 9
    assert cached(folder, UNRELATED="x").settings.interval_s == 30
    assert len(entries(folder)) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"key": 1}', "\x00" * 10, "[" * 100_000])
def test_a_damaged_memory_is_as_none(folder: Folder, damage: str) -> None:
    folder.write("profiles/a.yaml", "model: m\n")
    first = cached(folder)
    (entry,) = entries(folder)
    entry.write_text(damage, encoding="utf-8")
    assert cached(folder) == first
    assert json.loads(entry.read_text(encoding="utf-8").partition("\n")[2])["site"]  # and is made good


def test_one_wrong_byte_is_noticed(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "model: m\n")
    first = cached(folder)
    (entry,) = entries(folder)
    entry.write_text(entry.read_text(encoding="utf-8").replace("/models/m", "/models/x"), encoding="utf-8")
    assert cached(folder) == first


def _forge(entry: Path) -> None:
    body = entry.read_bytes().partition(b"\n")[2].replace(b"/models/m", b"/models/x")
    entry.write_bytes(b"%08x\n" % binascii.crc32(body) + body)


def test_what_others_can_write_is_not_believed(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "model: m\n")
    first = cached(folder)
    (entry,) = entries(folder)
    _forge(entry)
    assert cached(folder) != first  # believed while it is private
    entry.chmod(0o666)
    assert cached(folder) == first
    (entry,) = entries(folder)
    _forge(entry)
    entry.parent.chmod(0o777)
    assert cached(folder) == first


def test_a_link_in_its_place_is_not_followed(folder: Folder) -> None:
    folder.write("profiles/a.yaml", "model: m\n")
    first = cached(folder)
    (entry,) = entries(folder)
    elsewhere = folder.root / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)
    assert cached(folder) == first
    assert not entry.is_symlink()


def test_a_folder_that_cannot_be_made_is_no_error(folder: Folder) -> None:
    folder.write("state", "a file\n")
    assert cached(folder).settings_ok


def test_only_a_few_are_kept(folder: Folder) -> None:
    for n in range(40):
        cached(folder, LLAMAAGENT_INTERVAL=f"{n + 1}s")
    assert len(entries(folder)) == 32


def test_ten_profiles_are_recalled_within_milliseconds(folder: Folder) -> None:
    for n in range(10):
        folder.write(
            f"profiles/p{n}.yaml", "model: m\nargs: {c: 8192, temp: 0.7}\nsecrets: {api-key: {env: K}}\n"
        )
    for interval in ("1s", "2s"):
        cached(folder, LLAMAAGENT_INTERVAL=interval)
    spent = []
    for turn in range(15):  # in turns, so that none is the one that this process recalled last
        begin = time.process_time()
        cached(folder, LLAMAAGENT_INTERVAL=f"{turn % 2 + 1}s")
        spent.append(time.process_time() - begin)
    assert sorted(spent)[7] < 0.01  # 1 ms on an idle machine


def test_a_process_that_asks_again_is_given_the_very_same_until_something_changes(folder: Folder) -> None:
    """As the loop does in each pass."""
    path = folder.write("profiles/a.yaml", "model: m\n")
    age(folder)
    cached(folder)
    first = cached(folder)
    assert cached(folder) is first
    path.write_text("model: n\n")
    assert cached(folder).profiles != first.profiles
    age(folder)
    cached(folder)
    second = cached(folder)
    assert second is cached(folder)
    assert second != first
    (entry,) = entries(folder)
    entry.write_bytes(entry.read_bytes()[:-2])  # damaged: what is in mind is not believed beyond its file
    assert cached(folder) is not second
    assert cached(folder).profiles == second.profiles
