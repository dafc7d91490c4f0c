"""The options of the server program that a site has chosen, for commands that read a command line."""

from __future__ import annotations

import json
import os

from llamaagent.cli.site import asking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.config.catalogue import Catalogue


def binary_here(opened: Opened) -> str:
    """The program of a profile that names none: that of `defaults`, else of the settings."""
    runtime = json.loads(opened.site.settings.defaults).get("runtime", {})
    return str(runtime.get("binary") or opened.site.settings.binary)


def offered_here(opened: Opened) -> Catalogue:
    """What that program offers, asked or remembered; the bundled catalogue where there is none or no answer."""
    from llamaagent.config.files import Places
    from llamaagent.config.node import Faults, Mark, Node
    from llamaagent.config.offered import Offered

    offered = Offered(Places(os.environ, os.getcwd()), asking(opened.places))
    offered.env = dict(opened.site.settings.env)
    mark = Mark(os.path.join(os.getcwd(), "."), 1, 1)
    return offered.to(Node(binary_here(opened), mark), Faults())
