"""What stands between a container and its launch beyond what a process has to pass: an engine, and the image."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import LlamaAgentError
from llamaagent.base.record import NamedTuple
from llamaagent.engine.body import keys_of
from llamaagent.engine.client import EngineError
from llamaagent.launch.environ import read_env_file, resolve_secret
from llamaagent.reconcile.gates import HeldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Profile
    from llamaagent.engine.client import Engine
    from llamaagent.reconcile.context import Context

IMAGE = "image:"  # before the id of an image where a process has the path of its program
_ENGINE_KEY = "engine."


class Image(NamedTuple):
    """An image as the engine holds it. digest: of the registry, where it came from one; else its id."""

    id: str
    digest: str
    program: tuple[str, ...]  # what it runs by itself

    @property
    def identity(self) -> str:
        """For what a process has its program's file."""
        return f"{IMAGE}{self.id}"


def engine_for(ctx: Context, profile: Profile) -> Engine:
    """The engine that a profile asks for; remembered, so that cron finds what the shell found. Raises HeldError."""
    wish = keys_of(profile).engine
    key = f"{_ENGINE_KEY}{wish or 'any'}"
    remembered = ctx.samples.metadata(key)
    try:
        engine = ctx.engines().wanted(wish, json.loads(remembered) if remembered else None)
        _ = engine.kind  # asked here, where a no is a reason to wait
    except LlamaAgentError as error:
        raise HeldError("no-engine", f"{error}; {error.hint}" if error.hint else str(error)) from error
    news = json.dumps(engine.url)
    if news != remembered and not ctx.db.readonly("main"):  # `plan` asks too
        with ctx.db:
            ctx.samples.set_metadata(key, news, ctx.clock.now())
    return engine


def image_of(ctx: Context, profile: Profile) -> Image:
    """The image, when the engine holds it. Raises HeldError; then it is being fetched, if it may be."""
    engine, keys = engine_for(ctx, profile), keys_of(profile)
    if profile.resources.gpus not in {"none", 0} and not engine.takes_gpus():
        text = f"podman {engine.version} drops requests for cards in silence; 5.4 and later hear them"
        raise HeldError("unsupported", text)
    try:
        found = engine.image(keys.image)
    except EngineError as error:
        raise HeldError("no-engine", str(error)) from error
    if found is None or keys.pull == "always":
        from llamaagent.reconcile.imagepull import pulled

        pulled(ctx, engine, keys.image, keys.pull, there=found is not None)
        found = engine.image(keys.image)
    if found is None:
        raise HeldError("missing-image", f"image {keys.image} is not there")
    return read_image(found)


def read_image(found: dict[str, object]) -> Image:
    """Read the engine's answer about an image."""
    config = found.get("Config")
    parts = config if isinstance(config, dict) else {}
    program = [str(w) for key in ("Entrypoint", "Cmd") for w in (parts.get(key) or ())]
    digests = found.get("RepoDigests")
    first = str(digests[0]).rpartition("@")[2] if isinstance(digests, list) and digests else ""
    return Image(str(found.get("Id") or ""), first or str(found.get("Id") or ""), tuple(program))


def secrets_of(ctx: Context, profile: Profile) -> tuple[tuple[str, str], ...]:
    """Name and value of each secret, to be handed over as a file. Raises HeldError."""
    try:
        env_file = read_env_file(ctx.settings.env_file) if ctx.settings.env_file else {}
        return tuple((name, resolve_secret(ref, ctx.environ, env_file)) for name, ref in profile.secrets)
    except LlamaAgentError as error:
        raise HeldError("missing-secret", str(error)) from error


def visible_path(path: str) -> bool:
    """Whether a word of a command line names something that must be seen inside too."""
    return path.startswith("/") and os.path.exists(path)
