"""The database: opening, upgrading, and all that is read from it or written to it. The only user of SQLite."""

from llamaagent.store.connect import open_database
from llamaagent.store.errors import translate

__all__ = ["open_database", "translate"]
