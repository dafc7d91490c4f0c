"""A conversation on a terminal: lines typed, answers as they come, and what begins with `/`.

An interrupt while an answer comes ends that answer alone, and what was said is taken back; one at the prompt leaves.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import BadInputError, LlamaAgentError, UsageError
from llamaagent.cli.asking import read_text
from llamaagent.cli.complete import Screen, tell_end
from llamaagent.cli.output import clean, say
from llamaagent.generate.ask import Ask
from llamaagent.generate.options import OPTIONS, find, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.cli.asking import Ready
    from llamaagent.cli.spec import Values
    from llamaagent.generate.answer import Answer
    from llamaagent.generate.ask import Image

_HELP = """\
/help             this
/exit             leave (also Ctrl-D)
/reset            begin anew; what the model was told beforehand stays
/undo             take the last question and its answer back
/again            ask the last question again
/system TEXT      tell the model this beforehand; without TEXT nothing
/set NAME VALUE   an option by llama-server's name, such as: /set temp 0.2
/unset NAME       as the profile has it
/options          what is set
/history          what was said
/file FILE        say what is in a file
/save FILE        write the conversation as JSON
/load FILE        go on with one that was saved
/stats            figures of the last answer
A line that ends with \\ goes on in the next."""


class _Leave(Exception):  # noqa: N818 - the way out of a loop, never shown
    """The user leaves."""


class Talk:
    """One conversation."""

    def __init__(
        self, values: Values, ready: Ready, settings: dict[str, Any], images: tuple[Image, ...]
    ) -> None:
        self._values, self._ready = values, ready
        self._settings, self._images = dict(settings), images
        self._system = values.text("system")
        self._said: list[dict[str, Any]] = []
        self._last: Answer | None = None

    def go(self) -> int:
        """Talk until the user leaves."""
        _line_editing()
        if not self._values.flag("quiet"):
            say(f"{self._ready.name}: /help lists what else can be typed, Ctrl-D leaves")
        while True:
            try:
                line = _read()
            except (EOFError, KeyboardInterrupt):
                print()
                return 0
            try:
                self._take(line)
            except _Leave:
                return 0
            except LlamaAgentError as error:
                say(f"{error}" + (f" (try: {error.hint})" if error.hint else ""))

    def _take(self, line: str) -> None:
        if not line.strip():
            return
        if not line.startswith("/"):
            self._ask(line)
            return
        word, _, rest = line[1:].partition(" ")
        command = self._commands().get(word)
        if command is None:
            from difflib import get_close_matches

            near = get_close_matches(word, list(self._commands()), 1)
            raise UsageError(f"/{clean(word)} is nothing here", hint=f"/{near[0]}" if near else "/help")
        command(rest.strip())

    def _commands(self) -> dict[str, Callable[[str], None]]:
        return {
            "help": lambda _: say(_HELP),
            "exit": _leave,
            "quit": _leave,
            "reset": self._reset,
            "undo": self._take_back,
            "again": self._again,
            "system": self._tell,
            "set": self._set,
            "unset": self._unset,
            "options": self._options,
            "history": self._history,
            "file": lambda rest: self._ask(read_text(rest)),
            "save": self._save,
            "load": self._load,
            "stats": self._stats,
        }

    def _ask(self, text: str) -> None:
        first = [{"role": "system", "content": self._system}] if self._system else []
        mine = {"role": "user", "content": text}
        ask = Ask("", (*first, *self._said, mine), self._settings, self._images)
        screen = Screen()
        try:
            answer = self._ready.asker.ask(self._ready.name, ask, self._ready.rules, screen.show)
        except KeyboardInterrupt:
            screen.end()
            say("stopped; nothing of it is kept in the conversation")
            return
        except LlamaAgentError:
            screen.end()
            raise
        screen.end()
        tell_end(self._values, answer)
        self._said += [mine, {"role": "assistant", "content": answer.text}]
        self._images, self._last = (), answer

    def _reset(self, _: str) -> None:
        self._said.clear()

    def _take_back(self, _: str) -> None:
        self._undo()

    def _undo(self) -> str:
        if not self._said:
            raise UsageError("nothing was said yet")
        mine = str(self._said[-2]["content"])
        del self._said[-2:]
        return mine

    def _again(self, _: str) -> None:
        self._ask(self._undo())

    def _tell(self, rest: str) -> None:
        self._system = rest or None

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        self._settings |= settings_of({name: value.strip()})

    def _unset(self, rest: str) -> None:
        option = find(rest)
        if option is None or option.field not in self._settings:
            raise UsageError(f"{clean(rest)} is not set", hint="/options")
        del self._settings[option.field]

    def _options(self, _: str) -> None:
        for option in OPTIONS:
            if option.field in self._settings:
                say(f"{option.names[0]} = {json.dumps(self._settings[option.field], ensure_ascii=False)}")
        if self._system:
            say(f"system = {clean(self._system)}")

    def _history(self, _: str) -> None:
        for message in self._said:
            say(f"{message['role']}: {clean(str(message['content']))}")

    def _save(self, rest: str) -> None:
        if not rest:
            raise UsageError("/save needs the name of a file")
        text = json.dumps({"system": self._system, "messages": self._said}, ensure_ascii=False, indent=1)
        try:
            with open(os.path.expanduser(rest), "x", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            raise BadInputError(f"{rest}: {error.strerror}") from error

    def _load(self, rest: str) -> None:
        if not rest:
            raise UsageError("/load needs the name of a file")
        try:
            found = json.loads(read_text(os.path.expanduser(rest)))
            said = [{"role": str(m["role"]), "content": str(m["content"])} for m in found["messages"]]
            system = found.get("system")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInputError(f"{rest} is not a conversation that /save wrote") from error
        self._said, self._system = said, None if system is None else str(system)

    def _stats(self, _: str) -> None:
        if self._last is None:
            raise UsageError("nothing was answered yet")
        told = self._last.to_dict()
        for section in ("usage", "timings"):
            for name, value in told[section].items():
                if value is not None:
                    say(f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}")
        say(f"cache = {self._last.cache}")


def _leave(_: str) -> None:
    raise _Leave


def _read() -> str:
    """A line, with those that it goes on in."""
    lines = [input("> ")]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input("… "))
    return "\n".join(lines)


def _line_editing() -> None:
    """Arrow keys and earlier lines, where Python has them. Nothing is kept on disk."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline

        readline.set_auto_history(True)
    sys.stdout.flush()
