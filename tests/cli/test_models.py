"""`models scan`, `list`, `show`, `favorite`, `prune`."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scratch_home import Agent, scratch_environment


@pytest.fixture
def models(home: Path, tiny_model: str) -> Path:
    """A directory with a good model, one in a folder below, and a damaged one."""
    folder = home / "models"
    (folder / "below").mkdir(parents=True)
    shutil.copy(tiny_model, folder / "tiny.gguf")
    shutil.copy(tiny_model, folder / "below" / "other.gguf")
    (folder / "bad.gguf").write_bytes(b"GGUF\3\0\0\0" + b"\xff" * 64)
    return folder


def test_scan_reads_once_and_reports_what_is_damaged(agent: Agent, models: Path) -> None:
    first = agent("models", "scan", models)
    again = agent("models", "scan", models)

    bad = f"{models / 'bad.gguf'}: claims 18446744073709551615 values and 18446744073709551615 tensors"
    assert first.stderr.splitlines() == [bad, "3 models: 3 read, 0 unchanged, 1 damaged, 0 gone"]
    assert again.stderr.splitlines() == [bad, "3 models: 0 read, 3 unchanged, 1 damaged, 0 gone"]
    assert first.stdout == ""
    assert "3 read" in agent("models", "scan", models, "--again").stderr


def test_list_has_every_fact_for_programs(agent: Agent, models: Path, tiny_model: str) -> None:
    import gguf

    agent("models", "scan", models)

    rows = {row["filename"]: row for row in json.loads(agent("models", "list", "--json").stdout)}

    tiny = rows["tiny.gguf"]
    assert (tiny["name"], tiny["architecture"], tiny["parameter_count"]) == (
        "llamaagent tiny",
        "llama",
        sum(int(tensor.n_elements) for tensor in gguf.GGUFReader(tiny_model).tensors),
    )
    assert (tiny["quantization"], tiny["context_length"]) == ("F16", 4096)
    assert tiny["size_bytes"] == Path(tiny_model).stat().st_size
    assert rows["bad.gguf"]["error"].startswith("claims ")
    table = agent("models", "list").stdout
    assert [line.split()[0] for line in table.splitlines()] == [
        "MODEL",
        "bad.gguf",
        "other.gguf",
        "tiny.gguf",
    ]


def test_the_view_of_models_has_it_too(agent: Agent, models: Path) -> None:
    agent("models", "scan", models)

    text = agent(
        "query", "--json", "SELECT name, type, ctx_size, vocab_size FROM v_models WHERE quantization = 'F16'"
    )
    assert {(r["name"], r["type"], r["ctx_size"]) for r in json.loads(text.stdout)} == {
        ("other.gguf", "llama", 4096),
        ("tiny.gguf", "llama", 4096),
    }


def test_directories_come_from_the_settings(agent: Agent, site: Path, models: Path) -> None:
    (site / "llamaagent.yaml").write_text(f"models: {{directories: [{models}]}}\n")

    assert "3 models" in agent("models", "scan", cwd=site).stderr
    assert agent("models", "scan", code=2).stderr.startswith("llamaagent: no directory is named")


def test_a_directory_that_is_not_there_fails_and_the_others_are_scanned(
    agent: Agent, home: Path, models: Path
) -> None:
    result = agent("models", "scan", home / "nowhere", models, code=1)

    assert f"{home / 'nowhere'}: No such file or directory" in result.stderr
    assert "3 models" in result.stderr


def test_show_by_name_path_or_unscanned(agent: Agent, models: Path) -> None:
    unscanned = json.loads(agent("models", "show", "--json", models / "tiny.gguf").stdout)
    agent("models", "scan", models)
    by_path = json.loads(agent("models", "show", "--json", models / "tiny.gguf").stdout)
    by_name = json.loads(agent("models", "show", "--json", "tiny").stdout)

    assert unscanned["id"] is None
    assert by_path == by_name
    for key, value in unscanned.items():
        if key not in {"id", "first_seen_ts", "last_seen_ts"}:
            assert by_path[key] == value, key
    assert by_name["metadata"]["tokenizer.ggml.tokens"]["type"] == "string"
    assert by_name["chat_template"].startswith("{{ bos_token }}")
    text = agent("models", "show", "tiny").stdout
    assert "quantization:     F16\n" in text
    assert "  llama.block_count = 2\n" in text
    assert "claims" in agent("models", "show", "bad", code=65).stdout


def test_a_name_of_several_or_of_none_is_refused(agent: Agent, models: Path) -> None:
    agent("models", "scan", models)

    assert str(models / "below" / "other.gguf") in agent("models", "show", "llamaagent tiny", code=2).stderr
    assert "no model is named nothing" in agent("models", "favorite", "nothing", code=2).stderr


def test_favorites_stand_first_and_survive_a_scan(agent: Agent, models: Path) -> None:
    agent("models", "scan", models)

    path = models / "tiny.gguf"
    assert agent("models", "favorite", "tiny.gguf").stdout == f"{path}: favorite\n"
    assert agent("models", "favorite", path).stdout == f"{path}: already_favorite\n"
    agent("models", "scan", "--again", models)
    assert json.loads(agent("models", "list", "--json").stdout)[0]["favorite"] is True
    assert agent("models", "favorite", "tiny", "--remove").stdout == f"{path}: no_favorite\n"
    assert agent("models", "favorite", "tiny", "--remove").stdout == f"{path}: already_no_favorite\n"


def test_prune_forgets_what_is_gone_and_asks_for_whole_directories(
    agent: Agent, models: Path, home: Path
) -> None:
    agent("models", "scan", models)
    (models / "bad.gguf").unlink()
    (models / "below" / "other.gguf").unlink()

    assert "1 gone" in agent("models", "scan", models).stderr
    assert agent("models", "prune").stdout == f"{models / 'bad.gguf'}\n"
    models.rename(home / "elsewhere")
    kept = agent("models", "prune")
    assert kept.stdout == ""
    assert f"{models} is missing" in kept.stderr
    assert len(agent("models", "prune", "--yes").stdout.splitlines()) == 2
    assert json.loads(agent("models", "list", "--json").stdout) == []


def test_a_file_that_comes_back_is_no_longer_missing(agent: Agent, models: Path) -> None:
    agent("models", "scan", models)
    (models / "bad.gguf").rename(models / "kept")
    agent("models", "scan", models)
    assert {row["missing_ts"] for row in json.loads(agent("models", "list", "--json").stdout)} != {None}

    (models / "kept").rename(models / "bad.gguf")
    agent("models", "scan", models)
    assert {row["missing_ts"] for row in json.loads(agent("models", "list", "--json").stdout)} == {None}


def test_names_cannot_steer_a_terminal(agent: Agent, models: Path) -> None:
    (models / "a\33[2Jb.gguf").write_bytes(b"no")

    scanned, listed = agent("models", "scan", models), agent("models", "list")

    assert "\33" not in scanned.stderr + listed.stdout
    assert "b.gguf: truncated" in scanned.stderr


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_for_terminals(home: Path, models: Path, quiet: bool) -> None:
    """`agent` has no terminal, and the other tests hold that nothing is printed there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "llamaagent", "models", "scan", str(models), *["-q"] * quiet]
    subprocess.run(command, env=scratch_environment(home), stderr=theirs, timeout=60, check=True)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        text = terminal.read1(1 << 16).decode()

    assert ("reading 3/3 other.gguf" in text) is not quiet


