"""How much memory a profile's server will take: llama.cpp's own tool where there is one, else the file's header.

`fit NAME` asks here and stores the answer; a launch takes a stored answer for the same file and options, else reads
the header. A pass without a launch never comes here.
"""

from __future__ import annotations

import json
import os
from math import ceil

from llamaagent.base.errors import (
    BAD_INPUT,
    FINE,
    NOT_FINE,
    UNAVAILABLE,
    ServiceUnavailableError,
)
from llamaagent.base.record import NamedTuple
from llamaagent.config.catalogue import load_catalogue
from llamaagent.domain.profile import ModelRef
from llamaagent.domain.projection import ESTIMATE, FIT_PARAMS, Expected, Projection
from llamaagent.gguf.demand import demand_of, other_files
from llamaagent.gguf.facts import read_model
from llamaagent.gguf.find import look_at
from llamaagent.gguf.header import open_header
from llamaagent.gguf.memory import CPU, GPU, MIB, Term, estimate
from llamaagent.gguf.sizing import size as fit_size
from llamaagent.launch.command import download_folder
from llamaagent.store.fits import FitStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llamaagent.domain.profile import Profile
    from llamaagent.domain.projection import Known
    from llamaagent.gguf.header import Header
    from llamaagent.gguf.sizing import Sized
    from llamaagent.launch.fitting import Fitted
    from llamaagent.reconcile.context import Context

_MOST_MIB = 1 << 40
_WORDS = {FIT_PARAMS: "fit_params", ESTIMATE: "header_estimate"}


class Tool(NamedTuple):
    """llama-fit-params, ready to be run."""

    path: str
    environment: Mapping[str, str]


def project(profile: Profile, *, cards: bool, tool: Tool | None) -> tuple[Projection, int]:
    """Project the memory of a profile, with the exit code that the answer deserves.

    cards: whether there is a card that the server may use. Everything that is wrong with the model or the tool
    becomes the projection's `error`.
    """
    profile = with_download(profile)
    seen, headers = _looked_at(profile, cards=cards)
    if seen.error is not None:
        return seen, BAD_INPUT
    if tool is None:
        return _estimated(profile, seen, headers, cards=cards)
    from llamaagent.launch.fitting import GROUPS, accepted, fit_args, run_fit

    names = accepted(tool.path, tool.environment)
    if names is None:
        options = load_catalogue().options.values()
        known = [option for option in options if option.group in GROUPS or option.name == "parallel"]
        names = frozenset(word for option in known for word in (*option.names, *option.negations))
    seen = seen._replace(source=FIT_PARAMS)
    try:
        found = run_fit(tool.path, str(profile.model.path), fit_args(profile.args, names), tool.environment)
    except ServiceUnavailableError as error:
        return seen._replace(error=str(error)), UNAVAILABLE
    if not found.rows:
        return seen._replace(error=found.error, raw_output=found.raw), BAD_INPUT
    files, missing = _files(profile)
    made = _measured(profile, seen, found, files)
    if missing is not None:
        return made._replace(ok=0, error=missing), BAD_INPUT
    return made, FINE if found.error is None else NOT_FINE


def expected(ctx: Context, profile: Profile) -> Expected | None:
    """The GPU memory of a launch on this host: a stored projection of this file and these options, else the header's.

    What the header says is stored, so that a profile that is held is not read again in every pass. None when
    neither says anything.
    """
    store = FitStore(ctx.db)
    profile = with_download(profile)
    try:
        found = look_at(str(profile.model.path)) if profile.model.path is not None else None
    except (OSError, ValueError):
        found = None
    if found is None:
        return None
    known, asked = store.known(profile.name), parameters_of(profile, cards=True)
    holds = known is not None and known.holds_for(found.size_bytes, found.mtime_ns, asked)
    if holds and known is not None:
        # A tool that was built for the CPU alone says 0 for every model: that is no answer about cards.
        if known.gpu_mib or (known.gpu_mib is not None and known.source == ESTIMATE):
            return Expected(_whole(known.gpu_mib), _WORDS[known.source or ESTIMATE])
        if known.source == ESTIMATE:
            return None
    seen, headers = _looked_at(profile, cards=True)
    made = seen if seen.error is not None else _estimated(profile, seen, headers, cards=True)[0]
    if not holds and not ctx.db.readonly("main"):  # `plan` asks too
        store.keep(profile.name, made, ctx.clock.now())
    return None if made.gpu_mib is None else Expected(_whole(made.gpu_mib), _WORDS[ESTIMATE])


def stored_fit(ctx: Context, profile: Profile) -> Known | None:
    """What llama-fit-params said of this very file and these options, when a launch here follows it."""
    try:
        found = look_at(str(profile.model.path)) if profile.model.path is not None else None
    except (OSError, ValueError):
        return None
    known = FitStore(ctx.db).known(profile.name) if found is not None else None
    if found is None or known is None or known.source != FIT_PARAMS or not known.ok or not known.gpu_mib:
        return None
    asked = parameters_of(profile, cards=True)
    return known if known.holds_for(found.size_bytes, found.mtime_ns, asked) else None


