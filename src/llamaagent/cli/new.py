"""`new`: a profile from a llama-server command line."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from llamaagent.base.errors import BadInputError, CannotCreateError, ConfigError, UsageError
from llamaagent.cli.offering import offered_here
from llamaagent.cli.output import say
from llamaagent.cli.profiletext import profile_text
from llamaagent.cli.site import asking, load
from llamaagent.config.schema import NAME_PATTERN
from llamaagent.config.serverline import ServerLine, model_path, read_server_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.config.catalogue import Catalogue
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.settings import Fault


def run(values: Values) -> int:
    """Write profiles/NAME.yaml, or print it; nothing is left behind when it would be refused."""
    name = values.text("name") or ""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"{name!r} is no profile name: small letters, digits, '.', '_' and '-'")
    opened = load(values, need_settings=not values.flag("print"))
    line = _line(values, name, offered_here(opened))
    text = profile_text(line, name=name, state=values.text("state"))
    _check(values, opened, name, text)
    for note in line.notes:
        say(note)
    if values.flag("print"):
        print(text, end="")
        return 0
    target = os.path.join(profile_folder(opened), f"{name}.yaml")
    refuse_known(opened, name, target)
    write_new(target, named_schema(opened, target) + text)
    print(target)
    if line.model is not None and line.model[0] == "path" and not _is_there(opened, line.model[1]):
        say(f"the model {line.model[1]} is not there yet")
    if not values.flag("quiet"):
        say(f"next: llamaagent plan {name}; llamaagent start {name} launches it at once")
    return 0


def _line(values: Values, name: str, catalogue: Catalogue) -> ServerLine:
    """The command line as a profile. Raises BadInputError with every fault."""
    line = read_server_line(values.many("server_options"), name, catalogue)
    given = values.text("model")
    if given is not None:
        if line.model is not None:
            raise UsageError("the model is named twice, by --model and behind --")
        line = line._replace(model=("path", model_path(given)))
    elif line.model is None:
        raise UsageError("no model is named", hint=f"llamaagent new {name} --model FILE -- OPTIONS")
    if line.faults:
        raise BadInputError("\n  ".join(["these options cannot be taken over:", *line.faults]))
    return line


def _is_there(opened: Opened, path: str) -> bool:
    folders = opened.site.settings.model_directories
    return any(os.path.exists(os.path.join(folder, path)) for folder in ("/", *folders))


def load_beside(
    values: Values, opened: Opened, name: str, text: str
) -> tuple[tuple[Profile, ...], list[Fault]]:
    """The profiles of a text loaded as a pass would, beside this site's settings, and what is said about the text."""
    import tempfile

    from llamaagent.config.load import load_site

    with tempfile.TemporaryDirectory(prefix="llamaagent-") as folder:
        path = os.path.join(folder, f"{name}.yaml")
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
        site = load_site(
            config=values.text("config"),
            profiles=(path,),
            environ=os.environ,
            cwd=os.getcwd(),
            now=opened.clock.now(),
            asking=asking(opened.places),
        )
    return site.profiles, [fault for fault in site.faults if fault.file == path]


def _check(values: Values, opened: Opened, name: str, text: str) -> None:
    """Raises BadInputError with what a pass would refuse in the text; says what it would only mention."""
    _, faults = load_beside(values, opened, name, text)
    if any(fault.severity == "error" for fault in faults):
        raise BadInputError(
            "\n  ".join(["the profile would be refused:", *(fault.message for fault in faults)])
        )
    for fault in faults:
        say(fault.message)


def profile_folder(opened: Opened) -> str:
    """The first folder of profiles, made when it is missing."""
    for path in opened.site.settings.profiles:
        if os.path.isfile(path) or path.endswith((".yaml", ".yml")):
            continue
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise CannotCreateError(f"cannot make folder {path}: {error.strerror}") from error
        return path
    raise ConfigError("`profiles:` of the settings names no folder to write into")


def named_schema(opened: Opened, target: str) -> str:
    """The line that names the schema which `init` wrote beside the settings; nothing when it wrote none."""
    from llamaagent.cli.schemafiles import modeline

    file = opened.site.real_file
    return "" if file is None else modeline("profile", os.path.dirname(target), os.path.dirname(file))


def refuse_known(opened: Opened, name: str, target: str) -> None:
    """Raise CannotCreateError when the file is there or another file declares the name."""
    if os.path.lexists(target):
        raise CannotCreateError(f"{target} is already there", hint=f"llamaagent show {name}")
    for profile in opened.site.profiles:
        if profile.name == name:
            raise CannotCreateError(
                f"{name} is already declared by {profile.source}:{profile.line}",
                hint=f"llamaagent show {name}",
            )
    if name in opened.site.names_declared:
        raise CannotCreateError(f"{name} is already declared by another file", hint="llamaagent check")


def write_new(target: str, text: str) -> None:
    """Put the file there whole or not at all, never over another one."""
    part = f"{os.path.dirname(target)}/.{os.path.basename(target)}.{os.getpid()}.part"
    try:
        try:
            with open(part, "x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(part, target)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)
    except FileExistsError as error:
        raise CannotCreateError(f"{target} is already there") from error
    except OSError as error:
        raise CannotCreateError(f"cannot write {target}: {error.strerror}") from error
