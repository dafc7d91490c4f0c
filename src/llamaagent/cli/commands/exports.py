"""The profiles for other tools."""

from __future__ import annotations

from llamaagent.cli.commands.words import NAMES, NEIGHBOURS
from llamaagent.cli.spec import Opt, Spec

_OUT = Opt("out", ("-o", "--out"), "Write this new file (default: standard output).", "text", "FILE")
_DIR = Opt("out", ("-o", "--out"), "Where to write: a new file, with --servers a folder.", "text", "PATH")
_STRICT = Opt(
    "strict", ("--strict",), "Anything that is not carried over is an error (65); nothing is written."
)
_WHO = (
    Opt("agent", ("--agent",), "What runs llamaagent, which runs the servers."),
    Opt("servers", ("--servers",), "What runs the servers themselves, instead of llamaagent."),
    Opt("force", ("--force",), "Also for servers that the agent runs now."),
    _STRICT,
)
_LEFT = "What is not carried over is listed on standard error, key by key; secrets are references."

EXPORTS = (
    Spec(
        "export llama-swap",
        NEIGHBOURS,
        "Write a config.yaml for llama-swap.\n\n"
        "Profiles whose state is running are preloaded, and all may run side by side. A fixed port stays, others are "
        f"${{PORT}}. {_LEFT}",
        "export:llama_swap",
        (_OUT, _STRICT),
        (NAMES,),
        "llamaagent export llama-swap -o config.yaml",
    ),
    Spec(
        "export presets",
        NEIGHBOURS,
        "Write a presets file for llama-server --models-preset.\n\n"
        f"One section a profile. The router gives addresses, keys and environment itself. {_LEFT}",
        "export:presets",
        (_OUT, _STRICT),
        (NAMES,),
        "llamaagent export presets -o models.ini",
    ),
    Spec(
        "export compose",
        NEIGHBOURS,
        "Write a compose file.\n\n"
        "A profile that runs a process gets an image of llama.cpp, and its folders read-only. Services do not restart "
        f"by themselves. {_LEFT}",
        "export:compose",
        (
            Opt("image", ("--image",), "Image for profiles without one.", "text", "IMAGE"),
            _OUT,
            _STRICT,
        ),
        (NAMES,),
        "llamaagent export compose --image ghcr.io/ggml-org/llama.cpp:server-rocm qwen",
    ),
    Spec(
        "export shell",
        NEIGHBOURS,
        "Write a script that runs one server in the foreground.\n\n"
        f"A POSIX script; with several profiles it takes a name. {_LEFT}",
        "export:shell",
        (_OUT, _STRICT),
        (NAMES,),
        "llamaagent export shell qwen -o run-qwen.sh",
    ),
    Spec(
        "export systemd",
        NEIGHBOURS,
        "Write units for systemd: the agent's, or the servers' own.\n\n"
        "--servers makes a unit for each server, for a life without llamaagent; it refuses (78) what the agent runs "
        f"now. {_LEFT}",
        "export:systemd",
        (*_WHO, Opt("user", ("--user",), "For a user's manager (default unless root)."), _DIR),
        (NAMES,),
        "llamaagent export systemd --servers -o units/ qwen",
    ),
    Spec(
        "export cron",
        NEIGHBOURS,
        "Write lines for a crontab: the agent's, or the servers' own.\n\n"
        "--servers starts each once after a boot and never again, for a life without llamaagent; it refuses (78) what "
        f"the agent runs now. {_LEFT}",
        "export:cron",
        (*_WHO, _OUT),
        (NAMES,),
        "llamaagent export cron --agent",
    ),
    Spec(
        "export supervisor",
        NEIGHBOURS,
        "Write sections for supervisord: the agent, or the servers.\n\n"
        "--servers is for a life without llamaagent; it refuses (78) what the agent runs now. "
        f"{_LEFT}",
        "export:supervisor",
        (*_WHO, _OUT),
        (NAMES,),
        "llamaagent export supervisor --agent -o llamaagent.conf",
    ),
)
