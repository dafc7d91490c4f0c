"""Files that want to do harm, or are no such files at all: one clear sentence with a place, never anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neighbour_files import source_of, taken

from llamaagent.base.errors import BadInputError
from llamaagent.neighbours.recognise import KINDS, reader_of, recognise

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"services: {{}}\n{BOMB}", "f:7:5: error: with its aliases"),
        (f"services: {{}}\n{CHAIN}", "f:66:6: error: with its aliases"),
        ("services: &a {x: *a}\n", "names no value"),
        ("services: *nobody\n", "names no value"),
        ("services: " + "[" * 3000, "nest"),
        ("services: " + "{a: " * 60, "nested more than"),
        ("services:\n  a: 1\n  a: 2\n", "f:3:3: error: key 'a' is given twice (first on line 2)"),
        ("services:\n\ta: 1\n", "f:2:1: error: a tab cannot indent YAML"),
        ("services: {a: [}\n", "f:1:16: error: not valid YAML"),
        ("services: {}\n---\nservices: {}\n", "f:3:1: error: a second document"),
        ("services: [x]\n", "f:1:11: error: services must be a mapping"),
        ("services: {a: x}\n", "f:1:15: error: services.a must be a mapping"),
        ('services: {a: {image: "x\\0"}}\n', "a NUL character"),
        (b"services: {}\n#\x00", "f:2:2: error: control character"),
        (b"services: {}\n#\xff\xfe", "f:2:1: error: the file is not UTF-8 text"),
        ("services: {}\n#" + "x" * 1_000_001, "larger than 1 MB"),
    ],
)
def test_yaml_that_is_refused(text: str | bytes, told: str) -> None:
    with pytest.raises(BadInputError) as caught:
        taken(text, "compose")
    assert told in str(caught.value)


@pytest.mark.parametrize("kind", ["presets", "unit", "command"])
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xff\xfea\0", "not UTF-8"),
        (b"a = \x07", "f:1:5: error: control character"),
        (b"#" * 1_000_001, "larger than 1 MB"),
    ],
)
def test_text_that_is_refused(kind: str, data: bytes, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        taken(data, kind)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"GGUF\x03\0\0\0", "is a model file"),
        (b"SQLite format 3\0xx", "is a SQLite database"),
        (b"\x7fELF\x02", "is a program"),
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"hello world\n", "cannot tell what"),
        (b"model: x.gguf\nargs: {c: 5}\n", "looks like a profile already"),
    ],
)
def test_what_is_no_such_file_is_said(data: bytes, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        recognise(source_of(data))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("\ufeff# x\r\nservices:\r\n  a: {}\r\n", "compose"),
        ('version: "3"\n"services": {}\n', "compose"),
        ("macros: {}\nmodels:\n  a:\n    cmd: x\n", "llama-swap"),
        ("startPort: 5\nmodels: {}\n", "llama-swap"),
        ("[*]\nc = 5\n", "presets"),
        ("version = 1\n\n[a/b:Q4] ; x\n", "presets"),
        ("[Unit]\nAfter=x\n\n[Service]\nExecStart=/x\n", "unit"),
        ("[Unit]\nDescription=a timer\n[Timer]\nOnBootSec=1\n", "unit"),
        ("#!/bin/sh\n[Service]\n", "command"),
        ("/opt/llama-server -m x\n", "command"),
        ("exec docker run -it x\n", "command"),
    ],
)
def test_a_file_is_known_by_what_stands_in_it(text: str, kind: str) -> None:
    assert recognise(source_of(text)) == kind


PIECES = st.sampled_from(
    [
        *(
            "models:",
            "services:",
            "cmd: ",
            "image: x",
            "[Service]",
            "[*]",
            "[a]",
            "ExecStart=",
            "llama-server",
            " -m ",
            "/a",
            "\n",
        ),
        *(
            "  ",
            "    ",
            "a:",
            ": ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            "'",
            '"',
            "\\",
            "$",
            "${",
            "${PORT}",
            "${env.X}",
            "&a ",
            "*a",
            "<<: ",
        ),
        *(
            "docker run",
            " -p ",
            "1:2",
            "-e",
            " A=b",
            "environment:",
            "ports:",
            "ttl: ",
            "9" * 20,
            "٣",
            "²",
            "=",
            "#",
            ";",
            "%h",
            "\r\n",
        ),
        *(
            "Environment=",
            "command: ",
            "deploy: ",
            "--port ",
            "--lora ",
            "-lv ",
            "--",
            "gpus: ",
            "true",
            "null",
            "!!str ",
            "|",
            ">",
        ),
    ]
)


@given(text=st.lists(PIECES, max_size=40).map("".join), kind=st.sampled_from(KINDS))
def test_whatever_stands_there_is_read_or_refused(text: str, kind: str) -> None:
    try:
        reader_of(kind)(source_of(text))
    except BadInputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - one line is the whole promise


@given(data=st.binary(max_size=200), kind=st.sampled_from(KINDS))
def test_any_bytes_are_read_or_refused(data: bytes, kind: str) -> None:
    for read in (recognise, reader_of(kind)):
        try:
            read(source_of(data))
        except BadInputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - as above
