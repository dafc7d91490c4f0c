#!/bin/sh
# Check the source: form, rules, types, floors, spelling, and that the generated docs are up to date.
# All checks are run, also after one has failed; a warning is an error.
set -u
cd "$(dirname "$0")/.." || exit 1

PATH=$PWD/.venv/bin:$PATH
# Help texts are part of the docs: they must not depend on the terminal that checks them.
COLUMNS=80 NO_COLOR=1 PYTHONWARNINGS=error
export PATH COLUMNS NO_COLOR PYTHONWARNINGS

failed=
check() {
    name=$1
    shift
    if output=$("$@" 2>&1); then
        case "$output" in
        *[Ww]arning:*) ;;
        *)
            printf 'lint: %s: ok\n' "$name"
            return
            ;;
        esac
    fi
    printf '%s\nlint: %s: FAILED (%s)\n' "$output" "$name" "$*"
    failed="$failed $name,"
}

check format ruff format --check .
check rules ruff check .
check types mypy --strict src
check floors lint-imports
check spelling codespell src tests docs scripts examples reports migrations ./*.md ./*.sql Makefile pyproject.toml
check docs cog --check --check-fail-msg 'run: make docs' docs/*.md README.md

[ -z "$failed" ] || printf 'lint: failed:%s see above\n' "$failed" >&2
[ -z "$failed" ]
