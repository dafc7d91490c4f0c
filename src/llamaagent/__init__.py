"""llamaagent: llama-server instances declared in YAML, kept running, recorded in SQLite, reported as static pages.

Importing this package costs nothing: every name below is fetched when it is first used.
"""

__version__ = "0.1.0"
