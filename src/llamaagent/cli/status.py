"""`status`: one screen, worst first; exits 1 when something wanted is not running or a file is refused."""

from __future__ import annotations

import json

from llamaagent.cli.outdated import mark_moved_images, refused_by_build, sentences
from llamaagent.cli.output import clean, emit_object, say
from llamaagent.cli.rows import age, moment, profile_rows
from llamaagent.cli.site import load, reading
from llamaagent.collect.disk import measure_shortage
from llamaagent.domain.settings import written_folders
from llamaagent.reconcile.cardtrouble import sentence
from llamaagent.store.cards import CardStore
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.collect.disk import Shortage

_STALE_PASSES = 5
_INTERNAL = frozenset({"problem", "uptime", "rolled_back", "outdated_by", "binary"})


def run(values: Values) -> int:
    """Print the screen, or one object with --json."""
    opened = load(values)
    with reading(opened) as db:
        rows = profile_rows(opened, db)
        mark_moved_images(db, rows)
        last = select(db, "list_last_sample").rows[0]["ts"]
        failed = CardStore(db).failed()
        recent = select(
            db,
            "list_stats",
            {"by": None, "since": opened.clock.now() - 3600, "until": 1 << 62, "profiles": None},
        )
    shortage = _shortage(opened)
    asked = recent.rows[0]["requests"] if recent.rows else 0
    passed = opened.clock.now() - last if isinstance(last, int) else None
    summary = _summary(opened, rows, shortage) | {"last_pass_s": passed, "requests_last_hour": asked}
    summary["failed_gpus"] = [card._asdict() | {"profiles": json.loads(card.profiles)} for card in failed]
    if values.flag("json"):
        emit_object(summary)
    else:
        if shortage is not None:
            print(shortage)
        _screen(opened, summary, rows)
        for card in failed:
            print(f"! {clean(sentence(card))}")
    return 0 if summary["ok"] else 1


def _summary(opened: Opened, rows: list[dict[str, object]], shortage: Shortage | None) -> dict[str, object]:
    """What is wanted, what runs and what is wrong. Its keys are the ones of --json."""
    faults = [str(fault) for fault in opened.site.faults if fault.severity == "error"]
    problems = [row for row in rows if row["problem"]]
    refused = refused_by_build(opened, rows)
    return {
        "ok": not problems and not faults,
        "site": opened.site_path,
        "database": opened.database,
        "last_pass_s": None,
        "wanted": sum(1 for row in rows if row["wanted"]),
        "running": sum(1 for row in rows if row["status"] == "running"),
        "problems": [
            {key: r[key] for key in ("profile", "state", "reason", "detail", "since")} for r in problems
        ],
        "faults": faults,
        "disk": None
        if shortage is None
        else shortage._asdict() | {"reports": False, "samples": not shortage.samples_stop},
        "outdated": [
            {"profile": r["profile"], "because": r["outdated_by"], "refused": refused.get(str(r["profile"]))}
            for r in rows
            if r["outdated"]
        ],
        "rolled_back": {str(r["profile"]): r["rolled_back"] for r in rows if r["rolled_back"]},
        "requests_last_hour": 0,
        "instances": [{k: v for k, v in row.items() if k not in _INTERNAL} for row in rows],
    }


def _shortage(opened: Opened) -> Shortage | None:
    """The disk that has less room than `headroom.disk`, as it is now."""
    settings = opened.site.settings
    folders = written_folders(settings, opened.places, opened.database)
    found = measure_shortage(folders, settings.headroom.disk_mib)
    return found if found is not None and found.is_short() else None


def _screen(opened: Opened, summary: dict[str, object], rows: list[dict[str, object]]) -> None:
    passed = summary["last_pass_s"]
    when = f"last pass {age(passed)} ago" if isinstance(passed, int) else "no pass yet"
    asked = summary["requests_last_hour"]
    print(f"{summary['running']} of {summary['wanted']} wanted are running; {when}; "
          f"{asked} request{'' if asked == 1 else 's'} in the last hour")  # fmt: skip
    if isinstance(passed, int) and passed > _STALE_PASSES * max(60, opened.site.settings.interval_s):
        print(f"no pass for {age(passed)}: is cron or the supervisor running? (llamaagent install cron)")
    for fault in summary["faults"] if isinstance(summary["faults"], list) else ():
        print(f"refused: {fault}")
    for row in sorted(rows, key=lambda r: (not r["problem"], str(r["profile"]))):
        mark = "!" if row["problem"] else " "
        where = f"  {row['url']}" if row["status"] in {"running", "unhealthy"} and row["url"] else ""
        since = f"  {row['uptime']}" if row["uptime"] else ""
        if row["state"] == "outside schedule" and row["retry_at"]:
            since = f"  starts {moment(row['retry_at'])}"
        if row["status"] == "created" and isinstance(row["since"], int):
            since = f"  for {age(max(0, opened.clock.now() - row['since']))}"
        told = row["rolled_back"] or row["detail"]
        detail = f"  {told}" if row["problem"] and told else ""
        print(f"{mark} {row['profile']}  {row['state']}{since}{where}{detail}")
    for line in sentences(opened, rows):
        print(f"outdated: {line}")
    if not rows:
        say("no profiles; llamaagent new NAME --model FILE writes one")
