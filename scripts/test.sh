#!/bin/sh
# Run the tests with what this machine has; what was skipped, and why, is listed at the end.
#
#   scripts/test.sh [ARGUMENTS FOR PYTEST]
#
# TEST_INSTALL=1 first installs what is missing (needs root). TEST_REQUIRE=all makes a skip a failure.
# TEST_PROCESSES=N runs N at a time: twice the cores where nothing is said, since tests mostly wait; 0 = in this process.
set -eu
cd "$(dirname "$0")/.."

if [ "${TEST_INSTALL:-0}" = 1 ]; then scripts/install_test_tools.sh; fi
# Thousands of tests start the program; compiled once, it starts in half the time, whatever PYTHONDONTWRITEBYTECODE says.
.venv/bin/python -m compileall -q src
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
processes=${TEST_PROCESSES:-$((2 * cores))}
if [ "$processes" = 0 ]; then exec .venv/bin/python -m pytest -rs "$@"; fi

# First what needs the machine to itself, then all the rest; 5 = none of them was asked for.
alone=0
.venv/bin/python -m pytest -rs -m alone "$@" || alone=$?
rest=0
.venv/bin/python -m pytest -rs -m "not alone" -n "$processes" --dist worksteal "$@" || rest=$?
# What failed while others ran beside it gets the machine to itself once: a real fault fails again, and what does not is named.
if [ "$rest" = 1 ]; then
    echo "tests that failed beside others, once more by themselves:" >&2
    if .venv/bin/python -m pytest -rsA --tb=short -q -m "not alone" --last-failed --last-failed-no-failures none "$@"; then
        echo "these passed alone: they count on a machine that is not busy, which is to be mended" >&2
        rest=0
    fi
fi
if [ "$alone" != 0 ] && [ "$alone" != 5 ]; then
    echo "tests that run alone have failed: see the first of the two summaries" >&2
    exit "$alone"
fi
if [ "$rest" = 5 ] && [ "$alone" = 0 ]; then exit 0; fi
exit "$rest"
