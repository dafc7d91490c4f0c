"""Applied configuration goes into the tables and comes back as it was, for every option that there is."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamaagent.config.args import DANGEROUS, OWNED, canonical_args
from llamaagent.config.argv import argv_of
from llamaagent.config.catalogue import Option, load_catalogue
from llamaagent.config.document import canonical_json, profile_from_document
from llamaagent.domain.profile import Profile
from llamaagent.sql import statements
from llamaagent.store import open_database
from llamaagent.store.applied import AppliedStore
from llamaagent.store.columns import GENERAL, SECTIONS, SERVER
from llamaagent.store.wishes import WishStore

SEEDS = Path(__file__).parents[1] / "fixtures" / "seed_columns.tsv"
CATALOGUE = load_catalogue()
# Every option that a profile may have; `verbosity` has a floor that the strategy would trip over.
LEGAL = [
    option
    for option in CATALOGUE.options.values()
    if option.name not in OWNED and not (option.gone or option.exits or option.preset)
]
COLUMNS = {column.option: (section, column) for section in SECTIONS for column in section.columns}
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), min_codepoint=1), min_size=1, max_size=12),
    st.sampled_from(["[", '["a"]', "[]", "007", "-1", "1e3", "on", "null", "ä🙂", "a,b", "{}"]),
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    db = open_database(str(tmp_path_factory.mktemp("applied") / "a.db"), write=True)
    yield db
    db.close()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_database(str(tmp_path / "a.db"), write=True)
    yield opened
    opened.close()


def values(option: Option) -> st.SearchStrategy[object]:
    """Everything legal, and some of what is not."""
    if option.value == "none":
        return st.booleans()
    one: st.SearchStrategy[object] = {
        "int": st.integers(3, 2**70) | st.integers(3, 99) | st.integers(-(2**63), -1),
        "float": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0]),
    }.get(option.value, TEXT)
    if option.choices:
        one = (
            st.sampled_from(option.choices)
            if option.value == "enum"
            else one | st.sampled_from(option.choices)
        )
    if option.values == 2:
        return st.lists(st.integers(0, 99).map(str), min_size=2, max_size=2)
    return one | st.lists(one, min_size=1, max_size=3) if option.repeatable or option.separator else one


ARGS = st.fixed_dictionaries({}, optional={option.name: values(option) for option in LEGAL})


def canonical(raw: dict[str, object]) -> dict[str, object]:
    return dict(canonical_args(raw, CATALOGUE, allow_dangerous=True).args)


def profile(name: str = "p", **document: object) -> Profile:
    whole = {"name": name, "model": {"path": "/m.gguf"}, **document}
    return profile_from_document(canonical_json(whole), f"/site/{name}.yaml", 1)


def declare(db: apsw.Connection, *profiles: Profile, ts: int = 1000, defaults: str = "{}") -> None:
    WishStore(db).declare(profiles, (None, None), ts, defaults)


def stored(db: apsw.Connection, name: str = "p") -> dict[str, object]:
    applied = AppliedStore(db)
    source = applied.source(name)
    assert source is not None
    return dict(applied.args(source.model_id))


def changes(db: apsw.Connection) -> list[dict[str, object]]:
    rows = db.execute("SELECT details FROM audit_log WHERE action = 'config' AND resource_type = 'profile'")
    return [json.loads(row[0]) for row in rows]


@settings(max_examples=60, deadline=None)
@given(ARGS)
def test_any_options_come_back_as_the_same_command_line(
    database: apsw.Connection, raw: dict[str, object]
) -> None:
    args = canonical(raw)
    declared = profile(args=args)
    declare(database, declared)

    back = tuple(sorted(stored(database).items()))
    assert repr(back) == repr(declared.args)
    assert argv_of(back) == declared.argv


@pytest.mark.parametrize("option", LEGAL, ids=lambda option: option.name)
def test_each_option_comes_back(database: apsw.Connection, option: Option) -> None:
    samples: dict[str, object] = {"none": True, "int": "5", "float": "0.5"}
    value = option.choices[0] if option.value == "enum" else samples.get(option.value, "1 2")
    lists = [[value, value]] if option.repeatable or option.separator else []
    for one in (value, False, *lists) if option.value == "none" else (value, *lists):
        declared = profile(args=canonical({option.name: one}))
        declare(database, declared)
        assert tuple(stored(database).items()) == declared.args
        in_column = database.execute("SELECT custom_params IS NULL FROM model_advanced_config").get
        if option.name in COLUMNS and isinstance(one, (str, bool)):
            assert in_column


@settings(max_examples=30, deadline=None)
@given(ARGS)
def test_defaults_come_back_from_the_one_row_of_the_server(
    database: apsw.Connection, raw: dict[str, object]
) -> None:
    args = canonical(raw)
    declare(database, defaults=canonical_json({"args": args}))

    back = {item.option: item.value for item in AppliedStore(database).section(SERVER)}
    assert sorted(back.items()) == sorted(args.items())
    assert database.execute("SELECT count(*) FROM model_server_config").get <= 1


def test_every_column_of_the_seeds_is_mapped_or_means_no_option() -> None:
    with SEEDS.open(encoding="utf-8") as file:
        seeds = {
            (row["table"], row["column"]): row["flag"][2:] for row in csv.DictReader(file, delimiter="\t")
        }
    mapped = {
        (section.table, column.column): column.option
        for section in (*SECTIONS, SERVER)
        for column in section.columns
    }
    legal = {option.name for option in LEGAL}
    expected = {key: flag for key, flag in seeds.items() if flag in legal and flag != "load-mode"}
    assert mapped == expected


def test_every_column_is_an_option_a_leftover_or_bookkeeping(db: apsw.Connection) -> None:
    declare(db, profile())
    db.execute("UPDATE models SET hf_file_v = 'x'")
    assert AppliedStore(db).leftovers(1) == {"hf_file_v": "x"}
    told = set(re.findall(r"\w\.(\w+)", statements("config_tables")["select_leftovers"].partition("FROM")[0]))
    for section in SECTIONS[1:]:
        there = {row[1] for row in db.execute(f"PRAGMA table_info({section.table})")}
        known = {column.column for column in section.columns} | told | {"mmap", "mlock", "custom_params"}
        assert there - known == {"id", "model_id", "created_at", "updated_at"}


@pytest.mark.parametrize("section", [*SECTIONS, SERVER], ids=lambda section: section.name)
def test_every_statement_binds_all_columns_of_its_table(db: apsw.Connection, section: object) -> None:
    name = section.name  # type: ignore[attr-defined]
    there = {row[1] for row in db.execute(f"PRAGMA table_info({section.table})")}  # type: ignore[attr-defined]
    bound = set(re.findall(r":(\w+)", statements("config_tables")[f"write_{name}"]))
    columns = {column.column for column in section.columns}  # type: ignore[attr-defined]
    assert columns <= bound & there
    assert bound - {"ts", "model_id", "profile", "profile_hash"} <= there


def test_what_stands_where(db: apsw.Connection) -> None:
    args = {"ctx-size": 0, "temp": 0.5, "load-mode": "mmap+mlock", "gpu-layers": 99, "lora": ["/a", "/b"]}
    args |= {"ui": False, "jinja": True, "perf": True, "n-cpu-moe": ["1", "2"]}
    secrets = {"hf-token": {"env": "HF"}, "api-key": {"file": "/keys"}}
    defaults = canonical_json({"args": {"threads": 8, "ui": False}})
    declare(db, profile(args=args, secrets=secrets), defaults=defaults)

    row = db.execute("SELECT ctx_size, threads, hf_token, revision_id IS NOT NULL FROM models").fetchone()
    assert row == (0, None, "env:HF", 1)
    assert db.execute("SELECT temperature, top_k FROM model_sampling_config").fetchone() == (0.5, None)
    assert db.execute("SELECT mmap, mlock FROM model_memory_config").fetchone() == (1, 1)
    assert db.execute("SELECT gpu_layers FROM model_gpu_config").get == "99"
    assert db.execute("SELECT lora FROM model_lora_config").get == '["/a", "/b"]'
    custom = {"ui": False, "jinja": True, "perf": True, "n-cpu-moe": ["1", "2"]}
    assert json.loads(db.execute("SELECT custom_params FROM model_advanced_config").get) == custom
    row = db.execute("SELECT no_webui, custom_params FROM model_server_config").fetchone()
    assert row == (1, '{"threads": 8}')


def test_a_change_is_recorded_with_old_and_new_values(db: apsw.Connection) -> None:
    declare(db, profile(args={"temp": 0.5, "ctx-size": 512}))
    declare(db, profile(args={"temp": 0.5, "ctx-size": 512}, priority=3), ts=1001)
    assert changes(db) == []

    declare(db, profile(args={"temp": 0.7, "seed": 1}, secrets={"hf-token": {"env": "HF"}}), ts=1002)
    old = {"ctx-size": 512, "hf-token": None, "seed": None, "temp": 0.5}
    new = {"ctx-size": None, "hf-token": "env:HF", "seed": 1, "temp": 0.7}
    assert changes(db) == [{"old": old, "new": new}]


def test_a_secret_reaches_no_table_even_when_it_stands_among_the_options(db: apsw.Connection) -> None:
    leaky = profile(args={})._replace(args=(("api-key", "canary"), ("hf-token", "canary"), ("temp", 0.5)))
    declare(db, leaky)
    declare(db, leaky._replace(profile_hash="x", args=(("api-key", "canary2"),)), ts=1001)

    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert "canary" not in str([list(db.execute(f'SELECT * FROM "{table}"')) for table in tables])


def test_deleting_a_model_takes_its_configuration_along(db: apsw.Connection) -> None:
    declare(db, profile("a", args={"temp": 1.0}), profile("b"))
    WishStore(db).forget_model("a")

    for section in SECTIONS:
        assert db.execute(f"SELECT count(*) FROM {section.table}").get == 1
    assert AppliedStore(db).source("a") is None


def test_one_section_reads_one_table_and_the_list_none(db: apsw.Connection) -> None:
    declare(db, profile(args={"temp": 1.0}))
    read: set[str] = set()

    def note(action: int, first: str | None, *_rest: object) -> int:
        if action == apsw.SQLITE_READ and first:
            read.add(first)
        return apsw.SQLITE_OK

    db.authorizer = note
    AppliedStore(db).section(SECTIONS[1], 1)
    assert read == {"model_sampling_config"}
    read.clear()
    db.execute(statements("config_tables")["list_models"]).fetchall()
    assert read == {"models"}
    db.authorizer = None


def test_an_import_that_knows_half_of_a_mode_is_read(db: apsw.Connection) -> None:
    declare(db, profile())
    for row, mode in (((1, None), "mmap"), ((0, None), "none"), ((None, 1), "mmap+mlock"), ((None, 0), None)):
        db.execute("UPDATE model_memory_config SET mmap = ?, mlock = ?", row)
        assert stored(db).get("load-mode") == mode


def test_dangerous_options_are_stored_too() -> None:
    assert set(DANGEROUS) <= {option.name for option in LEGAL}
    assert GENERAL.table == "models"
