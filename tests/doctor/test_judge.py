"""The doctor's judgements, on plain values."""

import stat
import tomllib
from pathlib import Path

import pytest

from llamaagent.doctor import judge
from llamaagent.doctor.finding import ERROR, INFO, WARNING, Finding
from llamaagent.doctor.host import NEEDED
from llamaagent.doctor.storage import file_system_of
from llamaagent.domain.profile import Listen, ModelRef, Profile, Runtime, SecretRef

ROOT = Path(__file__).resolve().parents[2]
FILE, FOLDER = stat.S_IFREG, stat.S_IFDIR
MOUNTS = b"""\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /home rw - nfs4 server:/home rw
31 30 8:2 / /home/ann/local\\040disk rw - xfs /dev/sdb1 rw
32 22 0:40 / /srv rw - xfs /dev/sdc1 rw
33 22 0:41 / /srv rw - cifs //server/srv rw
"""


def level(finding: Finding | None) -> str | None:
    """The level of a finding; whatever is found must say something."""
    assert finding is None or (finding.what and finding.subject)
    return None if finding is None else finding.level


def test_the_needed_versions_are_those_of_the_project() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]

    assert sorted(project["dependencies"]) == sorted(f"{name}>={needed}" for name, needed in NEEDED)


@pytest.mark.parametrize(
    ("found", "needed", "expected"),
    [
        ("3.46.1.0", "3.46", None),
        ("3.46", "3.46", None),
        ("3.9.2", "3.10", ERROR),
        ("12.580.1", "12.560", None),
        ("6.0.2+local1", "6.0.2", None),
        (None, "1", ERROR),
    ],
)
def test_versions_are_compared_by_number(found: str | None, needed: str, expected: str | None) -> None:
    assert level(judge.version("package", found, needed)) == expected


@pytest.mark.parametrize(
    ("code", "output", "timed_out", "words"),
    [
        (0, "version: 1", False, None),
        (127, "x: error while loading shared libraries: libllama.so.0: cannot open shared object file: No", False,
         "libllama.so.0 is not found"),
        (-4, "", False, "ended with signal 4: it printed nothing"),
        (1, "line\nlast line\n", False, "ended with 1: last line"),
        (None, "cannot run it: Exec format error", False, "Exec format error"),
        (-9, "", True, "did not end in time"),
    ],
)  # fmt: skip
def test_a_program_is_judged_by_how_it_ends(
    code: int | None, output: str, timed_out: bool, words: str | None
) -> None:
    finding = judge.binary("/bin/llama-server", code, output, timed_out=timed_out)

    assert (finding is None) == (words is None)
    assert finding is None or (words or "") in finding.what


@pytest.mark.parametrize(
    ("host", "secrets", "kind", "expected"),
    [
        ("127.0.0.1", (), "process", None),
        ("::1", (), "process", None),
        ("/run/x.sock", (), "process", None),
        ("0.0.0.0", (), "process", WARNING),
        ("192.168.0.9", (("hf-token", SecretRef("env", "T")),), "process", WARNING),
        ("0.0.0.0", (("api-key", SecretRef("env", "K")),), "process", None),
        ("0.0.0.0", (), "external", None),
    ],
)
def test_an_open_port_needs_a_key(
    host: str, secrets: tuple[tuple[str, SecretRef], ...], kind: str, expected: str | None
) -> None:
    profile = Profile(
        "a", "/a.yaml", 1, ModelRef(), listen=Listen(host), secrets=secrets, runtime=Runtime(kind)
    )

    assert level(judge.exposure(profile)) == expected


