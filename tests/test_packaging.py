"""Every way to install llamaagent gives the same program: from a wheel, an sdist, editable, a plain checkout.

Each way gets a virtual environment of its own that holds links to what the program depends on and
nothing else, so that these tests also show that it runs without any tool of its developers, and
need no network.
"""

import os
import re
import sqlite3
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WAYS = ["wheel", "sdist", "editable", "checkout"]


def run(*argv: str | Path, cwd: str | Path, **environment: str) -> str:
    """Run a program that must succeed, in an environment that says nothing of this checkout."""
    bare = {
        name: value for name, value in os.environ.items() if not name.startswith(("LLAMAAGENT_", "PYTHON"))
    }
    result = subprocess.run(
        argv, cwd=cwd, env=bare | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, f"{argv}\n{result.stdout}{result.stderr}"
    return result.stdout


def settings() -> dict[str, Any]:
    return tomllib.loads(content("pyproject.toml").decode())


def shipped() -> dict[str, str]:
    """Where each file of the top-level data folders lies in the wheel, by its place in the checkout."""
    places = {}
    for source, target in settings()["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items():
        path = os.path.join(ROOT, source)
        if os.path.isfile(path):
            places[source] = target
        for folder, _, names in os.walk(path):
            for name in names:
                inner = os.path.relpath(os.path.join(folder, name), path)
                places[os.path.join(source, inner)] = os.path.join(target, inner)
    return places


def content(name: str) -> bytes:
    with open(os.path.join(ROOT, name), "rb") as file:
        return file.read()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist, and the wheel built from that sdist: what a release uploads."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return {"sdist": sdist, "wheel": wheel}


def needed(name: str, seen: dict[str, Distribution]) -> dict[str, Distribution]:
    """Collect the distributions that `name` needs, itself included, without any extra."""
    if name in seen:
        return seen
    seen[name] = distribution(name)
    for line in seen[name].requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name.lower(), seen)
    return seen


def link(parts: Distribution, site: str) -> None:
    """Make what a distribution installed into site-packages importable from another site-packages."""
    for top in {file.parts[0] for file in parts.files or () if file.parts[0] not in {"..", "__pycache__"}}:
        target = os.path.join(site, top)
        if not os.path.lexists(target):
            os.symlink(str(parts.locate_file(top)), target)


@pytest.fixture(scope="module", params=WAYS)
def installed(
    request: pytest.FixtureRequest, built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """The command line that starts the program, installed in one of the ways."""
    home = str(tmp_path_factory.mktemp(request.param))
    venv.create(home, with_pip=False, symlinks=True)
    python = os.path.join(home, "bin", "python")
    site = sysconfig.get_path("purelib", scheme="venv", vars={"base": home})
    for line in settings()["project"]["dependencies"]:
        for parts in needed(Requirement(line).name.lower(), {}).values():
            link(parts, site)
    if request.param == "checkout":
        return ["env", f"PYTHONPATH={ROOT}/src", python, "-m", "llamaagent"]
    what = ["--editable", ROOT] if request.param == "editable" else [built[request.param]]
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    tools = sysconfig.get_path("purelib")
    run(*pip, "--no-build-isolation", "--disable-pip-version-check", *what, cwd=home, PYTHONPATH=tools)
    return [os.path.join(home, "bin", "llamaagent")]


def test_the_version_is_the_projects(installed: list[str], tmp_path: Path) -> None:
    assert run(*installed, "--version", cwd=tmp_path).split()[-1] == settings()["project"]["version"]


def test_help_needs_no_tool_of_the_developers(installed: list[str], tmp_path: Path) -> None:
    assert "Usage: llamaagent" in run(*installed, "--help", cwd=tmp_path)


def test_a_database_has_the_whole_schema(installed: list[str], tmp_path: Path) -> None:
    """Tables and views of a database made by the installed program are those of the checkout's files."""
    path = tmp_path / "data" / "agent.db"
    run(*installed, "db", "init", cwd=tmp_path, LLAMAAGENT_DB_PATH=str(path), HOME=str(tmp_path))
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    have = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    database.close()

    text = content("schema.sql") + content("views.sql")
    wanted = set(re.findall(r"^CREATE (?:TABLE|VIEW) (\w+)", text.decode(), re.MULTILINE))
    assert len(wanted) > 30
    assert wanted <= have


def test_the_wheel_carries_the_top_level_files_byte_for_byte(built: dict[str, Path]) -> None:
    places = shipped()
    assert {"schema.sql", "views.sql", "migrations/README.md"} <= set(places)
    with zipfile.ZipFile(built["wheel"]) as wheel:
        differing = [source for source, target in places.items() if wheel.read(target) != content(source)]

    assert differing == []


def test_the_wheel_of_the_checkout_is_the_wheel_of_the_sdist(built: dict[str, Path], tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    with zipfile.ZipFile(tmp_path / built["wheel"].name) as ours, zipfile.ZipFile(built["wheel"]) as theirs:
        assert {i.filename: i.CRC for i in ours.infolist()} == {i.filename: i.CRC for i in theirs.infolist()}


def test_the_source_holds_no_second_copy_of_what_the_wheel_gets_from_the_top() -> None:
    doubles = [target for target in shipped().values() if os.path.lexists(os.path.join(ROOT, "src", target))]

    assert doubles == []


def test_the_sdist_has_everything_that_it_names(built: dict[str, Path]) -> None:
    named = settings()["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    with tarfile.open(built["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}

    assert [name for name in named if not any(n == name or n.startswith(f"{name}/") for n in names)] == []
    assert [name for name in names if name.endswith(".pyc") or name.startswith((".venv", ".cache"))] == []
