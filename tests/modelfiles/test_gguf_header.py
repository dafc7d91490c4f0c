"""Headers: equal to what the package gguf reads, and never a crash or a large allocation."""

import contextlib
import json
import os
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_models import write_model

from llamaagent.gguf.facts import metadata_json, read_model
from llamaagent.gguf.find import Found, look_at
from llamaagent.gguf.header import Array, Header, HeaderError, open_header, read_header
from llamaagent.gguf.types import FILE_TYPES, TENSORS, WORDS

PLENTY = 8 << 20  # bytes; what is kept of a header is bounded below that for files of this size


def read_bytes(data: bytes, size: int | None = None) -> Header:
    return read_header(
        lambda length, offset: data[offset : offset + length], len(data) if size is None else size
    )


def by_the_package(path: Path) -> tuple[dict[str, Any], list[tuple[str, list[int], int]]]:
    """Values as we give them, and tensors, from GGUFReader."""
    reader = gguf.GGUFReader(path)
    values: dict[str, Any] = {}
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        if field.types[0] is gguf.GGUFValueType.ARRAY:
            values[key] = (field.types[-1].name.lower(), len(field.data))
        else:
            values[key] = field.contents()
    return values, [(t.name, [int(n) for n in t.shape], int(t.tensor_type)) for t in reader.tensors]


def by_us(header: Header) -> tuple[dict[str, Any], list[tuple[str, list[int], int]]]:
    values = {k: (v.type, v.length) if isinstance(v, Array) else v for k, v in header.values.items()}
    return values, [(t.name, list(t.shape), t.type) for t in header.tensors]


@pytest.mark.parametrize("big_endian", [False, True])
def test_scalars_counts_and_shapes_equal_the_packages(tmp_path: Path, big_endian: bool) -> None:
    path = write_model(tmp_path / "m.gguf", big_endian=big_endian)

    header, size = open_header(str(path))

    assert by_us(header) == by_the_package(path)
    assert (header.version, size) == (3, path.stat().st_size)
    assert header.data_start == gguf.GGUFReader(path).data_offset


def test_the_tiny_model_is_equal_too(tiny_model: str) -> None:
    header, _ = open_header(tiny_model)

    assert by_us(header) == by_the_package(Path(tiny_model))


def test_numbers_and_names_are_those_of_the_package() -> None:
    assert {kind.value: kind.name.lower() for kind in gguf.GGUFValueType} == dict(enumerate(WORDS))
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        assert TENSORS[kind.value] == (kind.name, block, size)
    for kind in gguf.LlamaFileType:
        if kind.name != "GUESSED":
            assert FILE_TYPES[kind.value] == kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")


