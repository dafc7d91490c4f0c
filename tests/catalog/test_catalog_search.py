"""`catalog search` and `catalog versions`: what is found, in which order and form, and what is here already."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from fakes.ngc_server import NgcServer, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import CatalogSite

ENGINE = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fakes", "engine_socket.py"
)


@pytest.fixture
def filled(site: CatalogSite, server: NgcServer) -> CatalogSite:
    server.pages = [
        [
            [
                resource("nvidia", "pytorch", dateModified="2024-01-01T00:00:00Z"),
                resource("nvidia", "tensorflow", dateModified="2024-02-01T00:00:00Z"),
                resource(
                    "ann",
                    "torch-tools",
                    description="Helpers for PyTorch",
                    dateModified="2024-03-01T00:00:00Z",
                ),
            ]
        ]
    ]
    torch = server.repository("nvidia/pytorch")
    for tag, cuda in (("24.05-py3", "12.4.1"), ("24.10-py3", "12.6.2"), ("23.01-py3", "12.0.0")):
        env = [f"CUDA_VERSION={cuda}", "PYTORCH_VERSION=2.4.0"]
        torch.add_index(tag, {arch: torch.add(None, env, arch) for arch in ("amd64", "arm64")})
    server.repository("nvidia/tensorflow").add("24.05", ["CUDA_VERSION=12.3.2", "TENSORFLOW_VERSION=2.16"])
    site.run(
        "catalog", "sync", "--source", "ngc", "--versions", code=65
    )  # torch-tools is not in the registry
    server.asked.clear()
    return site


def names(site: CatalogSite, *words: str) -> list[str]:
    return [row["name"] for row in site.json("catalog", "search", *words)]


def test_words_are_looked_for_everywhere_and_the_nearest_name_comes_first(filled: CatalogSite) -> None:
    assert names(filled, "pytorch") == ["pytorch", "torch-tools"]
    assert names(filled, "TORCH", "helpers") == ["torch-tools"]
    assert names(filled, "nvidia") == ["tensorflow", "pytorch"]
    assert names(filled) == ["torch-tools", "tensorflow", "pytorch"]
    assert names(filled, "-n", "1") == ["torch-tools"]
    assert names(filled, "nothing-so-called") == []


def test_filters(filled: CatalogSite, server: NgcServer) -> None:
    assert names(filled, "--category", "PyTorch") == ["pytorch"]
    assert names(filled, "--org", "ann") == names(filled, "--organisation", "ANN") == ["torch-tools"]
    assert names(filled, "--cuda", ">=12.4") == ["pytorch"]
    assert names(filled, "--cuda", "12.3") == ["tensorflow"]
    assert names(filled, "--arch", "arm64") == ["pytorch"]
    assert names(filled, "--cuda", ">=13") == []
    assert server.asked == []


def test_an_image_shows_its_newest_version_that_fits(filled: CatalogSite) -> None:
    (row,) = filled.json("catalog", "search", "--cuda", "<12.5", "--category", "pytorch")
    assert (row["image"], row["tag"], row["cuda_version"], row["architectures"], row["tags"]) == (
        "nvcr.io/nvidia/pytorch",
        "24.05-py3",
        "12.4.1",
        ["amd64", "arm64"],
        3,
    )
    (row,) = filled.json("catalog", "search", "torch-tools")
    assert (row["tag"], row["architectures"], row["is_cached"]) == (None, None, False)


def test_versions_are_listed_newest_first(filled: CatalogSite) -> None:
    found = filled.json("catalog", "versions", "nvidia/pytorch")
    assert [(row["tag"], row["architecture"]) for row in found] == [
        ("24.10-py3", "arm64"),
        ("24.10-py3", "amd64"),
        ("24.05-py3", "arm64"),
        ("24.05-py3", "amd64"),
        ("23.01-py3", "arm64"),
        ("23.01-py3", "amd64"),
    ]
    assert found[0]["digest"].startswith("sha256:")
    assert found[0]["image"] == "nvcr.io/nvidia/pytorch"
    some = filled.json("catalog", "versions", "pytorch", "--cuda", ">=12.4", "--arch", "amd64", "-n", "1")
    assert [(row["tag"], row["framework_version"]) for row in some] == [("24.10-py3", "2.4.0")]


@pytest.mark.parametrize("command", [("search",), ("versions", "pytorch")], ids=["search", "versions"])
def test_every_form_says_the_same(filled: CatalogSite, command: tuple[str, ...]) -> None:
    whole = filled.json("catalog", *command)
    lines = filled.run("catalog", *command, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == whole
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        text = filled.run("catalog", *command, "--format", form).stdout
        rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
        assert [row["image"] for row in rows] == [row["image"] for row in whole]
        assert list(rows[0]) == list(whole[0])
    table = filled.run("catalog", *command).stdout.splitlines()
    assert len(table) == len(whole) + 1
    assert "CUDA" in table[0]


def test_what_cannot_be_meant_is_said(filled: CatalogSite) -> None:
    assert "--cuda 'new' is no condition" in filled.run("catalog", "search", "--cuda", "new", code=2).stderr
    told = filled.run("catalog", "versions", "nothing", code=2).stderr
    assert "no image of the catalogue is named nothing" in told
    assert (
        "means nvcr.io/nvidia/pytorch, nvcr.io/nvidia/tensorflow"
        in filled.run("catalog", "versions", "nvidia/*", code=2).stderr
    )


def test_an_empty_catalogue_is_no_error(site: CatalogSite) -> None:
    told = site.run("catalog", "search", "pytorch")
    assert (told.stdout, "catalog sync brings some" in told.stderr) == ("", True)
    assert site.json("catalog", "search") == []
    assert not site.database.exists()


def test_the_images_known_are_followed(filled: CatalogSite, server: NgcServer) -> None:
    server.repository("nvidia/pytorch").add("24.11-py3", ["CUDA_VERSION=12.6.3"])
    told = filled.json("catalog", "sync", "--refresh")
    assert [(one["target"], one["new"]) for one in told] == [
        ("ngc", 0),
        ("nvcr.io/nvidia/pytorch", 1),
        ("nvcr.io/nvidia/tensorflow", 0),
    ]
    by_name = filled.json("catalog", "sync", "*flow:24.05", "--refresh")
    assert [one["target"] for one in by_name] == ["nvcr.io/nvidia/tensorflow:24.05"]


@pytest.fixture
def engine(filled: CatalogSite, server: NgcServer) -> Iterator[None]:
    """An engine that holds one architecture's digest of one tag, another tag by its list, and other things."""
    torch = server.repository("nvidia/pytorch")
    images: list[dict[str, Any]] = [
        {
            "RepoTags": ["nvcr.io/nvidia/pytorch:24.05-py3"],
            "RepoDigests": [f"nvcr.io/nvidia/pytorch@{torch.tags['24.05-py3']}"],
        },
        {"RepoTags": ["<none>:<none>"], "RepoDigests": None},
        {"RepoTags": None, "RepoDigests": ["busybox@sha256:" + "ab" * 32]},
    ]
    place = str(filled.folder / "engine.sock")
    child = subprocess.Popen([sys.executable, ENGINE, place, json.dumps(images)])
    until = time.monotonic() + 30
    while not os.path.exists(place):
        assert time.monotonic() < until
        time.sleep(0.02)
    filled.environment["DOCKER_HOST"] = f"unix://{place}"
    yield
    child.terminate()
    child.wait(timeout=30)


