"""Which options the llama-server of an image has: its `--help`, run once for each image and kept."""

from __future__ import annotations

import json
from difflib import get_close_matches

from llamaagent.config.helptext import entries
from llamaagent.engine.body import keys_of
from llamaagent.engine.client import EngineError
from llamaagent.reconcile.gates import HeldError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.profile import Profile
    from llamaagent.engine.client import Engine
    from llamaagent.reconcile.context import Context

_HELP_S = 20.0
_KEY = "image_options."


def image_options(ctx: Context, profile: Profile, engine: Engine, image_id: str) -> frozenset[str] | None:
    """The spellings that it knows; None when what the image runs gives no list of options."""
    keys = keys_of(profile)
    # Another command or entry point may be another program of the same image.
    key = f"{_KEY}{image_id} {json.dumps([keys.entrypoint, keys.command, keys.volumes])}"
    stored = ctx.samples.metadata(key)
    if stored is not None:
        known = json.loads(stored)
        return None if known is None else frozenset(known)
    try:
        words = {"image": keys.image, "command": [*(keys.command or ()), "--help"]}
        if keys.entrypoint is not None:
            words["entrypoint"] = list(keys.entrypoint)
        text = engine.output(words, keys.volumes, _HELP_S)
    except EngineError as error:
        raise HeldError("no-engine", f"{keys.image} --help: {error}") from error
    names = frozenset(name for entry in entries(text) for name in entry.names)
    found = names if "--model" in names else None
    if not ctx.db.readonly("main"):
        with ctx.db:
            told = None if found is None else sorted(found)
            ctx.samples.set_metadata(key, json.dumps(told), ctx.clock.now())
    return found


def refuse_unknown(image: str, words: Iterable[str], names: frozenset[str] | None) -> None:
    """Raise HeldError for an option that the image's server would refuse."""
    for word in words:
        if names is not None and word.startswith("--") and word.partition("=")[0] not in names:
            near = get_close_matches(word, names, 1)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise HeldError("bad-option", f"the server of {image} has no option {word}{hint}")
