"""A folder with settings and profiles, loaded as the program loads it."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING

from llamaagent.config.load import load_site

if TYPE_CHECKING:
    from pathlib import Path

    from llamaagent.config.site import Site
    from llamaagent.domain.profile import Profile


class Folder:
    """Files of a site below one folder, and what they come to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"HOME": str(root / "home"), "XDG_CONFIG_HOME": str(root / "xdg")}
        (root / "profiles").mkdir()
        self.write("llamaagent.yaml", "models: {directories: [/models]}\n")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def load(self, *, portable: bool = False, host: str | None = "here", **environ: str) -> Site:
        return load_site(
            config=None,
            profiles=(),
            environ={**self.environ, **environ},
            cwd=str(self.root),
            now=int(time.time()),
            portable=portable,
            host=host,
        )

    def faults(self, **options: object) -> list[str]:
        """Every fault as printed, without the folder's own path."""
        site = self.load(**options)  # type: ignore[arg-type]
        return [
            str(fault).replace(f"{self.root}/profiles/", "").replace(f"{self.root}/", "")
            for fault in site.faults
        ]

    def profile(self, text: str, name: str = "p") -> Profile:
        """The profile that this text makes; it must be free of faults."""
        self.write(f"profiles/{name}.yaml", text)
        site = self.load()
        assert not site.faults, [str(fault) for fault in site.faults]
        return next(profile for profile in site.profiles if profile.source.endswith(f"/{name}.yaml"))
