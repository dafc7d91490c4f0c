"""`export llama-swap`, `presets`, `compose`: read as the other tool reads, they say what our launch would be given."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from export_site import EVIL, LINES, PLACE, evil_site, launch_words, no_secret
from scratch_home import Agent

from llamaagent.config.args import OWNED
from llamaagent.config.catalogue import load_catalogue
from neighbours.export_readers import compose_value, preset_sections, swap_text, swap_words

NOT_FOR_MODELS = {
    *OWNED,
    *(
        "models-dir",
        "models-preset",
        "models-max",
        "models-autoload",
        "api-prefix",
        "ssl-cert-file",
        "ssl-key-file",
    ),
}
IMAGES = "ghcr.io/ggml-org/llama.cpp"


@pytest.fixture
def evil(home: Path) -> Path:
    return evil_site(home)


def exported(agent: Agent, site: Path, *words: str, code: int = 0) -> tuple[str, list[str]]:
    """What was written, and the lines about what was not carried over."""
    result = agent("export", *words, cwd=site, code=code)
    assert no_secret(result.stdout, result.stderr)
    return result.stdout, [line for line in result.stderr.splitlines() if "not carried over:" in line]


def keys(left: list[str]) -> set[str]:
    return {line.partition(" was not carried over")[0] for line in left}


def in_a_profile(site: Path, text: str) -> None:
    for file in (site / "profiles").iterdir():
        file.unlink()
    (site / "profiles" / "one.yaml").write_text(text)


# --- llama-swap ---


def swap(text: str, **environ: str) -> dict[str, dict[str, object]]:
    found = yaml.safe_load(swap_text(text, environ))
    assert isinstance(found, dict)
    return found


def test_llama_swap_starts_what_our_launch_starts(agent: Agent, evil: Path) -> None:
    text, _ = exported(agent, evil, "llama-swap", "evil", "cpu")
    models = swap(text, EVIL_KEY="a\\b\"c'", HOME="/")["models"]

    for name, port in (("evil", "8101"), ("cpu", "5800")):
        words = launch_words(agent, evil, name)
        words[words.index("--port") + 1] = port
        assert swap_words(models[name]["cmd"], {"PORT": "5800", "MODEL_ID": name}) == words  # type: ignore[index]
    assert "${PORT}" not in models["evil"]["proxy"]  # type: ignore[index]
    assert models["cpu"]["proxy"] == "http://127.0.0.1:${PORT}"  # type: ignore[index]


def test_llama_swap_gets_variables_references_and_names(agent: Agent, evil: Path) -> None:
    text, left = exported(agent, evil, "llama-swap")
    document = swap(text, EVIL_KEY="a\\b\"c'")
    evil_model, file = document["models"]["evil"], document["models"]["file"]

    assert "LLAMA_API_KEY=${env.EVIL_KEY}" in text
    assert "LLAMA_API_KEY=a\\b\"c'" in evil_model["env"]  # type: ignore[index]
    assert f"CUDA_VISIBLE_DEVICES=1,GPU-{'a' * 8}" in evil_model["env"]  # type: ignore[index]
    assert "CUDA_VISIBLE_DEVICES=-1" in document["models"]["cpu"]["env"]  # type: ignore[index]
    assert (evil_model["aliases"], evil_model["ttl"]) == (["one", "two"], 300)  # type: ignore[index]
    assert evil_model["metadata"] == {"note": EVIL.replace("${", "$ {"), "on": "no"}  # type: ignore[index]
    assert "LLAMA_ARG_API_KEY_FILE=/run/a key" in file["env"]  # type: ignore[index]
    assert (file["checkEndpoint"], file["unloadTimeout"]) == ("/v1/health", 20)  # type: ignore[index]
    assert document["models"]["cpu"]["checkEndpoint"] == "none"  # type: ignore[index]
    assert document["healthCheckTimeout"] == 600
    assert document["hooks"] == {"on_startup": {"preload": ["cpu", "evil"]}}
    assert document["routing"]["scheduler"]["settings"]["fifo"]["priority"] == {"file": 3}  # type: ignore[index]
    # What llama-swap would replace in a variable, and what it has no word for.
    assert {"evil: runtime.env.ODD", "cpu: runtime.env.ODD"} <= keys(left)
    assert {"file: secrets.hf-token", "file: schedule.windows", "file: stop.drain"} <= keys(left)


def test_llama_swap_may_run_all_models_at_once(agent: Agent, evil: Path) -> None:
    text, _ = exported(agent, evil, "llama-swap")
    groups = swap(text, EVIL_KEY="x")["groups"]

    assert [group["swap"] for group in groups.values()] == [False, False]
    assert groups["together"]["members"] == ["cpu", "evil"]
    assert groups["pinned"] == {"swap": False, "exclusive": False, "persistent": True, "members": ["file"]}


def test_an_alias_stands_once_in_the_whole_file(agent: Agent, site: Path) -> None:
    in_a_profile(
        site,
        "name: a\nmodel: /a.gguf\nargs: {alias: [x, b]}\n---\nname: b\nmodel: /b.gguf\nargs: {alias: x}\n",
    )
    text, left = exported(agent, site, "llama-swap")

    assert yaml.safe_load(text)["models"]["a"]["aliases"] == ["x"]
    assert keys(left) == {"a: alias b", "b: alias x"}


# --- presets ---


def test_presets_say_what_the_grammar_can(agent: Agent, evil: Path) -> None:
    text, left = exported(agent, evil, "presets")
    sections = preset_sections(text)

    assert sections["evil"] == {
        "model": f"{PLACE}/m.gguf",
        "metrics": "true",
        "alias": "one,two",
        "ctx-size": "8192",
        "lora": "/l/a.gguf,/l/b.gguf",
        "sleep-idle-seconds": "60",
        "warmup": "false",
        "load-on-startup": "true",
        "stop-timeout": "10",
    }
    assert sections["cpu"]["hf-repo"] == "user/repo:Q4_K_M"
    assert (sections["file"]["load-on-startup"], sections["file"]["stop-timeout"]) == ("false", "20")
    wanted = {"evil: args.grammar", "evil: secrets.api-key", "evil: listen.port", "cpu: resources.gpus"}
    assert wanted <= keys(left)


@pytest.mark.parametrize(
    ("arg", "why"),
    [
        ("chat-template: 'a;b'", "start of a comment"),
        ("chat-template: 'a #b'", "start of a comment"),
        ('chat-template: "a\\nb"', "line ends"),
        ("chat-template: ' a'", "blanks"),
        ("control-vector-layer-range: [1, 9]", "two values"),
        ("logit-bias: ['1+2', '3-4']", "only once"),
    ],
)
def test_presets_leave_out_what_would_be_read_as_something_else(
    agent: Agent, site: Path, arg: str, why: str
) -> None:
    in_a_profile(site, f"name: a\nmodel: /a.gguf\nargs: {{{arg}, c: 512}}\n")
    text, left = exported(agent, site, "presets")
    option = arg.partition(":")[0]

    assert option not in preset_sections(text)["a"]
    assert any(f"a: args.{option} was not carried over" in line and why in line for line in left), left


@pytest.mark.binary
def test_the_real_router_reads_the_presets(
    agent: Agent, site: Path, llama_server_binary: str, tiny_model: str, free_port: int
) -> None:
    in_a_profile(
        site,
        f"name: one\nmodel: {tiny_model}\nargs: {{c: 256, alias: 'first,1st', warmup: false, jinja: true,"
        "temp: 0.5, samplers: [top_k], cache-prompt: false, override-kv: ['a.b=int:1', 'a.c=int:2']}\n"
        f"---\nname: two\nstate: stopped\nmodel: {tiny_model}\n",
    )
    file = site / "models.ini"
    exported(agent, site, "presets", "-o", str(file))

    models = router_models(llama_server_binary, file, free_port)
    assert {"one", "two"} <= models.keys()
    asked = models["one"]["status"]["args"]  # type: ignore[index]
    assert asked[asked.index("--ctx-size") + 1] == "256"
    assert "--no-warmup" in asked
    assert "--metrics" in asked


@pytest.mark.binary
def test_the_real_router_knows_every_option_by_the_name_that_is_written(
    agent: Agent, site: Path, llama_server_binary: str, free_port: int
) -> None:
    """All options of the catalogue that a profile may have, in one section."""
    values = {"none": True, "int": 1, "float": 0.5, "number": 1}
    args: dict[str, object] = {}
    for name, option in load_catalogue().options.items():
        if not (option.gone or option.exits or option.preset or option.values > 1 or name in NOT_FOR_MODELS):
            args[name] = values.get(option.value, option.choices[0] if option.choices else "x")
    args |= {"verbosity": 3, "logit-bias": "1+1", "sleep-idle-seconds": 5}
    in_a_profile(site, f"name: a\nmodel: /a.gguf\nallow_dangerous: true\nargs: {json.dumps(args)}\n")
    file = site / "models.ini"
    _, left = exported(agent, site, "presets", "-o", str(file))

    assert keys(left) == {"a: runtime.binary"}
    asked = router_models(llama_server_binary, file, free_port)["a"]["status"]["args"]  # type: ignore[index]
    assert len(args) > 150
    assert [name for name in args if not {*load_catalogue().options[name].names} & {*asked}] == []


def router_models(binary: str, file: Path, port: int) -> dict[str, dict[str, object]]:
    """What a router says of its models; it is ended again."""
    from http.client import HTTPConnection, HTTPException
    from time import monotonic, sleep

    words = [
        binary,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--models-preset",
        str(file),
        "--models-max",
        "1",
    ]
    with subprocess.Popen(
        words, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            end = monotonic() + 60
            while monotonic() < end and server.poll() is None:
                try:
                    link = HTTPConnection("127.0.0.1", port, timeout=10)
                    link.request("GET", "/models")
                    answer = link.getresponse()
                    if answer.status == 200:
                        return {model["id"]: model for model in json.loads(answer.read())["data"]}
                except (OSError, HTTPException):
                    pass
                finally:
                    link.close()
                sleep(0.1)
        finally:
            server.terminate()
            output = server.communicate(timeout=60)[0]
    raise AssertionError(output)


# --- compose ---


def services(text: str, **environ: str) -> dict[str, dict[str, object]]:
    def read(value: object) -> object:
        if isinstance(value, dict):
            return {key: read(item) for key, item in value.items()}
        if isinstance(value, list):
            return [read(item) for item in value]
        return compose_value(value, environ) if isinstance(value, str) else value

    found = read(yaml.safe_load(text)["services"])
    assert isinstance(found, dict)
    return found


def test_a_compose_service_starts_what_our_launch_starts(agent: Agent, evil: Path) -> None:
    text, left = exported(agent, evil, "compose")
    found = services(text, EVIL_KEY="k")

    words = launch_words(agent, evil, "evil")[1:]
    words[words.index("--host") + 1 : words.index("--port") + 2] = ["0.0.0.0", "--port", "8080"]
    service = found["evil"]
    assert service["command"] == words
    assert LINES in service["command"]
    assert service["environment"] == {"ODD": EVIL, "LLAMA_API_KEY": "k"}
    assert service["ports"] == ["127.0.0.1:8101:8080"]
    assert {one["source"]: one["read_only"] for one in service["volumes"]} == {PLACE: True, "/l": True}  # type: ignore[attr-defined]
    assert {"evil: runtime.binary", "file: secrets.hf-token", "file: schedule.windows"} <= keys(left)


def test_an_export_makes_no_second_supervisor(agent: Agent, evil: Path) -> None:
    text, _ = exported(agent, evil, "compose")

    assert {one["restart"] for one in services(text, EVIL_KEY="k").values()} == {"no"}
    assert text.count('restart: "no"') == 3
    assert services(text, EVIL_KEY="k")["file"]["profiles"] == ["stopped"]


def test_compose_keeps_health_limits_and_secrets(agent: Agent, evil: Path) -> None:
    text, _ = exported(agent, evil, "compose")
    found = services(text, EVIL_KEY="k")

    file = found["file"]
    assert file["healthcheck"]["test"][-1] == "http://127.0.0.1:8080/v1/health"  # type: ignore[index]
    assert (file["healthcheck"]["start_period"], file["stop_grace_period"]) == ("600s", "20s")  # type: ignore[index]
    assert found["cpu"]["healthcheck"] == {"disable": True}
    (name,) = file["secrets"]  # type: ignore[misc]
    assert yaml.safe_load(text)["secrets"] == {name: {"file": "/run/a key"}}
    assert file["environment"]["LLAMA_ARG_API_KEY_FILE"] == f"/run/secrets/{name}"  # type: ignore[index]


def test_a_container_profile_keeps_what_it_says(agent: Agent, site: Path) -> None:
    in_a_profile(
        site,
        """
