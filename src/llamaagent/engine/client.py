"""One engine, asked and told by the package `docker`; every failure is an EngineError with the engine's own words."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager, suppress
from threading import Timer

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.engine.container import read_container, read_event
from llamaagent.engine.lines import joined, split_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from llamaagent.engine.container import Container, Event

ASK_S = 5.0  # an engine that is well answers in milliseconds
_OLDEST_CDI = (5, 4)  # of Podman; before, it drops requests for cards in silence


class EngineError(ServiceUnavailableError):
    """The engine cannot be reached (status None), or says no. status: of HTTP."""

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Engine:
    """A connection. url: as in DOCKER_HOST. certificates: for TCP, the folder with cert.pem, key.pem and ca.pem."""

    def __init__(self, url: str, timeout_s: float = ASK_S, certificates: str | None = None) -> None:
        self.url = url
        self._certificates = certificates
        self._timeout_s = timeout_s
        self._api: Any = None
        self._version: dict[str, Any] = {}
        self._down: EngineError | None = None  # once it did not answer it is not waited for again

    @property
    def api(self) -> Any:
        """The client of the package. Raises EngineError."""
        if self._down is not None:
            raise self._down
        if self._api is None:
            api_client, tls = _package()
            if self.url.startswith("ssh:"):
                raise EngineError(
                    f"engine {self.url}: ssh is not spoken here", hint="forward its socket and name that"
                )
            self._knock()
            with self.translated():
                made = api_client(
                    base_url=self.url, version="auto", timeout=self._timeout_s, tls=tls(self._certificates)
                )
                self._version = made.version()
                self._api = made
        return self._api

    def _knock(self) -> None:
        """Whether anybody listens; the package leaves a socket open for each time that nobody does."""
        path = self.url.removeprefix("unix://")
        if path == self.url:
            return
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(self._timeout_s)
            try:
                link.connect(path)
            except OSError as error:
                self._down = EngineError(f"engine {self.url} does not answer: {error.strerror or error}")
                raise self._down from error

    @property
    def kind(self) -> str:
        """`podman` or `docker`, by what the engine says of itself."""
        _ = self.api
        names = [str(one.get("Name")) for one in self._version.get("Components") or ()]
        return "podman" if names and names[0].startswith("Podman") else "docker"

    @property
    def version(self) -> str:
        """Such as 20.10.24."""
        _ = self.api
        return str(self._version.get("Version") or "")

    def takes_gpus(self) -> bool:
        """Whether a request for cards is heard."""
        numbers = self.version.split(".")[:2]
        if self.kind != "podman" or not all(word.isdigit() for word in numbers):
            return True
        return tuple(map(int, numbers)) >= _OLDEST_CDI

    def inspect(self, ref: str) -> Container | None:
        """A container by id or name; None when there is none."""
        with self.translated(missing=True) as answer:
            answer.value = self.api.inspect_container(ref)
        return None if answer.value is None else read_container(answer.value)

    def listed(self, labels: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Every container, stopped ones too, as the short listing has them. labels: only those that carry them."""
        filters = {"label": [f"{key}={value}" for key, value in labels.items()]} if labels else None
        with self.translated() as answer:
            answer.value = self.api.containers(all=True, filters=filters)
        return answer.value or []

    def create(self, name: str, arguments: Mapping[str, Any], host: Mapping[str, Any]) -> str:
        """Make a container and give its id. arguments, host: of the package's `create_container`, `HostConfig`."""
        with self.translated() as answer:
            config = self.api.create_host_config(**host)
            answer.value = self.api.create_container(name=name or None, host_config=config, **arguments)
        return str(answer.value["Id"])

    def start(self, container_id: str) -> None:
        """Start it; starting what runs is no error."""
        with self.translated():
            self.api.start(container_id)

    def kill(self, container_id: str, signal: str) -> bool:
        """Send a signal, by name or number; False when nothing runs there."""
        with self.translated(missing=True, conflict=True) as answer:
            self.api.kill(container_id, signal)
            answer.value = True
        return answer.value is True

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Remove it with its anonymous volumes; what is gone, or is just going, is no error."""
        with self.translated(missing=True, conflict=True):
            self.api.remove_container(container_id, v=True, force=force)

    def logs(self, container_id: str, *, since: int = 0, tail: int | None = None) -> Iterator[bytes]:
        """Its output with times before the lines, in pieces. since: Unix seconds. Raises EngineError on the way too."""
        with self.translated(missing=True) as answer:
            answer.value = self.api.logs(
                container_id,
                timestamps=True,
                follow=False,  # a stream would be followed for ever else
                stream=True,
                since=since or None,
                tail="all" if tail is None else tail,
            )
        if answer.value is not None:
            with self.translated(missing=True):
                yield from joined(answer.value)

    def image(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of an image; None when it does not have it."""
        with self.translated(missing=True) as answer:
            answer.value = self.api.inspect_image(name)
        found: dict[str, Any] | None = answer.value
        return found

    def output(self, arguments: Mapping[str, Any], binds: Sequence[str], deadline_s: float) -> str:
        """What a container without a network prints until the deadline; it is gone afterwards. Raises EngineError."""
        made = self.create("", arguments, {"network_mode": "none", "binds": list(binds)})
        try:
            self.start(made)
            with suppress(OSError):  # the time is up, and the engine is well all the same
                self.api.wait(made, timeout=deadline_s)
            return b"".join(line.text for line in split_lines(self.logs(made))).decode("utf-8", "replace")
        finally:
            self.remove(made, force=True)

    def images(self) -> list[dict[str, Any]]:
        """Every image that the engine holds, as the short listing has them."""
        with self.translated() as answer:
            answer.value = self.api.images()
        return answer.value or []

    def events(self, since: int, until: int, labels: Mapping[str, str] | None = None) -> Iterator[Event]:
        """What happened to containers between two Unix seconds, oldest first, as far as the engine remembers."""
        filters: dict[str, list[str]] = {"type": ["container"]}
        if labels:
            filters["label"] = [f"{key}={value}" for key, value in labels.items()]
        if self.kind == "podman":
            events = self._past_events(since, filters)
            yield from (event for event in events if event.ns <= until * 1_000_000_000)
            return
        with self.translated():
            stream = self.api.events(since=since, until=until, filters=filters, decode=True)
            # An engine whose clock is behind ours would wait for that time to come, and the package with it.
            patience = Timer(self._timeout_s, stream.close)
            patience.daemon = True
            patience.start()
            try:
                for found in stream:
                    event = read_event(found)
                    if event is not None:
                        yield event
            finally:
                patience.cancel()
                stream.close()

    def _past_events(self, since: int, filters: Mapping[str, list[str]]) -> list[Event]:
        """All up to now: Podman, told to stop at a time that is over, forgets most of them."""
        asked = {"since": f"{since}", "stream": "false", "filters": json.dumps(filters)}
        with self.translated() as answer:
            answer.value = self.api.get(
                f"{self.api.base_url}/v{self.api.api_version}/events", params=asked, timeout=self._timeout_s
            ).text
        found = (read_event(json.loads(line)) for line in answer.value.splitlines())
        return [event for event in found if event is not None]

    def pull(self, image: str) -> Iterator[dict[str, Any]]:
        """Fetch an image; the engine's messages as they come. Raises EngineError."""
        with self.translated():
            for line in self.api.pull(*_split(image), stream=True, decode=True):
                if line.get("error"):
                    raise EngineError(f"image {image}: {line['error']}")
                yield line

    def close(self) -> None:
        """Let go of the connection; with the object at the latest."""
        if self._api is not None:
            self._api.close()
            self._api = None

    def __del__(self) -> None:
        self.close()

    @contextmanager
    def translated(self, *, missing: bool = False, conflict: bool = False) -> Iterator[_Answer]:
        """The package's errors as ours. missing, conflict: 404 and 409 are answers, not errors."""
        import docker.errors

        try:
            yield (answer := _Answer())
        except docker.errors.APIError as error:
            status = error.response.status_code if error.response is not None else None
            if (missing and status == 404) or (conflict and status == 409):
                answer.value = None
                return
            raise EngineError(_words(error), status=status) from error
        except EngineError:
            raise
        except (
            docker.errors.DockerException,
            OSError,
            ValueError,
        ) as error:  # those of requests are OSErrors
            self._down = EngineError(f"engine {self.url} does not answer: {_cause(error)}")
            raise self._down from error


