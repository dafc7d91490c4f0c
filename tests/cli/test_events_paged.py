"""`events`: filters, and pages that go on where the last one ended."""

import json
from pathlib import Path

from scratch_home import Agent

from llamaagent.store.connect import open_database
from llamaagent.store.events import Event, EventStore


def test_events_are_paged_and_searched(home: Path, site: Path, agent: Agent) -> None:
    db = open_database(str(home / "data" / "llamaagent" / "llamaagent.db"))
    with db:
        for number in range(10):
            EventStore(db).add(
                Event(
                    1_700_000_000 + number // 3, "info", f"m{number}", "prog", "odd" if number % 2 else None
                )
            )
        EventStore(db).add(Event(1_700_000_100, "critical", "broke", "prog", error_message="kaputt"))
    db.close()

    def found(*words: str) -> list[str]:
        return [row["message"] for row in json.loads(agent("events", "--json", *words, cwd=site).stdout)]

    page = agent("events", "-n", "4", cwd=site)
    ident = page.stderr.split("--before ")[1].strip()
    assert found("-n", "4") == ["broke", "m9", "m8", "m7"]
    assert found("--before", ident) == ["m6", "m5", "m4", "m3", "m2", "m1", "m0"]
    assert found("--category", "odd", "-n", "2") == ["m9", "m7"]
    assert found("--level", "critical") == found("--text", "KAPUTT") == ["broke"]
    assert len(found("--until", "2023-11-14")) == 0
    assert "no event has the id 999" in agent("events", "--before", "999", cwd=site, code=2).stderr