name: box
model: /models/a/m.gguf
listen: "0.0.0.0:9000"
runtime: {kind: container, image: "ghcr.io/x/y:cuda", volumes: ["/models:/models:ro"], port: 9090, ports: ["7:7"],
  network: lan, user: "1000:1000", shm_size: 1GiB, read_only: true, cap_drop: [ALL], pull: always, cwd: /w,
  devices: [/dev/fuse], entrypoint: [/run.sh, -x], env: {A: "b$c"}}
resources: {gpus: 2, memory: 16GiB, cpus: 2.5}
args: {mmproj: /other/mm.gguf}
""",
    )
    text, left = exported(agent, site, "compose", "--strict")
    box = services(text)["box"]

    assert left == []
    assert box["ports"] == ["0.0.0.0:9000:9090", "7:7"]
    assert box["volumes"][0] == "/models:/models:ro"  # type: ignore[index]
    assert [one["source"] for one in box["volumes"][1:]] == ["/other"]  # type: ignore[index]
    assert box["deploy"]["resources"] == {  # type: ignore[index]
        "limits": {"cpus": "2.5", "memory": "16384m"},
        "reservations": {"devices": [{"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}]},
    }
    same = {
        "user": "1000:1000",
        "shm_size": "1024m",
        "read_only": True,
        "cap_drop": ["ALL"],
        "pull_policy": "always",
    }
    same |= {
        "working_dir": "/w",
        "devices": ["/dev/fuse"],
        "entrypoint": ["/run.sh", "-x"],
        "networks": ["lan"],
    }
    assert {key: box[key] for key in same} == same
    assert box["environment"] == {"A": "b$c"}
    assert yaml.safe_load(text)["networks"] == {"lan": {"external": True}}


@pytest.mark.case("peers 5.30")
@pytest.mark.parametrize(
    ("image", "gpus", "wanted"),
    [
        ("server-cuda", "[0, GPU-12345678]", {"device_ids": ["0", "GPU-12345678"]}),
        ("server-cuda", "all", {"count": "all"}),
        ("server-rocm", "[0, 1]", {"HIP_VISIBLE_DEVICES": "0,1"}),
        ("server-intel", "[1]", {"ONEAPI_DEVICE_SELECTOR": "level_zero:1"}),
        ("server-vulkan", "[1]", {"GGML_VK_VISIBLE_DEVICES": "1"}),
        ("server-cuda", "none", {}),
        ("server", "auto", {}),
    ],
)
def test_an_image_gets_the_cards_of_its_maker(
    agent: Agent, site: Path, image: str, gpus: str, wanted: dict[str, object]
) -> None:
    in_a_profile(site, f"name: a\nmodel: /m/a.gguf\nresources: {{gpus: {gpus}}}\n")
    text, left = exported(agent, site, "compose", "--image", f"{IMAGES}:{image}")
    service = services(text)["a"]

    assert left == []
    nvidia = image == "server-cuda" and gpus != "none"
    assert ("nvidia" in text) == nvidia
    assert ("/dev/dri" in service.get("devices", [])) == bool(re.search("rocm|intel|vulkan", image))  # type: ignore[operator]
    assert ("/dev/kfd" in service.get("devices", [])) == ("rocm" in image)  # type: ignore[operator]
    if nvidia:
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]  # type: ignore[index]
        assert device == {"driver": "nvidia", "capabilities": ["gpu"], **wanted}
    else:
        assert service.get("environment", {}) == wanted


def test_a_card_that_an_image_cannot_get_is_said(agent: Agent, site: Path) -> None:
    in_a_profile(site, "name: a\nmodel: /m/a.gguf\nresources: {gpus: [GPU-12345678]}\n")
    for image in ("server", "server-rocm", "server-musa"):
        _, left = exported(agent, site, "compose", "--image", f"{IMAGES}:{image}")
        assert keys(left) == {"a: resources.gpus"}, image


def compose_clients() -> list[list[str]]:
    """The compose programs of this machine."""
    found = [["docker-compose"]] if shutil.which("docker-compose") else []
    if shutil.which("docker"):
        result = subprocess.run(
            ["docker", "compose", "version"], capture_output=True, timeout=60, check=False
        )
        found += [["docker", "compose"]] if result.returncode == 0 else []
    return found


def test_compose_itself_reads_the_file(agent: Agent, evil: Path) -> None:
    """Where the machine has it; the tests above read the same file by the rules."""
    file = evil / "compose.yaml"
    exported(agent, evil, "compose", "-o", str(file))

    for client in compose_clients():
        result = subprocess.run(
            [*client, "-f", str(file), "config"],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "EVIL_KEY": "k", "HOME": str(evil)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "nvidia" in result.stdout


# --- all of them ---

KINDS = ("llama-swap", "presets", "compose", "shell")


@pytest.mark.parametrize("kind", KINDS)
def test_strict_writes_nothing_when_something_is_lost(agent: Agent, evil: Path, kind: str) -> None:
    file = evil / "out"
    result = agent("export", kind, "--strict", "-o", file, cwd=evil, code=65)

    assert "file: schedule.windows was not carried over" in result.stderr
    assert not file.exists()
    assert result.stdout == ""


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_loss_it_says_so_and_nothing_else(agent: Agent, site: Path, kind: str) -> None:
    in_a_profile(site, "name: a\nstate: stopped\nmodel: /a.gguf\nruntime: {binary: llama-server}\n")
    (site / "llamaagent.yaml").write_text("{}\n")
    words = ["--image", f"{IMAGES}:server"] if kind == "compose" else []
    result = agent("export", kind, "--strict", *words, cwd=site)

    assert "everything was carried over" in result.stderr
    assert "not carried over" not in agent("export", kind, "-q", *words, cwd=site).stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_there_is_not_overwritten(agent: Agent, evil: Path, kind: str) -> None:
    (evil / "out").write_text("mine")
    agent("export", kind, "-o", evil / "out", cwd=evil, code=73)

    assert (evil / "out").read_text() == "mine"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_site_gives_the_same_text(agent: Agent, evil: Path, kind: str) -> None:
    assert agent("export", kind, cwd=evil).stdout == agent("export", kind, cwd=evil).stdout


def test_names_choose_and_unknown_names_are_told(agent: Agent, evil: Path) -> None:
    assert list(yaml.safe_load(exported(agent, evil, "llama-swap", "c*")[0])["models"]) == ["cpu"]
    assert "did you mean evil?" in agent("export", "presets", "evli", cwd=evil, code=2).stderr


def test_what_is_only_watched_is_not_exported(agent: Agent, site: Path) -> None:
    in_a_profile(site, "name: a\nruntime: {kind: external, port: 8080}\n")

    result = agent("export", "llama-swap", cwd=site, code=65)
    assert "a: runtime.kind external was not carried over" in result.stderr


def test_a_refused_file_is_a_loss(agent: Agent, site: Path) -> None:
    (site / "profiles" / "bad.yaml").write_text("model: 7\nmodel: 8\n")

    assert "bad.yaml: the file was not carried over" in agent("export", "presets", cwd=site).stderr
    agent("export", "presets", "--strict", cwd=site, code=65)
    assert "bad.yaml" not in agent("export", "presets", "tiny", cwd=site).stderr


def test_the_defaults_of_the_settings_are_in_it(agent: Agent, site: Path) -> None:
    (site / "llamaagent.yaml").write_text("binary: /bin/true\ndefaults: {args: {threads: 7}}\n")

    assert preset_sections(agent("export", "presets", cwd=site).stdout)["tiny"]["threads"] == "7"


def test_the_command_that_show_prints_is_read_back_by_a_shell(agent: Agent, evil: Path) -> None:
    """Paths of secrets with blanks and quotes in them too."""
    line = agent("show", "file", "--command", cwd=evil).stdout
    words = shlex.split(line)
    assert "LLAMA_ARG_API_KEY_FILE=/run/a key" in words
    assert f"HF_TOKEN=$(cat '{evil.parent / 'hf token'}')" in words
    assert words[words.index("--model") - 1 :] == launch_words(agent, evil, "file")
