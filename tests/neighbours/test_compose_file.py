"""Compose files: the four forms of cards, two forms of nearly everything, and what is not carried over."""

from pathlib import Path

import pytest
from neighbour_files import lost, profiles, taken


def service(lines: str, before: str = "") -> str:
    inner = "".join(f"    {line}\n" for line in lines.splitlines())
    return f"{before}\nservices:\n  a:\n    image: i\n{inner}"


def one(lines: str) -> dict[str, object]:
    return profiles(service(lines))["a"]


@pytest.mark.parametrize(
    ("lines", "gpus"),
    [
        ("", "none"),
        (
            "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2, capabilities: [gpu]}]}}}",
            2,
        ),
        (
            "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu]}]}}}",
            "all",
        ),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}", "all"),
        (
            "deploy: {resources: {reservations: {devices: [{device_ids: ['0', GPU-12345], capabilities: [gpu]}]}}}",
            ["0", "GPU-12345"],
        ),
        (
            "deploy: {resources: {reservations: {devices: [{driver: cdi, device_ids: ['nvidia.com/gpu=1']}]}}}",
            ["1"],
        ),
        ("gpus: all", "all"),
        ("gpus: 2", 2),
        ("gpus: [{driver: nvidia, count: 1}]", 1),
        ("runtime: nvidia", "all"),
        ("runtime: nvidia\nenvironment: {NVIDIA_VISIBLE_DEVICES: '1,2'}", ["1", "2"]),
        ("runtime: nvidia\nenvironment: [NVIDIA_VISIBLE_DEVICES=void]", "none"),
        ("devices: ['nvidia.com/gpu=0', 'nvidia.com/gpu=1']", ["0", "1"]),
        ("devices: ['nvidia.com/gpu=all']", "all"),
    ],
)
def test_cards_in_all_their_forms(lines: str, gpus: object) -> None:
    assert one(lines)["resources"] == {"gpus": gpus}


def test_cards_of_another_maker_stay_devices_or_are_listed() -> None:
    assert one("devices: [/dev/kfd, /dev/dri]")["runtime"]["devices"] == ["/dev/kfd", "/dev/dri"]  # type: ignore[index]
    text = service("deploy: {resources: {reservations: {devices: [{driver: amdgpu, capabilities: [gpu]}]}}}")
    assert "driver amdgpu" in lost(text)["services.a.deploy.resources.reservations.devices"]


def test_count_and_ids_together_are_told() -> None:
    text = service("gpus: [{count: 1, device_ids: ['0']}]")
    assert profiles(text)["a"]["resources"] == {"gpus": ["0"]}
    assert "exclude each other" in lost(text)["services.a.deploy.resources.reservations.devices"]


@pytest.mark.parametrize(
    ("ports", "listen", "inner", "others"),
    [
        ("['8081:8080']", {"host": "0.0.0.0", "port": 8081}, 8080, None),
        ("['127.0.0.1:8081:8080/tcp']", {"host": "127.0.0.1", "port": 8081}, 8080, None),
        ("['[::1]:8081:8080']", {"host": "::1", "port": 8081}, 8080, None),
        ("[8080]", {"host": "0.0.0.0"}, 8080, None),
        (
            "[{target: 8080, published: '8081', host_ip: 127.0.0.1}]",
            {"host": "127.0.0.1", "port": 8081},
            8080,
            None,
        ),
        ("['9000:9000/udp', '1:2', '3:4']", {"host": "0.0.0.0", "port": 1}, 2, ["9000:9000/udp", "3:4"]),
        ("['9000-9001:9000-9001']", None, None, ["9000-9001:9000-9001"]),
    ],
)
def test_ports(ports: str, listen: object, inner: int | None, others: list[str] | None) -> None:
    document = one(f"ports: {ports}")
    runtime: dict[str, object] = document["runtime"]  # type: ignore[assignment]
    assert (document.get("listen"), runtime.get("port"), runtime.get("ports")) == (listen, inner, others)


def test_commands_as_text_and_as_lists() -> None:
    assert one("command: -m '/a b' --seed 1")["runtime"]["command"] == ["-m", "/a b", "--seed", "1"]  # type: ignore[index]
    assert one("command: [-m, /a, --seed, 1]")["runtime"]["command"] == ["-m", "/a", "--seed", "1"]  # type: ignore[index]
    assert one("entrypoint: /bin/x -y")["runtime"]["entrypoint"] == ["/bin/x", "-y"]  # type: ignore[index]
    assert "cannot be split" in lost(service('command: "x \'"'))["services.a.command"]


def test_variables_in_both_forms_and_those_from_outside() -> None:
    for text in (
        "environment: {A: 1, B: true, OUT: , C: '${D}'}",
        "environment: [A=1, B=true, OUT, 'C=${D}']",
    ):
        document = one(text)
        assert document["runtime"]["env"] == {"A": "1", "B": "true"}  # type: ignore[index]
        assert document["secrets"] == {"OUT": {"env": "OUT"}, "C": {"env": "D"}}


def test_options_by_variables_become_words_of_the_command() -> None:
    document = one(
        "command: [-c, '1']\nenvironment: {LLAMA_ARG_MODEL: /m/x.gguf, LLAMA_ARG_NO_CONT_BATCHING: 1}"
    )
    assert document["runtime"]["command"] == ["-c", "1", "--model", "/m/x.gguf", "--no-cont-batching"]  # type: ignore[index]


