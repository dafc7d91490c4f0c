"""What comes from other programs' files, and goes back to them."""

from __future__ import annotations

from llamaagent.cli.commands.words import DATA, NEIGHBOURS, PERIOD_END, SINCE, TIMEOUT
from llamaagent.cli.spec import Arg, Opt, Spec

SHARES = (
    Opt("memory", ("--memory",), "Of a database: what its percentages of memory are of.", "text", "SIZE"),
    Opt("disk", ("--disk",), "The same of the disk.", "text", "SIZE"),
    Opt("swap", ("--swap",), "The same of swap.", "text", "SIZE"),
)
DB_IMPORT = Spec(
    "db import",
    DATA,
    "Another program's database into ours.\n\n"
    "Knows the llama dashboard (both versions, and the single table in between), cyllama and MLEnv. Prints what each "
    "table came to, and what was left out and why. One transaction; the file is opened for reading and stays as it is; "
    "what came in before does not come twice. Nothing imported is started, and no secret is copied.",
    "dbimport:run",
    (
        Opt("dry_run", ("--dry-run",), "Only say what would be imported."),
        Opt("strict", ("--strict",), "Exit 65 and write nothing when anything is not carried over."),
        *SHARES,
        Opt("json", ("--json",), "One JSON object: tables, not_carried, notes."),
    ),
    (Arg("file", "The database.", required=True),),
    "llamaagent db import ~/dashboard/data/llama-dashboard.db --dry-run",
)
DB_EXPORT = Spec(
    "db export",
    DATA,
    "Tables and views to files that other programs read.\n\n"
    "CSV for spreadsheets (what could be a formula gets a quote in front), JSON lines, Parquet (with the extra "
    "`parquet`), or SQL whose INSERTs load into a fresh file of the same version. As of one moment, private files, "
    "each whole or not there; it replaces those of an earlier export.",
    "dbexport:run",
    (
        Opt("all", ("--all",), "Every table."),
        Opt("table", ("--table",), "This table or view; may be repeated.", "many", "NAME"),
        Opt("out", ("-o", "--out"), "Into this folder.", "text", "DIR"),
        Opt("format", ("--format",), "Default csv.", "text", None, ("csv", "jsonl", "parquet", "sql")),
        SINCE,
        PERIOD_END,
        Opt("json", ("--json",), "One JSON object: files with their rows."),
    ),
    (),
    "llamaagent db export --table generations --since 30d -o out/",
)
IMPORT = Spec(
    "import",
    NEIGHBOURS,
    "Profiles from another program's file.\n\n"
    "Reads a llama-swap config, a presets file of llama.cpp, a compose file, a systemd unit, a command line or shell "
    "script, or the database of a llama dashboard, of cyllama or of MLEnv; `import running` takes the llama-servers "
    "that run now. Shows the profiles that it would write, and always "
    "what is not carried over and why; --write writes them, all or none, over nothing that is there. Secrets are never "
    "copied: they become references. Nothing named in the file is run.",
    "importing:run",
    (
        Opt(
            "from",
            ("--from",),
            "What kind of file it is (default: by what stands in it).",
            "text",
            None,
            ("llama-swap", "presets", "compose", "unit", "command"),
        ),
        Opt("write", ("--write",), "Write them into the site's folder of profiles."),
        Opt("strict", ("--strict",), "Exit 65 and write nothing when anything is not carried over."),
        Opt("adopt", ("--adopt",), "With `running`: take the processes over without a restart."),
        *SHARES,
        TIMEOUT,
        Opt("json", ("--json",), "One JSON object: profiles, and what is not carried over."),
    ),
    (
        Arg("file", "The file, - for standard input, or the word `running`.", required=True),
        Arg("name", "With `running`: which of them: names as printed, with * and ?, or pids.", many=True),
    ),
    "llamaagent import ~/llama-swap/config.yaml --write",
)
NEIGHBOUR_COMMANDS = (DB_IMPORT, DB_EXPORT, IMPORT)
