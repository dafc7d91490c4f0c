"""What lies beside this site: other programs' files, and servers that run already."""

from __future__ import annotations

from llamaagent.cli.commands.words import DATA, TIMEOUT
from llamaagent.cli.spec import Arg, Opt, Spec

NEIGHBOURS = (
    Spec(
        "import",
        DATA,
        "Take in the llama-servers that run now.\n\n"
        "`import running` prints the profile of each llama-server that this site does not know, and what cannot be "
        "carried over. With --write the profiles are written; with --adopt the servers are taken over too, without a "
        "restart: the same processes, supervised from here. One that systemd, a container engine, another supervisor "
        "or another user keeps running is not taken over; it is offered as a profile that only watches it.",
        "running:run",
        (
            Opt("write", ("--write",), "Write the profiles."),
            Opt("adopt", ("--adopt",), "Write them, and take the running servers over."),
            TIMEOUT,
        ),
        (
            Arg("source", "What to import: running.", required=True),
            Arg("name", "Which of them: names as printed, with * and ?, or pids.", many=True),
        ),
        "llamaagent import running --adopt",
    ),
)
