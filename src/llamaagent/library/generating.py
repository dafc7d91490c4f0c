"""One generation with all that belongs to it: whom to ask, the response cache, what is left for the statistics.

What goes wrong with the database never reaches the caller: the answer comes, and the store warns once.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.base.errors import CannotCreateError
from llamaagent.generate.answer import Answer
from llamaagent.generate.asking import Cancelled, ask_server
from llamaagent.generate.options import BY_NAME
from llamaagent.library.link import warn
from llamaagent.library.source import find_server, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llamaagent.base.clock import Clock
    from llamaagent.generate.answer import Choice
    from llamaagent.generate.ask import Ask
    from llamaagent.library.remembering import Memory
    from llamaagent.library.source import Known, Server
    from llamaagent.library.store import Store
    from llamaagent.store.claims import Told
    from llamaagent.store.types import Connection


class Rules(NamedTuple):
    """How an asking is treated. ttl_s: how long a new answer is kept, None = for ever. timeout_s: for the answer."""

    cache: bool = False
    ttl_s: int | None = 7 * 86400
    single_flight: bool = False
    session: str | None = None
    timeout_s: float = 600.0
    identity: str = "name"  # by what a model is known: name | content


class Asker:
    """Asks the servers of one site, over one store. Every method may be called from any thread."""

    def __init__(self, store: Store, known: Known, clock: Clock, environ: Mapping[str, str]) -> None:
        self.store, self.known = store, known
        self._clock, self._environ = clock, environ

    def server(self, name: str) -> Server:
        """Where a profile's server is. Raises as `find_server`."""
        return find_server(name, self.store.link, self.known, self._environ)

    def ask(self, name: str, ask: Ask, rules: Rules, on_piece: Callable[[str], None] | None = None) -> Answer:
        """Give the answer, from the cache or the server.

        on_piece: told each piece of the first text as it comes, of a kept one at once. Raises what `find_server` and
        `ask_server` do, and StoreBusyError when another computes the same answer for too long.
        """
        server = self.server(name)
        if not rules.cache:
            return self._ask(server, ask, rules, None, on_piece)
        from llamaagent.library.remembering import Memory

        memory = Memory.of(self.store.cache, server, ask, rules)
        found = self._hit(server, ask, rules, memory, on_piece)
        if found is not None:
            return found
        with self._alone(memory.key, rules) as look_again:  # whoever held it before has kept the answer
            found = self._hit(server, ask, rules, memory, on_piece) if look_again else None
            return found or self._ask(server, ask, rules, memory, on_piece)

    def embed(self, name: str, texts: Sequence[str], rules: Rules) -> list[list[float]]:
        """A vector for each text. Raises as `ask`; nothing of it is cached."""
        from llamaagent.generate.others import vectors_from

        return vectors_from(self._post(name, "/v1/embeddings", {"input": list(texts)}, rules), len(texts))

    def rerank(self, name: str, query: str, documents: Sequence[str], rules: Rules) -> list[float]:
        """How well each document answers the question: the higher, the better. Raises as `embed`."""
        from llamaagent.generate.others import scores_from

        body = {"query": query, "documents": list(documents)}
        return scores_from(self._post(name, "/v1/rerank", body, rules), len(documents))

    def _post(self, name: str, path: str, body: dict[str, Any], rules: Rules) -> Any:
        from llamaagent.generate.client import Client

        server = self.server(name)
        return Client(need(server), self._clock, rules.timeout_s).post(path, body)

    @contextmanager
    def _alone(self, key: str, rules: Rules) -> Iterator[bool]:
        if not rules.single_flight or self.store.kind != "file":
            yield False
            return
        from llamaagent.store.flight import alone

        with ExitStack() as held:
            try:
                held.enter_context(alone(self.store.path, key, self._clock, rules.timeout_s))
            except CannotCreateError as error:  # no lock: computed twice at worst
                warn(f"{error}; going on without it")
            yield True

    def _ask(
        self,
        server: Server,
        ask: Ask,
        rules: Rules,
        memory: Memory | None,
        on_piece: Callable[[str], None] | None,
    ) -> Answer:
        try:
            answer = ask_server(
                ask,
                need(server),
                model=server.name,
                limit=_limit(server, ask),
                clock=self._clock,
                timeout_s=rules.timeout_s,
                on_piece=on_piece,
            )
        except KeyboardInterrupt as interrupt:
            if isinstance(interrupt.__cause__, Cancelled):
                given_up = interrupt.__cause__
                self._account(server, ask, rules, given_up.choices, given_up.total_ms, None)
            raise
        kept = memory is not None and all(choice.whole for choice in answer.choices)
        stored = self._account(server, ask, rules, answer.choices, answer.total_ms, memory, kept=kept)
        return _with(
            answer,
            cache="off" if memory is None else "stored" if stored else "miss",
            cache_key=None if memory is None else memory.key,
            session=rules.session,
        )

    def _account(
        self,
        server: Server,
        ask: Ask,
        rules: Rules,
        choices: tuple[Choice, ...],
        total_ms: float,
        memory: Memory | None,
        *,
        kept: bool = False,
    ) -> bool:
        """Leave claims for the statistics and keep the answer, in one transaction; whether it was kept."""
        from llamaagent.store.claims import ClaimStore

        now, instance = self._clock.now(), server.instance_id
        key = memory.key if memory is not None else None
        told = [told_of(choice, total_ms, server, ask, rules, key) for choice in choices]

        def act(db: Connection) -> bool:
            for one in told:
                if instance is not None:
                    ClaimStore(db).leave(instance, one, now)
                else:
                    _record(db, one, server, now, hit=False)
            return kept and memory is not None and memory.keep(db, choices, rules.ttl_s, now)

        return bool(self.store.together.write(act, False))

    def _hit(
        self,
        server: Server,
        ask: Ask,
        rules: Rules,
        memory: Memory,
        on_piece: Callable[[str], None] | None,
    ) -> Answer | None:
        begun = self._clock.monotonic()
        choices = memory.find()
        if choices is None:
            return None
        if on_piece is not None and choices:
            on_piece(choices[0].text)
        total_ms = round((self._clock.monotonic() - begun) * 1000, 3)
        from llamaagent.store.responses import ResponseStore

        now = self._clock.now()
        told = [told_of(choice, total_ms, server, ask, rules, memory.key) for choice in choices]

        def act(db: Connection) -> None:
            ResponseStore(db).count_hit(memory.key, now)
            for one in told:
                _record(db, one, server, now, hit=True)

        self.store.together.write(act, None)
        return Answer(
            model=server.name,
            choices=choices,
            total_ms=total_ms,
            cache="hit",
            cache_key=memory.key,
            session=rules.session,
        )