@pytest.mark.skipif(
    os.uname().machine not in {"x86_64", "aarch64"}, reason="the fake images are for other machines"
)
def test_what_the_engine_holds_is_marked(filled: CatalogSite, engine: None) -> None:
    mine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    now = filled.json("catalog", "versions", "pytorch", "--local")
    assert [(row["tag"], row["architecture"], row["is_cached"]) for row in now] == [("24.05-py3", mine, True)]
    assert filled.ask("SELECT sum(is_cached) FROM image_versions") == [0]
    filled.run("catalog", "sync", "pytorch")
    assert filled.ask("SELECT tag, architecture FROM image_versions WHERE is_cached") == [("24.05-py3", mine)]
    assert [row["name"] for row in filled.json("catalog", "search") if row["is_cached"]] == ["pytorch"]
    assert names(filled, "--local") == ["pytorch"]


def test_progress_is_for_a_terminal_only(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    for number in range(5):
        there.add(f"1.{number}", [])
    words = site.command("catalog", "sync", f"{server.host}/team/app")
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        words, cwd=site.folder, env=site.environment, stderr=follower, stdout=subprocess.DEVNULL
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            data = os.read(leader, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(leader)
    assert child.wait(timeout=30) == 0
    assert b"team/app 100% [####################] 5/5" in shown
    plain = site.run("catalog", "sync", f"{server.host}/team/app", "--refresh")
    assert "\r" not in plain.stderr
    assert "[##" not in plain.stderr
    quiet = site.run("catalog", "sync", f"{server.host}/team/app", "-q")
    assert quiet.stderr == ""
