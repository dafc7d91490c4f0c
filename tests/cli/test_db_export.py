"""`db export`: what is in the database comes out whole, in every format, and can go in again."""

import csv
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pyarrow.parquet
import pytest
from scratch_home import Agent, scratch_environment

from llamaagent.store import open_database

SITE = Path(__file__).resolve().parents[1] / "fixtures" / "seed_queries" / "site.sql"
NOW = int(time.time())


@pytest.fixture
def full(agent: Agent, site: Path, home: Path) -> Path:
    """The path of a database with rows in most tables, odd values among them."""
    agent("db", "init", cwd=site)
    path = home / "data" / "llamaagent" / "llamaagent.db"
    db = open_database(str(path))
    with db:
        db.execute(SITE.read_text(encoding="utf-8"), {"now": NOW})
        for text in ("=1+1", "+a", "-b", "@c", "plain", 'quo"te', "two\nlines", "ü\0nul", "\t=x"):
            db.execute(
                "INSERT INTO logs (ts, level, message) VALUES (:ts, 'info', :text)", {"ts": NOW, "text": text}
            )
        db.execute(
            "INSERT INTO generations (ts, tokens_per_second) VALUES (:ts, 9e999)", {"ts": NOW - 86400 * 40}
        )
        db.execute("INSERT INTO generations (ts, generated_tokens) VALUES (:ts, 5)", {"ts": NOW - 5})
        db.execute("INSERT INTO imported_rows VALUES (x'00ff', 5)")
    db.close()
    return path


def tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    names = [str(row[0]) for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = {
        n: sorted(db.execute(f'SELECT * FROM "{n}"').fetchall(), key=repr)
        for n in names
        if "sqlite_" not in n
    }
    db.close()
    return found


def test_sql_loads_into_a_fresh_file_and_is_the_same(
    agent: Agent, site: Path, home: Path, full: Path
) -> None:
    result = agent("db", "export", "--all", "--format", "sql", "-o", home / "out", cwd=site)
    (name,) = os.listdir(home / "out")
    assert result.stdout.startswith(f"{home}/out/{name}: ")
    other = home / "other" / "b.db"
    other.parent.mkdir(mode=0o700)
    db = open_database(str(other))
    db.execute((home / "out" / name).read_text(encoding="utf-8"))
    assert db.pragma("foreign_key_check") is None
    db.close()
    was, now = tables(full), tables(other)
    for table in ("metadata", "schema_version"):  # a fresh file's own facts about itself stay
        assert [row[0] for row in now.pop(table)] == [row[0] for row in was.pop(table)]
    assert now == was


def test_every_table_comes_out_in_every_other_format(
    agent: Agent, site: Path, home: Path, full: Path
) -> None:
    counts = {name: len(rows) for name, rows in tables(full).items()}
    for kind in ("csv", "jsonl", "parquet"):
        out = home / kind
        result = json.loads(
            agent("db", "export", "--all", "--format", kind, "-o", out, "--json", cwd=site).stdout
        )
        assert {os.path.basename(file["path"]): file["rows"] for file in result["files"]} == {
            f"{name}.{kind}": count for name, count in counts.items()
        }
        assert sorted(os.listdir(out)) == sorted(f"{name}.{kind}" for name in counts)
        assert stat.S_IMODE(out.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    messages = [row[5] for row in sorted(tables(full)["logs"], key=lambda row: int(str(row[0])))]
    lines = [json.loads(line) for line in (home / "jsonl" / "logs.jsonl").read_text().split("\n")[:-1]]
    assert [line["message"] for line in lines] == messages
    assert lines[0]["created_at"] == time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(lines[0]["ts"]))
    table = pyarrow.parquet.read_table(home / "parquet" / "logs.parquet")
    assert table.column("message").to_pylist() == messages
    assert str(table.schema.field("ts").type) == "int64"
    blobs = pyarrow.parquet.read_table(home / "parquet" / "imported_rows.parquet")
    assert blobs.column("digest").to_pylist() == [b"\x00\xff"]


def test_no_cell_of_a_csv_is_a_formula(agent: Agent, site: Path, home: Path, full: Path) -> None:
    agent("db", "export", "--table", "logs", "--table", "generations", "-o", home / "out", cwd=site)
    with (home / "out" / "logs.csv").open(encoding="utf-8", newline="") as file:
        found = {row["message"] for row in csv.DictReader(file)}
    assert {"'=1+1", "'+a", "'-b", "'@c", "plain", 'quo"te', "two\nlines", "'\t=x"} <= found
    with (home / "out" / "generations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"inf"} <= {row["tokens_per_second"] for row in rows}
    assert rows[-1]["profile"] == ""


def test_by_time_and_views(agent: Agent, site: Path, home: Path, full: Path) -> None:
    words = ("db", "export", "--format", "jsonl", "-o", home / "out")
    result = agent(*words, "--table", "generations", "--table", "gpu_holders", "--table", "ngc_images",
                   "--since", "30d", cwd=site)  # fmt: skip
    lines = (home / "out" / "generations.jsonl").read_text().splitlines()
    assert lines
    assert all(json.loads(line)["ts"] > NOW - 31 * 86400 for line in lines)
    assert "without a time of their own, so whole: gpu_holders, ngc_images" in result.stderr
    agent(*words, "--table", "generations", "--until", "30d", cwd=site)
    assert len((home / "out" / "generations.jsonl").read_text().splitlines()) == 1
    agent(*words, "--table", "v_history", cwd=site)
    assert json.loads((home / "out" / "v_history.jsonl").read_text().splitlines()[0])["profile"]


def test_what_cannot_be_meant(agent: Agent, site: Path, home: Path, full: Path) -> None:
    agent("db", "export", "-o", home / "out", cwd=site, code=2)
    agent("db", "export", "--all", cwd=site, code=2)
    assert (
        "did you mean logs?" in agent("db", "export", "--table", "log", "-o", home, cwd=site, code=2).stderr
    )
    view = agent("db", "export", "--table", "v_gpus", "--format", "sql", "-o", home / "out", cwd=site, code=2)
    assert "is a view" in view.stderr
    (home / "file").write_text("")
    agent("db", "export", "--all", "-o", home / "file", cwd=site, code=73)
    assert not (home / "out").exists()


def test_a_full_disk_leaves_the_older_file(agent: Agent, site: Path, home: Path, full: Path) -> None:
    words = ("db", "export", "--table", "logs", "-o", home / "out")
    agent(*words, cwd=site)
    before = (home / "out" / "logs.csv").read_bytes()
    db = open_database(str(full))
    with db:
        for n in range(3000):
            db.execute(
                "INSERT INTO logs (ts, level, message) VALUES (5, 'info', :m)", {"m": f"{n}" + "x" * 100}
            )
    db.close()
    result = agent(*words, cwd=site, code=74, before=["prlimit", "--fsize=100000"])
    assert "File too large" in result.stderr
    assert os.listdir(home / "out") == ["logs.csv"]
    assert (home / "out" / "logs.csv").read_bytes() == before


def test_parquet_without_its_extra_says_what_to_type(
    agent: Agent, site: Path, home: Path, full: Path
) -> None:
    (home / "shadow").mkdir()
    (home / "shadow" / "pyarrow.py").write_text("raise ImportError('no')\n")
    path = f"{home / 'shadow'}:{scratch_environment(home)['PYTHONPATH']}"
    words = ("db", "export", "--all", "--format", "parquet", "-o", home / "out")
    result = agent(*words, cwd=site, code=2, env={"PYTHONPATH": path})
    assert "pip install 'llamaagent[parquet]'" in result.stderr
    assert not (home / "out").exists()


PEAK = """
import resource, sys
from llamaagent.cli.main import entry
code = entry(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("kind", ["csv", "jsonl", "sql"])
def test_memory_stays_flat(site: Path, home: Path, full: Path, kind: str) -> None:
    def peak_kib() -> int:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                PEAK,
                "db",
                "export",
                "--table",
                "logs",
                "--format",
                kind,
                "-o",
                str(home / "out"),
            ],
            cwd=site,
            env=scratch_environment(home),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return int(done.stderr.split()[-1])

    small = peak_kib()
    db = open_database(str(full))
    with db:
        db.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
            " INSERT INTO logs (ts, level, message) SELECT i, 'info', printf('%0400d', i) FROM n"
        )
    db.close()
    assert (full.stat().st_size >> 10) > 40_000
    assert peak_kib() - small < 15_000
