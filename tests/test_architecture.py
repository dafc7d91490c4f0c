"""The shape of the source: floors, sizes, and which package may know which library."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = os.path.join(ROOT, "src", "llamaagent")
LONGEST_FILE = 300
LONGEST_FUNCTION = 40

# A library is known to the packages named here and to no other, so that what it costs to start is
# paid by those who use it, and so that it could be exchanged in one place.
HOMES = {
    "PIL": {"report"},
    "apsw": {"store"},
    "click": {"cli"},
    "docker": {"engine"},
    "gguf": {"launch"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "numpy": {"launch"},
    "psutil": {"collect", "launch"},
    "pyarrow": {"cli"},
    "pynvml": {"collect"},
    "xllamacpp": {"launch"},
    "yaml": {"cli", "config"},
}


def sources() -> Iterator[str]:
    """Every Python file of the package, relative to it."""
    for folder, _, names in os.walk(PACKAGE):
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(folder, name), PACKAGE)


def text_of(source: str) -> str:
    with open(os.path.join(PACKAGE, source), encoding="utf-8") as file:
        return file.read()


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(tree: ast.Module) -> Iterator[str]:
    """The top-level names of all absolute imports that are ever run, wherever in the file they stand."""
    skipped = {inner for node in ast.walk(tree) if for_types_only(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and node not in skipped:
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node not in skipped:
            yield (node.module or "").partition(".")[0]


def third_party(source: str) -> set[str]:
    return set(imported(ast.parse(text_of(source)))) - sys.stdlib_module_names - {"llamaagent"}


def lint_imports(folder: str) -> subprocess.CompletedProcess[str]:
    """Check the floors of the tree in `folder`, which must hold pyproject.toml and src/llamaagent."""
    program = os.path.join(sysconfig.get_path("scripts"), "lint-imports")
    return subprocess.run(
        [program, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.path.join(folder, "src"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_package_imports_from_lower_floors_only() -> None:
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("base/clock.py", "import llamaagent.store"),
        ("collect/__init__.py", "import llamaagent.launch"),
        ("store/__init__.py", "def late() -> None:\n    import llamaagent.cli\n"),
        ("newcomer/__init__.py", ""),
    ],
    ids=["upward", "sideways", "upward inside a function", "package without a floor"],
)
def test_the_floors_notice_a_wrong_import(tmp_path: Path, place: str, line: str) -> None:
    shutil.copy(os.path.join(ROOT, "pyproject.toml"), tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "src" / "llamaagent", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "src" / "llamaagent" / place
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(f"\n{line}\n")

    result = lint_imports(str(tmp_path))

    assert result.returncode == 1
    assert "Broken contracts" in result.stdout, result.stdout + result.stderr


def test_a_library_is_known_only_where_it_belongs() -> None:
    strays = [
        f"{source} imports {name}"
        for source in sources()
        for name in third_party(source)
        if source.partition(os.sep)[0] not in HOMES.get(name, set())
    ]

    assert strays == []


def test_every_library_that_is_imported_is_declared() -> None:
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    declared = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in lines}
    owners = packages_distributions()

    undeclared = [
        f"{source} imports {name}"
        for source in sources()
        for name in third_party(source)
        if not declared & {owner.lower() for owner in owners.get(name, [name])}
    ]

    assert undeclared == []


def test_a_file_fits_in_the_head() -> None:
    lengths = {source: text_of(source).count("\n") for source in sources()}

    assert {source: length for source, length in lengths.items() if length > LONGEST_FILE} == {}


def height(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function takes, its signature included, its docstring not."""
    docstring = 0 if ast.get_docstring(function, clean=False) is None else height(function.body[0])
    return height(function) - docstring


def test_a_function_fits_on_a_screen() -> None:
    too_long = [
        f"{source}:{node.lineno}: {node.name} takes {lines_of_code(node)} lines"
        for source in sources()
        for node in ast.walk(ast.parse(text_of(source)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of_code(node) > LONGEST_FUNCTION
    ]

    assert too_long == []


def test_no_file_is_named_after_nothing_in_particular() -> None:
    vague = {"utils.py", "helpers.py", "common.py", "manager.py", "misc.py"}

    assert [source for source in sources() if os.path.basename(source) in vague] == []
