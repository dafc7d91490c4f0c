"""`import` shows what it would write, always says what is lost, and writes all or nothing over nothing."""

import json
import os
import stat
from pathlib import Path

import pytest
import yaml
from scratch_home import Agent, program, written

from llamaagent.base.errors import CannotCreateError
from llamaagent.cli.placing import link_all

SWAP = """\
startPort: 9000
apiKeys: [canary-key]
hooks: {on_startup: {preload: [big]}}
models:
  big:
    cmd: |
      llama-server --port ${PORT} -m /m/big.gguf -c 8192 --api-key canary-own
    env: [HF_TOKEN=canary-token, "CUDA_VISIBLE_DEVICES=0"]
    ttl: 300
  "Small/One:Q4":
    cmd: llama-server --port ${PORT} -m /m/small.gguf
    filters: {stripParams: temperature}
  boxed:
    cmd: docker run --gpus all -p ${PORT}:8080 img:1 -m /m/x.gguf
  other:
    cmd: vllm serve x
"""
FILES = {
    "config.yaml": SWAP,
    "presets.ini": "[*]\nc = 4096\n[one]\nm = /m/one.gguf\nload-on-startup = true\n[two]\nm = /m/two.gguf\n",
    "compose.yaml": "services:\n  web:\n    image: i\n    ports: ['8085:8080']\n    gpus: all\n    restart: always\n",
    "llama.service": "[Service]\nExecStart=/opt/llama-server -m /m/x.gguf --port 8091\nRestart=always\nUser=llama\n",
    "start.sh": "#!/bin/sh\nexec llama-server -m /m/sh.gguf -c 512 --metrics\n",
}


@pytest.fixture
def files(home: Path) -> Path:
    """A folder with one file of each kind."""
    folder = home / "theirs"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_what_is_shown_is_what_is_written_and_check_takes_it(
    agent: Agent, site: Path, files: Path, name: str
) -> None:
    before = written(site)
    shown = agent("import", files / name, cwd=site)
    assert written(site) == before
    assert "not carried over (" in shown.stderr
    assert f"{files / name}:" in shown.stderr

    result = agent("import", files / name, "--write", cwd=site)
    paths = [Path(line) for line in result.stdout.splitlines()]
    assert paths
    assert "---\n".join(path.read_text() for path in paths) == shown.stdout
    assert all(path.parent == site / "profiles" for path in paths)
    checked = agent("check", cwd=site)
    assert f"{len(paths) + 1} profiles fine" in checked.stderr
    assert {path.name for path in paths} | {"tiny.yaml"} == set(os.listdir(site / "profiles"))


def test_the_profiles_of_a_llama_swap_config(agent: Agent, site: Path, files: Path) -> None:
    shown = agent("import", files / "config.yaml", cwd=site)

    found = {document["name"]: document for document in yaml.safe_load_all(shown.stdout)}
    assert found["big"] == {
        "name": "big",
        "state": "running",
        "model": "/m/big.gguf",
        "resources": {"gpus": ["0"]},
        "listen": {"port": 9001},
        "args": {"ctx-size": 8192},
        "idle": {"stop_after": "5m"},
        "secrets": {"hf-token": {"env": "HF_TOKEN"}, "api-key": {"env": "BIG_API_KEY"}},
    }
    assert found["small-one-q4"]["state"] == "stopped"
    assert found["small-one-q4"]["secrets"] == {"api-key": {"env": "LLAMA_SWAP_API_KEY"}}
    assert found["boxed"]["runtime"]["kind"] == "container"
    assert "other" not in found
    for line in ("models.other.cmd: vllm is neither", "loading on request ends here", "filters.stripParams"):
        assert line in shown.stderr
    assert f"{files / 'config.yaml'}:12: models.Small/One:Q4.filters.stripParams" in shown.stderr


def test_no_secret_leaves_the_file(agent: Agent, site: Path, home: Path, files: Path) -> None:
    outputs = [
        agent("import", files / "config.yaml", *words, cwd=site, code=None)
        for words in ((), ("--json",), ("--strict",), ("--write",))
    ]
    assert not [run for run in outputs if "canary" in run.stdout + run.stderr]
    assert [path for path, data in written(home).items() if b"canary" in data] == ["theirs/config.yaml"]


def test_json_has_profiles_and_losses(agent: Agent, site: Path, files: Path) -> None:
    found = json.loads(agent("import", files / "presets.ini", "--json", cwd=site).stdout)

    assert (found["kind"], found["file"]) == ("presets", str(files / "presets.ini"))
    assert [(one["name"], one["line"], one["document"]["state"]) for one in found["profiles"]] == [
        ("one", 3, "running"),
        ("two", 6, "stopped"),
    ]
    assert yaml.safe_load(found["profiles"][0]["text"])["args"] == {"ctx-size": 4096}
    assert {"file", "line", "key", "reason"} == set(found["not_carried"][0])


def test_strict_writes_nothing_when_anything_is_lost(
    agent: Agent, site: Path, home: Path, files: Path
) -> None:
    before = written(site)
    result = agent("import", files / "config.yaml", "--write", "--strict", cwd=site, code=65)
    assert written(site) == before
    assert "nothing was written" in result.stderr

    (home / "plain.sh").write_text("llama-server -m /m/p.gguf -c 5\n")
    agent("import", home / "plain.sh", "--write", "--strict", cwd=site)
    assert (site / "profiles" / "p.yaml").exists()


