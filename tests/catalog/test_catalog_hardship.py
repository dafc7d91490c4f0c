"""What can befall a sync: a full disk, two at once, a clock that was set, changed listings, any JSON at all."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.ngc_server import MANIFEST, Forever, NgcServer, resource
from llamaagent.base.clock import ManualClock
from llamaagent.base.errors import BadInputError, ServiceUnavailableError
from llamaagent.catalog import ngc, registry
from llamaagent.catalog.answers import Answers, Found, Policy
from llamaagent.catalog.client import Client, Page, digest_of, parse_json
from llamaagent.catalog.reference import may_lead, registry_at
from llamaagent.domain.image import KeptAnswer, image_of

if TYPE_CHECKING:
    from conftest import CatalogSite

WORDS = st.sampled_from(
    (
        *(
            "manifests",
            "config",
            "layers",
            "digest",
            "size",
            "platform",
            "architecture",
            "os",
            "mediaType",
            "images",
        ),
        *(
            "tag",
            "results",
            "resources",
            "resourceId",
            "name",
            "orgName",
            "teamName",
            "labels",
            "key",
            "values",
        ),
        *(
            "paginationInfo",
            "totalPages",
            "resultPageTotal",
            "architectureVariants",
            "created",
            "Env",
            "Labels",
        ),
    )
)
VALUES = st.sampled_from(
    (
        *(
            f"sha256:{'ab' * 32}",
            "amd64",
            "linux",
            "unknown",
            "a/b",
            "CUDA_VERSION=12",
            "1",
            *registry.INDEXES,
        ),
        *(*registry.MANIFESTS, "application/vnd.oci.image.config.v1+json"),
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)


class OneAnswer:
    """Says the same to every question."""

    def __init__(self, value: Any) -> None:
        self.text = json.dumps(value)
        self.client = self
        self.policy = Policy(0, None)

    def document(self, _url: str, **_: object) -> Found:
        return Found(self.text, parse_json(self.text))

    def get_by_digest(self, _url: str, _digest: str, **_: object) -> Page:
        return Page(self.text, parse_json(self.text), None, None)


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    said: Any = OneAnswer(value)
    place = registry_at("localhost:1")
    reader = registry.Reader(said, place, "a/b", None, lambda _digest: None)
    for ask in (
        lambda: reader.look("1", None).versions,
        lambda: registry.repositories(said, place),
        lambda: list(ngc.search(said, "https://api")),
        lambda: ngc.tags(said, "https://api", image_of("nvcr.io", "a/b")),
    ):
        refusal = None
        try:
            ask()
        except (BadInputError, ServiceUnavailableError) as error:
            refusal = str(error)
        assert refusal is None or refusal.strip(), "refused in words, and never by another exception"


@pytest.mark.parametrize(
    "written", ["UPDATE api_cache SET response = '{'", "UPDATE api_cache SET cached_ts = 1 << 40"]
)
def test_a_kept_answer_that_is_damaged_or_of_the_future_is_asked_for_again(
    site: CatalogSite, server: NgcServer, written: str
) -> None:
    server.pages = [[[resource("nvidia", "pytorch")]]]
    site.run("catalog", "sync")
    site.change(written)
    server.asked.clear()
    site.run("catalog", "sync")
    assert len(server.asked) == 1


def test_two_at_once_bring_the_same(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    for number in range(30):
        there.add(f"1.{number}", [f"CUDA_VERSION=12.{number}"])
    server.delay_s = 0.02
    words = site.command("catalog", "sync", f"{server.host}/team/app")
    children = [
        subprocess.Popen(words, cwd=site.folder, env=site.environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], told
    assert site.ask("SELECT count(*), count(DISTINCT tag) FROM image_versions") == [(30, 30)]


def test_a_full_disk_keeps_what_was_stored(site: CatalogSite, server: NgcServer) -> None:
    site.run("catalog", "sync", "--source", server.url)
    there = server.repository("team/app")
    for number in range(40):
        config = there.add(f"1.{number:02}", [f"CUDA_VERSION=12.{number}"])
        kind, data = there.manifests.pop(config)
        there.tags[f"1.{number:02}"] = there.manifest(
            kind, {**json.loads(data), "annotations": {"x": "y" * 50_000}}
        )
    room = (os.path.getsize(site.database) + 1_000_000) // 512
    words = [
        "sh",
        "-c",
        f'ulimit -f {room}; exec "$@"',
        "sh",
        *site.command("catalog", "sync", f"{server.host}/team/app"),
    ]
    full = subprocess.run(
        words, cwd=site.folder, env=site.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert full.returncode == 74, full.stderr
    assert "Traceback" not in full.stderr
    stored = site.ask("SELECT tag FROM image_versions")
    assert 0 < len(stored) < 40
    (told,) = site.json("catalog", "sync", f"{server.host}/team/app")
    assert (told["versions"], told["new"]) == (40, 40 - len(stored))


@pytest.mark.parametrize("listing", [b'{"images": []}', b'{"other": 1}', b"[]", b"nonsense"])
def test_a_listing_of_ngc_that_has_changed_its_shape_drops_nothing(
    site: CatalogSite, server: NgcServer, listing: bytes
) -> None:
    there = server.repository("nvidia/app")
    there.add("1", ["CUDA_VERSION=12.1"])
    server.faults["/v2/org/"] = Forever([listing])
    (told,) = site.json("catalog", "sync", "nvcr.io/nvidia/app")
    (again,) = site.json("catalog", "sync", "nvcr.io/nvidia/app", "--refresh")
    assert (told["new"], again["versions"], again["gone"]) == (1, 1, 0)


def test_a_token_that_runs_out_is_fetched_anew(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    for number in range(5):
        there.add(f"1.{number}", [])
    server.locked = True
    challenge = f'Bearer realm="{server.url}/proxy_auth",scope="repository:team/app:pull"'
    server.faults["/manifests/1.3"] = [(401, {"WWW-Authenticate": challenge}), None]
    site.run(
        "catalog", "sync", f"{server.host}/team/app", "--jobs", "1", code=69
    )  # the same token comes: refused
    site.run("catalog", "sync", f"{server.host}/team/app", "--jobs", "1")
    assert site.ask("SELECT count(*) FROM image_versions") == [5]


def test_a_manifest_without_a_type_of_its_own_is_understood(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    kind, data = there.manifests[there.add("1", ["CUDA_VERSION=12.1"])]
    value = json.loads(data)
    del value["mediaType"]
    there.tags["1"] = there.manifest(MANIFEST, value)
    assert kind == MANIFEST
    site.run("catalog", "sync", f"{server.host}/team/app")
    assert site.ask("SELECT cuda_version FROM image_versions") == ["12.1"]


def test_nobody_is_led_to_services_of_this_machine() -> None:
    none: frozenset[str] = frozenset()
    assert may_lead("https://registry.lan/v2/", "https://cdn.lan/x", none)
    assert may_lead("http://localhost:5000/v2/", "http://127.0.0.1:5001/x", none)
    for target in (
        "http://127.0.0.1:8080/x",
        "https://localhost/x",
        "http://cdn.lan/x",
        "file:///x",
        "https://[x",
    ):
        assert not may_lead("https://registry.lan/v2/", target, none), target


def test_waiting_is_shared_and_ends() -> None:
    """A host that is gone is asked three times, whoever asks; then no more, and nobody waits for it."""
    clock = ManualClock()
    client = Client(clock, lambda _host: None)
    began = clock.monotonic()
    for _ in range(5):
        with pytest.raises(ServiceUnavailableError, match=r"cannot reach 127\.0\.0\.1:1"):
            client.get_json("http://127.0.0.1:1/x")
    assert client.requests == 3
    assert clock.monotonic() - began == pytest.approx(1.5)


def test_an_answer_is_stored_with_its_digest_intact() -> None:
    """What is kept of a manifest gives the digest again that the registry computed of its bytes."""
    text = '{ "a":\t"é\\u00e9" }\n'
    kept = KeptAnswer("u", text, None, 5, None)

    class Shelf:
        def answer(self, endpoint: str) -> KeptAnswer | None:
            return kept if endpoint == "u" else None

    answers = Answers(Client(ManualClock(), lambda _host: None), Shelf(), Policy(10, None))
    assert digest_of(answers.document("u").text.encode()) == digest_of(text.encode())


def test_a_host_that_only_fails_is_left_alone_soon(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("team/app")
    for number in range(50):
        there.add(f"1.{number}", [])
    server.faults["/manifests/"] = Forever([500])
    site.run("catalog", "sync", f"{server.host}/team/app", "--jobs", "1", code=69)
    assert len(server.paths("/manifests/")) == 15
