"""docs/neighbours.md names every key that the readers know."""

from pathlib import Path

from llamaagent.neighbours import composekeys, dockeroptions, dockerrun, swapkeys, unitfile
from llamaagent.neighbours.recognise import KINDS, reader_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "neighbours.md").read_text(encoding="utf-8")


def part(title: str) -> str:
    return PAGE.partition(f"\n### {title}")[2].partition("\n###")[0]


def test_llama_swaps_keys() -> None:
    text = part("llama-swap")
    keys = {*swapkeys.ROOT, *swapkeys.MODEL, *swapkeys.TAKEN_ROOT, *swapkeys.TAKEN_MODEL}
    assert [key for key in keys if f"`{key}" not in text] == []
    assert "**Loading on request ends here**" in text


def test_the_keys_of_a_service() -> None:
    text = part("Compose")
    keys = {*composekeys.READERS, *composekeys.SAID, *composekeys.TAKEN}
    assert [key for key in keys if f"`{key}" not in text] == []


def test_the_settings_of_a_unit() -> None:
    text = part("systemd")
    assert [key for key in unitfile._SAID if f"`{key}`" not in text] == []


def test_every_kind_is_named_and_has_a_reader() -> None:
    assert f"--from {'|'.join(KINDS)}" in PAGE
    assert all(callable(reader_of(kind)) for kind in KINDS)


def test_every_option_of_docker_run_that_is_read_is_known_to_take_a_value() -> None:
    read = {*dockerrun._READERS, *dockerrun._LISTS, *dockerrun._SAME, *dockerrun._SAID}
    assert read <= dockeroptions._WITH_VALUE | dockeroptions._FLAGS
