"""llama.cpp's presets: its own grammar, precedence, and what the router does to keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neighbour_files import lost, profiles, taken

from llamaagent.base.errors import BadInputError
from llamaagent.neighbours.presets import parse_presets


def test_remarks_end_a_value_wherever_they_stand() -> None:
    text = "; one\n# two\n[a] ; three\nm = /x.gguf ; four\nseed = 5# five\nalias = b#c\n"
    document = profiles(text, "presets")["a"]
    assert document["model"] == "/x.gguf"
    assert document["args"] == {"seed": 5, "alias": "a,b"}


def test_keys_keep_their_case_and_a_percent_sign_means_nothing() -> None:
    text = "[a]\nm = /100%(x)s.gguf\nC = 5\n"
    document = profiles(text)["a"]
    assert document["model"] == "/100%(x)s.gguf"
    assert list(document["args"]) == ["cpu-mask"]  # `c` is another option
    assert "no such option" in lost("[a]\nm = /a\nCtx-Size = 5\n")["[a].Ctx-Size"]


def test_a_section_that_comes_again_replaces_and_the_last_key_wins() -> None:
    text = "[a]\nm = /old.gguf\nc = 1\n[b]\nm = /b.gguf\nc = 1\nc = 2\n[a]\nm = /new.gguf\n"
    found = profiles(text)
    assert found["a"] == {"state": "stopped", "model": "/new.gguf"}
    assert found["b"]["args"] == {"ctx-size": 2}


def test_sections_are_the_same_when_their_quantization_is() -> None:
    text = "[org/r:q8_0]\nc = 1\n[org/r:Q8_0]\nc = 2\n"
    assert [document["args"]["ctx-size"] for document in profiles(text).values()] == [2]


def test_what_stands_before_a_header_is_a_section_of_its_own() -> None:
    assert list(profiles("version = 1\nm = /d.gguf\n[a]\nm = /a.gguf\n")) == ["default", "a"]
    assert list(profiles("version = 1\n[a]\nm = /a.gguf\n")) == ["a"]


def test_every_spelling_of_an_option_and_the_section_over_the_star() -> None:
    star = "[*]\nc = 1\nngl = all\nLLAMA_ARG_THREADS = 2\n"
    text = f"{star}[a]\nm = /a.gguf\nctx-size = 3\nno-warmup = true\njinja = off\n"
    args = profiles(text)["a"]["args"]
    assert args == {"ctx-size": 3, "gpu-layers": "all", "threads": 2, "warmup": False, "jinja": False}


@pytest.mark.parametrize(
    ("word", "on"), [("ON", True), ("enabled", True), ("1", True), ("False", False), ("0", False)]
)
def test_switches(word: str, on: bool) -> None:
    assert profiles(f"[a]\nm = /a\nwarmup = {word}\n")["a"]["args"] == {"warmup": on}
    assert profiles(f"[a]\nm = /a\nno-warmup = {word}\n")["a"]["args"] == {"warmup": not on}


def test_a_switch_that_is_neither_is_listed() -> None:
    assert "neither true nor false" in lost("[a]\nm = /a\nwarmup = maybe\n")["[a].warmup"]


def test_keys_that_only_presets_have() -> None:
    text = "[a]\nm = /a\nload-on-startup = on\nstop-timeout = 20\ndedup-cache-models = 1\n[b]\nm = /b\n"
    found = profiles(text)
    assert (found["a"]["state"], found["b"]["state"]) == ("running", "stopped")
    assert found["a"]["stop"] == {"grace": "20s"}
    assert "cached models" in lost(text)["[a].dedup-cache-models"]
    assert "loading on request ends here" in lost(text)["load-on-startup"]


def test_what_the_router_sets_itself_is_not_taken() -> None:
    text = "[a]\nm = /a\nhost = 1.2.3.4\nport = 5\nssl-key-file = /k\nmodels-max = 0\nload-on-startup = 1\n"
    assert profiles(text)["a"] == {"state": "running", "model": "/a"}
    assert {"[a].host", "[a].port", "[a].ssl-key-file", "[a].models-max"} <= set(lost(text))
    assert "ends llama.cpp's router with an error" in lost(text)["[a].models-max"]


def test_a_section_without_a_model_is_one_of_the_cache() -> None:
    text = "[org/repo:q8_0]\nc = 5\n[local]\nc = 5\n"
    assert profiles(text)["org-repo-q8_0"]["model"] == {"hf": "org/repo:q8_0"}
    assert "local" not in profiles(text)
    assert "finds elsewhere" in lost(text)["[local]"]


def test_an_option_with_two_values_is_listed() -> None:
    assert (
        "two values"
        in lost("[a]\nm = /a\ncontrol-vector-layer-range = 1 2\n")["[a].control-vector-layer-range"]
    )


def test_a_relative_path_is_said_to_be_a_guess() -> None:
    assert "its own folder" in lost("[a]\nm = x.gguf\n")["[a].m"]


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    assert profiles(b"\xef\xbb\xbf[a]\r\nm = /a.gguf\r\nc = 5\r\n")["a"]["model"] == "/a.gguf"


def test_a_key_is_never_copied() -> None:
    text = "[a]\nm = /a\napi-key = canary-1\nhf-token = canary-2\nalias = canary-1\n"
    assert "canary" not in repr(taken(text))
    assert profiles(text)["a"]["secrets"] == {
        "api-key": {"env": "A_API_KEY"},
        "hf-token": {"env": "A_HF_TOKEN"},
    }


@pytest.mark.parametrize(
    ("line", "column"),
    [("just words", 1), ("  [open", 3), ("= 5", 1), ("a b = 5", 1), ("9x = 1", 1), ('"c" = 1', 1)],
)
def test_a_line_that_is_neither_is_refused_with_its_place(line: str, column: int) -> None:
    with pytest.raises(BadInputError, match=rf"f:2:{column}: error: neither"):
        taken(f"[a]\n{line}\n", "presets")


@given(
    st.dictionaries(
        st.from_regex("[a-z][a-z0-9 /_-]{0,8}", fullmatch=True)
        .map(str.strip)
        .filter(lambda name: name != "default"),
        st.dictionaries(
            st.from_regex("[a-zA-Z_][a-zA-Z0-9_.-]{0,6}", fullmatch=True),
            st.text(
                st.characters(codec="ascii", exclude_characters=";#", categories=["L", "N", "P"]), max_size=8
            ),
            max_size=4,
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_again(sections: dict[str, dict[str, str]]) -> None:
    text = "".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in entries.items())
        for name, entries in sections.items()
    )
    found = {
        section.name: {key: entry.value for key, entry in section.entries.items()}
        for section in parse_presets(text, "f")
    }
    assert found == sections
