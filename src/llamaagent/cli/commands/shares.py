"""Cards that are lent, and what projects may use."""

from __future__ import annotations

from llamaagent.cli.commands.words import FOR, MACHINE, UNTIL
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

_GPUS = Opt(
    "gpus", ("--gpus",), "How many cards (default 1), or which: uuids or indexes with commas.", "text", "N"
)
_MEMORY = Opt(
    "gpu_memory", ("--gpu-memory",), "So much of them (such as 20GiB), shared with others.", "text", "SIZE"
)
_EXCLUSIVE = Opt("exclusive", ("--exclusive",), "With --gpu-memory: on cards that nobody else uses.")
_LEASE_FOR = Opt("for", ("--for",), "How long (such as 4h); default until it is released.", "text", "TIME")
_LEASE_UNTIL = Opt("until", ("--until",), "Until when (such as 18:00).", "text", "WHEN")
_REASON = Opt("reason", ("--reason",), "What for; others see it.", "text", "TEXT")
_PROJECT = Opt(
    "project", ("--project",), "The project that it counts for (default `default`).", "text", "NAME"
)
_EVICT = Opt(
    "evict", ("--evict",), "Make room: stop instances of ours that are idle, not pinned and not too young."
)
_PATIENCE = Opt(
    "timeout",
    ("--timeout",),
    "With --evict: how long to wait until they are gone (default 60s).",
    "text",
    "TIME",
)
_RESOURCES = "instances, cpus, memory, gpus, gpu_hours, tokens, energy (kWh), max_priority"

SHARES = (
    Spec(
        "gpus",
        MACHINE,
        "The cards: use, memory, who holds it, what is reserved.",
        "gpus:run",
        LISTING,
        (),
        "llamaagent gpus --json",
    ),
    Spec(
        "gpus allocate",
        MACHINE,
        "Reserve cards for yourself, or be told who has them.\n\n"
        "Whole cards that nobody uses, or with --gpu-memory a part of one. Prints the variables that make programs use "
        "just these (for `eval`), and the number of the lease on standard error. Exit code 77: there is no room, or a "
        "quota says no; the holders are named. With --evict instances make way that may be evicted; a pass brings them "
        "back when there is room again.",
        "leases:allocate",
        (
            _GPUS,
            _MEMORY,
            _EXCLUSIVE,
            _LEASE_FOR,
            _LEASE_UNTIL,
            _REASON,
            _PROJECT,
            _EVICT,
            _PATIENCE,
            *LISTING,
        ),
        (),
        'eval "$(llamaagent gpus allocate --gpus 2 --for 4h --reason training)"',
    ),
    Spec(
        "gpus release",
        MACHINE,
        "Give reserved cards back.",
        "leases:release",
        (Opt("mine", ("--mine",), "All that you have."),),
        (Arg("lease", "Numbers of leases, as `gpus` shows them.", many=True),),
        "llamaagent gpus release --mine",
    ),
    Spec(
        "gpus run",
        MACHINE,
        "Reserve cards, run a command on them, give them back.\n\n"
        "The command runs in the foreground, with CUDA_VISIBLE_DEVICES (or HIP_VISIBLE_DEVICES) set to the uuids of "
        "its cards and LLAMAAGENT_LEASE to the number of the lease. Signals are passed on. The exit code is its own, "
        "128 and the signal that ended it, 127 for a command that is not there, 77 when there is no room. The lease "
        "ends with the command, whatever becomes of this program.",
        "leases:run",
        (_GPUS, _MEMORY, _EXCLUSIVE, _LEASE_FOR, _LEASE_UNTIL, _REASON, _PROJECT, _EVICT, _PATIENCE),
        (Arg("command", "The command with its words.", many=True, required=True, rest=True),),
        "llamaagent gpus run --gpu-memory 20GiB -- python train.py --epochs 3",
    ),
    Spec(
        "quota",
        MACHINE,
        "What projects may use, what they use, and who.\n\nThe same as `quota show` without a project.",
        "quota:show",
        LISTING,
        (),
        "llamaagent quota",
    ),
    Spec(
        "quota list",
        MACHINE,
        "Every limit in force, with its use.",
        "quota:listing",
        LISTING,
        (),
        "llamaagent quota list --json",
    ),
    Spec(
        "quota show",
        MACHINE,
        "Limits and use of one project or all.\n\nAlso what is used without a limit.",
        "quota:show",
        LISTING,
        (Arg("project", "A project."),),
        "llamaagent quota show research",
    ),
    Spec(
        "quota set",
        MACHINE,
        "Set a limit in place of the settings' one.\n\n"
        f"RESOURCE is one of {_RESOURCES}. The next pass starts what now fits; nothing that runs is stopped.",
        "quota:put",
        (FOR._replace(help="How long it holds (such as 7d); default until unset."), UNTIL, _REASON),
        (
            Arg("project", "A project.", required=True),
            Arg("resource", "What is limited.", required=True),
            Arg("amount", "3, 64GiB, 100/week, 5M/day; `none` for no limit.", required=True),
        ),
        "llamaagent quota set research gpu_hours 200/week --for 7d --reason deadline",
    ),
    Spec(
        "quota unset",
        MACHINE,
        "Back to what the settings say.",
        "quota:drop",
        (),
        (
            Arg("project", "A project.", required=True),
            Arg("resource", "What is limited (default: all that was set)."),
        ),
        "llamaagent quota unset research gpu_hours",
    ),
)
