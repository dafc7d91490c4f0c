"""Names of images, challenges, and what an image's config says: text in, values out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamaagent.base.errors import UsageError
from llamaagent.catalog import facts
from llamaagent.catalog.challenge import Challenge, parse_challenge, token_url
from llamaagent.catalog.local import held
from llamaagent.catalog.reference import Reference, parse_reference, registry_at
from llamaagent.catalog.transport import retry_after
from llamaagent.domain.image import ImageVersion, image_of

DIGEST = "sha256:" + "ab" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nvcr.io/nvidia/pytorch", Reference("nvcr.io", "nvidia/pytorch")),
        ("nvcr.io/nvidia/clara/x:24.05-py3", Reference("nvcr.io", "nvidia/clara/x", "24.05-py3")),
        ("localhost:5000/app", Reference("localhost:5000", "app")),
        ("localhost:5000/app:1", Reference("localhost:5000", "app", "1")),
        ("ubuntu:22.04", Reference("docker.io", "library/ubuntu", "22.04")),
        ("docker.io/ubuntu", Reference("docker.io", "library/ubuntu")),
        ("index.docker.io/pytorch/pytorch", Reference("docker.io", "pytorch/pytorch")),
        (f"nvcr.io/nvidia/pytorch@{DIGEST}", Reference("nvcr.io", "nvidia/pytorch", None, DIGEST)),
        (f"nvcr.io/nvidia/pytorch:1@{DIGEST}", Reference("nvcr.io", "nvidia/pytorch", "1", DIGEST)),
    ],
)
def test_a_name_is_read_as_engines_do(text: str, found: Reference) -> None:
    assert parse_reference(text) == found


@pytest.mark.parametrize(
    "text", ["", "nvcr.io/", "nvcr.io/A", "a//b", "a:b:c/x y", "x:-1", "x@sha256:zz", "<none>:<none>"]
)
def test_what_is_no_name_is_said(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("nvcr.io", "https://nvcr.io"),
        ("https://registry.lan:5000/", "https://registry.lan:5000"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("https://localhost:5000", "https://localhost:5000"),
        ("lab.lan:5000", "http://lab.lan:5000"),
        ("docker.io", "https://registry-1.docker.io"),
    ],
)
def test_where_a_registry_answers(text: str, base: str) -> None:
    assert registry_at(text, frozenset({"lab.lan:5000"})).base == base


@pytest.mark.parametrize(
    "text", ["http://registry.lan", "ftp://x", "https://a:b@c", "a b", "x:99999", "http://localhost.evil.org"]
)
def test_where_no_registry_is_asked(text: str) -> None:
    with pytest.raises(UsageError):
        registry_at(text)


@pytest.mark.parametrize(
    ("header", "url"),
    [
        ('Bearer realm="https://a/t",service="s",scope="repository:x:pull"', "https://a/t?service=s&scope=repository:x:pull"),
        ('Bearer realm="https://a/t?account=b&scope=repository:x:pull",service="s"', "https://a/t?account=b&scope=repository:x:pull&service=s"),
        ('Bearer realm="https://a/t?scope=x", scope="x y"', "https://a/t?scope=x&scope=y"),
        ("bearer realm=https://a/t", "https://a/t"),
        ('Bearer realm="https://u:p@a/t"', None),
        ('Bearer realm="ftp://a"', None),
        ("Bearer", None),
        ('Bearer realm="https://[a"', None),
    ],
)  # fmt: skip
def test_the_query_of_a_realm_is_merged(header: str, url: str | None) -> None:
    challenge = parse_challenge(header)
    assert challenge is not None
    assert token_url(challenge) == url


@given(st.text(max_size=80))
def test_any_challenge_is_read_or_not(text: str) -> None:
    found = parse_challenge(text)
    assert found is None or token_url(found) is None or str(token_url(found)).startswith("http")
    made = token_url(Challenge("bearer", {"realm": f"https://a/t?{text}", "service": "s"}))
    assert made is None or "service=" in made


@given(JSON)
def test_any_config_is_read_without_harm(value: object) -> None:
    config = {"config": value, "created": value, "architecture": value, "os": value}
    assert set(facts.versions_of(config, None)) == {"cuda_version", "python_version", "framework_version"}
    facts.moment(value)
    assert facts.count(value) is None or facts.count(value) >= 0  # type: ignore[operator]
    facts.word(value)
    facts.size_of({"layers": value, "config": value})
    facts.architecture_of(config)
    facts.versions_of({"config": {"Env": value, "Labels": value}}, "pytorch")


def test_versions_come_from_variables_then_labels() -> None:
    config = {
        "config": {
            "Env": [
                "CUDA_VERSION=12.4.1",
                "NVIDIA_PYTORCH_VERSION=24.05",
                "TENSORFLOW_VERSION=2.16.1",
                "PYTHON_VERSION=",
            ],
            "Labels": {"python.version": "3.12"},
        }
    }
    pytorch = facts.versions_of(config, "pytorch")
    assert pytorch == {"cuda_version": "12.4.1", "python_version": "3.12", "framework_version": "24.05"}
    assert facts.versions_of(config, "tensorflow")["framework_version"] == "2.16.1"


def test_a_date_to_wait_until() -> None:
    assert retry_after("Wed, 21 Oct 2015 07:28:30 GMT", 1445412480) == 30
    assert retry_after("Wed, 21 Oct 2015 07:28:30 GMT", 1445412580) == 0


def test_which_versions_an_engine_holds() -> None:
    image = image_of("nvcr.io", "nvidia/pytorch")
    names = [f"nvcr.io/nvidia/pytorch@{DIGEST}", "nvcr.io/nvidia/pytorch:24.05", "own:1", "<none>:<none>"]
    here = held(lambda: names, "x86_64")
    other = "sha256:" + "cd" * 32
    assert here.has(image, ImageVersion("24.05", "amd64", DIGEST))
    assert here.has(image, ImageVersion("24.05", "arm64", DIGEST))  # pulled for another machine
    assert here.has(image, ImageVersion("24.05", "amd64", other, DIGEST))
    assert not here.has(image, ImageVersion("24.05", "arm64", other, DIGEST))
    assert not here.has(image, ImageVersion("24.05", "amd64", other))  # the tag has moved since
    own = image_of("docker.io", "library/own")
    assert here.has(own, ImageVersion("1", "amd64", other))
    assert not here.has(own, ImageVersion("2", "amd64", other))
