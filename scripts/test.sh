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
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
exec .venv/bin/python -m pytest -rs -n "${TEST_PROCESSES:-$((2 * cores))}" --dist worksteal "$@"
