"""What comes from other programs' files, and goes back to them."""

from __future__ import annotations

from llamaagent.cli.commands.words import NEIGHBOURS, TIMEOUT
from llamaagent.cli.spec import Arg, Opt, Spec

IMPORT = Spec(
    "import",
    NEIGHBOURS,
    "Profiles from another program's file.\n\n"
    "Reads a llama-swap config, a presets file of llama.cpp, a compose file, a systemd unit, a command line or shell "
    "script; `import running` takes the llama-servers that run now. Shows the profiles that it would write, and always "
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
        TIMEOUT,
        Opt("json", ("--json",), "One JSON object: profiles, and what is not carried over."),
    ),
    (
        Arg("file", "The file, - for standard input, or the word `running`.", required=True),
        Arg("name", "With `running`: which of them: names as printed, with * and ?, or pids.", many=True),
    ),
    "llamaagent import ~/llama-swap/config.yaml --write",
)
NEIGHBOUR_COMMANDS = (IMPORT,)