def sized(profile: Profile, *, budget_mib: int | None) -> Sized | None:
    """Context and layers of a launch on cards, from the header: as declared, smaller only where a budget asks for it.

    None when the model's file is not here or does not say enough.
    """
    seen, headers = _looked_at(profile, cards=True)
    files, missing = _files(profile)
    if seen.error is not None or missing is not None:
        return None
    given = dict(profile.args)
    return fit_size(
        headers,
        demand_of(profile.args, on_gpu=True),
        files,
        budget_mib=budget_mib,
        context_gives=given.get("ctx-size") in {None, 0, "max"} and "kv-unified-per-slot" not in given,
        layers_give=given.get("gpu-layers") in {None, "auto"},
    )


def with_download(profile: Profile) -> Profile:
    """The same with the file that its server has downloaded from `model.url`, once it is there."""
    if profile.model.url is None:
        return profile
    path = f"{download_folder(profile)}/{profile.model.url_file}"
    return profile._replace(model=ModelRef(path=path)) if os.path.isfile(path) else profile


def _whole(mib: float) -> int:
    """Rounded up, and within what a column holds, whatever a header claims."""
    return min(ceil(mib), _MOST_MIB)


def parameters_of(profile: Profile, *, cards: bool) -> str:
    """Everything besides the file that a projection depends on, as canonical JSON: model, options, cards.

    Options of sampling are left out, so that another temperature asks for no new projection.
    """
    options = load_catalogue().options
    args = {
        name: value
        for name, value in profile.args
        if name not in options or options[name].group != "sampling"
    }
    wanted = {"model": profile.model.path, "args": args, "cards": profile.resources.gpus if cards else "none"}
    return json.dumps(wanted, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _looked_at(profile: Profile, *, cards: bool) -> tuple[Projection, list[Header]]:
    """What the model's file is, without any figure; `error` when it cannot serve."""
    bare = Projection(ESTIMATE, parameters_of(profile, cards=cards))
    path = profile.model.path
    if path is None:
        return bare._replace(error=_not_here(profile)), []
    headers: list[Header] = []

    def opened(part: str, feed: Callable[[bytes], object]) -> tuple[Header, int]:
        header, size = open_header(part, feed)
        headers.append(header)
        return header, size

    try:
        file = read_model(look_at(path), opened)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return bare._replace(error=f"model {path}: {reason}"), []
    seen = bare._replace(
        file_size_bytes=file.size_bytes,
        file_mtime_ns=file.mtime_ns,
        architecture=file.architecture,
        quantization=file.quantization,
        parameter_count=file.parameter_count,
        context_length=file.context_length,
    )
    return (seen if file.error is None else seen._replace(error=f"model {path}: {file.error}")), headers


def _not_here(profile: Profile) -> str:
    """What has to be done before anything can be said."""
    model = profile.model
    place = model.url or model.hf or model.docker
    if place is None:
        return "names no model whose file could be read"
    how = "download it" if model.docker else f"`llamaagent models pull {model.url or f'hf:{model.hf}'}`"
    return f"the model {place} is not a file here; {how}, and name it with 'model: {{path: FILE}}'"


def _files(profile: Profile) -> tuple[list[tuple[str, int]], str | None]:
    """(what it is, bytes) of what is loaded beside the model; what is missing."""
    found: list[tuple[str, int]] = []
    for what, path in other_files(profile.args):
        try:
            found.append((what, os.stat(path).st_size))
        except OSError as error:
            return found, f"{what} {path}: {error.strerror}"
    return found, None


def _estimated(
    profile: Profile, seen: Projection, headers: list[Header], *, cards: bool
) -> tuple[Projection, int]:
    files, missing = _files(profile)
    if missing is not None:
        return seen._replace(error=missing), BAD_INPUT
    on_gpu = cards and profile.resources.gpus != "none"
    found = estimate(headers, demand_of(profile.args, on_gpu=on_gpu), files)
    if found is None:
        why = f"model {profile.model.path}: its header does not say how many layers of which width it has"
        return seen._replace(error=why), BAD_INPUT
    made = seen._replace(
        ok=1,
        context=found.context,
        gpu_layers=found.gpu_layers,
        gpu_mib=found.total(GPU) / MIB,
        cpu_mib=found.total(CPU) / MIB,
        arithmetic=_said(found.terms),
    )
    return made, FINE


def _measured(
    profile: Profile, seen: Projection, found: Fitted, files: Iterable[tuple[str, int]]
) -> Projection:
    """The tool's figures, and the files that it does not know of."""
    terms = []
    for device, *figures in found.rows:
        place = CPU if device == "Host" else GPU
        for what, mib in zip(("model", "context", "computing"), figures, strict=True):
            terms.append(Term(what, place, mib * MIB, device))
    on_gpu = any(term.place == GPU and term.size_bytes for term in terms)
    projector = profile.arg("mmproj-offload") is not False
    for what, size in files:
        place = GPU if on_gpu and (what != "projector" or projector) else CPU
        terms.append(Term(what, place, size, "size of its file"))
    sums = {
        place: sum(term.size_bytes for term in terms if term.place == place) / MIB for place in (GPU, CPU)
    }
    return seen._replace(
        ok=int(found.error is None),
        error=found.error,
        context=found.context,
        gpu_layers=found.gpu_layers,
        tensor_split=found.tensor_split,
        gpu_mib=sums[GPU],
        cpu_mib=sums[CPU],
        raw_output=found.raw,
        arithmetic=_said(term for term in terms if term.size_bytes),
    )


def _said(terms: Iterable[Term]) -> str:
    """The summands as they are stored."""
    return json.dumps([term._asdict() for term in terms], ensure_ascii=False)
