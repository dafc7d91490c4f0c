"""`fit`: the real tool or the header, stored, and a line for everything that is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scratch_home import program

if TYPE_CHECKING:
    from scratch_home import Agent

MIB = 1 << 20


@pytest.fixture
def fit_site(home: Path, tiny_model: str) -> Path:
    """A site whose server program has no fit tool beside it."""
    folder = home / "fitting"
    (folder / "profiles").mkdir(parents=True)
    (folder / "llamaagent.yaml").write_text("profiles: profiles/\nbinary: /bin/true\n")
    (folder / "profiles" / "tiny.yaml").write_text(f"model: {tiny_model}\nargs: {{c: 512, temp: 0.5}}\n")
    return folder


def profile(folder: Path, name: str, text: str) -> None:
    (folder / "profiles" / f"{name}.yaml").write_text(text)


def fit_tool(
    home: Path, answer: str = "echo '-c 512 -ngl -1'", rows: str = "Host 3 2 1 ", measure: str | None = None
) -> Path:
    """A stand-in on PATH that notes what it was given."""
    shown = f"echo '{rows}'"
    body = f'echo "$@" >> {home}/calls\nenv >> {home}/calls\n'
    body += "case \"$*\" in --help) printf -- '-m,    --model FNAME\\n-c,    --ctx-size N\\n';;\n"
    return program(home, "llama-fit-params", body + f"*-fitp*) {measure or shown};;\n*) {answer};;\nesac\n")


def test_without_the_tool_it_is_an_estimate_and_says_so(agent: Agent, fit_site: Path) -> None:
    done = agent("fit", "tiny", "-v", cwd=fit_site)
    header, row, *terms = done.stdout.splitlines()
    assert header.split()[:3] == ["PROFILE", "SOURCE", "CONTEXT"]
    assert row.split()[:3] == ["tiny", "estimate", "512"]
    assert any("KV cache (512 tokens x 2 layers, K f16, V f16)" in term for term in terms)
    assert any("weights" in term and " cpu " in term for term in terms)
    assert done.stderr == ""


def test_json_has_every_column_and_the_summands(agent: Agent, fit_site: Path, tiny_model: str) -> None:
    (row,) = json.loads(agent("fit", "tiny", "--json", cwd=fit_site).stdout)
    assert (row["profile"], row["source"], row["ok"], row["error"]) == ("tiny", "estimate", 1, None)
    assert (row["context"], row["context_length"], row["architecture"]) == (512, 4096, "llama")
    assert row["file_size_bytes"] == os.path.getsize(tiny_model)
    assert row["parameters"]["args"] == {"ctx-size": 512}  # what samples takes no memory
    total = sum(term["size_bytes"] for term in row["arithmetic"] if term["place"] == "cpu")
    assert row["memory_mib"] == -(-total // MIB)
    columns = agent("query", "--json", "SELECT * FROM v_model_fit", cwd=fit_site)
    assert list(json.loads(columns.stdout)[0]) == list(row)


def test_it_is_stored_in_the_tables_of_the_model(agent: Agent, fit_site: Path) -> None:
    agent("fit", "tiny", cwd=fit_site)
    text = "SELECT m.fit_params_available, m.file_size_bytes > 0 AS sized, p.recommended_ctx_size, p.source, "
    text += "p.fit_params_success, p.projected_gpu_memory_mb, m.status FROM models AS m "
    text += "JOIN model_fit_params AS p ON m.id = p.model_id"
    (row,) = json.loads(agent("query", "--json", text, cwd=fit_site).stdout)
    assert list(row.values()) == [1, 1, 512, "estimate", 1, 0.0, "stopped"]
    agent("fit", "tiny", cwd=fit_site)
    assert (
        agent("query", "--json", "SELECT count(*) n FROM model_fit_params", cwd=fit_site).stdout.count("1")
        == 1
    )
    # It declares nothing: the next pass does.
    assert "0" in agent("query", "SELECT count(*) FROM profile_revisions", cwd=fit_site).stdout


def test_the_tool_is_asked_twice_with_what_it_takes_and_no_secret(
    agent: Agent, home: Path, fit_site: Path
) -> None:
    fit_tool(home)
    profile(
        fit_site,
        "tiny",
        f"model: {(home / 'm.gguf')}\nargs: {{c: 512, cache-ram: 0}}\nsecrets: {{api-key: {{env: MY_KEY}}}}\n",
    )
    (home / "m.gguf").write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
    env = {"MY_KEY": "secret-word", "LLAMA_ARG_CTX_SIZE": "77", "LLAMAAGENT_LAUNCH_ID": "no"}
    (row,) = json.loads(agent("fit", "tiny", "--json", cwd=fit_site, env=env).stdout)
    assert (row["source"], row["context"], row["gpu_layers"], row["memory_mib"], row["gpu_memory_mib"]) == (
        "fit-params",
        512,
        -1,
        6,
        0,
    )
    assert "Host 3 2 1" in row["raw_output"]
    text = (home / "calls").read_text()
    asked = [line for line in text.splitlines() if line.startswith("-m ")]
    assert asked == [f"-m {home}/m.gguf --ctx-size 512 -lv 4", f"-m {home}/m.gguf -c 512 -ngl -1 -fitp on"]
    assert "secret-word" not in text
    assert "LLAMA_ARG_CTX_SIZE" not in text
    assert "LAUNCH_ID" not in text
    assert "GGML_NO_BACKTRACE=1" in text
    (config,) = {line for line in text.splitlines() if line.startswith("XDG_CONFIG_HOME=")}
    assert os.listdir(config.partition("=")[2]) == []


def test_files_that_the_tool_does_not_know_are_added(
    agent: Agent, home: Path, fit_site: Path, tiny_model: str
) -> None:
    fit_tool(home, rows="CUDA0 100 20 3 \nHost 3 2 1 ")
    extra = home / "projector.gguf"
    extra.touch()
    os.truncate(extra, 50 * MIB)
    profile(fit_site, "seer", f"model: {tiny_model}\nargs: {{mmproj: {extra}}}\n")
    (row,) = json.loads(agent("fit", "seer", "--json", cwd=fit_site).stdout)
    assert (row["gpu_memory_mib"], row["memory_mib"]) == (173, 6)
    profile(fit_site, "seer", f"model: {tiny_model}\nargs: {{mmproj: {extra}, mmproj-offload: false}}\n")
    (row,) = json.loads(agent("fit", "seer", "--json", cwd=fit_site).stdout)
    assert (row["gpu_memory_mib"], row["memory_mib"]) == (123, 56)
    extra.unlink()
    assert "projector " in agent("fit", "seer", cwd=fit_site, code=65).stderr


def test_what_does_not_fit_is_told_with_its_figure_and_1(agent: Agent, home: Path, fit_site: Path) -> None:
    fit_tool(home, "echo 'x free device memory: too large' >&2; exit 1", "CUDA0 900 50 50 \nHost 1 1 1 ")
    done = agent("fit", "tiny", cwd=fit_site, code=1)
    assert done.stdout.splitlines()[1].split()[-2:] == ["1000", "3"]
    assert done.stderr == "tiny: does not fit into what is free: too large\n"


@pytest.mark.parametrize("with_tool", [False, True])
def test_every_wrong_model_is_a_line_and_is_stored(
    agent: Agent, home: Path, fit_site: Path, tiny_model: str, with_tool: bool
) -> None:
    if with_tool:
        fit_tool(home, "exit 1", measure="kill -ABRT $$")
    whole = Path(tiny_model).read_bytes()
    for name, data in {"garbage": b"no model", "cut": whole[:-100], "header": whole[:300]}.items():
        (home / f"{name}.gguf").write_bytes(data)
        profile(fit_site, name, f"model: {home / name}.gguf\n")
    profile(fit_site, "gone", f"model: {home}/nowhere.gguf\n")
    profile(fit_site, "far", "model: {hf: 'someone/model:Q4_K_M'}\n")
    if not with_tool:
        (fit_site / "profiles" / "tiny.yaml").unlink()

    done = agent("fit", "*", cwd=fit_site, code=65)
    told = dict(line.split(": ", 1) for line in done.stderr.splitlines())
    assert told["garbage"] == f"model {home}/garbage.gguf: not a GGUF file"
    assert told["cut"].startswith(f"model {home}/cut.gguf: incomplete: tensor data ends at byte ")
    assert "truncated" in told["header"]
    assert told["gone"] == f"model {home}/nowhere.gguf: No such file or directory"
    assert (
        "someone/model:Q4_K_M is not a file here; `llamaagent models pull hf:someone/model:Q4_K_M`, and"
        in told["far"]
    )
    text = "SELECT profile, error FROM v_model_fit WHERE NOT ok"
    stored = json.loads(agent("query", "--json", text, cwd=fit_site).stdout)
    assert {row["profile"]: row["error"] for row in stored} == told
    assert ("tiny" in told) is with_tool  # the tool aborts for a model whose header is whole
    if with_tool:
        assert told["tiny"] == "llama-fit-params ended with signal 6"


def test_a_name_that_means_nothing_is_wrong_usage(agent: Agent, fit_site: Path) -> None:
    assert "no profile is named nothing" in agent("fit", "nothing", cwd=fit_site, code=2).stderr
    agent("fit", cwd=fit_site, code=2)


def test_another_sites_database_is_not_written_to(agent: Agent, site: Path, fit_site: Path) -> None:
    agent("fit", "tiny", cwd=fit_site)
    assert "belongs to the site" in agent("fit", "tiny", cwd=site, code=78).stderr


@pytest.mark.binary
def test_the_real_tool(
    agent: Agent, home: Path, fit_site: Path, llama_server_binary: str, tiny_model: str
) -> None:
    (fit_site / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {llama_server_binary}\n")
    args = "{c: 2048, np: 2, cache-ram: 0, temp: 0.4, log-jsonl: true, api-prefix: /x}"
    profile(fit_site, "full", f"model: {tiny_model}\nargs: {args}\n")
    profile(fit_site, "narrow", f"model: {tiny_model}\nargs: {{ctk: q8_0}}\n")
    profile(fit_site, "huge", f"model: {tiny_model}\nargs: {{c: 4096, fit-target: 100000000}}\n")
    (home / "odd.gguf").write_bytes(_of_no_architecture(home))
    profile(fit_site, "odd", f"model: {home}/odd.gguf\n")
    done = agent("fit", "*", "--json", cwd=fit_site, code=65)
    rows = {row["profile"]: row for row in json.loads(done.stdout)}
    assert {row["source"] for row in rows.values()} == {"fit-params"}
    assert (rows["tiny"]["context"], rows["tiny"]["gpu_layers"], rows["tiny"]["ok"]) == (512, -1, 1)
    assert (rows["full"]["context"], rows["full"]["ok"]) == (2048, 1)
    assert rows["tiny"]["memory_mib"] > 0
    assert rows["huge"]["error"].startswith("does not fit into what is free: ")
    assert rows["huge"]["memory_mib"] > 0
    assert "nosucharchitecture" in rows["odd"]["error"] or rows["odd"]["error"] == "failed to load model"
    assert (rows["narrow"]["ok"], rows["narrow"]["memory_mib"]) == (0, None)  # its heads are no whole blocks
    assert "backtrace" not in rows["odd"]["raw_output"]


def _of_no_architecture(folder: Path) -> bytes:
    import gguf

    path = folder / "odd-writing"
    writer = gguf.GGUFWriter(path, "nosucharchitecture")
    writer.add_block_count(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return path.read_bytes()
