"""`export`: the profiles for another tool, or what lets another tool run the agent. Changes nothing that runs."""

from __future__ import annotations

import os

from llamaagent.base.errors import BadInputError, ConfigError, UsageError
from llamaagent.cli.exporting import gather
from llamaagent.cli.exporttext import comment, deliver, deliver_all, report, yaml_text
from llamaagent.cli.output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.cli.exporting import Gathered
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.neighbours.outgoing import Left

_NOTHING = "none of these profiles can be written so"


def llama_swap(values: Values) -> int:
    """A config.yaml for llama-swap."""
    from llamaagent.neighbours.llamaswap_out import llamaswap_document

    found = gather(values)
    document, left = llamaswap_document(found.servers)
    _ready(values, found, left, empty=not document)
    commands = [model["cmd"] for model in document["models"].values()]
    deliver(values, _header(found, "llama-swap") + yaml_text(document, commands))
    return 0


def presets(values: Values) -> int:
    """A --models-preset file for llama-server as a router."""
    from llamaagent.config.catalogue import load_catalogue
    from llamaagent.neighbours.presets_out import presets_text

    found = gather(values)
    options = load_catalogue().options
    separators = {name: option.separator for name, option in options.items() if option.repeatable}
    text, left = presets_text(found.servers, separators)
    _ready(values, found, left, empty=not text)
    deliver(values, f"{_header(found, 'presets')}\n{text}")
    return 0


def compose(values: Values) -> int:
    """A compose file."""
    from llamaagent.config.catalogue import load_catalogue
    from llamaagent.neighbours.compose_out import compose_document

    found = gather(values)
    paths = {name for name, option in load_catalogue().options.items() if option.value == "path"}
    document, left = compose_document(found.servers, paths, values.text("image"))
    _ready(values, found, left, empty=not document)
    deliver(values, _header(found, "compose") + yaml_text(document))
    return 0


def shell(values: Values) -> int:
    """A script that runs one server in the foreground."""
    from llamaagent.neighbours.shell_out import shell_text

    found = gather(values)
    text, left = shell_text(found.servers, _header(found, "shell"))
    _ready(values, found, left, empty=not text)
    deliver(values, text, executable=True)
    return 0


def systemd(values: Values) -> int:
    """The agent's unit, or one unit a server instead of the agent."""
    from llamaagent.cli.install import agent_site
    from llamaagent.cli.schedule import agent_words, environment, unit

    user = values.flag("user") or os.geteuid() != 0
    if _agent_wanted(values):
        opened = agent_site(values)
        words = [*agent_words(values, opened.site_path), "run"]
        deliver(values, unit(opened.site_path, words, environment(os.environ), user=user))
        return _agent_done(opened, "systemd")
    from llamaagent.neighbours.systemd_out import systemd_units

    found = _alone(values)
    env_file = found.opened.site.settings.env_file
    header = _header(found, "systemd --servers", *_INSTEAD)
    units, left = systemd_units(found.servers, header, user=user, env_file=env_file)
    _ready(values, found, left, empty=not units)
    deliver_all(values, units)
    return 0


def cron(values: Values) -> int:
    """The agent's block of a crontab, or a line a server."""
    from llamaagent.cli.install import agent_site
    from llamaagent.cli.schedule import agent_words, block, environment

    if _agent_wanted(values):
        opened = agent_site(values)
        words = [*agent_words(values, opened.site_path), "run", "--once"]
        deliver(values, block(opened.site_path, words, environment(os.environ)))
        return _agent_done(opened, "cron")
    from llamaagent.neighbours.cron_out import cron_lines

    found = _alone(values)
    lines, left = cron_lines(found.servers)
    _ready(values, found, left, empty=not lines)
    header = _header(
        found,
        "cron --servers",
        *_INSTEAD,
        "Cron starts each once, after a boot; what ends stays ended. Output goes to the system's log.",
        *_needed(found),
    )
    deliver(values, header + "".join(f"{line}\n" for line in lines))
    return 0


def supervisor(values: Values) -> int:
    """A section for supervisord: the agent, or one a server."""
    from llamaagent.cli.install import agent_site
    from llamaagent.cli.schedule import agent_words, environment
    from llamaagent.neighbours.supervisor_out import supervised_agent, supervised_servers

    if _agent_wanted(values):
        opened = agent_site(values)
        words = [*agent_words(values, opened.site_path), "run"]
        header = comment(f"made by llamaagent export supervisor for {opened.site_path}")
        deliver(values, supervised_agent(words, environment(os.environ), header))
        return _agent_done(opened, "supervisord")
    found = _alone(values)
    header = _header(found, "supervisor --servers", *_INSTEAD, *_needed(found))
    text, left = supervised_servers(found.servers, header)
    _ready(values, found, left, empty=not text)
    deliver(values, text)
    return 0


_INSTEAD = (
    "This runs the servers INSTEAD OF llamaagent. Two supervisors of one server would fight over its port and its",
    "memory: before you install this, set `state: stopped` in these profiles, or take them out of the folder.",
)


def _header(found: Gathered, what: str, *more: str) -> str:
    """Where a file comes from."""
    return comment(f"Made by llamaagent export {what} from {found.opened.site_path}", *more)


def _needed(found: Gathered) -> list[str]:
    """Variables that a starter without a file for them has to have from elsewhere."""
    names = {s.value for server in found.servers for s in server.secrets if s.kind == "env"}
    return [f"It has to have these variables: {', '.join(sorted(names))}"] if names else []


def _agent_wanted(values: Values) -> bool:
    agent, servers = values.flag("agent"), values.flag("servers")
    if agent == servers:
        raise UsageError(
            "say one of --agent (it runs llamaagent) and --servers (it runs them without llamaagent)"
        )
    if agent and values.many("name"):
        raise UsageError("--agent is for all profiles; names go with --servers")
    return agent


def _agent_done(opened: Opened, who: str) -> int:
    """Say which secrets the agent will miss there; an env file that cannot be read now is worth a word, no more."""
    from llamaagent.cli.install import warn_about_secrets

    try:
        warn_about_secrets(opened, who)
    except ConfigError as error:
        say(str(error))
    return 0


def _alone(values: Values) -> Gathered:
    """What is to run without the agent. Raises ConfigError for what the agent runs at this moment.

    It is the configuration that says two things then, so the exit code is that of configuration (78).
    """
    found = gather(values)
    if found.live and not values.flag("force"):
        names = " ".join(sorted(found.live))
        raise ConfigError(
            f"the agent runs {names} now; a second supervisor of the same server would fight with it",
            hint="set `state: stopped` in the profile, then: llamaagent run --once (or --force)",
        )
    return found


def _ready(values: Values, found: Gathered, left: Iterable[Left], *, empty: bool) -> None:
    """Say what is missing and what to mind. Raises BadInputError when nothing could be written, or with --strict."""
    report(values, [*found.left, *left])
    if empty:
        raise BadInputError(_NOTHING if found.servers else "there is no profile to export")
    wanted = [server.name for server in found.servers if server.profile.state == "running"]
    if found.live:
        say(
            f"llamaagent runs now: {' '.join(sorted(found.live))}; stop it there before it is started elsewhere"
        )
    elif wanted and not values.flag("quiet"):
        say("a pass of llamaagent starts these too, unless their profiles say `state: stopped`")