def test_facts_of_a_model(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")

    file = read_model(look_at(str(path)))

    assert file.error is None
    assert (file.name, file.architecture, file.size_label) == ("größer", "llama", "7B")
    assert file.parameter_count == 300 * 64 + 64 + 3 * 5 * 7
    assert (file.quantization, file.file_type, file.context_length, file.vocab_size) == (
        "Q4_K_M",
        15,
        4096,
        300,
    )
    assert (file.embedding_size, file.block_count, file.head_count, file.head_count_kv, file.ffn_dim) == (
        64,
        2,
        4,
        2,
        128,
    )
    assert file.chat_template == "{{ messages }}"
    assert (file.size_bytes, file.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert file.metadata_json is not None
    assert '"tokenizer.ggml.tokens": {"type": "string", "count": 300}' in file.metadata_json


def test_the_digest_knows_values_and_shapes(tmp_path: Path) -> None:
    first = read_model(look_at(str(write_model(tmp_path / "a.gguf"))))
    again = read_model(look_at(str(write_model(tmp_path / "b.gguf"))))
    other = read_model(look_at(str(write_model(tmp_path / "c.gguf", extra=7))))

    assert first.sha256 == again.sha256 != other.sha256


def test_an_unknown_file_type_leaves_the_tensors_to_say_it(tmp_path: Path) -> None:
    data = write_model(tmp_path / "m.gguf").read_bytes()
    at = data.index(b"general.file_type") + len("general.file_type") + 4
    path = tmp_path / "n.gguf"
    path.write_bytes(data[:at] + struct.pack("<I", 999) + data[at + 4 :])

    file = read_model(look_at(str(path)))

    assert (file.file_type, file.quantization) == (999, "F16")


@pytest.mark.parametrize("cut", [0, 3, 4, 20, 24, 100, 3000, -400])
def test_a_truncated_file_is_a_line(tmp_path: Path, cut: int) -> None:
    data = write_model(tmp_path / "m.gguf").read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(data[:cut])

    file = read_model(look_at(str(path)))

    assert file.error is not None
    assert "\n" not in file.error
    if cut < 0:
        assert file.error.startswith("incomplete: ")
        assert file.parameter_count


HEAD = b"GGUF" + struct.pack("<I", 3)
KEY = struct.pack("<Q", 1) + b"k"
HOSTILE = {
    "too many values": HEAD + struct.pack("<QQ", 0, 1 << 60),
    "too many tensors": HEAD + struct.pack("<QQ", 1 << 60, 0),
    "endless key": HEAD + struct.pack("<QQQ", 0, 1, (1 << 64) - 1),
    "endless string": HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IQ", 8, 1 << 62),
    "endless array": HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IIQ", 9, 10, (1 << 64) - 1),
    "endless array of strings": HEAD
    + struct.pack("<QQ", 0, 1)
    + KEY
    + struct.pack("<IIQ", 9, 8, (1 << 64) - 1),
    "strings in an array beyond the end": HEAD
    + struct.pack("<QQ", 0, 1)
    + KEY
    + struct.pack("<IIQQ", 9, 8, 5, (1 << 64) - 1),
    "array of arrays": HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IIQ", 9, 9, 1),
    "unknown type": HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<I", 77),
    "twice": HEAD + struct.pack("<QQ", 0, 2) + (KEY + struct.pack("<IB", 0, 1)) * 2,
    "version 1": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "dimensions": HEAD + struct.pack("<QQ", 1, 0) + KEY + struct.pack("<I", 1 << 31),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("size", [None, 1 << 50], ids=["short", "sparse"])
def test_a_hostile_header_is_refused_at_once(data: bytes, size: int | None) -> None:
    def read(length: int, offset: int) -> bytes:
        assert length < PLENTY
        return data[offset : offset + length].ljust(length if size else 0, b"\0")

    begun = time.perf_counter()
    with pytest.raises(HeaderError):
        read_header(read, len(data) if size is None else size)
    assert time.perf_counter() - begun < 5


def checked(data: bytes) -> None:
    """Read, describe; whatever is in the bytes, it ends in facts or in a HeaderError, within bounds."""
    tracemalloc.start()
    try:
        with contextlib.suppress(HeaderError):
            metadata_json(read_bytes(data))
        assert tracemalloc.get_traced_memory()[1] < PLENTY
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=300), st.sampled_from([b"", HEAD, HEAD + struct.pack("<QQ", 2, 3)]))
def test_random_bytes_do_no_harm(data: bytes, head: bytes) -> None:
    checked(head + data)


@pytest.fixture(scope="module")
def real_header(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_model(tmp_path_factory.mktemp("real") / "m.gguf", vocabulary=20)
    return path.read_bytes()[: open_header(str(path))[0].data_start]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_mutated_header_does_no_harm(real_header: bytes, data: st.DataObject, tmp_path: Path) -> None:
    changed = bytearray(real_header)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        piece = data.draw(
            st.one_of(st.binary(min_size=1, max_size=8), st.just(b"\xff" * 8), st.just(b"\0" * 8))
        )
        changed[at : at + len(piece)] = piece
    checked(bytes(changed))
    path = tmp_path / "changed.gguf"
    path.write_bytes(changed)
    read_model(look_at(str(path)))


def test_many_lists_are_kept_within_bounds() -> None:
    """Each is short enough to be kept; all together are not."""
    lists, items = 400, 4000
    data = HEAD + struct.pack("<QQ", 0, lists)
    body = struct.pack(f"<IIQ{items}Q", 9, 10, items, *range(1 << 40, (1 << 40) + items))
    data += b"".join(struct.pack("<Q", 4) + b"%04d" % number + body for number in range(lists))

    tracemalloc.start()
    try:
        header = read_bytes(data)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    found = [value for value in header.values.values() if isinstance(value, Array)]
    assert {value.largest for value in found} == {(1 << 40) + items - 1}
    assert found[0].items[:2] == (1 << 40, (1 << 40) + 1)
    assert found[-1].items == ()
    assert held < PLENTY


def test_lists_of_truths_are_read(tmp_path: Path) -> None:
    header, _ = open_header(str(write_model(tmp_path / "m.gguf")))
    assert header.values["test.flags"] == Array("bool", 2, None, (1, 0))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "pipe.gguf")
    os.mkfifo(path)

    file = read_model(Found((path,), 0, 0, 0))

    assert file.error == "not a regular file"


def test_a_file_that_shrinks_while_it_is_read_is_a_line() -> None:
    with pytest.raises(HeaderError, match="truncated while"):
        read_header(lambda length, offset: HEAD[offset:], 1 << 20)


RACE = """
import json, sys, time
from pathlib import Path
from llamaagent.gguf.header import open_header
from test_gguf_header import by_the_package, by_us

def cost(read):
    begun = time.process_time()
    found = read()
    return time.process_time() - begun, found

path = sys.argv[1]
ours, header = min((cost(lambda: by_us(open_header(path)[0])) for _ in range(5)), key=lambda run: run[0])
theirs, values = cost(lambda: by_the_package(Path(path)))
print(json.dumps({"ratio": theirs / ours, "equal": header == values}))
"""


@pytest.mark.alone
def test_a_large_vocabulary_is_read_a_hundred_times_faster_than_by_the_package(tmp_path: Path) -> None:
    """Equal in every scalar, count and shape. In a process of its own, in CPU time: the package takes half a GB."""
    path = write_model(tmp_path / "big.gguf", vocabulary=150_000)
    done = subprocess.run(
        [sys.executable, "-c", RACE, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    print(f"\n{found['ratio']:.0f} times as fast as gguf.GGUFReader")
    assert found["equal"]
    assert found["ratio"] >= 100
