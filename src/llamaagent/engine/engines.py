"""The engines that one pass has to do with, each connected to once; one that does not answer is asked once only."""

from __future__ import annotations

from llamaagent.engine.find import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.engine.client import Engine


class Engines:
    """By address. home, uid: of whoever runs us."""

    def __init__(self, environ: Mapping[str, str], *, home: str, uid: int) -> None:
        self._environ = environ
        self._home = home
        self._uid = uid
        self._known: dict[str, Engine] = {}

    def wanted(self, engine: str | None, remembered: str | None = None) -> Engine:
        """The engine for a profile. engine: docker, podman, None = either. Raises ServiceUnavailableError."""
        return self.at(find(self._environ, engine, home=self._home, uid=self._uid, remembered=remembered).url)

    def at(self, url: str) -> Engine:
        """The engine of this address; nothing is asked of it yet."""
        from llamaagent.engine.client import Engine

        if url not in self._known:
            tcp = url.startswith("tcp:") and self._environ.get("DOCKER_TLS_VERIFY")
            certificates = self._environ.get("DOCKER_CERT_PATH") or f"{self._home}/.docker"
            self._known[url] = Engine(url, certificates=certificates if tcp else None)
        return self._known[url]
