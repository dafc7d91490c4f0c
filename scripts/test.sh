#!/bin/sh
# Run the tests with what this machine has; what was skipped, and why, is listed at the end.
#
#   scripts/test.sh [ARGUMENTS FOR PYTEST]
#
# TEST_INSTALL=1 first installs what is missing (needs root). TEST_REQUIRE=all makes a skip a failure.
set -eu
cd "$(dirname "$0")/.."

if [ "${TEST_INSTALL:-0}" = 1 ]; then scripts/install_test_tools.sh; fi
exec .venv/bin/python -m pytest -rs "$@"
