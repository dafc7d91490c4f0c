"""The environment of a server is made, and secrets go by it and by nothing else."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.errors import CannotCreateError, ConfigError
from llamaagent.domain.profile import SecretRef
from llamaagent.launch.environ import (
    host_timezone,
    made_environment,
    read_env_file,
    resolve_secret,
    secret_environment,
)

if TYPE_CHECKING:
    import pathlib

CANARY = "canary-7f3a"
PRINT_ENVIRONMENT = """
import json, sys
from llamaagent.launch.environ import made_environment
made = made_environment(site_id="s", profile="p", launch_id="l", state_dir=sys.argv[1],
                        settings_env=(("A", "1"), ("B", "1")), runtime_env=(("B", "2"),))
print(json.dumps(made))
"""


def made(tmp_path: pathlib.Path, **more: object) -> dict[str, str]:
    """An environment as a mapping."""
    return dict(
        made_environment(site_id="s", profile="p", launch_id="l", state_dir=str(tmp_path), **more)  # type: ignore[arg-type]
    )


def test_a_bare_and_a_noisy_shell_make_the_same(tmp_path: pathlib.Path) -> None:
    source = os.path.dirname(os.path.dirname(sys.modules["llamaagent"].__file__ or ""))
    command = [sys.executable, "-c", PRINT_ENVIRONMENT, str(tmp_path)]
    bare = {"PYTHONPATH": source}
    noisy = bare | {
        "HOME": "/elsewhere",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "TMPDIR": "/var/tmp",
        "PATH": "/opt/odd/bin:/usr/bin",
        "LLAMA_ARG_CTX_SIZE": "1",
        "LLAMA_ARG_NO_MMAP": "1",
        "XDG_CONFIG_HOME": "/elsewhere",
        "CUDA_VISIBLE_DEVICES": "7",
        "USER": "someone",
        "LLAMAAGENT_LAUNCH_ID": "old",
    }
    texts = [
        subprocess.run(command, env=env, check=True, capture_output=True).stdout for env in (bare, noisy)
    ]
    assert texts[0] == texts[1]
    found = dict(json.loads(texts[0]))
    assert (found["A"], found["B"], found["LLAMAAGENT_LAUNCH_ID"]) == ("1", "2", "l")
    assert not [name for name in found if name.startswith(("LLAMA_ARG_", "LC_", "CUDA_"))]


def test_a_login_shell_and_env_i_launch_alike(tmp_path: pathlib.Path) -> None:
    """From outside: the same through `env -i` and `sh -l`, as cron and a person do."""
    source = os.path.dirname(os.path.dirname(sys.modules["llamaagent"].__file__ or ""))
    words = [sys.executable, "-c", PRINT_ENVIRONMENT, str(tmp_path)]
    cron = subprocess.run(["env", "-i", f"PYTHONPATH={source}", *words], check=True, capture_output=True)
    line = 'PYTHONPATH=$1; export PYTHONPATH; shift; exec "$@"'
    person = subprocess.run(["sh", "-lc", line, "sh", source, *words], check=True, capture_output=True)
    assert cron.stdout == person.stdout


def test_the_user_is_the_password_databases(tmp_path: pathlib.Path) -> None:
    user = pwd.getpwuid(os.geteuid())
    found = made(tmp_path)
    assert (found["HOME"], found["USER"], found["LOGNAME"]) == (user.pw_dir, user.pw_name, user.pw_name)
    assert "SHELL" not in found


def test_no_config_file_is_read_in_silence(tmp_path: pathlib.Path) -> None:
    folder = made(tmp_path)["XDG_CONFIG_HOME"]
    assert os.listdir(folder) == []
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_what_files_ask_for_wins_but_never_over_the_three_names(tmp_path: pathlib.Path) -> None:
    found = made(
        tmp_path,
        settings_env=(("LANG", "de_DE.UTF-8"), ("X", "1"), ("LLAMAAGENT_SITE", "forged")),
        runtime_env=(("X", "2"), ("LLAMA_API_KEY", "file")),
        secrets=(("LLAMA_API_KEY", CANARY),),
    )
    assert (found["LANG"], found["X"], found["LLAMA_API_KEY"]) == ("de_DE.UTF-8", "2", CANARY)
    assert (found["LLAMAAGENT_SITE"], found["LLAMAAGENT_PROFILE"]) == ("s", "p")


@pytest.mark.parametrize(
    ("cards", "expected"),
    [(None, None), ((), "-1"), (("GPU-a",), "GPU-a"), (("GPU-a", "GPU-b"), "GPU-a,GPU-b")],
)
def test_cards_are_named_or_hidden(
    tmp_path: pathlib.Path, cards: tuple[str, ...] | None, expected: str | None
) -> None:
    assert made(tmp_path, visible_gpus=cards).get("CUDA_VISIBLE_DEVICES") == expected


def test_the_zone_comes_from_the_host(tmp_path: pathlib.Path) -> None:
    (tmp_path / "etc").mkdir()
    assert host_timezone(str(tmp_path)) is None
    (tmp_path / "etc/timezone").write_text("Europe/Oslo\n")
    assert host_timezone(str(tmp_path)) == "Europe/Oslo"
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert host_timezone(str(tmp_path)) == "Europe/Berlin"


def test_a_state_folder_that_others_may_write_to_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty-config").mkdir()
    os.chmod(tmp_path / "empty-config", 0o777)
    with pytest.raises(CannotCreateError, match="written to by others"):
        made(tmp_path)


def private(path: pathlib.Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    os.chmod(path, mode)
    return str(path)


def test_a_secret_comes_from_the_env_file_before_the_environment(tmp_path: pathlib.Path) -> None:
    ref = SecretRef("env", "KEY")
    assert resolve_secret(ref, {"KEY": "shell"}, {"KEY": "file"}) == "file"
    assert resolve_secret(ref, {"KEY": "shell"}, {}) == "shell"
    with pytest.raises(ConfigError, match="secret env:KEY is not set"):
        resolve_secret(ref, {}, {})
    found = resolve_secret(SecretRef("file", private(tmp_path / "k", f"{CANARY}\n")), {}, {})
    assert found == CANARY


def test_secrets_become_the_servers_variables(tmp_path: pathlib.Path) -> None:
    path = private(tmp_path / "key", CANARY)
    by_env = secret_environment(
        [("api-key", SecretRef("env", "K")), ("hf-token", SecretRef("env", "T"))], {"K": "a"}, {"T": "b"}
    )
    assert by_env == (("LLAMA_API_KEY", "a"), ("HF_TOKEN", "b"))
    by_file = secret_environment(
        [("api-key", SecretRef("file", path)), ("hf-token", SecretRef("file", path))], {}, {}
    )
    assert by_file == (("LLAMA_ARG_API_KEY_FILE", path), ("HF_TOKEN", CANARY))
    assert secret_environment([("MY_TOKEN", SecretRef("env", "K"))], {"K": "a"}, {}) == (("MY_TOKEN", "a"),)
    with pytest.raises(ConfigError, match=r"secrets\.ssl-key cannot be passed"):
        secret_environment([("ssl-key", SecretRef("env", "K"))], {"K": CANARY}, {})


@pytest.mark.parametrize("fault", ["missing", "empty", "nul", "binary", "others", "folder"])
def test_a_bad_secret_is_named_but_never_shown(tmp_path: pathlib.Path, fault: str) -> None:
    path = tmp_path / "key"
    if fault == "folder":
        path.mkdir()
    elif fault != "missing":
        private(path, {"empty": "\n", "nul": f"{CANARY}\0x"}.get(fault, CANARY))
    if fault == "binary":
        path.write_bytes(CANARY.encode() + b"\xff")
    if fault == "others":
        os.chmod(path, 0o666)
    with pytest.raises(ConfigError) as caught:
        resolve_secret(SecretRef("file", str(path)), {}, {})
    assert str(path) in str(caught.value)
    assert CANARY not in f"{caught.value} {caught.value.hint}"


def test_an_env_file_is_read_as_it_stands(tmp_path: pathlib.Path) -> None:
    text = "# a comment\n\nA=1\nexport B='two words'\nC=\"x=y\"\nD=$HOME\nE=\n"
    found = read_env_file(private(tmp_path / "env", text))
    assert found == {"A": "1", "B": "two words", "C": "x=y", "D": "$HOME", "E": ""}


def test_an_env_file_open_to_others_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match="is open to others") as caught:
        read_env_file(private(tmp_path / "env", "A=1\n", 0o640))
    assert caught.value.hint == f"chmod 600 {tmp_path / 'env'}"


def test_a_bad_line_of_an_env_file_is_numbered_not_shown(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=":2:1: error: ") as caught:
        read_env_file(private(tmp_path / "env", f"A=1\n{CANARY}\n"))
    assert CANARY not in str(caught.value)
