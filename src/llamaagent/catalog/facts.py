"""What is inside of an image, as its config says: versions from its variables and labels. Pure.

What comes from a server may be of any type and any length, so everything passes through `word` or `count`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from llamaagent.domain.image import ImageVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CUDA = ("CUDA_VERSION", "NV_CUDA_VERSION", "NVIDIA_CUDA_VERSION")
PYTHON = ("PYTHON_VERSION", "NVIDIA_PYTHON_VERSION", "PYVER")
# The framework's own version before that of the container it comes in.
FRAMEWORKS = {
    "pytorch": ("PYTORCH_VERSION", "NVIDIA_PYTORCH_VERSION"),
    "tensorflow": ("TENSORFLOW_VERSION", "NVIDIA_TENSORFLOW_VERSION"),
    "jax": ("JAX_VERSION", "NVIDIA_JAX_VERSION"),
    "paddlepaddle": ("PADDLEPADDLE_VERSION", "NVIDIA_PADDLEPADDLE_VERSION"),
    "mxnet": ("MXNET_VERSION", "NVIDIA_MXNET_VERSION"),
    "rapids": ("RAPIDS_VERSION", "RAPIDS_VER", "NVIDIA_RAPIDS_VERSION"),
    "triton": ("TRITON_SERVER_VERSION", "NVIDIA_TRITON_SERVER_VERSION"),
    "tensorrt": ("TENSORRT_VERSION", "TRT_VERSION"),
    "vllm": ("VLLM_VERSION", "NVIDIA_VLLM_VERSION"),
    "llama": ("LLAMA_CPP_VERSION",),
}
_LABELS = {
    "cuda_version": ("com.nvidia.cuda.version", "cuda.version"),
    "python_version": ("python.version", "org.python.version"),
    "framework_version": ("com.nvidia.framework.version", "framework.version"),
}
_CATEGORY_LABELS = ("framework", "category", "categories", "usecase", "solution")
_VERSION = re.compile(r"v?[0-9][0-9A-Za-z.+_~-]{0,79}")
_FRACTION = re.compile(r"\.\d+")
_LONGEST = 200
_LARGEST = 1 << 62
_USUAL_VARIANT = {"arm64": "v8", "amd64": "v1"}


def word(value: object, longest: int = _LONGEST) -> str | None:
    """Text on one line without what cannot be stored; None for anything else and for nothing."""
    if not isinstance(value, str):
        return None
    text = value[: longest * 4].encode("utf-8", "replace").decode()
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text[:longest] or None


def count(value: object) -> int | None:
    """A whole number from 0 on, also written as text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _LARGEST else None


def moment(value: object) -> int | None:
    """Unix seconds of an RFC 3339 time; None for anything else, and for times before 1971, which mean nothing.

    >>> moment("2024-05-01T12:00:00.123456789Z"), moment("0001-01-01T00:00:00Z"), moment("soon")
    (1714564800, None, None)
    """
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        found = datetime.fromisoformat(_FRACTION.sub("", value, count=1).strip())
        seconds = int(found.timestamp()) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 365 * 86400 <= seconds < 1 << 40 else None


def variables(config: Mapping[str, Any]) -> dict[str, str]:
    """The variables of an image's config."""
    inner = config.get("config")
    listed = inner.get("Env") if isinstance(inner, dict) else None
    items = listed if isinstance(listed, list) else []
    pairs = (item.partition("=") for item in items if isinstance(item, str) and "=" in item)
    return {name: value for name, _, value in pairs}


def labels(config: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an image's config, names in small letters."""
    inner = config.get("config")
    found = inner.get("Labels") if isinstance(inner, dict) else None
    return {
        key.lower(): value
        for key, value in (found if isinstance(found, dict) else {}).items()
        if isinstance(value, str)
    }


def versions_of(config: Mapping[str, Any], category: str | None) -> dict[str, str | None]:
    """cuda_version, python_version, framework_version; None where the image says nothing.

    category: the image's, whose framework is looked for first.
    """
    env, marks = variables(config), labels(config)
    first = FRAMEWORKS.get(category or "", ())
    rest = (name for names in FRAMEWORKS.values() for name in names)
    found = {
        "cuda_version": _first(env, CUDA),
        "python_version": _first(env, PYTHON),
        "framework_version": _first(env, (*first, *rest)),
    }
    return {key: value or _first(marks, _LABELS[key]) for key, value in found.items()}


def _first(values: Mapping[str, str], names: Iterable[str]) -> str | None:
    """The first of them that looks like a version."""
    for name in names:
        text = word(values.get(name))
        if text is not None and _VERSION.fullmatch(text):
            return text.removeprefix("v")
    return None


def architecture_of(platform: Mapping[str, Any]) -> str | None:
    """`amd64`, `arm/v7`, `windows/amd64`; None for what is no platform, such as an attestation."""
    arch, system = word(platform.get("architecture")), word(platform.get("os")) or "linux"
    if arch in {None, "unknown"} or system == "unknown":
        return None
    variant = word(platform.get("variant"))
    text = f"{arch}/{variant}" if variant and variant != _USUAL_VARIANT.get(str(arch)) else str(arch)
    return text if system == "linux" else f"{system}/{text}"


def size_of(manifest: Mapping[str, Any]) -> int | None:
    """Bytes that are transferred for it: layers and config."""
    listed = manifest.get("layers")
    parts = [manifest.get("config"), *(listed if isinstance(listed, list) else ())]
    sizes = [count(part.get("size")) for part in parts if isinstance(part, dict)]
    known = [size for size in sizes if size is not None]
    return min(sum(known), _LARGEST) if known else None


def category_of(name: str, marks: Mapping[str, list[str]]) -> str | None:
    """What an image is about: a framework in its name, else what its labels say.

    >>> category_of("pytorch", {}), category_of("x", {"framework": ["PyTorch"]}), category_of("x", {})
    ('pytorch', 'pytorch', None)
    """
    for known in FRAMEWORKS:
        if known in name.lower():
            return known
    for key in _CATEGORY_LABELS:
        for value in marks.get(key, ()):
            return value.lower()
    return None


def version_row(
    tag: str,
    digest: str,
    manifest: Mapping[str, Any],
    text: str,
    config: Mapping[str, Any],
    category: str | None,
) -> ImageVersion | None:
    """One architecture of a tag, from its manifest and its config; None when it is no image."""
    architecture = architecture_of(config)
    if architecture is None:
        return None
    return ImageVersion(
        tag=tag,
        architecture=architecture,
        digest=digest,
        size_bytes=size_of(manifest),
        created_ts=moment(config.get("created")),
        manifest_json=text,
        **versions_of(config, category),
    )
