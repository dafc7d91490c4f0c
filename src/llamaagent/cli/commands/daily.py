"""Looking and making: the commands of every day that steer nothing."""

from __future__ import annotations

from llamaagent.cli.commands.quick import PS, RUN
from llamaagent.cli.commands.words import DAILY, LIMIT, NAMES, SINCE
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

LOOK = (
    Spec(
        "init",
        DAILY,
        "Make a folder ready for git: settings, an example profile (stopped), .gitignore. Overwrites nothing; "
        "names GGUF files and running llama-servers it finds, with the commands that take them in.",
        "init:run",
        (),
        (Arg("dir", "Where (default: here)."),),
        "llamaagent init ~/models-config",
    ),
    Spec(
        "new",
        DAILY,
        "Write a profile from a llama-server command line.",
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
            Arg("options", "llama-server's options.", many=True),
        ),
        "llamaagent new qwen --model qwen3-8b.gguf -- -c 8192 --temp 0.7",
    ),
    Spec(
        "demo",
        DAILY,
        "The whole thing in one command, in a folder of its own: a tiny real model, real servers, requests, passes, "
        "a killed server coming back, the report. Stops what it started unless --keep.",
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
        "Validate settings and profiles: every fault of every file, as file:line:col. Starts no server, binds nothing.",
        "check:run",
        (
            Opt(
                "portable",
                ("--portable",),
                "Ignore this host (for CI): every profile, no file on disk needed.",
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
        "One screen: what runs, what does not, why. Exits 1 when something wanted does not run or a file is refused.",
        "status:run",
        (Opt("json", ("--json",), "One JSON object."),),
        (),
        "llamaagent status || mail -s trouble ann",
    ),
    Spec(
        "show",
        DAILY,
        "Show a profile: the command line it runs, the merged profile, or what differs from the running one.",
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
        "The decision journal, newest first: each start, stop, hold and end with its reason and arithmetic.",
        "history:why",
        (SINCE, LIMIT, *LISTING),
        (NAMES,),
        "llamaagent why qwen --since yesterday",
    ),
    Spec(
        "history",
        DAILY,
        "Every launch: start, end, exit code or signal, reason, build, commit, peak memory.",
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
        "events",
        DAILY,
        "What the agent did (table logs), newest first.",
        "history:events",
        (
            SINCE,
            LIMIT,
            Opt(
                "level",
                ("--level",),
                "At least this level.",
                "text",
                None,
                ("debug", "info", "warning", "error"),
            ),
            Opt("source", ("--source",), "Only from this part or profile.", "text", "NAME"),
            Opt("grep", ("--grep",), "Only messages that contain this.", "text", "TEXT"),
            *LISTING,
        ),
        (),
        "llamaagent events --level warning --since 7d",
    ),
)
