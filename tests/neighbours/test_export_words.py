"""Any word comes out of the other tool's reader as it went in."""

import shlex

import yaml
from export_readers import (
    compose_value,
    cron_command,
    preset_sections,
    supervisor_sections,
    swap_words,
    unit_words,
)
from hypothesis import example, given
from hypothesis import strategies as st

from llamaagent.cli.exporttext import yaml_text
from llamaagent.config.document import canonical_json, profile_from_document
from llamaagent.neighbours.compose_cards_out import maker_of
from llamaagent.neighbours.compose_out import compose_document
from llamaagent.neighbours.cron_out import cron_word
from llamaagent.neighbours.llamaswap_out import quoted_word
from llamaagent.neighbours.outgoing import Server
from llamaagent.neighbours.presets_out import presets_text
from llamaagent.neighbours.supervisor_out import command_of
from llamaagent.neighbours.systemd_out import systemd_word

EVIL = "a ;b #c\n#d\\\n${PORT} $$ %% %(x)s \\% 'q' \"r\" ü 🙂 \t"
PIECES = [
    "${PORT}",
    "${",
    "$",
    "%",
    "%%",
    "\\",
    "'",
    '"',
    "#",
    ";",
    " ",
    "a",
    "ü",
    "🙂",
    "{",
    "}",
    "(",
    ")s",
    "=",
    ",",
]
ONE_LINE = st.lists(
    st.one_of(st.sampled_from(PIECES), st.characters(exclude_categories=["C", "Z"])), max_size=12
)
TEXT = st.lists(st.one_of(ONE_LINE.map("".join), st.sampled_from(["\n", "\n#", "\\\n", "\t"])), max_size=6)
WORDS = st.lists(TEXT.map("".join), min_size=1, max_size=4)
LINE_WORDS = st.lists(ONE_LINE.map("".join), min_size=1, max_size=4)


@given(WORDS)
@example([EVIL, "", "#", "\n", "\\"])
def test_llama_swap_hands_on_what_was_meant(words: list[str]) -> None:
    command = "\n".join(quoted_word(word) for word in words) + "\n"

    assert swap_words(command, {"PORT": "5800", "MODEL_ID": "x"}) == words


@given(WORDS)
@example([EVIL, "", "\x01", "$x", "@x"])
def test_systemd_reads_the_words_of_a_command(words: list[str]) -> None:
    assert unit_words(" ".join(systemd_word(word) for word in words), dollar=True) == words


@given(WORDS)
@example([EVIL])
def test_systemd_reads_the_words_of_an_environment(words: list[str]) -> None:
    line = " ".join(systemd_word(word, dollar=False) for word in words)

    assert unit_words(line, dollar=False) == words


@given(LINE_WORDS)
@example(["a ;b", "#c", "x #y %(ENV_HOME)s", "'"])
def test_supervisord_reads_the_words_of_a_command(words: list[str]) -> None:
    text = f"[program:x]\ncommand={command_of(['/bin/x', *words])}\n"

    assert shlex.split(supervisor_sections(text)["program:x"]["command"]) == ["/bin/x", *words]


@given(LINE_WORDS)
@example(["50%", "\\", "a'%'b", "\\\\", "\\%", "%\\", "a\\'%"])
def test_cron_and_its_shell_read_the_words_of_a_line(words: list[str]) -> None:
    line = " ".join(cron_word(word) for word in words)

    for strips in (True, False):
        assert shlex.split(cron_command(line, strips=strips)) == words


def served(**more: object) -> Server:
    """A server whose profile says this and nothing else."""
    document = canonical_json({"name": "x", "model": {"path": "/m/x.gguf"}, **more})
    profile = profile_from_document(document, "/x.yaml", 1)
    argv = (
        "/bin/x",
        "--model",
        "/m/x.gguf",
        "--host",
        "127.0.0.1",
        "--port",
        "1",
        "--metrics",
        *profile.argv,
    )
    return Server(profile, argv, 1, 8100)


@given(TEXT.map("".join))
@example(" a")
@example("a;b")
@example("a\n")
def test_a_value_is_in_the_presets_as_it_is_or_reported(value: str) -> None:
    text, left = presets_text([served(args={"grammar": value})], {})

    found = preset_sections(text)["x"].get("grammar")
    assert [one.key for one in left] == ([] if found is not None else ["args.grammar"])
    assert found in {value, None}


@given(TEXT.map("".join))
@example(EVIL)
@example("$$NAME ${NAME:-x}")
def test_compose_hands_on_what_was_meant(value: str) -> None:
    server = served(
        args={"grammar": value}, labels={"a": value}, runtime={"kind": "process", "env": {"A": value}}
    )
    document, _ = compose_document([server], (), None)
    service = yaml.safe_load(yaml_text(document))["services"]["x"]

    read = (service["command"][-1], service["labels"]["a"], service["environment"]["A"])
    assert {compose_value(one, {}) for one in read} == {value}


WORDS_OF_YAML = [
    "on",
    "No",
    "null",
    "~",
    "1e3",
    "0o17",
    "0x1f",
    "017",
    ".inf",
    "12:30:45",
    "2024-01-01",
    "=",
    "<<",
]


@given(st.one_of(st.sampled_from(WORDS_OF_YAML), TEXT.map("".join)), st.booleans())
@example("a\n", True)
@example("\ta\n b", True)
@example(" ", True)
def test_yaml_says_text_that_no_reader_takes_for_something_else(value: str, block: bool) -> None:
    text = yaml_text({"k": [value], value: 1}, [value] if block else [])

    assert yaml.safe_load(text) == {"k": [value], value: 1}
    # Whoever reads YAML 1.2 must see the quotes too.
    assert value not in WORDS_OF_YAML or f'"{value}"' in text or block


def test_an_image_says_whose_cards_it_is_for() -> None:
    base = "ghcr.io/ggml-org/llama.cpp"
    made = {tag: maker_of(f"{base}:{tag}") for tag in ("server", "server-b6000", "server-cuda", "full-rocm")}
    assert made == {"server": "cpu", "server-b6000": "cpu", "server-cuda": "nvidia", "full-rocm": "amd"}
    assert maker_of(f"{base}:server-intel") == "intel"
    assert maker_of(f"{base}:server-vulkan") == "vulkan"
    assert maker_of(f"{base}:server-musa") == "other"
    assert maker_of(f"{base}:server@sha256:{'0' * 64}") == "cpu"
    assert maker_of("vllm/vllm-openai") == "nvidia"
