"""Where templates, style sheet and chart definitions come from. Imports next to nothing: an idle build asks it too."""

from __future__ import annotations

import os

from llamaagent.base.errors import InstallError

_HERE = os.path.dirname(os.path.abspath(__file__))
_CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))


def site_folder() -> str:
    """Where templates, style sheet and chart definitions lie: in the wheel, else in the checkout."""
    for folder in (os.path.join(_HERE, "site"), os.path.join(_CHECKOUT, "reports")):
        if os.path.isfile(os.path.join(folder, "charts.toml")):
            return folder
    raise InstallError("the report's templates are missing from this installation")
