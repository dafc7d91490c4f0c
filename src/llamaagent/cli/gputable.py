"""The cards as people read them: a line a card with a bar, the parts of a split card below it, then who is on them."""

from __future__ import annotations

from llamaagent.cli.output import cell, clean, print_table
from llamaagent.cli.rows import age, moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, object]

_BAR = 12
_COLUMNS = ("gpu", "name", "memory", "use", "temp", "power", "clocks", "throttle", "ecc", "xid", "status")
_WHO = ("gpu", "who", "pid", "holds", "reserved", "note")


def print_gpus(rows: Sequence[Row], now: int) -> None:
    """Print the cards, what is wrong with them, and their holders and reservations."""
    print_table([_card(row, now) for row in rows], _COLUMNS)
    for row in rows:
        if row["status"] == "failed":
            since = f" since {moment(row['failed_ts'])}" if row["failed_ts"] else ""
            print(f"gpu {label(row)} has failed{since}: {clean(str(row['failed_reason']))};"
                  " nothing is started there until it was reset")  # fmt: skip
    who = [line for row in rows for line in _on(row)]
    if who:
        print()
        print_table(who, _WHO)


def label(row: Row) -> str:
    """The number of a card; of a part, that of its card and its own: 0:2."""
    number = row["idx"]
    if not isinstance(number, int):
        return "-"
    return str(number) if row["parent_uuid"] is None else f"{number // 100 - 1}:{number % 100}"


def _card(row: Row, now: int) -> list[str]:
    part = row["parent_uuid"] is not None
    return [
        f"  {label(row)}" if part else label(row),
        clean(str(row["name"] or "-")),
        bar(row["memory_used_mib"], row["memory_total_mib"]),
        _unit(row["utilization_percent"], "%"),
        _unit(row["temperature_celsius"], " C"),
        _power(row),
        _clocks(row),
        cell(row["throttle"]).replace(",", ", "),
        _ecc(row),
        _xid(row, now),
        _status(row),
    ]


def bar(used: object, total: object) -> str:
    """How much of a card's memory is in use.

    >>> bar(3072, 12288)
    '###.........  3.0/12.0 GiB'
    """
    if not isinstance(total, int) or not total:
        return "-"
    if not isinstance(used, int):
        return f"{'?' * _BAR}    ?/{total / 1024:.1f} GiB"
    full = min(_BAR, round(_BAR * used / total))
    return f"{'#' * full}{'.' * (_BAR - full)} {used / 1024:4.1f}/{total / 1024:.1f} GiB"


def _unit(value: object, unit: str) -> str:
    return "-" if value is None else f"{value}{unit}"


def _power(row: Row) -> str:
    power, limit = row["power_mw"], row["power_limit_mw"]
    if not isinstance(power, int):
        return "-"
    return f"{power // 1000}/{limit // 1000} W" if isinstance(limit, int) else f"{power // 1000} W"


def _clocks(row: Row) -> str:
    core, memory = row["sm_clock_mhz"], row["memory_clock_mhz"]
    if core is None and memory is None:
        return "-"
    return f"{cell(core)}/{cell(memory)} MHz"


def _ecc(row: Row) -> str:
    now, ever = row["ecc_volatile"], row["ecc_aggregate"]
    if now is None and ever is None:
        return "-"
    return cell(now) if ever in {None, now} else f"{cell(now)} ({ever} ever)"


def _xid(row: Row, now: int) -> str:
    """The last report. None seen is said only of a card whose reports would be seen."""
    seen = row["xids"]
    if isinstance(seen, list) and seen:
        return f"{seen[0]['xid']}, {age(max(0, now - int(seen[0]['ts'])))} ago"
    return {None: "-", "not-available": "not available"}.get(row["xid_source"], "none")  # type: ignore[call-overload,no-any-return]


def _status(row: Row) -> str:
    status = str(row["status"])
    notes = {"mig-parent": "split (MIG)", "other-maker": "by name only"}
    return notes.get(str(row["withheld"]), status) if status == "present" else status


def _on(row: Row) -> Iterator[list[str]]:
    """Who is on a card. A profile that reserves and holds is one line."""
    number = label(row)
    reserved = {
        one["instance_id"]: one for one in _list(row["reservations"]) if one["instance_id"] is not None
    }
    for held in _list(row["holders"]):
        mine = reserved.pop(held["instance_id"], None) if held["instance_id"] is not None else None
        who = held["profile"] or f"{held['user'] or '?'}: {held['command'] or '?'}"
        yield [
            number,
            clean(str(who)),
            cell(held["pid"]),
            _mib(held["memory_mib"], "?"),
            _promise(mine),
            _note(mine),
        ]
    leases = [one for one in _list(row["reservations"]) if one["instance_id"] is None]
    for one in (*reserved.values(), *leases):
        yield [number, clean(str(one["holder"])), "-", "-", _promise(one), _note(one)]


def _list(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def _mib(value: object, unknown: str = "-") -> str:
    return f"{value} MiB" if isinstance(value, int) else unknown


def _promise(one: Row | None) -> str:
    if one is None:
        return "-"
    return "whole card" if one["exclusive"] or one["memory_mib"] is None else _mib(one["memory_mib"])


def _note(one: Row | None) -> str:
    if one is None:
        return "-"
    until = f"until {moment(one['expires_ts'])}" if one["expires_ts"] else ""
    lease = f"lease: {clean(str(one['reason']))}" if one["kind"] == "lease" and one["reason"] else ""
    return ", ".join(word for word in (lease, until) if word) or "-"
