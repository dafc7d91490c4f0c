"""Where things are, and that our folders are ours alone."""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.errors import CannotCreateError
from llamaagent.base.paths import ensure_private_dir, places

if TYPE_CHECKING:
    import pathlib


def test_a_user_has_the_xdg_folders_below_home() -> None:
    found = places({}, home="/home/ann", uid=1000)
    assert found.database == "/home/ann/.local/share/llamaagent/llamaagent.db"
    assert found.logs == "/home/ann/.local/state/llamaagent/logs"
    assert found.exits == "/home/ann/.local/state/llamaagent/exits"
    assert found.cache == "/home/ann/.cache/llamaagent"
    assert found.report == "/home/ann/.local/share/llamaagent/site"
    assert found.runtime == found.state


def test_xdg_variables_win_and_relative_ones_do_not_count() -> None:
    environ = {"XDG_DATA_HOME": "/d", "XDG_STATE_HOME": "s", "XDG_RUNTIME_DIR": "/run/user/1"}
    found = places(environ, home="/home/ann", uid=1000)
    assert found.data == "/d/llamaagent"
    assert found.state == "/home/ann/.local/state/llamaagent"
    assert found.runtime == "/run/user/1/llamaagent"


def test_root_keeps_to_var_and_run() -> None:
    found = places({}, home="/root", uid=0)
    assert found.database == "/var/lib/llamaagent/llamaagent.db"
    assert (found.logs, found.runtime) == ("/var/log/llamaagent", "/run/llamaagent")
    with_xdg = places({"XDG_STATE_HOME": "/s"}, home="/root", uid=0)
    assert with_xdg.logs == "/s/llamaagent/logs"


def test_the_database_can_be_named() -> None:
    assert places({"LLAMAAGENT_DB_PATH": "/x/y.db"}, home="/h", uid=1).database == "/x/y.db"


def test_without_home_the_password_database_is_asked() -> None:
    user = pwd.getpwuid(os.geteuid())
    assert places({"XDG_STATE_HOME": "/s"}, uid=1_234_567).data == "/.local/share/llamaagent"
    assert places({}, uid=user.pw_uid or 1_234_567).cache.endswith("/.cache/llamaagent")


def mode(path: str | pathlib.Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_private_folder_is_made_with_its_parents(tmp_path: pathlib.Path) -> None:
    path = ensure_private_dir(str(tmp_path / "a/b"))
    assert (mode(path), mode(tmp_path / "a")) == (0o700, 0o700)
    assert ensure_private_dir(path) == path


def test_the_mode_does_not_depend_on_the_umask(tmp_path: pathlib.Path) -> None:
    old = os.umask(0o277)
    try:
        path = ensure_private_dir(str(tmp_path / "a"), mode=0o750)
    finally:
        os.umask(old)
    assert mode(path) == 0o750


def test_a_folder_of_ours_keeps_its_mode_unless_asked(tmp_path: pathlib.Path) -> None:
    os.chmod(tmp_path, 0o755)
    ensure_private_dir(str(tmp_path))
    assert mode(tmp_path) == 0o755
    ensure_private_dir(str(tmp_path), exact=True)
    assert mode(tmp_path) == 0o700


@pytest.mark.root
def test_a_strangers_folder_is_refused(tmp_path: pathlib.Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(CannotCreateError, match="belongs to uid 65534"):
        ensure_private_dir(str(tmp_path))


def test_what_is_no_private_folder_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreateError, match="is not a folder"):
        ensure_private_dir(str(tmp_path / "file"))
    with pytest.raises(CannotCreateError, match="cannot make folder"):
        ensure_private_dir(str(tmp_path / "file/below"))
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o1777)
    with pytest.raises(CannotCreateError, match="can be written to by others"):
        ensure_private_dir(str(tmp_path / "open"))
