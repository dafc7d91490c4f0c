"""`fit`: how much memory a profile's server will take, by llama.cpp's own tool or from the file's header; stored."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import BAD_INPUT, FINE, NOT_FINE, UNAVAILABLE, ConfigError, LlamaAgentError
from llamaagent.cli.output import cell, chosen_format, clean, emit, say
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import claim, context, database, load, matching
from llamaagent.store.applied import AppliedStore
from llamaagent.store.fits import FitStore, list_fits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sample import GpuSample
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.projecting import Tool

_SHOWN = ("profile", "source", "context", "gpu_layers", "tensor_split", "gpu_memory_mib", "memory_mib")
_WORST_FIRST = (BAD_INPUT, UNAVAILABLE, NOT_FINE, FINE)


def run(values: Values) -> int:
    """Project each profile, store and print what was found; the worst answer makes the exit code."""
    from llamaagent.reconcile.projecting import project

    opened = load(values)
    refuse_broken_settings(opened)
    declared = {profile.name: profile for profile in opened.site.profiles}
    chosen = sorted(matching(values.many("name"), frozenset(declared)))
    codes = set()
    with database(opened, write=True) as db:
        claim(db, opened)
        ctx = context(opened, db)
        gpus = ctx.read_gpus()
        if gpus.error is not None:
            say(f"the cards cannot be read: {gpus.error}")
        applied, store = AppliedStore(db), FitStore(db)
        for name in chosen:
            profile = declared[name]
            cards = bool(gpus.cards) and profile.resources.gpus != "none"
            found, code = project(profile, cards=cards, tool=_tool(ctx, profile, gpus.cards))
            codes.add(code)
            with db:
                if applied.source(name) is None:  # no pass was made since it was written
                    applied.apply(profile, opened.clock.now())
                store.keep(name, found, opened.clock.now())
        table = list_fits(db, chosen)
    for row in table.rows:
        row["arithmetic"] = json.loads(str(row["arithmetic"] or "[]"))
        row["parameters"] = json.loads(str(row["parameters"] or "null"))
    _print(values, list(table.rows), table.columns)
    return next(code for code in _WORST_FIRST if code in codes)


def _print(values: Values, rows: list[dict[str, object]], columns: tuple[str, ...]) -> None:
    """The table with the fit or the estimate of each, what is wrong below it, and with -v the summands."""
    emit(values, rows, columns, shown=_SHOWN)
    if chosen_format(values) == "table" and values.number("verbose"):
        for row in rows:
            for term in row["arithmetic"] if isinstance(row["arithmetic"], list) else ():
                mib = int(term["size_bytes"]) / (1 << 20)
                print(
                    f"  {row['profile']}: {term['place']} {mib:10.1f} MiB  {cell(term['name'])} ({cell(term['how'])})"
                )
    for row in rows:
        if row["error"] is not None:
            say(f"{row['profile']}: {clean(str(row['error']))}")


def _tool(ctx: Context, profile: Profile, cards: tuple[GpuSample, ...]) -> Tool | None:
    """llama-fit-params of the server program that the profile names, with the environment of a launch."""
    from llamaagent.launch.command import resolve_binary
    from llamaagent.launch.environ import made_environment
    from llamaagent.launch.fitting import find_tool, fit_environment
    from llamaagent.reconcile.projecting import Tool

    if profile.runtime.kind != "process":
        return None
    path = os.environ.get("PATH")
    remembered = ctx.samples.metadata(f"binary.{profile.runtime.binary}")
    try:
        binary = resolve_binary(profile.runtime.binary, path, json.loads(remembered) if remembered else None)
    except ConfigError:
        binary = "embedded"  # no server program yet: the tool may be on PATH all the same
    tool = find_tool(binary, path)
    if tool is None:
        return None
    try:
        environment = made_environment(
            site_id=ctx.site_id,
            profile=profile.name,
            launch_id="",
            state_dir=ctx.places.state,
            runtime_env=profile.runtime.env,
            gpu_variables=_visible(profile, cards),
        )
    except LlamaAgentError as error:
        say(f"{profile.name}: {error}")
        return None
    return Tool(tool, fit_environment(environment))


def _visible(profile: Profile, cards: tuple[GpuSample, ...]) -> tuple[tuple[str, str], ...]:
    """Variables that show it the cards that it may use by name; () = any."""
    from llamaagent.launch.visible import visible_variables

    asked = profile.resources.gpus
    if asked == "none":
        return visible_variables((), cards)
    if not isinstance(asked, tuple):
        return ()
    return visible_variables([c.uuid for c in cards if c.uuid in asked or str(c.index) in asked], cards)
