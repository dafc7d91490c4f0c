"""One asking from the request to the answer: the marker for images, the stream, what is left of a cancelled one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from llamaagent.generate.answer import Answer
from llamaagent.generate.client import Client
from llamaagent.generate.stream import Collector

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.base.clock import Clock
    from llamaagent.generate.answer import Choice
    from llamaagent.generate.ask import Ask
    from llamaagent.generate.client import Address


class Cancelled(Exception):  # noqa: N818 - carried behind the interrupt that ends the asking, never shown
    """What had come when the caller gave up."""

    def __init__(self, choices: tuple[Choice, ...], total_ms: float) -> None:
        super().__init__("cancelled")
        self.choices, self.total_ms = choices, total_ms


def ask_server(
    ask: Ask,
    address: Address,
    *,
    model: str,
    limit: int | None,
    clock: Clock,
    timeout_s: float,
    on_piece: Callable[[str], None] | None = None,
) -> Answer:
    """Ask, and give the whole answer.

    model: its name in the answer. limit: tokens at most, as request or profile say. on_piece: told each piece of the
    first text as it comes. Raises what `refusal` says, and ServiceUnavailableError for a server that is not there, does
    not answer in time or breaks off. An interrupt closes the connection, so that the slot is freed, and goes on with
    Cancelled as its cause.
    """
    client = Client(address, clock, timeout_s)
    begun = clock.monotonic()
    marker = client.get("/props").get("media_marker") if ask.wants_marker else None

    def elapsed_ms() -> float:
        return (clock.monotonic() - begun) * 1000

    collector = Collector(ask.n, limit, elapsed_ms, on_piece)
    try:
        with closing(client.events(ask.path, ask.body(marker))) as events:
            for event in events:
                collector.take(event)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt from Cancelled(collector.partial(), elapsed_ms()) if error else None
    return Answer(model=model, choices=collector.choices(), total_ms=round(elapsed_ms(), 3))
