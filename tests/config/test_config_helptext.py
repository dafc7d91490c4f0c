"""What a server program's --help says: the real one against the list of facts, made-up ones, none at all."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from site_folder import Folder

from llamaagent.base.clock import SystemClock
from llamaagent.config.catalogue import Catalogue, document_of, load_catalogue, make_catalogue
from llamaagent.config.helptext import entries, parse_help
from llamaagent.config.load import Asking, load_site, load_site_cached
from llamaagent.config.site import Site

ROOT = Path(__file__).resolve().parents[2]
NOTHING = Catalogue("nothing", {}, {}, {})
HELP = """\
----- common params -----

-m,    --model FNAME                    model path to load
                                        (env: LLAMA_ARG_MODEL)
--port PORT                             port to listen (default: 8080)
-c,    --ctx-size N                     size of the prompt context (default: 0)
--new-flag N                            something new (default: 3)
--new-mode {calm,wild}                  how to be new
-nb,   --new-bool, -nnb, --no-new-bool  whether to be new
                                        (env: LLAMA_ARG_NEW_BOOL)
"""


class Programs:
    """Answers for --help by path, counted, as the command line would hand them in."""

    def __init__(self, folder: Folder) -> None:
        self.asked: list[str] = []
        self.asking = Asking(
            self.help_of, lambda: ["--model", "--port", "--ctx-size"], str(folder.root / "cache")
        )

    def help_of(self, path: str, _env: object) -> str | None:
        self.asked.append(path)
        done = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=30, check=False)
        return done.stdout if done.returncode == 0 else None


class LateClock(SystemClock):
    """A minute later, so that what was just written is no longer young."""

    def now(self) -> int:
        return super().now() + 60


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def programs(folder: Folder) -> Programs:
    return Programs(folder)


def program(folder: Folder, text: str, *, code: int = 0, name: str = "bin/llama-server") -> str:
    """A program that prints this text; put in place as a package manager does, by a rename."""
    (folder.root / "help.txt").unlink(missing_ok=True)
    path = folder.write(f"{name}.new", f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {code}\n")
    path.chmod(0o755)
    path.rename(folder.root / name)
    return str(folder.root / name)


def load(folder: Folder, programs: Programs, **more: object) -> Site:
    options: dict[str, object] = {"host": "here", "asking": programs.asking, **more}
    return load_site(
        config=None,
        profiles=(),
        environ={**folder.environ, "PATH": str(folder.root / "bin")},
        cwd=str(folder.root),
        now=int(time.time()) + 60,
        **options,  # type: ignore[arg-type]
    )


def cached(folder: Folder, programs: Programs, path: str) -> Site:
    return load_site_cached(
        config=None,
        profiles=(),
        environ={**folder.environ, "PATH": path},
        cwd=str(folder.root),
        cache_dir=str(folder.root / "cache"),
        clock=LateClock(),
        host="here",
        asking=programs.asking,
    )


def messages(site: Site) -> list[str]:
    return [f"{fault.severity}: {fault.message}" for fault in site.faults]


def real_help(binary: str) -> str:
    return subprocess.run([binary, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.binary
def test_the_real_help_is_read_without_a_gap(llama_server_binary: str) -> None:
    with open(ROOT / "tests/fixtures/llama_server_flags.json", encoding="utf-8") as file:
        facts = json.load(file)
    text = real_help(llama_server_binary)
    read = parse_help(text, NOTHING, "help")
    assert read is not None
    options = list(read.options.values())

    assert len(options) == 256
    assert sum(len(one.names) + len(one.negations) for one in options) == 413
    assert {(one.names, one.negations, one.env, one.group, one.value == "none") for one in options} == {
        (tuple(f["names"]), tuple(f["negations"]), f["env"], f["group"], f["value"] == "none") for f in facts
    }
    assert {one.names: one.values for one in options if one.values > 1} == {
        tuple(f["names"]): f["n_values"] for f in facts if f["n_values"] > 1
    }
    numbers = {one.names for one in options if one.value in {"int", "number"}}
    assert numbers <= {tuple(f["names"]) for f in facts if f["value"] in {"int", "float"} or f["deprecated"]}
    sure = {one.names: one.choices for one in options if one.choices}
    assert len(sure) >= 11
    assert sure.items() <= {tuple(f["names"]): tuple(f.get("choices") or ()) for f in facts}.items()


@pytest.mark.binary
def test_the_real_help_and_the_bundled_catalogue_say_the_same(llama_server_binary: str) -> None:
    bundled = load_catalogue()
    read = parse_help(real_help(llama_server_binary), bundled, "help")
    assert read is not None
    assert {name: one._replace(default=None) for name, one in read.options.items()} == {
        name: one._replace(default=None) for name, one in bundled.options.items()
    }
    assert read.spellings == bundled.spellings
    assert read.gone == bundled.gone
    assert make_catalogue(json.loads(json.dumps(document_of(read)))) == read


def test_a_made_up_help_is_read() -> None:
    read = parse_help(HELP, load_catalogue(), "made up")
    assert read is not None
    assert list(read.options) == ["model", "port", "ctx-size", "new-flag", "new-mode", "new-bool"]
    assert read.options["ctx-size"].value == "int"
    assert read.options["new-flag"].value == "number"
    assert read.options["new-mode"].choices == ("calm", "wild")
    assert read.options["new-bool"].negations == ("-nnb", "--no-new-bool")
    assert read.options["new-bool"].env == "LLAMA_ARG_NEW_BOOL"


@pytest.mark.parametrize(
    "text", ["", "fake llama-server\n", "--verbose  say more\n", "-" * 9000, "-a, -b, " * 5000]
)
def test_what_is_no_help_gives_no_catalogue(text: str) -> None:
    assert parse_help(text, load_catalogue(), "?") is None
    assert len(list(entries(text))) <= 1


def test_an_option_works_the_day_it_ships_and_one_that_is_missing_is_a_mistake(
    folder: Folder, programs: Programs
) -> None:
    path = program(folder, HELP)
    folder.write("profiles/p.yaml", "model: m.gguf\nargs: {new-flag: 7, new-mode: calm, nnb: true}\n")
    site = load(folder, programs)
    assert messages(site) == []
    assert site.profiles[0].argv == ("--no-new-bool", "--new-flag", "7", "--new-mode", "calm")

    folder.write("profiles/p.yaml", "model: m.gguf\nargs: {temp: 0.5, new-flg: 1, new-mode: mad}\n")
    assert messages(load(folder, programs)) == [
        f"error: unknown key 'temp': {path} has no such option",
        f"error: unknown key 'new-flg': {path} has no such option, did you mean 'new-flag'?",
        "error: 'new-mode' takes one of calm, wild, not 'mad'",
    ]
    assert programs.asked == [path]
    folder.write("profiles/p.yaml", "model: m.gguf\nargs: {temp: 0.5}\n")
    assert messages(load(folder, programs, portable=True)) == []
    assert messages(load(folder, programs, asking=None)) == []


def test_each_profile_is_checked_against_its_own_program(folder: Folder, programs: Programs) -> None:
    program(folder, HELP)
    other = program(folder, HELP.replace("--new-flag", "--newer-flag"), name="other/server")
    folder.write(
        "profiles/_base.yaml", f"model: m.gguf\nruntime: {{binary: {other}}}\nargs: {{newer-flag: 1}}\n"
    )
    folder.write("profiles/a.yaml", "model: m.gguf\nargs: {new-flag: 1}\n")
    folder.write("profiles/b.yaml", "extends: _base.yaml\n")
    folder.write("profiles/c.yaml", "extends: _base.yaml\nargs: {new-flag: 1}\n")
    site = load(folder, programs)
    assert messages(site) == [
        f"error: unknown key 'new-flag': {other} has no such option, did you mean 'newer-flag'?"
    ]
    assert [profile.name for profile in site.profiles] == ["a", "b"]


def test_a_replaced_program_is_asked_anew_and_an_unchanged_one_is_not(
    folder: Folder, programs: Programs
) -> None:
    path = program(folder, HELP)
    folder.write("profiles/p.yaml", "model: m.gguf\nargs: {new-flag: 7}\n")
    here = os.path.dirname(path)
    assert messages(cached(folder, programs, here)) == []
    assert messages(cached(folder, programs, here)) == []
    assert programs.asked == [path]

    program(folder, HELP.replace("--new-flag", "--flag-of-old"))
    assert len(messages(cached(folder, programs, here))) == 1
    assert programs.asked == [path, path]
    (folder.root / "bin/llama-server").unlink()
    assert messages(cached(folder, programs, here)) == [
        "error: unknown key 'new-flag', did you mean 'no-ag'?"
    ]
    assert programs.asked == [path, path]


def test_a_short_path_finds_the_program_that_a_longer_one_found(folder: Folder, programs: Programs) -> None:
    path = program(folder, HELP)
    folder.write("profiles/p.yaml", "model: m.gguf\nargs: {new-flag: 7}\n")
    assert messages(cached(folder, programs, os.path.dirname(path))) == []
    assert messages(cached(folder, programs, "/nowhere")) == []


@pytest.mark.parametrize(("text", "code"), [("", 0), (HELP, 1), ("no help here\n", 0)])
def test_a_program_without_help_is_a_warning_and_the_bundled_catalogue_serves(
    folder: Folder, programs: Programs, text: str, code: int
) -> None:
    path = program(folder, text, code=code)
    folder.write("profiles/p.yaml", "model: m.gguf\nargs: {temp: 0.5}\n")
    folder.write("profiles/q.yaml", "model: m.gguf\nargs: {temp: 0.5}\n")
    site = cached(folder, programs, os.path.dirname(path))
    assert messages(site) == [
        f"warning: {path} --help gave no list of options; checked against llama.cpp b11434"
    ]
    assert len(site.profiles) == 2
    cached(folder, programs, os.path.dirname(path))
    assert programs.asked == [path]


@pytest.mark.parametrize("source", ["url: https://host.example/m.gguf", "hf: org/repo:Q4_0", "docker: ai/m"])
def test_the_embedded_server_downloads_nothing(folder: Folder, source: str) -> None:
    folder.write("llamaagent.yaml", "binary: embedded\n")
    folder.write("profiles/a.yaml", f"model: {{{source}}}\n")
    (fault,) = folder.load().faults
    assert ": error: the embedded server downloads nothing: fetch the file (llamaagent models pull)" in str(
        fault
    )


def test_the_embedded_server_is_asked_for_what_it_offers(folder: Folder, programs: Programs) -> None:
    folder.write("llamaagent.yaml", "binary: embedded\n")
    folder.write("profiles/p.yaml", "model: m.gguf\nargs: {ctx-size: 512, temp: 0.5, log-file: x}\n")
    assert messages(load(folder, programs)) == [
        "error: unknown key 'temp': the embedded server has no such option",
        "error: 'log-file' is set by the agent; leave it out, the agent keeps the log (llamaagent logs NAME)",
    ]
    assert programs.asked == []
