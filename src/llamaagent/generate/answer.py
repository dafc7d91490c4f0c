"""What comes back: texts, why each ended, and the server's own figures."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Tokens and times of one text, as the server counted them. Unknown is None.

    prompt_tokens: those that were computed; cached_tokens: those of the prompt that the server still had. Rates are the
    server's (it divides by one token less than it generated). first_token_ms: from the sending to the first piece.
    """

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    generated_tokens: int | None = None
    prompt_ms: float | None = None
    generation_ms: float | None = None
    prompt_tokens_per_second: float | None = None
    tokens_per_second: float | None = None
    first_token_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One text. finish_reason: `stop` (its own end), `length` (the limit asked for), `cut` (no room left)."""

    text: str
    finish_reason: str
    figures: Figures
    reasoning: str = ""  # what the model thought, where the server tells it apart
    slot_id: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it is what was asked for, to its end."""
        return self.finish_reason in {"stop", "length", "tool_calls"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that one asking brought. cache: `off`, `miss` (not kept), `stored`, `hit`.

    total_ms: how long the caller waited. cache_key: None while the cache is off.
    """

    model: str
    choices: tuple[Choice, ...]
    total_ms: float
    cache: str = "off"
    cache_key: str | None = None
    session: str | None = None

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The first text."""
        return self.choices[0].text if self.choices else ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text, when more than one was asked for."""
        return tuple(choice.text for choice in self.choices)

    @property
    def finish_reason(self) -> str:
        """Why the first text ended."""
        return self.choices[0].finish_reason if self.choices else "cut"

    @property
    def cached(self) -> bool:
        """Whether it came from the response cache."""
        return self.cache == "hit"

    @property
    def usage(self) -> dict[str, int | None]:
        """Tokens, those of all texts together."""
        made: dict[str, int | None] = {}
        for name in ("prompt_tokens", "cached_tokens", "generated_tokens"):
            known = [n for n in (getattr(choice.figures, name) for choice in self.choices) if n is not None]
            made[name] = sum(known) if known else None
        known = [n for n in made.values() if n is not None]
        made["total_tokens"] = sum(known) if known else None
        return made

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        figures = dataclasses.asdict(self.choices[0].figures) if self.choices else {}
        times = {name: value for name, value in figures.items() if not name.endswith("_tokens")}
        return {
            "text": self.text,
            "texts": list(self.texts),
            "reasoning": (self.choices[0].reasoning or None) if self.choices else None,
            "model": self.model,
            "finish_reason": self.finish_reason,
            "usage": self.usage,
            "timings": {**times, "total_ms": self.total_ms},
            "cache": self.cache,
            "cache_key": self.cache_key,
            "session": self.session,
        }

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def choices_json(choices: tuple[Choice, ...]) -> str:
    """Choices as text that `choices_from` reads again."""
    return json.dumps([dataclasses.asdict(choice) for choice in choices], ensure_ascii=False)


def choices_from(text: str) -> tuple[Choice, ...]:
    """The opposite of `choices_json`. Raises ValueError, KeyError or TypeError for anything else."""
    made = []
    for entry in json.loads(text):
        figures = Figures(**entry.pop("figures"))
        made.append(Choice(figures=figures, **entry))
    return tuple(made)
