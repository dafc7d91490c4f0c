"""The commands that cron calls, apart from the others, because a pass pays for each table that it builds."""

from __future__ import annotations

from llamaagent.cli.commands.words import DAILY, NAMES, TIMEOUT
from llamaagent.cli.spec import LISTING, Opt, Spec

RUN = Spec(
    "run",
    DAILY,
    "Make it so: one pass with --once, else the loop.\n\n"
    "A pass starts, adopts, watches and stops instances as the profiles say, takes samples and publishes the report. "
    "With --once: one pass, for cron; it prints a problem when it appears, changes or ends. Without: a pass every "
    "`interval` until SIGTERM, which leaves the servers running; SIGHUP reloads, SIGUSR1 passes at once.",
    "run:run",
    (
        Opt("once", ("--once",), "One pass, then exit."),
        Opt("wait", ("--wait",), "With --once: pass until nothing is loading or stopping."),
        TIMEOUT,
        Opt("yes", ("--yes",), "Approve the retirements that the guard held back."),
        Opt(
            "require_lock", ("--require-lock",), "Exit 75 when another pass is on (default: 0 and one line)."
        ),
        Opt("stop_instances", ("--stop-instances",), "When the loop ends, stop what it runs."),
        Opt("no_report", ("--no-report",), "Do not publish the report."),
    ),
    (NAMES,),
    "llamaagent run --once",
)

PS = Spec(
    "ps",
    DAILY,
    "List the instances, checked against the live processes.\n\nOne row for each declared or live profile.",
    "ps:run",
    (
        Opt("all", ("-a", "--all"), "Every launch there ever was."),
        Opt("watch", ("-w", "--watch"), "Again every two seconds, until Ctrl-C."),
        Opt("output", ("-o",), "wide: every column.", "text", "KIND", ("wide",)),
        Opt(
            "label", ("-l", "--label"), "Only profiles with this label; may be repeated.", "many", "KEY=VALUE"
        ),
        *LISTING,
    ),
    (NAMES,),
    "llamaagent ps --json | jq '.[] | select(.status != \"running\")'",
)
