"""`complete`: a text and what a model makes of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from llamaagent.base.errors import UsageError
from llamaagent.cli.asking import images_of, prepare, settings_from, words_of

if TYPE_CHECKING:
    from llamaagent.cli.asking import Ready
    from llamaagent.cli.spec import Values
    from llamaagent.generate.answer import Answer
    from llamaagent.generate.ask import Ask


def run(values: Values) -> int:
    """Ask and print."""
    from llamaagent.generate.ask import Ask

    settings, images, n = settings_from(values), images_of(values), count_of(values)
    prompt = words_of(values, "prompt")
    if prompt is None:
        raise UsageError("what is to be completed?", hint='llamaagent complete "Once upon a time"')
    print_answer(values, prepare(values), Ask(prompt, None, settings, images, n))
    return 0


def count_of(values: Values) -> int:
    """How many texts are asked for."""
    n = values.number("n")
    if n is not None and not 1 <= n <= 64:
        raise UsageError("--n is between 1 and 64")
    return n or 1


def print_answer(values: Values, ready: Ready, ask: Ask) -> Answer:
    """Ask; print each piece as it comes on a terminal, everything at the end on a pipe."""
    live = sys.stdout.isatty() and not values.flag("json") and ask.n == 1
    screen = Screen()
    answer = ready.asker.ask(ready.name, ask, ready.rules, screen.show if live else None)
    if live:
        screen.end()
    elif values.flag("json"):
        print(answer.to_json())
    else:
        for number, text in enumerate(answer.texts, start=1):
            if ask.n > 1:
                print(f"[{number}]")
            end = "" if text.endswith("\n") else "\n"
            sys.stdout.write(_for(text) + end)
    tell_end(values, answer)
    return answer


def tell_end(values: Values, answer: Answer) -> None:
    """Say when a text is not what was asked for."""
    from llamaagent.cli.output import say

    if any(choice.finish_reason == "cut" for choice in answer.choices) and not values.flag("quiet"):
        say("cut off: the slot's context is full (ctx-size)")


def _for(text: str) -> str:
    """A text for standard output: as it is on a pipe, harmless on a terminal."""
    encoding = sys.stdout.encoding or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)
    return harmless(text) if sys.stdout.isatty() else text


def harmless(text: str) -> str:
    """Without what steers a terminal, line ends and tabs apart."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


class Screen:
    """A terminal on which a text appears piece by piece."""

    def __init__(self) -> None:
        self._last = "\n"

    def show(self, piece: str) -> None:
        """Show the next piece at once."""
        sys.stdout.write(_for(piece))
        sys.stdout.flush()
        self._last = piece[-1:] or self._last

    def end(self) -> None:
        """Leave the cursor at the beginning of a line."""
        if self._last != "\n":
            sys.stdout.write("\n")
            sys.stdout.flush()
