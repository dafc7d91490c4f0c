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
)
