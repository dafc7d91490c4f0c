"""From the events of a streamed answer to its choices. Pure but for the clock.

/completion ends each text with `stop: true` and `stop_type`; a conversation ends it with `finish_reason`, and with
`[DONE]`. A stream that ends before every text has was cut off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.generate.answer import Choice, Figures
from llamaagent.generate.trouble import refusal

if TYPE_CHECKING:
    from collections.abc import Callable


class _Text:
    """One text as far as it has come."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.thoughts: list[str] = []
        self.first_ms: float | None = None
        self.reason: str | None = None
        self.timings: dict[str, Any] = {}
        self.slot: int | None = None
        self.truncated = False


class Collector:
    """Takes events one by one. limit: the tokens that were asked for at most, None = no limit.

    on_piece: told each piece of the first text as it comes. elapsed_ms: since the request was sent.
    """

    def __init__(
        self,
        n: int,
        limit: int | None,
        elapsed_ms: Callable[[], float],
        on_piece: Callable[[str], None] | None = None,
    ) -> None:
        self._texts = [_Text() for _ in range(n)]
        self._limit = limit
        self._elapsed_ms = elapsed_ms
        self._on_piece = on_piece

    def take(self, event: dict[str, Any]) -> None:
        """Take one event. Raises what `refusal` makes of an error among them."""
        if "error" in event:
            raise refusal(0, event)
        choices = event.get("choices")
        if choices is None:
            self._native(event)
        for choice in choices or ():
            self._chat(choice, event.get("timings"))

    @property
    def whole(self) -> bool:
        """Whether every text has ended."""
        return all(text.reason is not None for text in self._texts)

    def choices(self) -> tuple[Choice, ...]:
        """What has come. Raises ServiceUnavailableError when a text has no end."""
        if not self.whole:
            raise ServiceUnavailableError("the server broke off in the middle of its answer")
        return tuple(self._choice(text) for text in self._texts)

    def partial(self) -> tuple[Choice, ...]:
        """What has come of an answer that was given up."""
        return tuple(self._choice(text) for text in self._texts)

    def _native(self, event: dict[str, Any]) -> None:
        text = self._text(event)
        if text is None:
            return
        self._add(text, event.get("content"), ())
        if event.get("stop") is True:
            text.timings = event.get("timings") or {}
            text.slot = event.get("id_slot")
            text.truncated = bool(event.get("truncated"))
            text.reason = "length" if event.get("stop_type") == "limit" else "stop"

    def _chat(self, choice: dict[str, Any], timings: dict[str, Any] | None) -> None:
        text = self._text(choice)
        if text is None:
            return
        delta = choice.get("delta") or {}
        self._add(text, delta.get("content"), delta.get("reasoning_content") or ())
        if choice.get("finish_reason") is not None:
            text.reason = str(choice["finish_reason"])
            text.timings = timings or {}

    def _text(self, event: dict[str, Any]) -> _Text | None:
        index = event.get("index", 0)
        return self._texts[index] if isinstance(index, int) and 0 <= index < len(self._texts) else None

    def _add(self, text: _Text, piece: object, thought: object) -> None:
        if isinstance(thought, str) and thought:
            text.thoughts.append(thought)
        if not isinstance(piece, str):
            return
        if piece and text.first_ms is None:
            text.first_ms = round(self._elapsed_ms(), 3)
        if piece:
            text.pieces.append(piece)
            if self._on_piece is not None and text is self._texts[0]:
                self._on_piece(piece)

    def _choice(self, text: _Text) -> Choice:
        told = text.timings
        figures = Figures(
            prompt_tokens=told.get("prompt_n"),
            cached_tokens=told.get("cache_n"),
            generated_tokens=told.get("predicted_n"),
            prompt_ms=told.get("prompt_ms"),
            generation_ms=told.get("predicted_ms"),
            prompt_tokens_per_second=told.get("prompt_per_second"),
            tokens_per_second=told.get("predicted_per_second"),
            first_token_ms=text.first_ms,
        )
        return Choice(
            text="".join(text.pieces),
            finish_reason=self._reason(text),
            figures=figures,
            reasoning="".join(text.thoughts),
            slot_id=text.slot if isinstance(text.slot, int) and text.slot >= 0 else None,
        )

    def _reason(self, text: _Text) -> str:
        if text.reason is None:
            return "cancelled"
        if text.reason != "length":
            return text.reason
        generated = text.timings.get("predicted_n")
        asked = (
            self._limit is not None and self._limit >= 0 and (generated is None or generated >= self._limit)
        )
        return "length" if asked and not text.truncated else "cut"
