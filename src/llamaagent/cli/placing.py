"""Several new profile files at once: checked beside the site's own, then all of them written or none."""

from __future__ import annotations

import errno
import os

from llamaagent.base.errors import CannotCreateError
from llamaagent.cli.new import named_schema, profile_folder
from llamaagent.cli.offering import binary_here
from llamaagent.cli.output import say
from llamaagent.cli.site import asking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.config.load import Asking
    from llamaagent.domain.settings import Fault
    from llamaagent.neighbours.carried import Taken


def check_texts(values: Values, opened: Opened, texts: dict[str, str], taken: Taken) -> Taken:
    """Load them as a pass would; those that would be refused are taken out and become losses.

    No program that only an imported file names is run for that.
    """
    from llamaagent.config.load import load_site
    from llamaagent.neighbours.carried import Loss

    import tempfile  # isort: skip

    with tempfile.TemporaryDirectory(prefix="llamaagent-") as folder:
        for name, text in texts.items():
            with open(os.path.join(folder, f"{name}.yaml"), "x", encoding="utf-8") as file:
                file.write(text)
        site = load_site(
            config=values.text("config"),
            profiles=(folder,),
            environ=os.environ,
            cwd=os.getcwd(),
            now=opened.clock.now(),
            asking=_only_known(opened, taken),
        )
    refused: dict[str, list[Fault]] = {}
    for fault in site.faults:
        if fault.severity == "error" and os.path.dirname(fault.file) == folder:
            refused.setdefault(os.path.basename(fault.file).removesuffix(".yaml"), []).append(fault)
    lines = {one.name: one.line for one in taken.profiles}
    losses = [
        Loss(name, lines[name], f"the profile would be refused: {fault.message}")
        for name, faults in refused.items()
        for fault in faults
    ]
    kept = tuple(one for one in taken.profiles if one.name not in refused)
    return taken._replace(profiles=kept, losses=(*taken.losses, *losses))


def _only_known(opened: Opened, taken: Taken) -> Asking:
    """Programs are asked for their options as ever, but for those that the imported file brought."""
    own = asking(opened.places)
    brought = {str(one.document.get("runtime", {}).get("binary")) for one in taken.profiles}
    brought.discard(binary_here(opened))
    return own._replace(help_of=lambda path, env: None if path in brought else own.help_of(path, env))


def write_all(opened: Opened, texts: dict[str, str], *, quiet: bool) -> None:
    """Write NAME.yaml for each and print where. A file that says the same already is left as it is.

    Raises CannotCreateError naming every one that is there already; then nothing is written.
    """
    folder = profile_folder(opened)
    wanted = {}
    for name, text in texts.items():
        target = os.path.join(folder, f"{name}.yaml")
        wanted[target] = named_schema(opened, target) + text
    present = {target for target, text in wanted.items() if _says(target, text)}
    names = {os.path.join(folder, f"{name}.yaml"): name for name in texts}
    taken = [target for target in wanted if target not in present and os.path.lexists(target)]
    for target, name in names.items():
        if target not in present and target not in taken and name in opened.site.names_declared:
            taken.append(f"{name} (declared by another file)")
    if taken:
        verb = "is" if len(taken) == 1 else "are"
        raise CannotCreateError(f"{', '.join(taken)} {verb} already there; nothing was written")
    link_all({target: text for target, text in wanted.items() if target not in present})
    for target in wanted:
        if target in present:
            say(f"{target} is there already and says the same")
        elif not quiet:
            print(target)


def _says(target: str, text: str) -> bool:
    try:
        with open(target, "rb") as file:
            return file.read(len(text.encode()) + 1) == text.encode()
    except OSError:
        return False


def link_all(texts: dict[str, str]) -> None:
    """Write several new files, all or none.

    First every file whole under a name that no pass reads, then their names; on failure all are taken back.
    """
    parts = {
        target: f"{os.path.dirname(target)}/.{os.path.basename(target)}.{os.getpid()}.part"
        for target in texts
    }
    linked: list[str] = []
    target = ""
    try:
        for target, part in parts.items():
            with open(part, "x", encoding="utf-8") as file:
                file.write(texts[target])
                file.flush()
                os.fsync(file.fileno())
        for target, part in parts.items():
            os.link(part, target)
            linked.append(target)
    except (OSError, KeyboardInterrupt) as error:
        for done in linked:
            os.unlink(done)
        if not isinstance(error, OSError) or error.errno in {
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
            errno.EIO,
        }:
            raise  # the disk's fault, not this folder's
        raise CannotCreateError(f"cannot write {target}: {error.strerror}; nothing was written") from error
    finally:
        for part in parts.values():
            if os.path.lexists(part):
                os.unlink(part)