def _record(db: Connection, told: Told, server: Server, now: int, *, hit: bool) -> None:
    from llamaagent.store.claims import ClaimStore

    path = server.model_path or ""
    ClaimStore(db).answered(told, server.name, server.project, path, now, hit=hit)


def _with(answer: Answer, *, cache: str, cache_key: str | None, session: str | None) -> Answer:
    from dataclasses import replace

    return replace(answer, cache=cache, cache_key=cache_key, session=session)


def _setting(server: Server, ask: Ask, field: str) -> float | int | None:
    """The value of an option as request or profile say."""
    value = ask.settings.get(field)
    if value is None and server.profile is not None:
        names = [name for name, option in BY_NAME.items() if option.field == field]
        value = next((v for n in names if (v := server.profile.arg(n)) is not None), None)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _limit(server: Server, ask: Ask) -> int | None:
    value = _setting(server, ask, "n_predict")
    return None if value is None or value < 0 else int(value)


def told_of(
    choice: Choice, total_ms: float, server: Server, ask: Ask, rules: Rules, cache_key: str | None
) -> Told:
    """What is known of one text, for the statistics."""
    from llamaagent.store.claims import Told

    figures = choice.figures
    temperature = _setting(server, ask, "temperature")
    return Told(
        figures.prompt_tokens,
        figures.cached_tokens,
        figures.generated_tokens,
        figures.prompt_ms,
        figures.generation_ms,
        total_ms,
        figures.prompt_tokens_per_second,
        figures.tokens_per_second,
        figures.first_token_ms,
        choice.finish_reason,
        None if temperature is None else float(temperature),
        _limit(server, ask),
        cache_key,
        rules.session,
    )
