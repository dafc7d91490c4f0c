"""The estimate beside what llama.cpp itself counts, for models of several shapes and command lines.

Tolerance: weights, caches and states within 1 MiB (the tools round down to whole MiB); the buffers of one
computation within a twentieth and 3 MiB.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import gguf
import pytest
from sparse_models import Shape, write_sparse

from llamaagent.gguf.demand import demand_of
from llamaagent.gguf.header import open_header
from llamaagent.gguf.memory import MIB, estimate
from llamaagent.launch.fitting import find_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llamaagent.gguf.memory import Estimate

SHAPES = {
    "plain": Shape(),
    "wide vocabulary": Shape(layers=32, width=4096, heads=32, kv_heads=8, feed_forward=14336, vocabulary=128256),
    "tied output": Shape(
        layers=16, width=2048, heads=32, kv_heads=8, feed_forward=8192, vocabulary=128256, tied=True, context=16384
    ),
    "no grouped heads": Shape(
        layers=12, kv_heads=16, feed_forward=2816, weights=gguf.GGMLQuantizationType.F16
    ),
    "windows": Shape(
        "gemma3",
        layers=26,
        width=1152,
        heads=4,
        kv_heads=1,
        feed_forward=6912,
        vocabulary=100000,
        context=32768,
        head_width=256,
        tied=True,
        more=(("attention.sliding_window", 512),),
    ),
    "experts": Shape(feed_forward=1024, experts=8),
    "recurrent": Shape(
        "mamba",
        layers=24,
        width=768,
        heads=0,
        kv_heads=0,
        feed_forward=0,
        vocabulary=50000,
        tied=True,
        more=(("ssm.conv_kernel", 4), ("ssm.inner_size", 1536), ("ssm.state_size", 16), ("ssm.time_step_rank", 48)),
    ),
}  # fmt: skip
ARGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "small context": {"ctx-size": 2048},
    "no flash attention": {"flash-attn": "off"},
    "quantized cache": {"cache-type-k": "q8_0", "cache-type-v": "q8_0"},
    "small batches": {"ubatch-size": 256},
    "large batches": {"ubatch-size": 1024},
    "slots": {"parallel": 3, "ctx-size": 4096},
}


def words(args: dict[str, Any]) -> list[str]:
    return [word for name, value in args.items() for word in (f"--{name}", str(value))]


def figures(found: Estimate | None) -> tuple[float, float, float]:
    """MiB of model, context and computing."""
    assert found is not None
    sums = {"weights": 0.0, "compute buffers": 0.0, "": 0.0}
    for term in found.terms:
        sums[term.name if term.name in sums else ""] += term.size_bytes / MIB
    return sums["weights"], sums[""], sums["compute buffers"]


def close(ours: tuple[float, float, float], theirs: tuple[int, int, int]) -> bool:
    room = (1, 1, theirs[2] / 20 + 3)
    return all(abs(a - b - 0.5) <= limit + 0.5 for a, b, limit in zip(ours, theirs, room, strict=True))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("sparse")
    yield {name: write_sparse(folder / f"{name}.gguf", shape) for name, shape in SHAPES.items()}
    for path in folder.iterdir():  # holes take no room, but a copy of them would
        path.unlink()


@pytest.mark.binary
@pytest.mark.parametrize("args", ARGS.values(), ids=ARGS.keys())
@pytest.mark.parametrize("name", SHAPES)
def test_the_estimate_is_what_the_fit_tool_measures(
    models: dict[str, Path], llama_server_binary: str, name: str, args: dict[str, Any]
) -> None:
    tool = find_tool(llama_server_binary, None)
    assert tool is not None
    path = str(models[name])
    done = subprocess.run(
        [tool, "-m", path, *words(args), "--fit-print", "on"],
        capture_output=True,
        text=True,
        env={"GGML_NO_BACKTRACE": "1"},
        timeout=120,
        check=True,
    )
    host = done.stdout.splitlines()[-1].split()
    theirs = (int(host[1]), int(host[2]), int(host[3]))

    # The tool has one slot where it is told of none, and makes the logits of every token of a batch.
    demand = demand_of({"parallel": 1, **args}.items(), on_gpu=False)
    ours = figures(estimate([open_header(path)[0]], demand, outputs=demand.ubatch))

    assert host[0] == "Host"
    assert close(ours, theirs), (ours, theirs)


@pytest.mark.binary
@pytest.mark.parametrize("how", ["defaults", "no flash attention", "slots"])
@pytest.mark.parametrize("name", ["plain", "windows", "recurrent"])
def test_the_estimate_is_what_the_server_takes(
    models: dict[str, Path], llama_server_binary: str, free_port: int, name: str, how: str
) -> None:
    """With the server's own slots; its log says what it has taken."""
    path, args = str(models[name]), ARGS[how]
    more = ["--port", str(free_port), "--log-jsonl", "--no-warmup", "--no-repack", "--fit", "on"]
    theirs = None
    with subprocess.Popen(
        [llama_server_binary, "-m", path, *words(args), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"GGML_NO_BACKTRACE": "1", "XDG_CONFIG_HOME": os.path.dirname(path)},
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                told = json.loads(line) if line.startswith("{") else {}
                if told.get("type") == "fit_memory_breakdown":
                    (row,) = (row for row in told["data"]["rows"] if row["name"] == "Host")
                    theirs = (row["model"], row["context"], row["compute"])
                if "listening on" in str(told.get("msg")):
                    break
        finally:
            server.kill()

    assert theirs is not None
    ours = figures(estimate([open_header(path)[0]], demand_of(args.items(), on_gpu=False)))
    assert close(ours, theirs), (ours, theirs)
