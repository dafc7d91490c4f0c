"""`python -m llamaagent` and the `llamaagent` script."""

from __future__ import annotations

import sys

from llamaagent.base.leaving import leave
from llamaagent.cli.main import entry


def main() -> None:
    """Run the command line and exit with its code."""
    code = entry()
    if "threading" in sys.modules:  # someone may still be at work, and may want to be told of the end
        sys.exit(code)
    leave(code)


if __name__ == "__main__":
    main()
