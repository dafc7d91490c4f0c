"""What an engine is told, word by word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamaagent.domain.profile import Listen, ModelRef, Profile, Resources, Runtime
from llamaagent.engine import body


def profile(*, runtime: dict[str, Any] | None = None, **keys: Any) -> Profile:
    made = Profile("box", "/profiles/box.yaml", 1, ModelRef(), **keys)
    said = json.dumps({"image": "some/image:1", **(runtime or {})})
    return made._replace(runtime=Runtime(kind="container", container=said, port=keys.get("port")))


def wanted(**more: Any) -> body.Wanted:
    return body.Wanted(
        "0123456789abcdef", "site", ("run", "it"), (("A", "b"),), **{"host_port": None, **more}
    )


def test_the_least_that_is_said_is_one_supervisor_and_no_new_privileges() -> None:
    made = body.host_arguments(profile(), wanted(), "docker")
    assert made == {
        "restart_policy": {"Name": "no"},
        "read_only": False,
        "security_opt": ["no-new-privileges"],
        "log_config": {"Type": "json-file", "Config": {"max-size": f"{32 << 20}", "max-file": "2"}},
    }
    told = body.arguments(profile(), wanted())
    assert (told["image"], told["command"], told["environment"]) == (
        "some/image:1",
        ["run", "it"],
        {"A": "b"},
    )
    assert (told["entrypoint"], told["user"], told["working_dir"], told["tty"]) == (None, None, None, False)


def test_podman_keeps_its_log_in_one_file_of_a_bounded_size() -> None:
    made = body.host_arguments(profile(), wanted(log_bytes=5 << 20), "podman")
    assert made["log_config"] == {"Type": "k8s-file", "Config": {"max-size": f"{5 << 20}"}}


def test_limits_are_of_memory_without_swap() -> None:
    limits = Resources(memory_mib=64, cpus=1.5)
    made = body.host_arguments(profile(resources=limits), wanted(), "docker")
    assert (made["mem_limit"], made["memswap_limit"], made["nano_cpus"]) == (
        64 << 20,
        64 << 20,
        1_500_000_000,
    )


def test_cards_are_asked_for_by_uuid_of_podman_by_their_cdi_names() -> None:
    cards = wanted(gpus=("GPU-a", "GPU-b"))
    assert body.host_arguments(profile(), cards, "docker")["device_requests"] == [
        {"Driver": "", "DeviceIDs": ["GPU-a", "GPU-b"], "Capabilities": [["gpu"]]}
    ]
    assert body.host_arguments(profile(), cards, "podman")["device_requests"] == [
        {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-a", "nvidia.com/gpu=GPU-b"]}
    ]
    assert "device_requests" not in body.host_arguments(profile(), wanted(), "podman")


def test_cards_without_requests_are_devices() -> None:
    made = body.host_arguments(
        profile(runtime={"devices": ["/dev/snd"]}), wanted(devices=("/dev/kfd", "/dev/dri")), "docker"
    )
    assert made["devices"] == ["/dev/snd", "/dev/kfd:/dev/kfd:rwm", "/dev/dri:/dev/dri:rwm"]


@pytest.mark.parametrize(
    ("ports", "mapped"),
    [
        (["9000"], {"9000/tcp": ("127.0.0.1", "9000")}),
        (["9001:9000"], {"9000/tcp": ("127.0.0.1", "9001")}),
        (["0.0.0.0:9001:9000/udp"], {"9000/udp": ("0.0.0.0", "9001")}),
        (["[::1]:9001:9000"], {"9000/tcp": ("::1", "9001")}),
    ],
)
def test_ports_are_published_on_the_loopback_unless_said_otherwise(
    ports: list[str], mapped: dict[str, tuple[str, str]]
) -> None:
    asked = profile(runtime={"ports": ports}, listen=Listen("0.0.0.0"))
    assert body.host_arguments(asked, wanted(), "docker")["port_bindings"] == mapped
    reached = body.host_arguments(asked, wanted(host_port=8100), "docker")["port_bindings"]
    assert reached == {"8080/tcp": ("0.0.0.0", "8100"), **mapped}


@pytest.mark.parametrize(
    ("network", "mappings"), [("host", {"8100": "8100"}), ("none", {}), ("container:other", {})]
)
def test_what_has_no_network_of_its_own_publishes_nothing(network: str, mappings: dict[str, str]) -> None:
    asked, given = profile(runtime={"network": network}), wanted(host_port=8100)
    made = body.host_arguments(asked, given, "docker")
    assert "port_bindings" not in made
    assert made["network_mode"] == network
    assert body.arguments(asked, given)["ports"] == []
    assert body.port_mappings(asked, given) == mappings


def test_our_labels_win_over_those_of_the_profile() -> None:
    asked = profile(labels=(("io.llamaagent.site", "mine"), ("owner", "ann")), project="research")
    found = body.labels_of(asked, wanted())
    assert (found["io.llamaagent.site"], found["owner"]) == ("site", "ann")
    assert found["io.llamaagent.project"] == "research"


def test_folders_of_files_are_seen_under_the_same_path_once() -> None:
    files = ["/models/a/x.gguf", "/models/a/y.gguf", "/models/a/b/z.gguf", "/other/l.gguf", "/vmlinuz"]
    assert body.folders(files) == (("/models/a", "/models/a", False), ("/other", "/other", False))
    made = body.host_arguments(
        profile(runtime={"volumes": ["/data:/data"]}), wanted(mounts=body.folders(files)), "docker"
    )
    assert made["binds"] == ["/models/a:/models/a:ro", "/other:/other:ro", "/data:/data"]
