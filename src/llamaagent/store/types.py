"""The types that callers hold in their hands without importing SQLite."""

from __future__ import annotations

from apsw import Connection

__all__ = ["Connection"]
