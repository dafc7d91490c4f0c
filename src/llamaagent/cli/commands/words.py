"""What the command tables share: the sections of help, and options that several commands take."""

from __future__ import annotations

from llamaagent.cli.spec import Arg, Opt

DAILY = "Every day"
MACHINE = "Machines and requests"
GENERATIONS = "Generations"
DATA = "Reports and data"
NEIGHBOURS = "Neighbours"

NAMES = Arg("name", "Profiles; * and ? match.", many=True)
ALL = Opt("all", ("--all",), "Every declared profile.")
TIMEOUT = Opt(
    "timeout", ("--timeout",), "How long to wait for the lock and the result (default 60s).", "text", "TIME"
)
FOR = Opt("for", ("--for",), "How long it lasts (such as 2h); default until reset.", "text", "TIME")
PERIOD_END = Opt("until", ("--until",), "Until when.", "text", "WHEN")
UNTIL = Opt("until", ("--until",), "Until when it lasts (such as 08:00).", "text", "WHEN")
NO_WAIT = Opt("no_wait", ("--no-wait",), "Record the wish only; the next pass acts.")
SINCE = Opt("since", ("--since",), "From when: 2h, yesterday, mon, a date.", "text", "WHEN")
LIMIT = Opt("limit", ("-n", "--limit"), "At most so many rows.", "int", "N")
NOTE = Opt("note", ("--note",), "Why, for the journal.", "text", "TEXT")
