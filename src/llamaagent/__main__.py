"""`python -m llamaagent` and the `llamaagent` script."""

from __future__ import annotations

import sys

from llamaagent.cli.main import entry


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(entry())


if __name__ == "__main__":
    main()