class _Answer:
    """What a call gave."""

    def __init__(self) -> None:
        self.value: Any = None


def _package() -> tuple[Any, Any]:
    try:
        from docker.api.client import APIClient
        from docker.tls import TLSConfig
    except ImportError as error:
        raise EngineError(
            "containers need the package docker, which is not installed",
            hint="pip install 'llamaagent[containers]'",
        ) from error

    def tls(folder: str | None) -> Any:
        if not folder:
            return False
        pair = (f"{folder}/cert.pem", f"{folder}/key.pem")
        return TLSConfig(client_cert=pair, ca_cert=f"{folder}/ca.pem", verify=True)

    return APIClient, tls


def _split(image: str) -> tuple[str, str | None]:
    """Name and tag, or digest, as the engine's pull takes them; without a tag it would fetch all of them."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _words(error: Any) -> str:
    text = str(error.explanation or error)
    return text.strip().rstrip(".")


def _cause(error: BaseException) -> str:
    """The innermost reason: the package wraps a refused connection five times."""
    seen = error
    while True:
        inner = seen.__cause__ or seen.__context__
        inner = inner or next((one for one in seen.args if isinstance(one, BaseException)), None)
        if inner is None or inner is seen:
            break
        seen = inner
    text = getattr(seen, "strerror", None) or str(seen)
    return text.strip() or type(seen).__name__
