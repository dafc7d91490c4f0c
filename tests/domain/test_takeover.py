"""What stands against taking a running server over."""

from __future__ import annotations

import pytest

from llamaagent.domain.takeover import Circumstances, Parent, UnitFacts, container_of, obstacle, unit_of

HAND = Circumstances(
    pid=50,
    uid=1000,
    my_uid=1000,
    user="ann",
    cgroup="0::/user.slice/user-1000.slice/session-2.scope",
    my_cgroup="0::/user.slice/user-1000.slice/session-3.scope",
    same_namespace=True,
    parents=(Parent(40, ("bash",)), Parent(30, ("sshd",))),
    unit=None,
)


def unit(restart: str = "always", **keys: object) -> UnitFacts:
    return UnitFacts("llama.service", restart=restart, main_pid=50)._replace(**keys)  # type: ignore[arg-type]


def test_one_that_was_started_by_hand_can_be_ours() -> None:
    assert obstacle(HAND) is None
    assert obstacle(HAND._replace(same_namespace=None)) is None


@pytest.mark.parametrize("restart", ["always", "on-failure", "on-abnormal", "on-success"])
def test_a_service_that_systemd_restarts_is_refused_with_the_commands(restart: str) -> None:
    found = obstacle(HAND._replace(unit=unit(restart)))
    assert found is not None
    assert f"Restart={restart} in llama.service" in found.reason
    assert found.commands == ("systemctl disable --now llama.service", "llamaagent run --once")
    assert found.watchable


def test_a_users_own_service_is_disabled_with_user() -> None:
    found = obstacle(HAND._replace(unit=unit(user=True)))
    assert found is not None
    assert found.commands[0] == "systemctl --user disable --now llama.service"


def test_the_shell_of_a_service_counts_as_its_server() -> None:
    assert obstacle(HAND._replace(unit=unit(main_pid=40))) is not None


def test_a_service_without_restart_and_a_job_of_cron_are_no_obstacle() -> None:
    assert obstacle(HAND._replace(unit=unit("no"))) is None
    assert obstacle(HAND._replace(unit=unit("on-failure", name="cron.service", main_pid=7))) is None


def test_a_service_that_cannot_be_asked_about_is_refused() -> None:
    found = obstacle(HAND._replace(unit=UnitFacts("llama.service", fault="systemctl did not answer")))
    assert found is not None
    assert "systemctl did not answer" in found.reason


@pytest.mark.parametrize(
    "cgroup",
    [
        "0::/system.slice/docker-0123456789ab.scope",
        "12:memory:/docker/0123456789ab\n0::/",
        "0::/machine.slice/libpod-0123456789ab.scope",
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-0123.scope/container",
        "0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-77.scope",
        "0::/lxc.payload.box/system.slice",
    ],
)
def test_a_container_is_not_taken_over(cgroup: str) -> None:
    assert container_of(cgroup) is not None
    found = obstacle(HAND._replace(cgroup=cgroup))
    assert found is not None
    assert "container" in found.reason
    assert not found.watchable


def test_inside_of_the_same_container_nothing_is_foreign() -> None:
    same = "0::/system.slice/docker-0123456789ab.scope"
    assert obstacle(HAND._replace(cgroup=same, my_cgroup=same)) is None


def test_another_pid_namespace_and_another_user_are_refused() -> None:
    found = obstacle(HAND._replace(same_namespace=False))
    assert found is not None
    assert not found.watchable
    found = obstacle(HAND._replace(uid=7, user="bob"))
    assert found is not None
    assert "runs as bob" in found.reason
    assert obstacle(HAND._replace(uid=1000, my_uid=0)) is not None  # root would start it again as root


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("supervisord",), "supervisord (pid 40)"),
        (("python3", "supervisord"), "supervisord (pid 40)"),
        (("llama-swap",), "llama-swap (pid 40)"),
        (("PM2 v5.3.0: God", "PM2 v5.3.0: God Daemon"), "PM2 v5.3.0: God (pid 40)"),
        (("llama-server",), "the router pid 40"),
        (("containerd-shim",), "container"),
        (("conmon",), "container"),
    ],
)
def test_whoever_keeps_it_running_is_named(names: tuple[str, ...], words: str) -> None:
    found = obstacle(HAND._replace(parents=(Parent(45, ("sh",)), Parent(40, names))))
    assert found is not None
    assert words in found.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0::/system.slice/llama.service", ("llama.service", False)),
        ("0::/system.slice/system-llama.slice/llama@qwen.service", ("llama@qwen.service", False)),
        ("0::/user.slice/user-1.slice/user@1.service/app.slice/llama.service", ("llama.service", True)),
        ("0::/system.slice/llama.service/sub", ("llama.service", False)),
        ("0::/user.slice/user-1.slice/user@1.service/app.slice/vte-spawn-1.scope", None),
        ("0::/user.slice/user-1.slice/user@1.service/init.scope", None),
        ("0::/user.slice/user-1.slice/session-1.scope", None),
        ("9:name=systemd:/system.slice/llama.service\n4:memory:/other.service", ("llama.service", False)),
        ("0::/", None),
        ("", None),
    ],
)
def test_the_service_is_read_from_the_control_group(text: str, expected: tuple[str, bool] | None) -> None:
    assert unit_of(text) == expected