def test_it_writes_all_or_nothing_and_over_nothing(agent: Agent, site: Path, files: Path) -> None:
    (site / "profiles" / "two.yaml").write_text("model: /m/mine.gguf\n")
    (site / "profiles" / "more.yaml").write_text("name: one\nmodel: /m/mine.gguf\n")
    before = written(site)

    result = agent("import", files / "presets.ini", "--write", cwd=site, code=73)
    assert (
        f"{site / 'profiles' / 'two.yaml'}, one (declared by another file) are already there" in result.stderr
    )
    assert written(site) == before


def test_a_second_time_changes_nothing_and_ends_well(agent: Agent, site: Path, files: Path) -> None:
    """So that one that was killed between two files can simply be called again."""
    agent("import", files / "presets.ini", "--write", cwd=site)
    before = written(site)
    (site / "profiles" / "two.yaml").unlink()

    result = agent("import", files / "presets.ini", "--write", cwd=site)
    assert result.stdout == f"{site / 'profiles' / 'two.yaml'}\n"
    assert "one.yaml is there already and says the same" in result.stderr
    assert written(site) == before


def test_files_that_were_written_are_taken_back_when_a_later_one_fails(tmp_path: Path) -> None:
    """Somebody else may have been quicker since it was looked at."""
    (tmp_path / "b.yaml").write_text("theirs")
    with pytest.raises(CannotCreateError, match=r"b\.yaml.*nothing was written"):
        link_all({str(tmp_path / name): "ours" for name in ("a.yaml", "b.yaml")})
    assert written(tmp_path) == {"b.yaml": b"theirs"}


def test_a_folder_that_cannot_be_written_to(agent: Agent, site: Path, files: Path) -> None:
    # Root without the power to pass over modes is bound by them as anybody is.
    bound = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    (site / "profiles").chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        result = agent("import", files / "presets.ini", "--write", cwd=site, code=73, before=bound)
    finally:
        (site / "profiles").chmod(stat.S_IRWXU)
    assert "nothing was written" in result.stderr


def test_a_full_disk_leaves_nothing_behind(agent: Agent, site: Path, files: Path) -> None:
    """A limit on the size of files stands for it: the second file does not fit."""
    long = files / "long.ini"
    long.write_text(f"[one]\nm = /m/one.gguf\n[two]\nm = /m/{'x' * 3000}.gguf\n")
    before = written(site)
    limited = ("sh", "-c", 'trap "" XFSZ; ulimit -f 1; exec "$@"', "sh")
    result = agent("import", long, "--write", cwd=site, code=74, before=limited)
    assert "File too large" in result.stderr
    assert {name for name in written(site) if name.startswith("profiles/")} == {
        name for name in before if name.startswith("profiles/")
    }


def test_a_port_that_a_profile_of_the_site_has_is_left_to_the_agent(
    agent: Agent, site: Path, files: Path
) -> None:
    (site / "profiles" / "mine.yaml").write_text("model: /m/mine.gguf\nlisten: 8091\n")

    result = agent("import", files / "llama.service", "--write", cwd=site)
    assert "8091 is the port of mine already" in result.stderr
    agent("check", cwd=site)


def test_standard_input_and_a_kind_that_is_said(agent: Agent, site: Path) -> None:
    line = "llama-server -m /m/x.gguf -c 5\n"
    assert yaml.safe_load(agent("import", "-", cwd=site, stdin=line).stdout)["args"] == {"ctx-size": 5}
    assert (
        "neither `[section]`"
        in agent("import", "-", "--from", "presets", cwd=site, stdin=line, code=65).stderr
    )


def test_showing_needs_no_site_and_writing_does(agent: Agent, files: Path) -> None:
    assert "name: one" in agent("import", files / "presets.ini").stdout
    assert "llamaagent init" in agent("import", files / "presets.ini", "--write", code=78).stderr


def test_options_are_those_of_the_sites_own_program_and_theirs_is_never_run(
    agent: Agent, site: Path, home: Path
) -> None:
    server = program(
        home, "own-server", "echo '-m, --model FNAME  m'; echo '--port PORT  p'; echo '--new-flag N  n'\n"
    )
    (site / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {server}\n")
    evil = home / "llama-server"
    evil.write_text(f"#!/bin/sh\ntouch {home}/was-run\n")
    evil.chmod(0o755)
    own = agent("import", "-", cwd=site, stdin="llama-server -m /m/x.gguf --new-flag 5\n")
    assert "new-flag: 5" in own.stdout

    theirs = agent("import", "-", "--write", cwd=site, stdin=f"{evil} -m /m/y.gguf -c 5\n")
    assert theirs.stdout
    assert not (home / "was-run").exists()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"GGUF\x03", "is a model file"),
        (b"what is this?\n", "--from llama-swap"),
        (b"", "is empty"),
        (b"services: {a: 1, a: 2}\n", ":1:18: error: key 'a' is given twice"),
        (b"[Service]\nExecStart=/bin/true\n", "no profile comes of it"),
        (b"#" * 1_100_000, "larger than 1 MB"),
        (b"services: \x1b[31m\n", "control character"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(agent: Agent, home: Path, data: bytes, told: str) -> None:
    (home / "f").write_bytes(data)

    result = agent("import", home / "f", code=65)
    assert told in result.stderr
    assert result.stdout == ""
    assert result.stderr.isprintable() or "\x1b" not in result.stderr


def test_what_is_no_file(agent: Agent, home: Path) -> None:
    os.mkfifo(home / "pipe")
    assert "no such file" in agent("import", home / "nothing", code=65).stderr
    assert "is a directory" in agent("import", home, code=65).stderr
    assert "is empty" in agent("import", home / "pipe", code=65).stderr


def test_adopting_is_for_running_servers(agent: Agent, files: Path) -> None:
    assert "import running --adopt" in agent("import", files / "start.sh", "--adopt", code=2).stderr
