"""Asking the live servers in one look, each in the way its profile says, and reading what came back.

Everything is asked under one deadline: /health and /metrics of all at once, a token where one is due, a command where
the profile has one. A look only asks for a token, or runs a command, that the pass has not had yet, so that one pass
probes an instance once however often it looks.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.http import probe_all
from llamaagent.collect.metrics import ServerCounters, parse_metrics
from llamaagent.domain import instance as st
from llamaagent.domain import probe as word
from llamaagent.domain import sight as seen
from llamaagent.domain.profile import Health
from llamaagent.reconcile.wayin import target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llamaagent.collect.answer import Answer
    from llamaagent.collect.probe import Inquiry
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.probe import Verdict, Watched
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sight import Sight
    from llamaagent.reconcile.commands import Commands
    from llamaagent.reconcile.context import Context

_KEYS = 4  # of one instance: health, metrics, props, token, as in collect/probe.py
_OF_PROFILE_ONLY = frozenset({"none", "command"})  # probes that ask no health by HTTP
_ASLEEP = frozenset({"sleep-idle-seconds"})
_ENDPOINTS = (("reranking", "/v1/rerank"), ("embeddings", "/v1/embeddings"), ("embedding", "/v1/embeddings"))


class Probes:
    """What one pass has asked beyond health, by instance id, and which servers left it waiting."""

    def __init__(self, *, asking: bool = True) -> None:
        self.asking = asking
        self.verdicts: dict[int, Verdict] = {}
        self.hung: dict[int, Answer] = {}


class Asked(NamedTuple):
    """What one look has asked. fresh: of the verdicts, those that are news."""

    health: dict[int, Answer]
    counters: dict[int, ServerCounters]
    hung: frozenset[int]  # /metrics was not answered in time
    verdicts: dict[int, Verdict]
    fresh: frozenset[int]
    users: dict[int, int]  # the users' tokens of servers that may fall asleep

    def remembered(self, before: Watched, instance_id: int) -> Watched:
        """What is to be remembered of the probe of this look."""
        verdict = self.verdicts.get(instance_id) if instance_id in self.fresh else None
        if verdict is None:
            return before
        marks = before.marks if verdict.mark is None else (*before.marks, verdict.mark)[-word.MARKS :]
        used = self.users.get(instance_id) if verdict.word == word.TOKEN else before.used
        due = None if verdict.settles else before.due
        return before._replace(due=due, tokens=before.tokens + verdict.tokens, used=used, marks=marks)


def ask(
    ctx: Context,
    rows: Sequence[Instance],
    profiles: Mapping[str, Profile],
    deadline_s: float,
    watched: Mapping[int, Watched],
    probes: Probes,
) -> Asked:
    """Ask all of them together. rows: whose server lives."""
    reachable = [
        row for row in rows if row.port is not None and row.host is not None and row.id not in probes.hung
    ]
    # A pass for some asks the others for their health only: it may be one of many, made while somebody waits.
    ours = [row for row in rows if ctx.chosen(row.profile)]
    wanted = [row for row in ours if probes.asking and row.id not in probes.verdicts]
    inquiries = _inquiries(ctx, [row for row in wanted if row in reachable], profiles, watched)
    until = ctx.clock.monotonic() + deadline_s
    commands = _begin(ctx, wanted, profiles)
    known = frozenset(probes.verdicts)
    answers = _converse(ctx, reachable, profiles, deadline_s, inquiries, probes)
    if commands is not None:
        probes.verdicts |= commands.finish(until)
    counters: dict[int, ServerCounters] = {}
    hung = set()
    for row in rows:
        page = answers.get(_KEYS * row.id + 1)
        if page is not None and page.status == 200:
            counters[row.id] = parse_metrics(page.body)
        if row.id in probes.hung or (page is not None and page.kind == "timeout"):
            hung.add(row.id)
    health = {row.id: answers[_KEYS * row.id] for row in rows if _KEYS * row.id in answers}
    probes.hung |= {key: answer for key, answer in health.items() if answer.kind == "timeout"}
    fresh = frozenset(probes.verdicts) - known
    users = {key: _users(counters[key], inquiries[key].own_tokens) for key in inquiries if key in counters}
    return Asked({**probes.hung, **health}, counters, frozenset(hung), dict(probes.verdicts), fresh, users)


def _users(counters: ServerCounters, own: int) -> int:
    return (counters.prompt_tokens_total or 0) + (counters.predicted_tokens_total or 0) - own


def _converse(
    ctx: Context,
    rows: Sequence[Instance],
    profiles: Mapping[str, Profile],
    deadline_s: float,
    inquiries: dict[int, Inquiry],
    probes: Probes,
) -> dict[int, Answer]:
    targets = []
    for row in rows:
        profile = profiles.get(row.profile)
        rule = profile.health if profile is not None else Health()
        base = target(ctx, row, profile)._replace(timeout_s=float(rule.timeout_s))
        if rule.probe not in _OF_PROFILE_ONLY:
            targets.append(base._replace(key=_KEYS * row.id, path=rule.path))
        targets.append(base._replace(key=_KEYS * row.id + 1, path="/metrics"))
    if not targets:
        return {}
    if not inquiries:
        return probe_all(targets, deadline_s, ctx.clock.monotonic)
    from llamaagent.collect.probe import TOKEN, Chain, read_token

    chain = Chain(inquiries, probes.verdicts)
    asked_ts = ctx.clock.now()
    answers = probe_all(targets, deadline_s, ctx.clock.monotonic, chain)
    for key, inquiry in inquiries.items():
        answer = answers.get(_KEYS * key + TOKEN)
        if answer is not None:
            probes.verdicts[key] = read_token(answer, inquiry.path, asked_ts, ctx.clock.now())
    return answers


def demanded(profile: Profile | None, row: Instance, watched: Watched | None, stalled_s: int | None) -> bool:
    """Whether health is more than a health answer for this launch now: a token, or a command that ends with 0."""
    rule = profile.health if profile is not None else Health(probe="health")
    if row.status == st.STOPPING:
        return False
    if rule.probe in {"completion", "command"}:
        return True
    if rule.probe != "auto" or row.status == st.LOADING or row.kind == "external":
        return False  # of somebody else's server nothing is asked that costs it anything, unless the profile says so
    stuck = stalled_s is not None and rule.stuck_after_s is not None and stalled_s >= rule.stuck_after_s
    return stuck or (watched is not None and watched.due is not None)


def _inquiries(
    ctx: Context, rows: Sequence[Instance], profiles: Mapping[str, Profile], watched: Mapping[int, Watched]
) -> dict[int, Inquiry]:
    """Whom to ask for a token."""
    found: dict[int, Inquiry] = {}
    for row in rows:
        profile, kept = profiles.get(row.profile), watched.get(row.id)
        if profile is None or profile.health.probe not in {"completion", "auto"}:
            continue
        if demanded(profile, row, kept, _stalled_s(ctx, kept)):
            found[row.id] = _inquiry(profile, row, kept)
    return found


def _stalled_s(ctx: Context, kept: Watched | None) -> int | None:
    since = kept.stalled_boottime_s if kept is not None else None
    return None if since is None else max(0, int(ctx.clock.boottime()) - since)


def _inquiry(profile: Profile, row: Instance, kept: Watched | None) -> Inquiry:
    from llamaagent.collect.probe import Inquiry

    same = row.launch_hash == profile.launch_hash  # else the profile tells of a launch to come
    model = profile.model.path.rsplit("/", 1)[-1] if profile.model.path and same else None
    path = next((at for option, at in _ENDPOINTS if profile.arg(option) is True), "/completion")
    sleeps = bool(profile.idle.sleep_after_s) or any(profile.arg(name) is not None for name in _ASLEEP)
    due = kept is not None and kept.due is not None
    always = not sleeps or due or row.status != st.RUNNING
    own, used = (kept.tokens, kept.used) if kept is not None else (0, None)
    return Inquiry(path, model, sleeps, always, own, used)


def _begin(ctx: Context, rows: Sequence[Instance], profiles: Mapping[str, Profile]) -> Commands | None:
    """Start the commands of profiles that have one; they run while the others are asked."""
    found = [(row, profiles[row.profile]) for row in rows if _has_command(profiles.get(row.profile), row)]
    if not found:
        return None
    from llamaagent.reconcile.commands import begin

    return begin(ctx, found)


def _has_command(profile: Profile | None, row: Instance) -> bool:
    return profile is not None and profile.health.probe == "command" and demanded(profile, row, None, None)


def judged(
    ctx: Context,
    sight: Sight,
    row: Instance,
    profile: Profile | None,
    kept: Watched | None,
    asked: Asked,
) -> Sight:
    """The sight of a live server with its health: what it answered, then what a token or a command says beyond."""
    counted = asked.counters.get(row.id)
    sight = _with_health(sight, asked.health.get(row.id), profile)._replace(
        requests_processing=counted.requests_processing if counted is not None else None
    )
    if sight.health != seen.OK or not demanded(profile, row, kept, _stalled_s(ctx, kept)):
        return sight
    verdict = asked.verdicts.get(row.id)
    if verdict is None:
        return sight._replace(health=seen.UNSURE)
    if not verdict.bad:
        return sight
    health = seen.TIMEOUT if verdict.word == word.TIMEOUT else seen.FAILED
    return sight._replace(health=health, detail=verdict.detail, health_ms=verdict.latency_ms)


def _with_health(sight: Sight, answer: Answer | None, profile: Profile | None) -> Sight:
    """Read the health answer: refused, 503 while loading, 200 when healthy; any 2xx or 3xx of a page of its own."""
    if answer is None:
        return sight._replace(health=seen.OK)
    if answer.kind == "http":
        status = answer.status or 0
        any_page = profile is not None and profile.health.probe == "http"
        well = 200 <= status < 400 if any_page else status == 200
        found = seen.OK if well else seen.LOADING if status == 503 else seen.FAILED
        return sight._replace(health=found, http_status=answer.status, health_ms=answer.latency_ms)
    words = {"refused": seen.REFUSED, "timeout": seen.TIMEOUT}
    return sight._replace(health=words.get(answer.kind, seen.FAILED), health_ms=answer.latency_ms)
