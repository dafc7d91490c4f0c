"""Looking and making: the commands of every day that steer nothing."""

from __future__ import annotations

from llamaagent.cli.commands.quick import PS, RUN
from llamaagent.cli.commands.words import DAILY, LIMIT, NAMES, PERIOD_END, SINCE
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

LOOK = (
    Spec(
        "init",
        DAILY,
        "Make a folder ready for git: settings, a first profile.\n\n"
        "Writes llamaagent.yaml, profiles/example.yaml (stopped) and .gitignore; overwrites nothing. Writes the JSON "
        "Schemas by which editors complete and check, in .llamaagent/, and renews them when it is called again. Looks "
        "for GGUF files and for llama-servers that run, and prints the commands that would take them in.",
        "init:run",
        (),
        (Arg("dir", "Where (default: here)."),),
        "llamaagent init ~/models-config",
    ),
    Spec(
        "new",
        DAILY,
        "Write a profile from a llama-server command line.\n\n"
        "Options come behind --, in any spelling that llama-server knows. Host and port become `listen`, a key becomes "
        "a reference under `secrets` (its value is not written); what the agent passes itself is left out, and said.",
        "new:run",
        (
            Opt("model", ("-m", "--model"), "GGUF file.", "text", "FILE"),
            Opt(
                "state", ("--state",), "Wanted state (default running).", "text", None, ("running", "stopped")
            ),
            Opt("print", ("--print",), "Print it instead of writing it."),
        ),
        (
            Arg("name", "Name of the profile.", required=True),
            Arg("server_options", "llama-server's own options, behind --.", many=True),
        ),
        "llamaagent new qwen --model qwen3-8b.gguf -- -c 8192 --temp 0.7",
    ),
    Spec(
        "demo",
        DAILY,
        "See the whole thing work, in a folder of its own.\n\n"
        "A tiny real model, two real servers, requests, passes, a killed server coming back, the report. Stops what it "
        "started unless --keep.",
        "demo:run",
        (
            Opt("keep", ("--keep",), "Leave the servers running."),
            Opt("binary", ("--binary",), "llama-server to use (default: embedded).", "text", "FILE"),
        ),
        (Arg("dir", "Folder (default: a fresh one)."),),
        "llamaagent demo",
    ),
    Spec(
        "check",
        DAILY,
        "Validate settings and profiles: every fault of every file.\n\n"
        "Faults are printed as file:line:col. Starts no server, binds nothing; asks the server program for its "
        "--help once, since options are checked against it. With --schema it prints what may be written, as JSON "
        "Schema, and reads no file: `check --schema profile`, `check --schema settings`, or both.",
        "check:run",
        (
            Opt("schema", ("--schema",), "Print the JSON Schema of profile, settings, or both."),
            Opt(
                "portable",
                ("--portable",),
                "Ignore this host (for CI): every profile, bundled options, no file needed.",
            ),
        ),
        (Arg("path", "Files or folders (default: the site's).", many=True),),
        "llamaagent check profiles/",
    ),
    Spec(
        "plan",
        DAILY,
        "What a pass would do now, and why. Changes nothing.",
        "plan:run",
        (Opt("exit_code", ("--exit-code",), "Exit 10 when there is something to do."), *LISTING),
        (NAMES,),
        "llamaagent plan --exit-code",
    ),
    RUN,
    PS,
    Spec(
        "status",
        DAILY,
        "One screen: what runs, what does not and why.\n\n"
        "Exits 1 when something wanted is not running or a file is refused.",
        "status:run",
        (Opt("json", ("--json",), "One JSON object."),),
        (),
        "llamaagent status || mail -s trouble ann",
    ),
    Spec(
        "show",
        DAILY,
        "Show what a profile becomes: command line, merged form, difference.\n\n"
        "Without an option: all that can be said about it.",
        "show:run",
        (
            Opt("command", ("--command",), "The exact command line; secrets as $NAME."),
            Opt("effective", ("--effective",), "The merged profile, each value with its origin."),
            Opt("env", ("--env",), "The server's environment; secrets as references."),
            Opt("diff", ("--diff",), "What differs from the launch that runs."),
            Opt("json", ("--json",), "One JSON object."),
        ),
        (Arg("name", "A profile.", required=True),),
        "llamaagent show qwen --command",
    ),
    Spec(
        "why",
        DAILY,
        "The decision journal, newest first.\n\n"
        "Each start, stop, hold and end with its reason (docs/reasons.md) and arithmetic.",
        "history:why",
        (SINCE, LIMIT, *LISTING),
        (NAMES,),
        "llamaagent why qwen --since yesterday",
    ),
    Spec(
        "history",
        DAILY,
        "Every launch, newest first.\n\nStart, end, exit code or signal, reason, build, commit, peak memory.",
        "history:history",
        (SINCE, LIMIT, *LISTING),
        (NAMES,),
        "llamaagent history qwen",
    ),
    Spec(
        "logs",
        DAILY,
        "A server's own output.",
        "logs:run",
        (
            Opt("lines", ("-n", "--lines"), "The last N lines (default 50).", "int", "N"),
            Opt("follow", ("-f", "--follow"), "Go on as it grows, over restarts."),
            Opt("previous", ("--previous",), "The launch before the newest one."),
            Opt("instance", ("--instance",), "The launch with this number (see history).", "int", "ID"),
        ),
        (Arg("name", "A profile.", required=True),),
        "llamaagent logs qwen -f",
    ),
    Spec(
        "exec",
        DAILY,
        "Run a command in the container of a profile.\n\n"
        "With a terminal here it has one there. Its exit status is passed on.",
        "execute:run",
        (),
        (
            Arg("name", "A profile.", required=True),
            Arg("command", "The command with its words.", many=True, required=True, rest=True),
        ),
        "llamaagent exec notebook -- bash",
    ),
    Spec(
        "events",
        DAILY,
        "What the agent did (table logs), newest first.\n\n"
        "Also what programs that use the library had to say. A page of 100; --before goes on from its last row.",
        "events:run",
        (
            SINCE,
            PERIOD_END,
            LIMIT,
            Opt("before", ("--before",), "Only rows older than the event with this id.", "int", "ID"),
            Opt(
                "level",
                ("--level",),
                "At least this level.",
                "text",
                None,
                ("debug", "info", "warning", "error", "critical"),
            ),
            Opt("source", ("--source",), "Only from this part or profile.", "text", "NAME"),
            Opt("category", ("--category",), "Only of this category.", "text", "NAME"),
            Opt("grep", ("--grep",), "Only messages that contain this.", "text", "TEXT"),
            Opt(
                "text",
                ("--text",),
                "Only with all these words, anywhere: message, context, error.",
                "text",
                "WORDS",
            ),
            *LISTING,
        ),
        (),
        "llamaagent events --level warning --since 7d",
    ),
)
