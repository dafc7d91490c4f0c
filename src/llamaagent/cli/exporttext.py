"""Exports on their way out: YAML for other tools, comments in front, to standard output or into new files."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from llamaagent.base.errors import BadInputError, CannotCreateError
from llamaagent.cli.new import write_new
from llamaagent.cli.output import clean, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import yaml

    from llamaagent.cli.spec import Values
    from llamaagent.neighbours.outgoing import Left

# No YAML, 1.1 or 1.2, reads these as anything but text: no number, no word for true, no date.
_PLAIN = re.compile(
    r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[A-Za-z/_][A-Za-z0-9/_.+=@~-]*", re.IGNORECASE
)
_WIDE = 1_000_000  # a folded text would be right too, but nobody could search in it


def yaml_text(document: Mapping[str, object], blocks: Iterable[str] = ()) -> str:
    """YAML that tools of either version read alike. blocks: texts of several lines that are kept as lines."""
    import yaml

    kept = frozenset(blocks)

    class Dumper(yaml.SafeDumper):
        """Text that could be something else in quotes, no aliases."""

        def ignore_aliases(self, data: object) -> bool:
            del data
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            del indentless
            super().increase_indent(flow, False)

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if value in kept else None if _PLAIN.fullmatch(value) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=_WIDE)


def comment(*lines: str) -> str:
    """Lines of comment, each ending with a line end; no text can leave its line."""
    return "".join(f"# {clean(line)}\n" if line else "#\n" for line in lines)


def report(values: Values, left: Iterable[Left]) -> None:
    """Say what was not carried over, key by key, in any case. Raises BadInputError where that is an error."""
    missing = list(left)
    for one in missing:
        say(clean(str(one)))
    if missing and values.flag("strict"):
        number = f"{len(missing)} keys were" if len(missing) > 1 else "1 key was"
        raise BadInputError(f"{number} not carried over, so nothing was written (--strict)")
    if not missing and not values.flag("quiet"):
        say("everything was carried over")


def deliver(values: Values, text: str, *, executable: bool = False) -> None:
    """Print it, or write the new file that -o names."""
    target = values.text("out")
    if target is None:
        print(text, end="")
        return
    write_new(os.path.abspath(target), text)
    if executable:
        os.chmod(target, 0o755)  # noqa: S103 - a script without secrets
    print(target)


def deliver_all(values: Values, files: Mapping[str, str]) -> None:
    """Print all files, each under its name, or write them into the folder that -o names: all of them or none."""
    folder = values.text("out")
    if folder is None:
        print("\n".join(f"# {name}\n{text}" for name, text in files.items()), end="")
        return
    targets = {os.path.join(folder, name): text for name, text in files.items()}
    for target in targets:
        if os.path.lexists(target):
            raise CannotCreateError(f"{target} is already there", hint="choose an empty folder with -o")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise CannotCreateError(f"cannot make folder {folder}: {error.strerror}") from error
    written: list[str] = []
    try:
        for target, text in targets.items():
            write_new(os.path.abspath(target), text)
            written.append(target)
    except CannotCreateError:
        for target in written:
            os.unlink(target)
        raise
    print("\n".join(written))
