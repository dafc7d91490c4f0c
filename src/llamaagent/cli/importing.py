"""`import`: what another program's file becomes here, shown first, written when asked, and what is lost on the way."""

from __future__ import annotations

import os
import sys

from llamaagent.base.errors import BAD_INPUT, BadInputError, UsageError
from llamaagent.cli.offering import binary_here, offered_here
from llamaagent.cli.output import clean, emit_object, say
from llamaagent.cli.placing import check_texts, write_all
from llamaagent.cli.profiletext import document_text
from llamaagent.cli.site import load
from llamaagent.neighbours.carried import Source, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.config.catalogue import Catalogue
    from llamaagent.neighbours.carried import Carried, Taken

RUNNING = "running"
_LARGEST = 1_000_001  # one byte more than is read of any file, so that "too large" is seen


def run(values: Values) -> int:
    """Show, or write; exit 65 when nothing can be read, or with --strict when anything is lost."""
    if values.text("file") == RUNNING:
        from llamaagent.cli.running import take_in

        return take_in(values)
    if values.many("name"):
        raise UsageError("one file at a time; names are for running servers")
    if values.flag("adopt"):
        raise UsageError("--adopt is for running servers", hint="llamaagent import running --adopt")
    if _is_database(values.text("file") or ""):
        from llamaagent.cli.dbimport import bring_in

        return bring_in(values, write=values.flag("write"))
    return _bring_file(values)


def _bring_file(values: Values) -> int:
    opened = load(values, need_settings=values.flag("write"))
    source = _source(values, opened)
    taken = _read(values, source)
    texts = {one.name: _text(one, source.name) for one in taken.profiles}
    taken = check_texts(values, opened, texts, taken)
    texts = {one.name: texts[one.name] for one in taken.profiles}
    _say_losses(taken, source)
    is_refused = values.flag("strict") and bool(taken.losses)
    if values.flag("write") and texts and not is_refused:
        write_all(opened, texts, quiet=values.flag("json"))
    if values.flag("json"):
        emit_object(_object(taken, source, texts))
    elif not values.flag("write"):
        print("---\n".join(texts.values()), end="")
    if is_refused:
        say("nothing was written: with --strict everything must be carried over")
        return BAD_INPUT
    if not texts:
        raise BadInputError(f"{source.name}: no profile comes of it")
    if not values.flag("write") and not values.flag("quiet"):
        say(f"{len(texts)} profile{'s' * (len(texts) != 1)}; --write writes them")
    return 0


def _is_database(path: str) -> bool:
    """A file that begins as SQLite's do; whatever else is wrong with the path is told by who reads it."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def _source(values: Values, opened: Opened) -> Source:
    """The file's bytes, and what its readers need to know of this site."""
    path = values.text("file") or ""
    catalogues: dict[bool, Catalogue] = {}

    def options(binary: str | None) -> Catalogue:
        # A program that only the imported file names is not run: the bundled list serves.
        own = binary in {None, binary_here(opened)}
        if own not in catalogues:
            from llamaagent.config.catalogue import load_catalogue

            catalogues[own] = offered_here(opened) if own else load_catalogue()
        return catalogues[own]

    ports = _fixed_ports(opened)
    if path == "-":
        data = sys.stdin.buffer.read(_LARGEST)
        return Source("<stdin>", os.getcwd(), data, options, ports=ports, folder_known=True)
    data = _bytes(path)
    stem = os.path.basename(path).partition("@")[0].partition(".")[0]
    folder = os.path.dirname(os.path.abspath(path))
    return Source(path, folder, data, options, profile_name(stem), ports)


def _fixed_ports(opened: Opened) -> tuple[tuple[int, str], ...]:
    """Ports that profiles of this site name, with whose they are."""
    named = (
        (profile.runtime.port if profile.runtime.kind == "external" else profile.listen.port, profile.name)
        for profile in opened.site.profiles
    )
    return tuple((port, name) for port, name in named if port is not None)


def _bytes(path: str) -> bytes:
    """The file's or pipe's content. Raises BadInputError for what cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", closefd=False) as file:
            os.set_blocking(
                descriptor, True
            )  # not for the opening: a pipe that nobody writes to would hang there
            data = file.read(_LARGEST)
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {(error.strerror or 'error').lower()}") from error
    os.close(descriptor)
    return data


def _read(values: Values, source: Source) -> Taken:
    from llamaagent.neighbours.recognise import reader_of, recognise

    kind = values.text("from") or recognise(source)
    if not values.text("from") and not values.flag("quiet"):
        say(f"{source.name}: read as {kind}")
    return reader_of(kind)(source)


def _text(one: Carried, file: str) -> str:
    """The whole file of one profile; its name is said, so that several may stand in one file too."""
    return f"# from {clean(file)}:{one.line}\n{document_text({'name': one.name, **one.document})}"


def _object(taken: Taken, source: Source, texts: dict[str, str]) -> dict[str, object]:
    return {
        "file": source.name,
        "kind": taken.kind,
        "profiles": [
            {"name": one.name, "line": one.line, "document": one.document, "text": texts[one.name]}
            for one in taken.profiles
        ],
        "not_carried": [{**loss._asdict(), "file": source.name} for loss in taken.losses],
    }


def _say_losses(taken: Taken, source: Source) -> None:
    if taken.losses:
        say(f"not carried over ({len(taken.losses)}):")
    for loss in taken.losses:
        place = source.name if loss.line is None else f"{source.name}:{loss.line}"
        say(clean(f"  {place}: {loss.key}: {loss.reason}"))
