"""Every error a user can act on, and the exit code each carries.

A leaf: imports nothing of ours. The codes are those of docs/exit-codes.md (sysexits(3) where one fits);
an exception that is not one of these is our own bug and ends the program with 70.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

FINE = 0
NOT_FINE = 1
USAGE = 2
WORK_TO_DO = 10
BAD_INPUT = 65
UNAVAILABLE = 69
BUG = 70
CANNOT_CREATE = 73
IO_ERROR = 74
TRY_AGAIN = 75
REFUSED = 77
BAD_CONFIG = 78
INTERRUPTED = 130


class LlamaAgentError(Exception):
    """Anything a user can act on: a message (what, which thing, lower case, no full stop) and maybe a hint."""

    exit_code: ClassVar[int] = NOT_FINE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(LlamaAgentError):
    """The command line asks for something that cannot be meant."""

    exit_code = USAGE


class BadInputError(LlamaAgentError):
    """Input other than settings and profiles is not what it should be."""

    exit_code = BAD_INPUT


class ServiceUnavailableError(LlamaAgentError):
    """A server or an engine that is needed cannot be reached."""

    exit_code = UNAVAILABLE


class InstallError(LlamaAgentError):
    """A file of this installation is missing or not ours."""

    exit_code = BUG


class CannotCreateError(LlamaAgentError):
    """A file or folder cannot be made."""

    exit_code = CANNOT_CREATE


class StorageError(LlamaAgentError):
    """Reading or writing failed, or there is no space."""

    exit_code = IO_ERROR


class StoreFullError(StorageError):
    """The database's disk is full (also an exceeded file size limit or disk quota)."""


class StoreCorruptError(StorageError):
    """The file is damaged, or no database at all."""


class StoreBusyError(LlamaAgentError):
    """Another program holds the database or a lock for longer than we wait."""

    exit_code = TRY_AGAIN


class LockHeldError(LlamaAgentError):
    """Another pass or loop holds the lock."""

    exit_code = TRY_AGAIN


class RefusedError(LlamaAgentError):
    """Quota or admission says no; the message carries the arithmetic."""

    exit_code = REFUSED


class ConfigError(LlamaAgentError):
    """Settings or profiles are wrong, or a database is newer than this program or not ours."""

    exit_code = BAD_CONFIG


class ParseError(BadInputError):
    """A text of the operating system or of a server does not look as documented."""