def test_hostile_files_cost_no_memory(agent: Agent, home: Path) -> None:
    """Headers that claim everything there is, read by a process that has little more than it needs to start."""
    folder = home / "hostile"
    folder.mkdir()
    head, most = b"GGUF\3\0\0\0", b"\xff" * 8
    one, two = (1).to_bytes(8, "little"), (2).to_bytes(8, "little")
    key = one + b"k"
    claims = {
        "tensors": head + most + one,
        "values": head + one + most,
        "key": head + two + one + most,
        "text": head + two + one + key + (8).to_bytes(4, "little") + (1 << 40).to_bytes(8, "little"),
        "strings": head + two + one + key + (9).to_bytes(4, "little") + (8).to_bytes(4, "little") + most,
        "numbers": head + two + one + key + (9).to_bytes(4, "little") + (10).to_bytes(4, "little") + most,
    }
    for name, data in claims.items():
        path = folder / f"{name}.gguf"
        path.write_bytes(data)
        os.truncate(path, 1 << 42)  # 4 TiB of nothing, so that no claim is beyond the file
    little = ("sh", "-c", 'ulimit -v 400000; exec "$@"', "sh")

    found = agent("models", "scan", folder, before=little)

    assert found.stderr.splitlines()[-1] == "6 models: 6 read, 0 unchanged, 6 damaged, 0 gone"
