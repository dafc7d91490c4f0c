"""`embed` and `rerank`: vectors and orders, from servers that are made for it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from llamaagent.base.errors import UsageError
from llamaagent.cli.asking import prepare, read_text
from llamaagent.cli.output import chosen_format, emit

if TYPE_CHECKING:
    from llamaagent.cli.spec import Values


def run(values: Values) -> int:
    """Print a vector for each text."""
    texts = _texts(values, "text")
    ready = prepare(values)
    vectors = ready.asker.embed(ready.name, texts, ready.rules)
    rows = [
        {"index": at, "text": text, "embedding": vector}
        for at, (text, vector) in enumerate(zip(texts, vectors, strict=True))
    ]
    if chosen_format(values) == "table":
        for vector in vectors:
            print(json.dumps(vector))
    else:
        emit(values, rows, ("index", "text", "embedding"))
    return 0


def rerank(values: Values) -> int:
    """Print the documents, the best first."""
    documents, query = _texts(values, "document"), values.text("query") or ""
    ready = prepare(values)
    scores = ready.asker.rerank(ready.name, query, documents, ready.rules)
    order = sorted(range(len(documents)), key=lambda at: (-scores[at], at))
    top = values.number("top")
    rows = [{"index": at, "score": scores[at], "document": documents[at]} for at in order[:top]]
    if chosen_format(values) == "table":
        rows = [{**row, "score": f"{row['score']:.6g}"} for row in rows]
    emit(values, rows, ("index", "score", "document"))
    return 0


def _texts(values: Values, name: str) -> list[str]:
    texts = list(values.many(name))
    for file in values.many("file"):
        texts += read_text(file).splitlines()
    if not texts and not values.many("file") and not sys.stdin.isatty():
        texts = read_text("-").splitlines()
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise UsageError("there is no text", hint="name texts, or a file with one a line: -f FILE")
    return texts
