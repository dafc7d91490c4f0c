"""Machines and requests, reports and data."""

from __future__ import annotations

from llamaagent.cli.commands.words import DATA, LIMIT, MACHINE, NAMES, PERIOD_END, SINCE
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

_GROUPS = ("model", "day", "project", "session", "build", "commit", "gpu")
_BY = Opt("by", ("--by",), "A row for each.", "text", None, _GROUPS)
DATA_COMMANDS = (
    Spec(
        "stats",
        MACHINE,
        "Requests in figures: how many, tokens, speed.",
        "stats:run",
        (
            SINCE,
            PERIOD_END,
            _BY,
            *LISTING,
        ),
        (NAMES,),
        "llamaagent stats --since 7d --by day",
    ),
    Spec(
        "stats summary",
        MACHINE,
        "Totals with mean, median and 95th percentile of the speeds.\n\n"
        "The rates are those that the servers printed. Time to the first token is known of what llamaagent asked.",
        "generated:summary",
        (
            SINCE,
            PERIOD_END,
            _BY,
            *LISTING,
        ),
        (NAMES,),
        "llamaagent stats summary --since 7d --by build",
    ),
    Spec(
        "stats history",
        MACHINE,
        "Requests one by one, newest first.",
        "generated:history",
        (
            SINCE,
            PERIOD_END,
            Opt("session", ("--session",), "Of this session.", "text", "ID"),
            LIMIT,
            Opt("before", ("--before",), "The next page: as the one before told.", "text", "TIME:ID"),
            *LISTING,
        ),
        (NAMES,),
        "llamaagent stats history --since yesterday -n 20",
    ),
    Spec(
        "profiles list",
        DATA,
        "What was applied: one row a profile.",
        "profiles:listing",
        LISTING,
        (NAMES,),
        "llamaagent profiles list",
    ),
    Spec(
        "profiles show",
        DATA,
        "The stored configuration of a profile, complete or one section.\n\n"
        "Each option that is set, with the column that holds it. `server` is the settings' `defaults.args`.",
        "profiles:show",
        (
            Opt(
                "section",
                ("--section",),
                "Read one table only.",
                "text",
                None,
                ("general", "sampling", "memory", "gpu", "advanced", "lora", "multimodal", "server"),
            ),
            *LISTING,
        ),
        (Arg("name", "A profile.", required=True),),
        "llamaagent profiles show qwen --section sampling",
    ),
    Spec(
        "profiles export",
        DATA,
        "The database back to YAML.\n\n"
        "The last good revision of each, without what is the default anyway; secrets stay references. Overwrites "
        "nothing.",
        "profiles:export",
        (
            Opt("all", ("--all",), "Every profile that was ever applied and not removed."),
            Opt("out", ("-o", "--out"), "Write NAME.yaml into this folder.", "text", "DIR"),
        ),
        (NAMES,),
        "llamaagent profiles export --all -o saved/",
    ),
    Spec(
        "metrics",
        DATA,
        "What the last pass saw, for Prometheus.\n\n"
        "Text format 0.0.4, without timestamps. `prometheus: {textfile: FILE.prom}` in the settings writes the same "
        "after each pass, for node_exporter's textfile collector.",
        "metrics:run",
        (Opt("openmetrics", ("--openmetrics",), "As OpenMetrics 1.0."),),
        (),
        "llamaagent metrics | grep instance_up",
    ),
    Spec(
        "query",
        DATA,
        "Read-only SQL over tables and views.\n\n"
        "One statement. Writing, other files and endless answers are refused; the views are the interface to rely on.",
        "query:run",
        (
            Opt("limit", ("-n", "--limit"), "At most so many rows (default 10000).", "int", "N"),
            Opt("timeout", ("--timeout",), "At most so long (default 10s).", "text", "TIME"),
            *LISTING,
        ),
        (Arg("sql", "One SELECT; - reads it from standard input.", required=True),),
        'llamaagent query "SELECT profile, count(*) FROM generations GROUP BY 1"',
    ),
    Spec(
        "db info",
        DATA,
        "Where the database is, its version, size and rows.",
        "db:info",
        (Opt("json", ("--json",), "One JSON object."),),
        (),
        "llamaagent db info",
    ),
    Spec(
        "db init",
        DATA,
        "Make the database if there is none.",
        "db:init",
        (),
        (),
        "llamaagent db init",
    ),
    Spec(
        "db migrate",
        DATA,
        "Bring the database to this program's version.\n\nEvery command that writes does the same by itself.",
        "db:migrate",
        (),
        (),
        "llamaagent db migrate",
    ),
    Spec(
        "db prune",
        DATA,
        "Delete now what is older than the settings keep.\n\n"
        "Samples are rolled up first and go only when they are in the roll-ups. Each pass deletes a little by itself; "
        "this does it at once. When more than half of a table would go, --yes is needed. Instances, daily roll-ups and "
        "the audit log stay for ever.",
        "pruning:prune",
        (
            Opt("older_than", ("--older-than",), "What is older, instead of `retention`.", "text", "AGE"),
            Opt("keep", ("--keep",), "Leave the newest N rows (moments) of each table.", "int", "N"),
            Opt("yes", ("--yes",), "Also when more than half of a table goes."),
            Opt("json", ("--json",), "One JSON object."),
        ),
        (),
        "llamaagent db prune --older-than 30d",
    ),
    Spec(
        "db simulate",
        DATA,
        "Make up history in a database of its own, for measuring.\n\n"
        "The file says in its metadata that it is simulated, and no pass uses it. A database with rows is refused.",
        "pruning:simulate",
        (
            Opt("days", ("--days",), "How many days (default 30).", "int", "N"),
            Opt("instances", ("--instances",), "How many servers (default 20).", "int", "N"),
            Opt("gpus", ("--gpus",), "How many cards (default 8).", "int", "N"),
            Opt("out", ("-o", "--out"), "Where (default: simulated/ beside the database).", "text", "FILE"),
        ),
        (),
        "llamaagent db simulate --days 365 --out /tmp/year.db",
    ),
    Spec(
        "settings",
        DATA,
        "Effective settings, each with its origin.",
        "settings:run",
        LISTING,
        (Arg("key", "One key, such as reports.every, or a prefix."),),
        "llamaagent settings reports",
    ),
    Spec(
        "install cron",
        DATA,
        "Let cron make a pass a minute: one marked block in the crontab.\n\n"
        "Shows the block and asks before it changes anything; without a terminal --yes is needed. Nothing else in "
        "the crontab is touched.",
        "install:cron",
        (
            Opt("remove", ("--remove",), "Take it out again."),
            Opt("yes", ("--yes",), "Do it without asking."),
            Opt("print", ("--print",), "Only show it."),
        ),
        (),
        "llamaagent install cron",
    ),
    Spec(
        "install systemd",
        DATA,
        "Let systemd run the loop: one unit.\n\n"
        "Shows the unit and asks before it writes it; without a terminal --yes is needed. The servers outlive it.",
        "install:systemd",
        (
            Opt("user", ("--user",), "For this user's manager (default unless root)."),
            Opt("remove", ("--remove",), "Take it out again."),
            Opt("yes", ("--yes",), "Do it without asking."),
            Opt("print", ("--print",), "Only show it."),
        ),
        (),
        "llamaagent install systemd --user",
    ),
    Spec(
        "completion",
        DATA,
        "Print the completion script for a shell.\n\n"
        "It completes commands, options and the names of profiles.",
        "completion:run",
        (),
        (Arg("shell", "bash, zsh or fish.", required=True),),
        "llamaagent completion bash > /etc/bash_completion.d/llamaagent",
    ),
)