def test_volumes_in_both_forms(tmp_path: Path) -> None:
    text = service(
        "volumes:\n- ./m:/m:ro\n- data:/d\n- {type: bind, source: x, target: /x, read_only: true}\n- /nameless\n"
        "- {type: tmpfs, target: /t}"
    )
    document = profiles(text, folder=tmp_path)["a"]
    assert document["runtime"]["volumes"] == [f"{tmp_path}/m:/m:ro", "data:/d", f"{tmp_path}/x:/x:ro"]
    assert "tmpfs" in lost(text)["services.a.volumes"]


def test_dollars_defaults_and_references() -> None:
    text = service("command: ['$$HOME', '${A:-b}', '${C-}', '${D}', '$E']")
    assert profiles(text)["a"]["runtime"]["command"] == ["$HOME", "b", "", "${D}", "$E"]
    assert "A may come from outside; its default was taken" in lost(text)["services.a.command"]


def test_anchors_merge_keys_and_extensions() -> None:
    text = service(
        "<<: *base\nenvironment: {<<: *env, B: 3}",
        "x-base: &base {user: '7', init: true}\nx-env: &env {A: 1, B: 2}",
    )
    document = profiles(text)["a"]
    assert document["runtime"]["user"] == "7"
    assert document["runtime"]["env"] == {"A": "1", "B": "3"}
    assert {"x-base", "x-env", "services.a.init"} <= set(lost(text))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("'no'", "never"),
        ("no", "never"),
        ("on-failure:3", "on-failure"),
        ("always", None),
        ("unless-stopped", None),
    ],
)
def test_a_policy_of_the_engine_is_a_second_supervisor(policy: str, expected: str | None) -> None:
    text = service(f"restart: {policy}")
    document = profiles(text)["a"]
    assert document.get("restart", {}).get("policy") == expected
    assert document["state"] == "stopped"
    assert ("two supervisors" in lost(text).get("services.a.restart", "")) is (expected != "never")


@pytest.mark.parametrize(
    ("check", "health"),
    [
        ("{test: [CMD, curl, -f, 'http://localhost:8080/health']}", None),
        ("{test: curl -f http://127.0.0.1:8080/v1/models || exit 1}", {"probe": "http", "path": "/v1/models"}),
        ("{disable: true}", {"probe": "none"}),
        ("{test: [NONE]}", {"probe": "none"}),
        ("{test: [CMD, nvidia-smi], timeout: 3s, retries: 4, start_period: 1m30s}",
         {"timeout": "3s", "failures": 4, "start_timeout": "1m30s"}),
    ],
)  # fmt: skip
def test_health_checks(check: str, health: object) -> None:
    assert one(f"healthcheck: {check}").get("health") == health


def test_limits_and_rights() -> None:
    lines = (
        "mem_limit: 16g\ncpus: 1.5\nshm_size: 64m\nuser: 1000:1000\nworking_dir: /w\nread_only: true\ncap_drop: [ALL]\n"
        "security_opt: ['no-new-privileges:false', 'label=disable']\nstop_grace_period: 1m30s\nnetwork_mode: bridge\n"
        "pull_policy: if_not_present\nlabels: [a=b]"
    )
    document = one(lines)
    assert document["resources"] == {"gpus": "none", "memory": "16GiB", "cpus": 1.5}
    assert document["runtime"] == {
        "kind": "container",
        "image": "i",
        "shm_size": "64MiB",
        "user": "1000:1000",
        "cwd": "/w",
        "read_only": True,
        "cap_drop": ["ALL"],
        "no_new_privileges": False,
        "network": "bridge",
        "pull": "missing",
    }
    assert document["stop"] == {"grace": "1m30s"}
    assert document["labels"] == {"a": "b"}
    assert "label=disable" in lost(service(lines))["services.a.security_opt"]


def test_with_the_hosts_network_the_servers_port_is_the_port() -> None:
    assert one("network_mode: host\ncommand: --port 8085")["listen"] == {"port": 8085}


@pytest.mark.parametrize(
    "key",
    ["extends", "build", "env_file", "container_name", "depends_on", "profiles", "secrets", "logging", "ipc", "ulimits",
     "init", "tmpfs", "brand_new"],
)  # fmt: skip
def test_the_rest_is_listed(key: str) -> None:
    assert f"services.a.{key}" in lost(service(f"{key}: x"))


@pytest.mark.parametrize("key", ["include", "networks", "secrets", "configs", "x-mine", "brand_new"])
def test_the_rest_of_the_file_is_listed(key: str) -> None:
    assert key in lost(service("", f"{key}: [x]"))


def test_a_service_without_an_image_is_listed() -> None:
    text = "services: {a: {build: .}, b: {image: i}}"
    assert list(profiles(text)) == ["b"]
    assert "needs an image" in lost(text)["services.a.image"]


def test_no_secret_is_copied_anywhere() -> None:
    text = service(
        "command: --api-key canary-1 --password=canary-2\nenvironment: {HF_TOKEN: canary-3}\nlabels: {x: canary-3}"
    )
    found = taken(text)
    assert "canary" not in repr(found)
    assert found.profiles[0].document["secrets"] == {
        "hf-token": {"env": "HF_TOKEN"},
        "api-key": {"env": "A_API_KEY"},
        "A_PASSWORD": {"env": "A_PASSWORD"},
    }
