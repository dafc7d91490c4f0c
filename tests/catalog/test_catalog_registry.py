"""`catalog sync` from registries: a real one where the machine has it, and one that misbehaves on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from fakes.ngc_server import INDEX, MANIFEST, Forever, NgcServer, Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import CatalogSite

REGISTRY = "docker-registry"


def send(method: str, url: str, data: bytes = b"", kind: str = "application/octet-stream") -> Any:
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
    return urllib.request.urlopen(request, timeout=30)


def push(base: str, name: str, repository: Repository) -> None:
    """Everything of a repository into a registry, by the calls that an engine makes."""
    for digest, data in [
        *repository.blobs.items(),
        ("sha256:" + hashlib.sha256(b"layer").hexdigest(), b"layer"),
    ]:
        with send("POST", f"{base}/v2/{name}/blobs/uploads/") as begun:
            place = begun.headers["Location"]
        send("PUT", f"{place}&digest={digest}", data).close()
    single = sorted(repository.manifests.items(), key=lambda item: item[1][0] == INDEX)
    for digest, (kind, data) in single:
        send("PUT", f"{base}/v2/{name}/manifests/{digest}", data, kind).close()
    for tag, digest in repository.tags.items():
        kind, data = repository.manifests[digest]
        send("PUT", f"{base}/v2/{name}/manifests/{tag}", data, kind).close()


@pytest.fixture
def registry(tmp_path: Path, free_port: int) -> Iterator[str]:
    """A real registry of this machine alone; its address."""
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}},"
        f" delete: {{enabled: true}}}}\nhttp: {{addr: '127.0.0.1:{free_port}'}}\n"
    )
    with (tmp_path / "registry.log").open("wb") as log:
        child = subprocess.Popen([REGISTRY, "serve", str(config)], stdout=log, stderr=log)
    base = f"http://127.0.0.1:{free_port}"
    until = time.monotonic() + 30
    while True:
        try:
            send("GET", f"{base}/v2/").close()
            break
        except OSError:
            assert child.poll() is None, (tmp_path / "registry.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
    yield base
    child.terminate()
    child.wait(timeout=30)


def two_architectures() -> Repository:
    made = Repository()
    env = ["CUDA_VERSION=12.6.0", "PYTHON_VERSION=3.12.3", "VLLM_VERSION=0.6.1"]
    made.add_index("1.0", {arch: made.add(None, env, arch, size=5) for arch in ("amd64", "arm64")})
    made.add("0.9", ["CUDA_VERSION=11.8"], size=5)
    return made


@pytest.mark.registry
def test_a_real_registry_is_read_whole(site: CatalogSite, registry: str) -> None:
    images = {"team/serve": two_architectures(), "tiny": Repository()}
    images["tiny"].add("latest", [], size=5)
    for name, repository in images.items():
        push(registry, name, repository)
    host = registry.removeprefix("http://")
    told = site.json("catalog", "sync", "--source", registry)
    assert [(one["target"], one["images"], one["versions"]) for one in told] == [
        (host, 2, 0),
        (f"{host}/team/serve", 1, 3),
        (f"{host}/tiny", 1, 1),
    ]
    found = site.json("catalog", "versions", f"{host}/team/serve")
    assert [(row["tag"], row["architecture"], row["cuda_version"]) for row in found] == [
        ("1.0", "arm64", "12.6.0"),
        ("1.0", "amd64", "12.6.0"),
        ("0.9", "amd64", "11.8"),
    ]
    assert {row["index_digest"] for row in found[:2]} == {images["team/serve"].tags["1.0"]}
    assert (found[0]["python_version"], found[0]["framework_version"]) == ("3.12.3", "0.6.1")
    assert site.ask("SELECT organization, team, name FROM ngc_images ORDER BY name") == [
        ("team", "", "serve"),
        ("", "", "tiny"),
    ]


@pytest.mark.registry
def test_a_real_registry_confirms_moves_and_drops_tags(site: CatalogSite, registry: str) -> None:
    there, image = two_architectures(), f"{registry.removeprefix('http://')}/serve"
    push(registry, "serve", there)
    site.run("catalog", "sync", image)
    site.change("DELETE FROM api_cache")  # as the agent's pruning leaves it after a day
    (same,) = site.json("catalog", "sync", image)
    assert (same["versions"], same["new"], same["changed"], same["gone"]) == (3, 0, 0, 0)
    moved = two_architectures()
    moved.add("0.9", ["CUDA_VERSION=12.1"], size=5)
    push(registry, "serve", moved)
    send("DELETE", f"{registry}/v2/serve/manifests/{there.tags['1.0']}").close()
    (told,) = site.json("catalog", "sync", image, "--refresh")
    assert (told["changed"], told["gone"]) == (1, 2)
    assert site.ask("SELECT tag, cuda_version FROM image_versions") == [("0.9", "12.1")]


def test_pages_are_followed_by_relative_links(site: CatalogSite, server: NgcServer) -> None:
    for name in ("a/one", "a/two", "b/three"):
        there = server.repository(name)
        for tag in ("v2", "latest", "v10", "v1"):
            there.add(tag, ["CUDA_VERSION=12.1"])
    server.tag_page = 2
    site.run("catalog", "sync", "--source", server.url)
    assert len(server.paths("/v2/_catalog")) == 2
    assert site.ask("SELECT count(*) FROM image_versions") == [12]
    assert [row["tag"] for row in site.json("catalog", "versions", "a/one")] == ["v10", "v2", "v1", "latest"]
    server.asked.clear()
    site.run("catalog", "sync", "--source", server.url)
    assert server.asked == []  # the kept pages know where the next one is


def test_a_next_page_elsewhere_is_not_asked_for(site: CatalogSite, server: NgcServer) -> None:
    server.repository("a/one").add("1", [])
    server.repository("a/two")
    server.tag_page, server.links_absolute_to = 1, "http://127.0.0.1:1"
    assert (
        "has its next page on another server"
        in site.run("catalog", "sync", "--source", server.url, code=65).stderr
    )


def test_what_is_no_image_is_left_out(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    amd = there.add(None, ["CUDA_VERSION=12.1"])
    attestation = {
        "mediaType": MANIFEST,
        "digest": amd,
        "platform": {"architecture": "unknown", "os": "unknown"},
    }
    there.add_index("1", {"amd64": amd}, extra=[attestation])
    there.tags["chart"] = there.manifest(
        MANIFEST, {"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}}
    )
    there.tags[f"sha256-{'ab' * 32}.sig"] = amd
    site.run("catalog", "sync", f"{server.host}/team/app")
    assert site.ask("SELECT tag, architecture FROM image_versions") == [("1", "amd64")]


def test_the_same_manifest_is_read_once(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    there.tags = dict.fromkeys(("1", "1.0", "1.0.0", "latest"), there.add(None, ["CUDA_VERSION=12.1"]))
    site.run("catalog", "sync", f"{server.host}/team/app", "--jobs", "1")
    assert len(server.paths("/blobs/")) == 1
    assert site.ask("SELECT DISTINCT cuda_version FROM image_versions") == ["12.1"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ([], "is no manifest"),
        ({}, "is a kind of manifest that is not understood"),
        ({"manifests": [7]}, "lists something without a digest"),
        ({"manifests": [{"digest": "x"}]}, "lists something without a digest"),
        (
            {"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "md5:1"}},
            "names no config",
        ),
    ],
)
def test_one_bad_tag_does_not_keep_the_others(
    site: CatalogSite, server: NgcServer, manifest: object, message: str
) -> None:
    there = server.repository("team/app")
    there.tags["bad"] = there.manifest(MANIFEST, manifest)
    there.add("good", ["CUDA_VERSION=12.1"])
    told = site.run("catalog", "sync", f"{server.host}/team/app", code=65)
    assert message in told.stderr
    assert site.ask("SELECT tag FROM image_versions") == ["good"]


def test_what_does_not_match_its_digest_is_not_believed(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    there.add("1", ["CUDA_VERSION=12.1"])
    ((digest, _),) = there.blobs.items()
    there.blobs[digest] = json.dumps(
        {"architecture": "amd64", "config": {"Env": ["CUDA_VERSION=99"]}}
    ).encode()
    told = site.run("catalog", "sync", f"{server.host}/team/app", code=65)
    assert "its sha256 is another one" in told.stderr
    assert site.ask("SELECT count(*) FROM image_versions") == [0]


def test_requests_go_side_by_side_but_not_without_bound(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    for number in range(40):
        there.add(f"1.{number}", [f"CUDA_VERSION=12.{number}"])
    server.delay_s = 0.05
    site.run("catalog", "sync", f"{server.host}/team/app", "--jobs", "4")
    # A request is under way for the server a little longer than for who has its answer already.
    assert 2 <= server.most_under_way <= 2 * 4
    assert site.ask("SELECT count(*) FROM image_versions") == [40]
    assert "--jobs takes 1 to 32" in site.run("catalog", "sync", "--jobs", "99", code=2).stderr


def test_killed_in_the_middle_the_next_call_asks_only_for_the_rest(
    site: CatalogSite, server: NgcServer
) -> None:
    there = server.repository("team/app")
    for number in range(60):
        there.add(f"1.{number}", [f"CUDA_VERSION=12.{number}"])
    server.delay_s = 0.05
    image = f"{server.host}/team/app"
    child = subprocess.Popen(
        site.command("catalog", "sync", image, "--jobs", "2"), cwd=site.folder, env=site.environment
    )
    until = time.monotonic() + 60
    while len(server.paths("/blobs/")) < 20:
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait(timeout=30)
    stored = site.ask("SELECT tag FROM image_versions")
    assert 10 <= len(stored) < 60
    server.asked.clear()
    server.delay_s = 0
    (told,) = site.json("catalog", "sync", image)
    assert (told["versions"], told["new"]) == (60, 60 - len(stored))
    again = {path.rpartition("/")[2] for path in server.paths("/manifests/")}
    assert again.isdisjoint(stored)
    assert len(server.paths("/blobs/")) == 60 - len(stored)
    assert not server.paths("/tags/list")


def test_interrupted_it_ends_at_once(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    there.add("1", [])
    server.delay_s = 20
    child = subprocess.Popen(
        site.command("catalog", "sync", f"{server.host}/team/app"), cwd=site.folder, env=site.environment
    )
    until = time.monotonic() + 60
    while not server.asked:
        assert time.monotonic() < until
        time.sleep(0.01)
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) == 130
    assert time.monotonic() - began < 10


def test_nobody_answers(site: CatalogSite, free_port: int) -> None:
    told = site.run(
        "catalog", "sync", f"localhost:{free_port}/team/app", "--source", f"localhost:{free_port}", code=69
    )
    assert f"cannot reach localhost:{free_port}" in told.stderr
    assert len(told.stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("http://registry.lan/app",), "would be asked over plain http"),
        (("--source", "http://10.0.0.1:5000"), "would be asked over plain http"),
        (("https://ann:pw@registry.lan/app",), "stands in every process list"),
        (("pytorch",), "no image of the catalogue is named pytorch"),
        (("registry.lan/APP",), "names no image"),
        (("--refresh", "--offline", "localhost:1/app"), "exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_said(site: CatalogSite, words: tuple[str, ...], message: str) -> None:
    assert message in site.run("catalog", "sync", *words, code=2).stderr


def test_a_fault_of_the_settings_is_one_of_the_settings(site: CatalogSite) -> None:
    site.write("catalog: {sources: ['http://registry.lan']}")
    assert (
        "catalog.sources: http://registry.lan would be asked over plain http"
        in site.run("catalog", "sync", code=78).stderr
    )
    site.write("catalog: {ngc_api: 'http://registry.lan'}")
    assert "catalog.ngc_api would be asked over plain http" in site.run("catalog", "sync", code=78).stderr


def test_the_login_is_not_sent_where_a_redirect_leads(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    there.add("1", ["CUDA_VERSION=12.1"])
    other = NgcServer()
    try:
        other.repositories = server.repositories
        server.locked = True
        (digest,) = there.blobs
        place = f"/v2/team/app/blobs/{digest}"
        server.faults["/blobs/"] = Forever([(307, {"Location": f"{other.url}{place}"})])
        site.run("catalog", "sync", f"{server.host}/team/app")
        ((path, headers),) = other.asked
        assert path == place
        assert "authorization" not in headers
    finally:
        other.close()
