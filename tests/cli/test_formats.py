"""Every listing comes in every format, with the same columns in each."""

import csv
import io
import json
from pathlib import Path

import pytest
from scratch_home import Agent

from llamaagent.cli.commands import SPECS

GIVEN = {
    "query": ["SELECT 1 AS a, 'x' AS b"],
    "profiles show": ["tiny"],
}
OTHERS = {
    "gpus allocate",
    "quota show",
    "fit",
    "bench",
    "compare",
    "catalog versions",
    "embed",
    "rerank",
    "stats summary",
    "db export",
    "db salvage",
}  # they act, want what is not here, or give one object
LISTINGS = [
    spec.name
    for spec in SPECS
    if spec.name not in OTHERS and any(option.name == "format" for option in spec.options)
]


def test_there_are_as_many_as_there_should_be() -> None:
    assert len(LISTINGS) >= 15
    assert {"ps", "why", "events", "stats", "models list", "config list", "db check", "settings"} <= set(
        LISTINGS
    )


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_in_every_format(agent: Agent, site: Path, name: str) -> None:
    agent("run", "--once", "--no-report", cwd=site)
    agent("config", "set", "app.a", "1", cwd=site)
    words = [*name.split(), *GIVEN.get(name, [])]

    def run(kind: str) -> str:
        return agent(*words, "--format", kind, cwd=site, code=None).stdout

    rows = json.loads(run("json"))
    assert isinstance(rows, list)
    columns = [list(row) for row in rows]
    assert [list(row) for row in json.loads(agent(*words, "--json", cwd=site, code=None).stdout)] == columns
    assert all(one == columns[0] for one in columns)
    lines = [json.loads(line) for line in run("jsonl").splitlines()]
    assert [list(row) for row in lines] == columns
    for kind, delimiter in (("csv", ","), ("tsv", "\t")):
        header, *cells = csv.reader(io.StringIO(run(kind)), delimiter=delimiter)
        assert len(cells) == len(rows)
        assert not columns or header == columns[0]
    table = agent(*words, cwd=site, code=None)
    assert table.stdout or table.stderr, "a table, or a word that there is nothing"
