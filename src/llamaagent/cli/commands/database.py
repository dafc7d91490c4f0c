"""Care of the database file: copies, what is wrong with it, what can be saved, how large it is."""

from __future__ import annotations

from llamaagent.cli.commands.words import DATA
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

_YES = Opt("yes", ("--yes",), "Do it without asking.")

DATABASE_CARE = (
    Spec(
        "db backup",
        DATA,
        "Copy the database while it is in use.\n\n"
        "The copy is checked before it gets its name. Without FILE it goes where the settings say (`backup.directory`, "
        "else `backups` beside the database) under the time as its name, and older ones are rotated out "
        "(`backup.keep`). A folder gets a file named by the time too, and nothing in it is removed.",
        "dbcopy:backup",
        (Opt("json", ("--json",), "One JSON object."),),
        (Arg("file", "Where to; a backup of ours that is there is replaced."),),
        "llamaagent db backup /mnt/nas/",
    ),
    Spec(
        "db restore",
        DATA,
        "Put a backup in the database's place.\n\n"
        "It is checked first and migrated if it is older; what it replaces stays beside it, named after the time. "
        "Refused while a loop runs. Servers that run stay, and the next pass takes those over that the backup does "
        "not know.",
        "dbcopy:restore",
        (_YES,),
        (Arg("file", "The backup; without it the newest is named."),),
        "llamaagent db restore ~/.local/share/llamaagent/backups/llamaagent-20260302T040000Z.db",
    ),
    Spec(
        "db check",
        DATA,
        "What is wrong with the database, each with its remedy.\n\n"
        "Pages and indexes, references, application id, version, tables and views; also a file that is empty or "
        "missing where something says that there was one. Changes nothing; exit code 1 when anything is wrong.",
        "dbcheck:check",
        (Opt("quick", ("--quick",), "Do not compare indexes with their tables."), *LISTING),
        (),
        "llamaagent db check",
    ),
    Spec(
        "db salvage",
        DATA,
        "Bring every readable row of a damaged database into a new one.\n\n"
        "Table by table, around damaged pages, and what was lost: rows, where an index tells how many there were, and "
        "between which keys. The damaged file is only read. Exit code 1 when anything was lost; then `db restore OUT`.",
        "dbcheck:salvage",
        LISTING,
        (Arg("out", "The new file.", required=True),),
        "llamaagent db salvage saved.db",
    ),
    Spec(
        "db vacuum",
        DATA,
        "Give free pages back to the disk, and let SQLite count what the tables hold.\n\n"
        "Rarely needed: free pages are used again. Takes twice the room of what is in the database for a while, which "
        "is checked first, and no pass begins meanwhile.",
        "db:vacuum",
        (Opt("json", ("--json",), "One JSON object."),),
        (),
        "llamaagent db vacuum",
    ),
    Spec(
        "db adopt-site",
        DATA,
        "Make a database of another site this one's.\n\n"
        "For a settings file that was moved, or a backup from another place. Servers that were started for the old "
        "site stay as they are; those that have a row in the database are known by it.",
        "db:adopt_site",
        (_YES,),
        (),
        "llamaagent db adopt-site",
    ),
)
