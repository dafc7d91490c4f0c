"""`catalog sync` from NGC, against a server that answers in NGC's documented shapes over real HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fakes.ngc_server import Forever, NgcServer, resource

if TYPE_CHECKING:
    from conftest import CatalogSite

PYTORCH = ["CUDA_VERSION=12.4.1.003", "PYTORCH_VERSION=2.4.0a0+07cecf4", "NVIDIA_PYTORCH_VERSION=24.05"]


def with_pytorch(server: NgcServer) -> None:
    server.pages = [[[resource("nvidia", "pytorch")]]]
    there = server.repository("nvidia/pytorch")
    amd = there.add(None, PYTORCH, "amd64", size=5000)
    arm = there.add(None, PYTORCH, "arm64", size=4000)
    there.add_index("24.05-py3", {"amd64": amd, "arm64": arm})
    there.add("23.12-py3", ["CUDA_VERSION=12.3.2", "PYTHON_VERSION=3.10.12"])


def test_the_listing_is_stored_and_repeated_groups_count_once(site: CatalogSite, server: NgcServer) -> None:
    clara = resource("nvidia", "parabricks", "clara", labels=[{"key": "framework", "values": ["Clara"]}])
    server.pages = [
        [[resource("nvidia", "pytorch"), clara], [resource("nvidia", "pytorch")]],
        [[clara], [resource("nvidia", "cuda", displayName="CUDA\n\x1b[31m")]],
    ]
    (told,) = site.json("catalog", "sync")
    assert (told["target"], told["images"], told["error"]) == ("ngc", 3, None)
    assert site.ask(
        "SELECT organization, team, name, display_name, category, created_at, registry FROM ngc_images ORDER BY name"
    ) == [
        ("nvidia", "", "cuda", "CUDA [31m", None, "2020-05-01 10:00:00", "nvcr.io"),
        ("nvidia", "clara", "parabricks", "Parabricks", "clara", "2020-05-01 10:00:00", "nvcr.io"),
        ("nvidia", "", "pytorch", "Pytorch", "pytorch", "2020-05-01 10:00:00", "nvcr.io"),
    ]


def test_a_second_sync_asks_nothing_and_a_refresh_only_whether_it_changed(
    site: CatalogSite, server: NgcServer
) -> None:
    with_pytorch(server)
    site.run("catalog", "sync", "--source", "ngc", "--versions")
    server.asked.clear()
    second = site.run("catalog", "sync", "--source", "ngc", "--versions")
    assert server.paths() == server.paths(
        "/v2/org/"
    )  # which was not there, so that nothing could be kept of it
    assert "requests: 1, answers from before: 4" in second.stderr, second.stderr
    site.run("catalog", "sync", "--source", "ngc", "--refresh")
    assert all("if-none-match" in headers for path, headers in server.asked if "/org/" not in path)
    assert not server.paths("/blobs/")


def test_an_expired_answer_is_confirmed_by_its_etag(site: CatalogSite, server: NgcServer) -> None:
    server.pages = [[[resource("nvidia", "pytorch")]]]
    site.run("catalog", "sync")
    site.change("UPDATE api_cache SET expires_ts = 5")
    server.asked.clear()
    site.run("catalog", "sync")
    ((_, headers),) = server.asked
    assert headers["if-none-match"] == site.ask("SELECT etag FROM api_cache")[0]
    assert site.ask("SELECT expires_ts > unixepoch() FROM api_cache") == [1]
    server.etags, server.pages = False, [[[resource("nvidia", "cuda")]]]
    site.change("UPDATE api_cache SET expires_ts = 5")
    site.run("catalog", "sync")
    assert site.ask("SELECT name FROM ngc_images ORDER BY name") == ["cuda", "pytorch"]


@pytest.mark.parametrize("listed", [False, True])
def test_every_architecture_of_a_tag_is_kept_with_what_is_inside(
    site: CatalogSite, server: NgcServer, listed: bool
) -> None:
    with_pytorch(server)
    there = server.repository("nvidia/pytorch")
    if listed:
        there.listing = [
            {"tag": tag, "digest": digest, "size": 9, "pushedDate": "2024-06-01T00:00:00Z"}
            for tag, digest in there.tags.items()
        ]
    site.run("catalog", "sync", "nvcr.io/nvidia/pytorch")
    assert site.ask(
        "SELECT tag, architecture, cuda_version, python_version, framework_version, size_bytes > 1000,"
        " index_digest IS NULL FROM image_versions ORDER BY tag, architecture"
    ) == [
        ("23.12-py3", "amd64", "12.3.2", "3.10.12", None, 1, 1),
        ("24.05-py3", "amd64", "12.4.1.003", None, "2.4.0a0+07cecf4", 1, 0),
        ("24.05-py3", "arm64", "12.4.1.003", None, "2.4.0a0+07cecf4", 1, 0),
    ]
    digests = site.ask("SELECT digest FROM image_versions ORDER BY id")
    assert set(digests) <= set(there.manifests)
    for text in site.ask("SELECT manifest_json FROM image_versions"):
        assert json.loads(text)["schemaVersion"] == 2
    assert site.ask("SELECT created_at FROM image_versions LIMIT 1") == ["2024-05-01 12:00:00"]


def test_ngcs_own_listing_is_read_to_its_last_page(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("nvidia/clara/app")
    for number in range(5):
        there.add(f"1.{number}", ["CUDA_VERSION=12.1"])
    there.listing = [{"tag": tag, "digest": digest} for tag, digest in there.tags.items()]
    site.run("catalog", "sync", "nvcr.io/nvidia/clara/app")
    assert len(server.paths("/v2/org/nvidia/team/clara/repos/app/images?")) == 3
    assert site.ask("SELECT count(*) FROM image_versions") == [5]
    assert not server.paths("/tags/list")


def test_a_listing_says_enough_where_the_registry_is_closed(site: CatalogSite, server: NgcServer) -> None:
    there = server.repository("nvidia/app")
    variants = [
        {"architecture": arch, "digest": f"sha256:{n * 32}"} for arch, n in (("amd64", "a1"), ("arm64", "b2"))
    ]
    there.listing = [
        {"tag": "1", "digest": f"sha256:{'c3' * 32}", "size": 7, "architectureVariants": variants}
    ]
    server.faults["/manifests/"] = Forever([403])
    site.run("catalog", "sync", "nvcr.io/nvidia/app")
    assert site.ask(
        "SELECT tag, architecture, digest, index_digest FROM image_versions ORDER BY architecture"
    ) == [
        ("1", "amd64", f"sha256:{'a1' * 32}", f"sha256:{'c3' * 32}"),
        ("1", "arm64", f"sha256:{'b2' * 32}", f"sha256:{'c3' * 32}"),
    ]


def test_a_challenge_with_a_query_in_its_realm_is_answered(site: CatalogSite, server: NgcServer) -> None:
    with_pytorch(server)
    server.locked = True
    site.run("catalog", "sync", "nvcr.io/nvidia/pytorch", "--jobs", "1")
    (login,) = server.paths("/proxy_auth")
    assert login == "/proxy_auth?account=%24oauthtoken&scope=repository:nvidia/pytorch:pull&service=ngc"
    assert site.ask("SELECT count(*) FROM image_versions") == [3]


def test_a_key_goes_by_reference_and_is_stored_nowhere(site: CatalogSite, server: NgcServer) -> None:
    with_pytorch(server)
    server.locked, server.secret = True, "$oauthtoken:nvapi-very-secret"
    refused = site.run("catalog", "sync", "nvcr.io/nvidia/pytorch", code=69)
    assert f"catalog: {{tokens: {{'{server.host}': {{env: NAME}}}}}}" in refused.stderr
    site.write(
        f"catalog: {{ngc_api: '{server.url}', mirrors: {{nvcr.io: '{server.url}'}},"
        f" tokens: {{'{server.host}': {{env: NGC_KEY}}}}}}"
    )
    unset = site.run("catalog", "sync", "nvcr.io/nvidia/pytorch", code=78)
    assert "secret env:NGC_KEY is not set" in unset.stderr
    site.environment["NGC_KEY"] = "nvapi-very-secret"
    done = site.run("catalog", "sync", "nvcr.io/nvidia/pytorch", "-v")
    assert site.ask("SELECT count(*) FROM image_versions") == [3]
    shown = site.run("settings", "--json")
    assert '"env": "NGC_KEY"' in shown.stdout
    for text in (refused.stderr, done.stderr, done.stdout, shown.stdout):
        assert "very-secret" not in text
    for file in site.folder.rglob("*"):
        assert not file.is_file() or b"very-secret" not in file.read_bytes(), file


def test_it_waits_as_long_as_it_is_asked_to(site: CatalogSite, server: NgcServer) -> None:
    server.pages = [[[resource("nvidia", "pytorch")]]]
    server.faults["/search/"] = [(429, {"Retry-After": "1"}), 503, ("cut", 10), b'{"results": [', None]
    site.run("catalog", "sync")
    assert len(server.asked) == 5
    assert site.ask("SELECT name FROM ngc_images") == ["pytorch"]


def test_a_long_wait_is_left_to_the_next_call(site: CatalogSite, server: NgcServer) -> None:
    server.faults["/search/"] = Forever([(429, {"Retry-After": "3600"})])
    told = site.run("catalog", "sync", code=69)
    assert "asks to be left alone for 3600 s" in told.stderr
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (500, 69, "answered 500"),
        (("cut", 10), 69, "broke off after 10 of"),
        (b"<html>hello</html>", 65, "sends no JSON"),
        (b'{"results": NaN}', 65, "sends nonsense"),
        (b"[" * 100_000, 65, "sends n"),
        (b"\xff\xfe{}", 65, "no UTF-8 text"),
        (b"[]", 65, "something else than a listing"),
        (418, 65, "answered 418"),
        ((302, {"Location": "file:///etc/passwd"}), 65, "not to be asked"),
        ((302, {"Location": "http://10.1.2.3/x"}), 65, "not to be asked"),
        ((302, {"Location": "/v2/search/again"}), 65, "redirects in a circle"),
    ],
)
def test_a_bad_answer_is_a_line_and_a_code(
    site: CatalogSite, server: NgcServer, fault: object, code: int, message: str
) -> None:
    server.faults["/search/"] = Forever([fault])
    told = site.run("catalog", "sync", code=code)
    assert message in told.stderr, told.stderr
    assert len(server.asked) <= 7


def test_an_answer_that_never_ends_is_cut_off(site: CatalogSite, server: NgcServer) -> None:
    server.faults["/search/"] = Forever([b" " * (17 << 20)])
    assert "sends more than 16 MiB" in site.run("catalog", "sync", code=65).stderr


@pytest.mark.parametrize(
    "page",
    [
        {"resultPageTotal": 10**9, "results": None},
        {"resultPageTotal": "many", "results": [{"resources": [{"resourceId": 5}, 7, {}]}, None]},
        {"resultPageTotal": 1, "results": [{"resources": [{"resourceId": "../../etc/x", "name": "A B"}]}]},
        {
            "resultPageTotal": 1,
            "results": [{"resources": [resource("o", "n", description="\ud800", labels=4)]}],
        },
    ],
)
def test_hostile_listings_do_no_harm(site: CatalogSite, server: NgcServer, page: object) -> None:
    server.faults["/search/"] = Forever([json.dumps(page).encode()])
    site.run("catalog", "sync")
    assert len(server.asked) < 4


def test_without_a_network_what_is_kept_does(site: CatalogSite, server: NgcServer) -> None:
    with_pytorch(server)
    site.run("catalog", "sync", "nvcr.io/nvidia/pytorch")
    site.change("UPDATE api_cache SET expires_ts = 5")
    site.change("DELETE FROM image_versions WHERE tag = '23.12-py3'")
    server.close()
    told = site.run("catalog", "sync", "nvcr.io/nvidia/pytorch", code=69)
    assert "cannot reach" in told.stderr
    assert "answers kept from before were used" in told.stderr
    assert len(site.json("catalog", "versions", "pytorch")) == 2
    offline = site.run("catalog", "sync", "nvcr.io/nvidia/pytorch:24.05-py3", "--offline")
    assert "offline: nobody was asked" in offline.stderr
    site.run("catalog", "sync", "--offline", code=69)


def test_the_engine_that_is_not_there_is_a_note(site: CatalogSite, server: NgcServer) -> None:
    server.pages = [[[resource("nvidia", "pytorch")]]]
    told = site.run("catalog", "sync")
    assert "which images are here already is not known: engine unix://" in told.stderr
    assert "engine unix://" in site.run("catalog", "search", "--local", code=69).stderr
