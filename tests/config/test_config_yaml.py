"""YAML text to values: what a person wrote is what is meant, and hostile files only make faults."""

import time

import pytest

from llamaagent.config.node import Faults, plain
from llamaagent.config.yamltext import parse_documents, split_documents


def parse(text: str | bytes) -> tuple[list[object], list[str]]:
    faults = Faults()
    data = text if isinstance(text, bytes) else text.encode()
    documents = parse_documents(data, "x.yaml", faults)
    return [plain(one.node) if one.node else None for one in documents], [
        str(fault) for fault in faults.all()
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        (".5", 0.5),
        ("+3", 3),
        (".inf", ".inf"),
        ("2026-01-31", "2026-01-31"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("~", None),
        ("", None),
        ("'017'", "017"),
        ('"true"', "true"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
    ],
)
def test_a_scalar_means_what_was_written(written: str, meant: object) -> None:
    assert parse(f"key: {written}\n") == ([{"key": meant}], [])


def test_keys_are_words_whatever_they_look_like() -> None:
    assert parse("on: 1\nno: 2\n1: 3\ntrue: 4\n1e3: 5\n~: 6\n")[0] == [
        {"on": 1, "no": 2, "1": 3, "true": 4, "1e3": 5, "": 6}
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a:\n\tb: 1\n", "x.yaml:2:1: error: a tab cannot indent YAML; use spaces"),
        ("a: 1\na: 2\n", "x.yaml:2:1: error: key 'a' is given twice (first on line 1)"),
        (
            "a: &x 1\nb: *x\n",
            "x.yaml:2:4: error: aliases (*x) are not read; put what is shared into a base file and use 'extends'",
        ),
        ("a: !!str 1\n", "x.yaml:1:4: error: tags (!!str) are not read; write plain values"),
        (
            "a: !!python/name:os.system 1\n",
            "x.yaml:1:4: error: tags (!!python/name:os.system) are not read; write plain values",
        ),
        (
            "a: {b: 1\n",
            "x.yaml:2:1: error: not valid YAML: did not find expected ',' or '}' (while parsing a flow mapping)",
        ),
        ("a: b: c\n", "x.yaml:1:5: error: not valid YAML: mapping values are not allowed in this context"),
        (
            "a: 'x\n",
            "x.yaml:2:1: error: not valid YAML: found unexpected end of stream (while scanning a quoted scalar)",
        ),
        ("? [a]\n: 1\n", "x.yaml:1:3: error: a key must be a word, not a list or mapping"),
        ("a: \x01\n", "x.yaml:1:4: error: control character '\\x01' in the file"),
        (b"a: \xff\xfe\n", "x.yaml:1:1: error: the file is not UTF-8 text"),
        ("[" * 900, "x.yaml:1:33: error: nested more than 32 levels deep"),
        ("{a: " * 5000, "x.yaml:1:129: error: nested more than 32 levels deep"),
        ("- " * 5000, "x.yaml:1:65: error: nested more than 32 levels deep"),
        (b"a" * 2_000_000, "x.yaml:1:1: error: the file is larger than 1 MB"),
        ("---\na: 1\n" * 1001, "x.yaml:1:1: error: more than 1000 documents in one file"),
    ],
)
def test_what_is_refused_says_where_and_why(text: str | bytes, fault: str) -> None:
    assert parse(text)[1] == [fault]


def test_a_depth_that_libyaml_itself_refuses_is_told_in_our_words() -> None:
    """Since 0.2.6 it has a limit, and reads ahead far enough to meet it before we see the first bracket."""
    (fault,) = parse("[" * 5000)[1]
    assert fault.startswith("x.yaml:1:")
    assert fault.endswith(": error: nested more than 32 levels deep")


@pytest.mark.case("sqlite 5.17")
def test_a_bomb_of_aliases_costs_one_fault_and_no_time() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    begin = time.monotonic()
    values, faults = parse("\n".join(lines))
    assert time.monotonic() - begin < 1
    assert len(faults) == 1
    assert "aliases (*a0) are not read" in faults[0]
    assert len(str(values)) < 2000


def test_a_broken_document_hides_no_other() -> None:
    values, faults = parse("a: 1\n---\nb: [\n---\nc: 3\n--- {d: 4}\n")
    assert values == [{"a": 1}, None, {"c": 3}, {"d": 4}]
    assert faults == [
        "x.yaml:4:1: error: not valid YAML: did not find expected node content (while parsing a flow node)"
    ]


def test_places_are_those_of_the_file_not_of_the_document() -> None:
    assert parse("a: 1\n---\n# word\nb: 1\nb: 2\n")[1] == [
        "x.yaml:5:1: error: key 'b' is given twice (first on line 4)"
    ]


def test_comments_and_empty_documents_are_no_documents() -> None:
    assert split_documents("# only words\n\n---\n...\n---\n") == []
    assert parse("%YAML 1.2\n---\na: 1\n---\n# the end\n")[0] == [{"a": 1}]


def test_a_line_of_dashes_inside_a_block_is_text() -> None:
    assert parse("a: |\n  --- x\n  y\n")[0] == [{"a": "--- x\ny\n"}]


def test_windows_line_ends_and_a_byte_order_mark_are_fine() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\r\n---\r\nb: 2\r\n") == ([{"a": 1}, {"b": 2}], [])


def test_a_very_long_number_is_text() -> None:
    assert parse("a: " + "1" * 900_000)[0] == [{"a": "1" * 900_000}]
