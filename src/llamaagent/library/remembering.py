"""One asking and its place in the response cache: its key, what is found there, what is put there."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.generate.answer import Choice, Figures, choices_from, choices_json
from llamaagent.generate.key import Marks, canonical, effective, key_of
from llamaagent.library.cache import hash_of
from llamaagent.store.responses import NewAnswer, ResponseStore

if TYPE_CHECKING:
    from llamaagent.generate.ask import Ask
    from llamaagent.library.cache import CacheRepository
    from llamaagent.library.generating import Rules
    from llamaagent.library.source import Server
    from llamaagent.store.types import Connection


class Memory(NamedTuple):
    """Where an asking is kept. options: all that decides the answer but what was asked, as JSON, for people."""

    cache: CacheRepository
    key: str
    prompt: str
    prompt_hash: str
    model_path: str
    options: str

    @staticmethod
    def of(cache: CacheRepository, server: Server, ask: Ask, rules: Rules) -> Memory:
        """Its place. Reads the sizes, or the headers, of the files that decide."""
        profile = server.profile
        path = server.model_path or _reference(server)
        whole = effective(
            ask,
            _content(path) if rules.identity == "content" else _named(path),
            dict(profile.args) if profile is not None else {},
            Marks(_content if rules.identity == "content" else _named, _text),
        )
        options = {name: value for name, value in whole.items() if name not in {"prompt", "messages"}}
        return Memory(cache, key_of(whole), ask.transcript, hash_of(ask.question), path, canonical(options))

    def find(self) -> tuple[Choice, ...] | None:
        """The texts that are kept; None when there are none, or they cannot be read."""
        kept = self.cache.find(self.key)
        if kept is None:
            return None
        if kept.response_json is not None:
            try:
                return choices_from(kept.response_json)
            except (ValueError, KeyError, TypeError):
                return None
        figures = Figures(generated_tokens=kept.tokens_generated)
        return (Choice(text=kept.response_text, finish_reason=kept.finish_reason or "stop", figures=figures),)

    def keep(self, db: Connection, choices: tuple[Choice, ...], ttl_s: int | None, now: int) -> bool:
        """Put the texts there; False when they take too much. The caller holds the transaction."""
        first = choices[0]
        answer = NewAnswer(
            self.key,
            self.prompt,
            self.prompt_hash,
            self.model_path,
            self.options,
            first.text,
            choices_json(choices),
            first.finish_reason,
            first.figures.generated_tokens,
            first.figures.tokens_per_second,
            first.figures.generation_ms,
            ttl_s,
        )
        return ResponseStore(db).put(answer, now, self.cache.max_bytes)


def _reference(server: Server) -> str:
    """What the profile calls its model, when it is no file here."""
    model = server.profile.model if server.profile is not None else None
    if model is None:
        return server.name
    return model.path or model.url or model.hf or model.docker or server.name


def _named(path: str) -> dict[str, Any]:
    """A file by its name and size; what is no file here by its name."""
    try:
        return {"file": os.path.basename(path), "size": os.stat(path).st_size}
    except OSError:
        return {"file": path if "/" not in path else os.path.basename(path), "size": None}


def _content(path: str) -> dict[str, Any]:
    """A file by what its header says, names and shapes of all tensors included, and its size."""
    try:
        found = os.stat(path)
        return {"header": _header(path, found.st_size, found.st_mtime_ns), "size": found.st_size}
    except OSError:
        return _named(path)


@lru_cache(maxsize=64)
def _header(path: str, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - part of what is remembered by
    """Digest of the bytes before the tensors' data. mtime_ns, size: so that a new file is read anew."""
    from hashlib import sha256

    from llamaagent.gguf.header import HeaderError, open_header

    try:
        upto = open_header(path)[0].data_start
    except HeaderError:
        upto = 1 << 20
    digest, left = sha256(), min(upto, size)
    with open(path, "rb") as file:
        while left > 0 and (chunk := file.read(min(left, 1 << 20))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def _text(path: str) -> str:
    """Digest of a text file; its name when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hash_of(file.read(1 << 24).decode("utf-8", "replace"))
    except OSError:
        return path
