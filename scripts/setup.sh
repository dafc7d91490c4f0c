#!/bin/sh
# Make the environment in .venv and put into it what one kind of work needs.
#
#   scripts/setup.sh demo     the program itself, with the embedded server
#   scripts/setup.sh test     and what the tests need
#   scripts/setup.sh lint     and what the checks of the source need
#
# Nothing outside this checkout is changed. When nothing has changed since the last call, this
# returns at once. PYTHON=/path/to/python3 chooses the interpreter; otherwise the first Python of
# 3.11 or later is taken, one that has ensurepip before one that has not.
set -eu
cd "$(dirname "$0")/.."

oldest=3.11
venv=.venv
log=.cache/setup.log

say() { printf 'setup: %s\n' "$*"; }

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# quietly WHAT COMMAND...: run the command; only if it fails, show the end of what it printed.
quietly() {
    what=$1
    shift
    "$@" >"$log" 2>&1 && return
    tail -n 15 "$log" >&2
    fail "could not $what; everything it printed is in $log"
}

new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$oldest'.split('.'))))" 2>/dev/null
}

has_module() { "$1" -c "import $2" 2>/dev/null; }

# Every place where a Python of our age may lie; one that does not start is no candidate (the
# shims of version managers are on PATH for versions that are not chosen).
candidates() {
    if [ -n "${PYTHON:-}" ]; then
        printf '%s\n' "$PYTHON"
        return
    fi
    printf '%s\n' python3 python3.14 python3.13 python3.12 python3.11
    for python in "${PYENV_ROOT:-${HOME:-/}/.pyenv}"/versions/3.*/bin/python3; do
        [ ! -x "$python" ] || printf '%s\n' "$python"
    done
    ! command -v uv >/dev/null || uv python find --no-python-downloads ">=$oldest" 2>/dev/null || :
}

find_python() {
    second=
    while IFS= read -r candidate; do
        new_enough "$candidate" || continue
        if has_module "$candidate" ensurepip; then
            printf '%s\n' "$candidate"
            return
        fi
        [ -n "$second" ] || second=$candidate
    done <<EOF
$(candidates)
EOF
    printf '%s\n' "$second"
}

no_python() {
    found=$("${PYTHON:-python3}" -c 'import platform; print("Python", platform.python_version())' 2>/dev/null) ||
        found="not there or does not start"
    fail "${PYTHON:-python3} is $found, llamaagent needs Python $oldest or later: install one (Debian 12, Ubuntu 24.04" \
        "and later: sudo apt-get install python3 python3-venv), then: PYTHON=/path/to/python$oldest make $kind"
}

# Fetch Debian's own pip wheel as a package file, without installing it. The package lists are
# kept in the checkout as well, so that this needs neither root nor an earlier 'apt-get update'.
debian_pip_wheel() {
    apt=$PWD/.cache/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"
    set -- -qq -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt" -o APT::Sandbox::User=root
    (cd "$apt" && apt-get "$@" update && apt-get "$@" download python3-pip-whl && dpkg-deb -x python3-pip-whl_*.deb root)
}

# The standard library of Debian and Ubuntu leaves ensurepip to a package of its own.
bring_pip() {
    say "$python has no ensurepip: bringing pip into $venv another way"
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    if has_module "$python" pip && "$python" -m pip install --quiet --target "$site" pip >"$log" 2>&1; then
        return
    fi
    if command -v apt-get >/dev/null && debian_pip_wheel >"$log" 2>&1; then
        for wheel in .cache/apt/root/usr/share/python-wheels/pip-*.whl; do
            "$venv/bin/python" "$wheel/pip" install --quiet --no-index --no-deps "$wheel" >"$log" 2>&1 || continue
            rm -rf .cache/apt
            return
        done
    fi
    rm -rf "$venv"
    fail "$python has neither ensurepip nor pip; type: sudo apt-get install python3-venv"
}

make_environment() {
    python=$(find_python)
    [ -n "$python" ] || no_python
    say "environment in $venv, with $("$python" -V) ($(command -v "$python"))"
    rm -rf "$venv"
    if has_module "$python" ensurepip; then
        quietly "make $venv" "$python" -m venv "$venv"
    else
        has_module "$python" venv || fail "$python has no venv module; type: sudo apt-get install python3-venv"
        quietly "make $venv" "$python" -m venv --without-pip "$venv"
        bring_pip
    fi
    quietly "bring pip up to date" "$venv/bin/python" -m pip install --upgrade 'pip>=25.1'
    printf '%s\n' "$PWD" >"$venv/.made-in"
}

# An environment does not survive a move (its programs name their interpreter by path), nor the
# removal of the interpreter it was made with, nor an interrupted making.
environment_is_sound() {
    [ "$(cat "$venv/.made-in" 2>/dev/null)" = "$PWD" ] && has_module "$venv/bin/python" pip
}

case "${1:-}" in
demo) set -- demo --editable '.[embedded]' ;;
test) set -- test --editable '.[embedded]' --group test ;;
lint) set -- lint --editable '.[embedded]' --group lint ;;
*) fail "usage: scripts/setup.sh demo|test|lint" ;;
esac
kind=$1
shift

stamp=$venv/.ready-$kind
key() { printf '%s %s %s\n' "$PWD" "$("$venv/bin/python" -VV 2>/dev/null)" "$(cksum <pyproject.toml)"; }
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(key)" ]; then exit 0; fi

mkdir -p .cache
environment_is_sound || make_environment
say "installing what 'make $kind' needs"
quietly "install what 'make $kind' needs" "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "$@"
key >"$stamp"
