"""`rerank` on a real model with a head for it, answered by a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from rank_model import write_rank_model
from scratch_site import Site, ask, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.embedded
QUERY, DOCUMENTS = "the of and", ("to in is", "you that it he was", "for on")


@pytest.fixture
def ranking(tmp_path: Path, port_block: tuple[int, int]) -> Iterator[Site]:
    """A site with one profile, which ranks."""
    made = Site(tmp_path, port_block, "embedded", write_rank_model(str(tmp_path / "rank.gguf")))
    made.profile("rank", args={"threads": 1, "reranking": True})
    made.settle()
    yield made
    made.stop_all()


def test_documents_come_in_the_order_of_the_server_with_its_scores(ranking: Site) -> None:
    port = ranking.newest()["rank"]["port"]
    _, text = ask(port, "/v1/rerank", {"query": QUERY, "documents": list(DOCUMENTS)})
    told = {row["index"]: row["relevance_score"] for row in json.loads(text)["results"]}
    best = sorted(told, key=lambda index: -told[index])
    assert len({round(score, 3) for score in told.values()}) == 3

    done = ranking.run("rerank", QUERY, *DOCUMENTS, "-m", "rank", "--json")
    assert done.rc == 0, done
    found = json.loads(done.out)
    assert [row["index"] for row in found] == best
    assert [row["document"] for row in found] == [DOCUMENTS[index] for index in best]
    assert [row["score"] for row in found] == pytest.approx([told[index] for index in best], rel=1e-4)

    plain = ranking.run("rerank", QUERY, *DOCUMENTS, "-m", "rank")
    assert [line.split()[0] for line in plain.out.splitlines()] == ["INDEX", *map(str, best)]
    eventually(lambda: ranking.once() and ranking.count("generations") >= 9, "each document is counted")
    assert {row["generated_tokens"] for row in ranking.rows("SELECT generated_tokens FROM generations")} == {
        0
    }