@pytest.mark.parametrize(
    ("mode", "owner", "me", "shared", "expected"),
    [
        (FILE | 0o600, 5, 5, False, None),
        (FILE | 0o640, 5, 5, False, WARNING),
        (FILE | 0o640, 5, 5, True, None),
        (FILE | 0o660, 5, 5, True, ERROR),
        (FILE | 0o602, 5, 5, False, ERROR),
        (FOLDER | 0o700, 5, 5, False, None),
        (FOLDER | 0o755, 5, 5, False, WARNING),
        (FOLDER | 0o750, 5, 5, True, None),
        (FILE | 0o600, 6, 5, False, ERROR),
        (FILE | 0o600, 0, 5, False, None),
        (FILE | 0o600, 6, 0, False, None),
    ],
)
def test_what_is_private_is_judged_by_mode_and_owner(
    mode: int, owner: int, me: int, shared: bool, expected: str | None
) -> None:
    assert level(judge.mode("/x", mode, owner, me, shared=shared)) == expected


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/a.db", "ext4"),
        ("/home/ann/a.db", "nfs4"),
        ("/homeless/a.db", "ext4"),
        ("/home/ann/local disk/a.db", "xfs"),
        ("/srv/a.db", "cifs"),
    ],
)
def test_a_path_lies_on_the_longest_and_last_mount(path: str, kind: str) -> None:
    assert file_system_of(path, MOUNTS) == kind
    assert level(judge.location(path, kind)) == (WARNING if kind in {"nfs4", "cifs"} else None)


def test_a_table_of_mounts_that_says_nothing_is_no_finding() -> None:
    assert file_system_of("/a", b"") is None
    assert judge.location("/a", None) is None


def test_a_log_in_front_of_the_database_may_have_64_mib() -> None:
    assert judge.wal("/a.db", 64 << 20) is None
    assert level(judge.wal("/a.db", (64 << 20) + 1)) == WARNING


@pytest.mark.parametrize(("free", "expected"), [(2048, None), (2047, WARNING), (64, WARNING), (63, ERROR)])
def test_little_space_is_a_warning_and_none_an_error(free: int, expected: str | None) -> None:
    assert level(judge.space("/", free, 2048, ["database"])) == expected


def test_a_headroom_of_nothing_asks_for_nothing() -> None:
    assert judge.space("/", 0, 0, ["database"]) is None


def test_a_range_of_ports_has_to_hold_those_that_need_one() -> None:
    assert judge.range_full((8100, 8101), 2, 2) is None
    assert level(judge.range_full((8100, 8101), 2, 1)) == ERROR


def test_a_stranger_stops_a_fixed_port_only() -> None:
    assert level(judge.stranger("a", 1, "pid 5 (x)", fixed=True)) == ERROR
    assert level(judge.stranger("a", 1, None, fixed=False)) == INFO
    assert "another user" in judge.stranger("a", 1, None, fixed=True).what


@pytest.mark.parametrize(
    ("last", "wanted", "who", "expected", "words"),
    [
        (None, 0, None, None, ""),
        (None, 1, None, WARNING, "no pass has been made yet"),
        (1000, 1, "cron", None, ""),
        (1000, 1, None, INFO, "after a reboot"),
        (699, 1, "cron", WARNING, "5 min ago, although cron"),
        (700, 1, "cron", None, ""),
        (1000 - 200_000, 1, None, WARNING, "2 d ago and nobody"),
    ],
)
def test_passes_are_judged_by_the_last_and_by_who_makes_the_next(
    last: int | None, wanted: int, who: str | None, expected: str | None, words: str
) -> None:
    finding = judge.passes(last, 1000, 30, wanted, who)

    assert level(finding) == expected
    assert finding is None or words in finding.what


def test_a_long_interval_gives_longer() -> None:
    assert judge.passes(0, 5 * 600, 600, 1, "cron") is None
    assert level(judge.passes(0, 5 * 600 + 1, 600, 1, "cron")) == WARNING


def test_no_card_is_no_finding_and_a_silent_card_is() -> None:
    assert judge.gpu(False, None) is None
    assert judge.gpu(True, None) is None
    assert level(judge.gpu(True, "NVML: version mismatch")) == WARNING
