"""What a profile says of its container, read back from the engine, from inside and from the kernel's own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from system.scratch_site import eventually

if TYPE_CHECKING:
    from engine.boxed import Boxed

ASK = """
echo user $(id -u) $(id -g)
echo cwd $(pwd)
echo word $WORD
echo shm $(df -k /dev/shm | tail -n 1 | awk '{print $2}')
echo caps $(grep CapBnd /proc/self/status | awk '{print $2}')
echo nnp $(grep NoNewPrivs /proc/self/status | awk '{print $2}')
touch /root.txt 2>/dev/null && echo root writable || echo root read-only
touch /given/made 2>/dev/null && echo given writable || echo given read-only
touch /kept/made && echo kept writable
test -c /dev/mine && echo device there
echo asked
trap 'exit 0' TERM
while :; do sleep 0.1; done
"""


def answers(boxed: Boxed) -> dict[str, str]:
    """What the script found out inside."""
    site = boxed.site
    path = Path(str(site.newest()["box"]["log_path"]))
    eventually(lambda: site.once() and "asked\n" in path.read_text(), "it asked")
    return dict(line.partition(" ")[::2] for line in path.read_text().splitlines())


def raw(boxed: Boxed) -> dict[str, Any]:
    found: dict[str, Any] = boxed.docker.engine().api.inspect_container(boxed.one().id)
    return found


def group(pid: object, controller: str) -> Path:
    """The folder of a process's control group."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            root = Path("/sys/fs/cgroup") / names
            return Path(f"{root if root.is_dir() else root.parent / controller}{path}")
        if not names and Path(f"/sys/fs/cgroup{path}/{controller}.max").exists():
            return Path(f"/sys/fs/cgroup{path}")
    raise AssertionError(controller)


def test_every_key_arrives(either: Boxed, tmp_path: Path) -> None:
    for name in ("given", "kept"):
        (tmp_path / name).mkdir(mode=0o777)
        (tmp_path / name).chmod(0o777)
    tmp_path.chmod(0o755)
    either.box(
        script=ASK,
        resources={"memory": "64MiB", "cpus": 0.5, "gpus": "none"},
        more={
            "user": "1234:2345",
            "shm_size": "16MiB",
            "devices": ["/dev/null:/dev/mine:rw"],
            "read_only": True,
            "cap_drop": ["ALL"],
            "volumes": [f"{tmp_path}/given:/given:ro", f"{tmp_path}/kept:/kept"],
            "cwd": "/tmp",
            "env": {"WORD": "said so"},
        },
    )
    row = either.site.settle()["box"]
    host = raw(either)["HostConfig"]
    assert (host["ReadonlyRootfs"], host["ShmSize"]) == (True, 16 << 20)
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
    assert (host["RestartPolicy"]["Name"] or "no") == "no"
    assert not host["Privileged"]
    found = answers(either)
    assert found["user"] == "1234 2345"
    assert found["cwd"] == "/tmp"
    assert found["word"] == "said so"
    assert found["shm"] == f"{16 << 10}"
    assert (int(found["caps"], 16), found["nnp"]) == (0, "1")
    assert (found["root"], found["given"], found["kept"]) == ("read-only", "read-only", "writable")
    assert found["device"] == "there"
    assert (tmp_path / "kept" / "made").stat().st_uid == 1234
    assert not (tmp_path / "given" / "made").exists()
    cpu, memory = group(row["pid"], "cpu"), group(row["pid"], "memory")
    if (memory / "memory.max").exists():
        assert (memory / "memory.max").read_text() == f"{64 << 20}\n"
        quota, period = map(int, (cpu / "cpu.max").read_text().split())
    else:
        assert (memory / "memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
        quota, period = (int((cpu / f"cpu.cfs_{key}_us").read_text()) for key in ("quota", "period"))
    assert quota / period == 0.5
    stored = either.site.one("SELECT cpu_limit, memory_limit_gb FROM container_instances")
    assert (stored["cpu_limit"], stored["memory_limit_gb"]) == (0.5, 0.0625)
    assert (either.one().cpu_milli, either.one().memory_bytes) == (500, 64 << 20)


def test_what_is_not_said_is_left_to_the_image_but_for_new_privileges(either: Boxed) -> None:
    either.box(script=ASK.replace("touch /kept/made && echo kept writable\n", ""))
    either.site.settle()
    found = answers(either)
    assert (found["user"], found["cwd"], found["root"], found["nnp"]) == ("0 0", "/", "writable", "1")
    assert int(found["caps"], 16) != 0
    assert "device" not in found
    either.box(
        script=ASK.replace("touch /kept/made && echo kept writable\n", ""), more={"no_new_privileges": False}
    )
    either.site.once()
    either.site.settle()
    assert answers(either)["nnp"] == "0"
