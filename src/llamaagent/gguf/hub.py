"""Which files of a Hugging Face repository `hf:USER/REPO:QUANT` means. Pure but for the one question it asks."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.base.errors import BadInputError, ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

ENDPOINT = "https://huggingface.co"
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_USUAL = ("Q4_K_M", "Q4_0", "Q8_0")  # tried in this order when nothing is named, as llama.cpp does
_LARGEST_LISTING = 8 << 20


class HubFile(NamedTuple):
    """One file. path: inside of the repository."""

    path: str
    sha256: str | None
    size_bytes: int | None


def split_name(text: str) -> tuple[str, str | None]:
    """(user/repo, quant) of what stands behind `hf:`. Raises BadInputError.

    >>> split_name("ggml-org/x-GGUF:Q8_0"), split_name("ggml-org/x-GGUF")
    (('ggml-org/x-GGUF', 'Q8_0'), ('ggml-org/x-GGUF', None))
    """
    repo, _, quant = text.partition(":")
    if not _REPO.fullmatch(repo) or ".." in repo:
        raise BadInputError(f"hf:{text} is not of the form hf:USER/REPO:QUANT")
    return repo, quant or None


def list_files(repo: str, endpoint: str, token: str | None) -> list[HubFile]:
    """Every file of a repository. Raises BadInputError, ServiceUnavailableError."""
    from llamaagent.gguf.fetch import ask

    url = f"{endpoint.rstrip('/')}/api/models/{urllib.parse.quote(repo)}?blobs=true"
    with ask(url, token) as answer:
        body = answer.read(_LARGEST_LISTING)
    try:
        found = json.loads(body)["siblings"]
        return [_file(entry) for entry in found if isinstance(entry.get("rfilename"), str)]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ServiceUnavailableError(f"{endpoint} answers with no list of files for {repo}") from error


def _file(entry: dict[str, object]) -> HubFile:
    lfs = entry.get("lfs")
    facts: dict[str, object] = lfs if isinstance(lfs, dict) else {}
    sha, size = facts.get("sha256"), facts.get("size", entry.get("size"))
    known = isinstance(sha, str) and re.fullmatch("[0-9a-f]{64}", sha)
    return HubFile(
        str(entry["rfilename"]), str(sha) if known else None, size if isinstance(size, int) else None
    )


def file_url(repo: str, path: str, endpoint: str) -> str:
    """Where a file is fetched from."""
    return f"{endpoint.rstrip('/')}/{urllib.parse.quote(repo)}/resolve/main/{urllib.parse.quote(path)}"


def choose(files: Iterable[HubFile], quant: str | None) -> list[HubFile]:
    """The model that is meant, in all its parts. Raises BadInputError naming what there is."""
    models = [
        one
        for one in files
        if one.path.endswith(".gguf") and not one.path.rpartition("/")[2].lower().startswith("mmproj")
    ]
    groups: dict[str, list[HubFile]] = {}
    for one in models:
        groups.setdefault(_PART.sub("", one.path), []).append(one)
    for wanted in (quant,) if quant is not None else _USUAL:
        fitting = [name for name in sorted(groups) if _bears(name, wanted)]
        if len(fitting) == 1:
            return _whole(sorted(groups[fitting[0]]))
        if fitting:
            raise BadInputError(f"{wanted} means {', '.join(fitting)}; name one of them more exactly")
    if quant is None and len(groups) == 1:
        return _whole(sorted(next(iter(groups.values()))))
    known = ", ".join(sorted(groups)) or "no GGUF file"
    raise BadInputError(f"no file is {quant or 'the usual one'}; there are: {known}")


def _bears(name: str, quant: str) -> bool:
    """Whether the name has this quantization as a word of its own."""
    return re.search(rf"(?:^|[./_-]){re.escape(quant)}(?:$|[./_-])", name, re.IGNORECASE) is not None


def _whole(parts: list[HubFile]) -> list[HubFile]:
    """All parts of one model. Raises BadInputError when one is missing."""
    match = _PART.search(parts[0].path)
    if match is not None and len(parts) != int(match[2]):
        raise BadInputError(f"{parts[0].path}: {len(parts)} of {int(match[2])} parts are there")
    return parts
