"""Images in `complete` and `chat`, seen by a real model with a projector, and told apart by the response cache."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from projector_model import PATCHES, write_projector
from scratch_site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.embedded
ASK = ("-m", "eyes", "--n-predict", "4", "--seed", "1", "--temp", "0", "--json")


@pytest.fixture
def eyes(tmp_path: Path, port_block: tuple[int, int], tiny_model: str) -> Iterator[Site]:
    """A site with one profile that sees, and two pictures beside it."""
    made = Site(tmp_path, port_block, "embedded", tiny_model)
    projector = write_projector(str(tmp_path / "mmproj.gguf"))
    made.profile("eyes", args={"threads": 1, "mmproj": projector, "mmproj-offload": False})
    for name, colour in (("red", (220, 20, 20)), ("blue", (20, 20, 220))):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{name}.png")
    made.settle()
    yield made
    made.stop_all()


def asked(site: Site, command: str, *words: str) -> dict[str, Any]:
    """What one question came to."""
    done = site.run(command, "what is it", *words, *ASK)
    assert done.rc == 0, done
    found: dict[str, Any] = json.loads(done.out)
    return found


def taken_in(answer: dict[str, Any]) -> int:
    """Tokens of the prompt, those that were in the slot already too."""
    usage = answer["usage"]
    return int(usage["prompt_tokens"]) + int(usage.get("cached_tokens") or 0)


@pytest.mark.parametrize("command", ["chat", "complete"])
def test_an_image_is_seen(eyes: Site, command: str) -> None:
    plain = asked(eyes, command)
    one = asked(eyes, command, "--image", "red.png")
    two = asked(eyes, command, "--image", "red.png", "--image", "blue.png")
    assert taken_in(one) - taken_in(plain) >= PATCHES
    assert taken_in(two) - taken_in(one) >= PATCHES


def test_an_image_is_part_of_what_an_answer_is_kept_for(eyes: Site) -> None:
    """By its content: the same picture in another file is the same."""
    shutil.copy(eyes.root / "red.png", eyes.root / "copy.png")
    found = [
        asked(eyes, "chat", *(("--image", f"{name}.png") if name else ()), "--cache")["cache"]
        for name in ("", "red", "blue", "copy", "blue", "")
    ]
    assert found == ["stored", "stored", "stored", "hit", "hit", "hit"]


def test_what_is_no_image_is_told(eyes: Site) -> None:
    (eyes.root / "text.png").write_text("no picture")
    for name, said in (("nowhere.png", "nowhere.png: No such file"), ("text.png", "image")):
        done = eyes.run("chat", "what is it", "--image", name, *ASK)
        assert done.rc == 65, done
        assert said in done.err
