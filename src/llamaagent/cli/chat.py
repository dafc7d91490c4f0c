"""`chat`: one question, or a conversation on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.cli.asking import images_of, prepare, settings_from, words_of
from llamaagent.cli.complete import count_of, print_answer

if TYPE_CHECKING:
    from llamaagent.cli.spec import Values


def run(values: Values) -> int:
    """Ask and print, or talk."""
    from llamaagent.generate.ask import Ask

    settings, images, n = settings_from(values), images_of(values), count_of(values)
    said = words_of(values, "message")
    if said is None:
        from llamaagent.cli.chatting import Talk

        return Talk(values, prepare(values), settings, images).go()
    system = values.text("system")
    first = ({"role": "system", "content": system},) if system else ()
    messages = (*first, {"role": "user", "content": said})
    print_answer(values, prepare(values), Ask("", messages, settings, images, n))
    return 0
