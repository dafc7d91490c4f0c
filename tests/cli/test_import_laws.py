"""Whatever stands in another program's database: what is carried comes out again as it was, once, and stays."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections import Counter
from contextlib import closing, redirect_stderr, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from foreign_sources import DAY, NOW, make, put, text_time
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scratch_home import scratch_environment

from llamaagent.base.clock import ManualClock, SystemClock
from llamaagent.cli.main import entry
from llamaagent.domain.settings import Settings
from llamaagent.retain.rollup import roll_up
from llamaagent.retain.upkeep import keep_up
from llamaagent.store import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import SearchStrategy

LAW = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making an example smaller takes minutes here
)
MIB = 1 << 20
text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
said = text.filter(str.strip)
some = st.one_of(st.none(), text)
count = st.one_of(st.none(), st.integers(0, 10**9))
number = st.one_of(st.none(), st.floats(0, 1e9))
value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9), text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=5,
)
STEP = st.sampled_from([0, 1, 30, 30, 30, 299, 3600, DAY, 7 * DAY, 60 * DAY])


class Home:
    """A home folder of its own, in which commands are run in this process."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.database = self.folder / "data" / "llamaagent" / "llamaagent.db"

    def __call__(self, *words: object, code: int = 0) -> str:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("LLAMAAGENT_", "XDG_"))]:
                patch.delenv(name)
            for name, given in scratch_environment(self.folder).items():
                patch.setenv(name, given)
            patch.chdir(self.folder)
            with redirect_stdout(out), redirect_stderr(err):
                assert entry([str(word) for word in words]) == code, err.getvalue()
        return out.getvalue()

    def rows(self, table: str, *columns: str) -> Counter[tuple[Any, ...]]:
        """What `db export` gives of a table."""
        out = self.folder / "out"
        self("db", "export", "--table", table, "--format", "jsonl", "-o", out)
        lines = (out / f"{table}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        return Counter(tuple(json.loads(line)[column] for column in columns) for line in lines)

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row but the notes of who ran what."""
        with closing(apsw.Connection(str(self.database), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            return {
                name: sorted(db.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
                for name in names
                if not name.startswith("sqlite_") and name != "audit_log"
            }

    def bring(self, source: Path) -> None:
        """Import it; a second time adds nothing."""
        self("db", "import", source, "-q")
        state = self.everything()
        self("db", "import", source, "-q")
        assert self.everything() == state


@pytest.fixture
def homes() -> Iterator[Any]:
    """Makes a fresh home for each example."""
    made: list[tempfile.TemporaryDirectory[str]] = []

    def fresh() -> Home:
        made.append(tempfile.TemporaryDirectory())
        return Home(made[-1].name)

    yield fresh
    for folder in made:
        folder.cleanup()


def times(steps: list[int]) -> list[int]:
    """Moments in the past, so far from one another; the last is three days old."""
    last, found = NOW - 3 * DAY, []
    for step in steps:
        found.append(last)
        last -= step
    return found[::-1]


def written(ts: int, form: int) -> int | str:
    """A time as one of the programs would have it."""
    return (ts, ts * 1000 + 7, text_time(ts), f"{text_time(ts).replace(' ', 'T')}Z")[form]


def blank(found: str | None) -> str | None:
    """An empty text is nothing said."""
    return found if found is not None and found.strip() else None


generation = st.fixed_dictionaries(
    {
        "session_id": some,
        "model_path": text,
        "model_name": some,
        "prompt_tokens": count,
        "generated_tokens": count,
        "total_tokens": count,
        "prompt_time_ms": number,
        "generation_time_ms": number,
        "total_time_ms": number,
        "tokens_per_second": number,
        "temperature": st.one_of(st.none(), st.floats(0, 2)),
        "max_tokens": st.one_of(st.none(), st.integers(-1, 10**6)),
        "finish_reason": some,
        "cache_hit": st.booleans(),
    }
)
line = st.fixed_dictionaries(
    {
        "level": st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        "message": said,
        "category": some,
        "context_json": st.one_of(st.none(), value.map(json.dumps)),
        "model_path": some,
        "prompt_preview": some,
        "error_type": some,
        "error_message": some,
        "stack_trace": some,
    }
)
KINDS = {
    "str": text,
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(-1e9, 1e9),
    "bool": st.booleans(),
}
setting = st.sampled_from([*KINDS, "json"]).flatmap(
    lambda kind: st.tuples(st.just(kind), KINDS.get(kind, st.lists(value, max_size=2)))
)
NAMED = ("session_id", "model_path", "model_name", "finish_reason")
FIGURES = (
    *("prompt_tokens", "generated_tokens", "total_tokens", "prompt_time_ms", "generation_time_ms"),
    *("total_time_ms", "tokens_per_second", "temperature", "max_tokens", "cache_hit"),
)
TEXTS = (
    *("message", "category", "model_path", "prompt_preview", "error_type", "error_message"),
    "stack_trace",
)
answer = st.fixed_dictionaries(
    {"prompt": said, "response_text": said, "hit_count": st.integers(0, 9), "finish_reason": some}
)


@LAW
@given(
    rows=st.lists(st.tuples(generation, STEP), max_size=6),
    lines=st.lists(st.tuples(line, STEP), max_size=6),
    values=st.dictionaries(st.from_regex(r"[a-j]{1,6}\.[a-j]{1,4}", fullmatch=True), setting, max_size=5),
    answers=st.lists(answer, max_size=3),
    form=st.integers(0, 3),
)
def test_what_cyllama_kept_comes_out_as_it_was(
    homes: Any,
    rows: list[tuple[dict[str, Any], int]],
    lines: list[tuple[dict[str, Any], int]],
    values: dict[str, tuple[str, Any]],
    answers: list[dict[str, Any]],
    form: int,
) -> None:
    home = homes()
    db = make(home.folder / "c.db", "cyllama")
    wanted: dict[str, Counter[tuple[Any, ...]]] = {
        name: Counter() for name in ("generations", "logs", "config", "cache")
    }
    for ts, (row, _) in zip(times([step for _, step in rows]), rows, strict=True):
        put(db, "stats", created_at=written(ts, form), **row)
        here = {name: blank(cell) if name in NAMED else cell for name, cell in row.items()}
        if row["total_tokens"] is None and None not in {row["prompt_tokens"], row["generated_tokens"]}:
            here["total_tokens"] = row["prompt_tokens"] + row["generated_tokens"]
        wanted["generations"][ts, *(here[name] for name in (*NAMED, *FIGURES))] += 1
    for ts, (row, _) in zip(times([step for _, step in lines]), lines, strict=True):
        put(db, "logs", created_at=written(ts, form), **row)
        context = None if row["context_json"] is None else json.dumps(json.loads(row["context_json"]))
        others = [blank(row[name]) for name in TEXTS]
        wanted["logs"][ts, row["level"].lower(), context, *others] += 1
    for key, (kind, given_value) in values.items():
        put(db, "config", key=key, value=json.dumps(given_value), value_type=kind)
        wanted["config"][key, kind, json.dumps(given_value)] += 1
    for n, row in enumerate(answers):
        put(db, "cache", cache_key=f"k{n}", prompt_hash="h", model_path="m", config_json="{}",
            created_at=written(NOW - DAY, form), **row)  # fmt: skip
        wanted["cache"][f"k{n}", row["prompt"], row["response_text"], row["hit_count"], NOW - DAY] += 1
    db.close()
    home.bring(home.folder / "c.db")

    found = {
        "generations": home.rows("generations", "ts", *NAMED, *FIGURES),
        "logs": home.rows("logs", "ts", "level", "context_json", *TEXTS),
        "cache": home.rows("cache", "cache_key", "prompt", "response_text", "hit_count", "created_ts"),
        "config": home.rows("config", "key", "value_type", "value"),
    }
    found["logs"] = _plain(found["logs"], 2)
    found["config"] = _plain(found["config"], 2)
    assert found == wanted


def _plain(rows: Counter[tuple[Any, ...]], at: int) -> Counter[tuple[Any, ...]]:
    """JSON of one column as Python writes it."""
    made: Counter[tuple[Any, ...]] = Counter()
    for row, times_ in rows.items():
        text_ = None if row[at] is None else json.dumps(json.loads(row[at]))
        made[(*row[:at], text_, *row[at + 1 :])] += times_
    return made


usage = st.fixed_dictionaries(
    {
        "cpu_percent": st.integers(0, 1600).map(lambda tenths: tenths / 10),
        "memory_used_gb": st.sampled_from([0.0, 0.5, 1.5, 20.0]),
        "disk_read_mb": st.sampled_from([0.0, 1.0, 5.0, 40.0, 1000.0]),
    }
)
snapshot = st.fixed_dictionaries(
    {
        "cpu_percent": st.integers(0, 1000).map(lambda tenths: tenths / 10),
        "memory_used_gb": st.sampled_from([0.0, 1.0, 3.5]),
        "load_1min": st.integers(0, 900).map(lambda centi: centi / 100),
    }
)


def series(one: SearchStrategy[dict[str, Any]]) -> SearchStrategy[list[tuple[dict[str, Any], int]]]:
    return st.lists(st.tuples(one, STEP), max_size=14)


def first_of_each_second(
    rows: list[tuple[dict[str, Any], int]],
) -> list[tuple[int, dict[str, Any]]]:
    """The rows with their times; of two in a second the first."""
    found: dict[int, dict[str, Any]] = {}
    for ts, (row, _) in zip(times([step for _, step in rows]), rows, strict=True):
        found.setdefault(ts, row)
    return sorted(found.items())


@LAW
@given(used=series(usage), seen=series(snapshot), own=st.booleans())
def test_what_mlenv_measured_is_in_the_roll_ups_and_stays_there(
    homes: Any, used: list[tuple[dict[str, Any], int]], seen: list[tuple[dict[str, Any], int]], own: bool
) -> None:
    home = homes()
    home.database.parent.mkdir(parents=True, mode=0o700)
    mine = NOW - 20 * DAY
    if own:  # a sample of this site's own, in the midst of theirs, not rolled up yet
        with closing(open_database(str(home.database))) as db:
            db.execute(
                "INSERT INTO system_samples (ts, interval_s, boot_id, cpu_cores, cpu_permille)"
                " VALUES (?, 30, 'b', 4, 7)",
                (mine,),
            )
    db = make(home.folder / "m.db", "mlenv")
    put(db, "container_instances", container_id="a", container_name="a", image_name="x", project_path="/p",
        status="running", created_at=text_time(NOW - 900 * DAY))  # fmt: skip
    for ts, (row, _) in zip(times([step for _, step in used]), used, strict=True):
        put(db, "resource_metrics", container_id="a", timestamp=text_time(ts), **row)
    for ts, (row, _) in zip(times([step for _, step in seen]), seen, strict=True):
        put(db, "system_snapshots", timestamp=text_time(ts), **row)
    db.close()
    home.bring(home.folder / "m.db")

    for _ in range(2):
        _check_rolled(
            home, first_of_each_second(used), used, first_of_each_second(seen), mine if own else None
        )
        with closing(open_database(str(home.database))) as db:
            keep_up(db, Settings(), SystemClock())
            assert roll_up(db, SystemClock())
    with closing(open_database(str(home.database))) as db:
        after_a_month = ManualClock(NOW + 31 * DAY)
        assert roll_up(db, after_a_month)
        for _ in range(8):
            keep_up(db, Settings(), after_a_month)
    _check_rolled(
        home,
        first_of_each_second(used),
        used,
        first_of_each_second(seen),
        mine if own else None,
        resolutions=(86400,),
    )


def _check_rolled(
    home: Home,
    used: list[tuple[int, dict[str, Any]]],
    every: list[tuple[dict[str, Any], int]],
    seen: list[tuple[int, dict[str, Any]]],
    mine: int | None,
    resolutions: tuple[int, ...] = (300, 3600, 86400),
) -> None:
    kept = {300: 90 * DAY, 3600: 730 * DAY, 86400: 1 << 40}
    grown = _growth(every)
    with closing(apsw.Connection(str(home.database), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        for size in resolutions:
            inside = [(ts, row) for ts, row in used if ts // size * size >= NOW - kept[size] + 60]
            edge = len(inside) != sum(ts // size * size >= NOW - kept[size] - 600 for ts, _ in used)
            n, cpu, read = db.execute(
                "SELECT total(n), total(cpu_permille_sum), total(read_bytes) FROM instance_rollups"
                " WHERE resolution_s = ?",
                (size,),
            ).fetchone()
            if not edge:
                assert (n, cpu) == (len(inside), sum(round(row["cpu_percent"] * 10) for _, row in inside))
                assert read == sum(grown[ts] for ts, _ in inside)
            inside = [(ts, row) for ts, row in seen if ts // size * size >= NOW - kept[size] + 60]
            edge = len(inside) != sum(ts // size * size >= NOW - kept[size] - 600 for ts, _ in seen)
            counted = {ts for ts, _ in inside}
            wanted_n, wanted = len(inside), sum(round(row["cpu_percent"] * 10) for _, row in inside)
            if mine is not None and mine not in counted:
                wanted_n, wanted = wanted_n + 1, wanted + 7
            n, cpu = db.execute(
                "SELECT total(n), total(cpu_permille_sum) FROM system_rollups WHERE resolution_s = ?", (size,)
            ).fetchone()
            if not edge and mine not in counted:
                assert (n, cpu) == (wanted_n, wanted)


def _growth(rows: list[tuple[dict[str, Any], int]]) -> dict[int, int]:
    """Bytes read since the row before, by the time of the first row of each second; a smaller total began anew."""
    found: dict[int, int] = {}
    listed = list(
        zip(times([step for _, step in rows]), [row["disk_read_mb"] for row, _ in rows], strict=True)
    )
    if listed:
        found[listed[0][0]] = 0
    for (_, before), (ts, now) in pairwise(listed):
        found.setdefault(ts, round((now - before if now >= before else now) * MIB))
    return found


chosen = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.integers(11, 19).map(lambda tenths: tenths / 10),
        "top_k": st.integers(41, 99),
        "top_p": st.sampled_from([0.5, 0.75, 0.85]),
        "seed": st.integers(0, 2**31),
        "repeat_penalty": st.sampled_from([1.1, 1.25]),
    },
)
NAMES = {"temperature": "temp", "top_k": "top-k", "top_p": "top-p", "repeat_penalty": "repeat-penalty"}


@LAW
@given(
    models=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), chosen, min_size=1, max_size=3
    )
)
def test_models_come_out_as_profiles_that_say_what_was_chosen(
    homes: Any, models: dict[str, dict[str, Any]]
) -> None:
    home = homes()
    db = make(home.folder / "d.db", "dashboard_v2")
    stamps = {"created_at": NOW * 1000, "updated_at": NOW * 1000}
    for name, options in models.items():
        model_id = put(
            db, "models", name=name, type="llama", status="running", model_path=f"/m/{name}.gguf", **stamps
        )
        put(db, "model_sampling_config", model_id=model_id, **options, **stamps)
    db.close()
    home.bring(home.folder / "d.db")
    for name, options in models.items():
        shown = json.loads(home("profiles", "show", name, "--json"))
        found = {row["option"]: row["value"] for row in shown}
        assert found.pop("model") == f"/m/{name}.gguf"
        assert found == {NAMES.get(column, column): given for column, given in options.items()}
    home("profiles", "export", "--all", "-o", home.folder / "profiles")
    assert sorted(os.listdir(home.folder / "profiles")) == sorted(f"{name}.yaml" for name in models)


@LAW
@given(rows=st.lists(st.tuples(generation, STEP), min_size=2, max_size=8), at=st.integers(0, 8))
def test_what_comes_in_as_it_grows_is_what_comes_in_at_once(
    homes: Any, rows: list[tuple[dict[str, Any], int]], at: int
) -> None:
    home, other = homes(), homes()
    db = make(home.folder / "c.db", "cyllama")
    for n, (ts, (row, _)) in enumerate(zip(times([step for _, step in rows]), rows, strict=True)):
        if n == at:
            home.bring(home.folder / "c.db")
        put(db, "stats", created_at=ts, **row)
        put(db, "logs", level="INFO", message=f"line {n % 2}", created_at=ts)
    db.close()
    home.bring(home.folder / "c.db")
    other.bring(home.folder / "c.db")
    for table, columns in (
        ("generations", ("ts", "prompt_tokens", "total_time_ms")),
        ("logs", ("ts", "message")),
    ):
        assert home.rows(table, *columns) == other.rows(table, *columns)
