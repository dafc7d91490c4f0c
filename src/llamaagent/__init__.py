"""llamaagent: llama-server instances declared in YAML, kept running, recorded in SQLite, reported as static pages.

Importing this package costs nothing.
"""

__version__ = "0.1.0"
