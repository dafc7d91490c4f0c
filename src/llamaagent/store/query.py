"""SQL that a person typed, run so that it can only read, and only so much.

A read-only connection is not enough: it still writes other files (`VACUUM INTO`) and opens them (`ATTACH`). So an
authorizer lets through what reading needs and nothing else, and limits bound length, memory, rows and time.
"""

from __future__ import annotations

import apsw

from llamaagent.base.errors import BadInputError
from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from apsw import Connection, SQLiteValue

    from llamaagent.base.clock import Clock

_READING = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_RECURSIVE})
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "randomblob", "zeroblob"})
_PRAGMAS_ABOUT = frozenset(
    (
        *(
            "table_info",
            "table_xinfo",
            "table_list",
            "index_list",
            "index_info",
            "index_xinfo",
            "foreign_key_list",
        ),
        *(
            "function_list",
            "collation_list",
            "pragma_list",
            "compile_options",
            "database_list",
            "module_list",
        ),
    )
)
_PRAGMAS_ASKING = frozenset(
    (
        "user_version",
        "application_id",
        "page_count",
        "page_size",
        "freelist_count",
        "journal_mode",
        "data_version",
    )
)
_LIMITS = (
    (apsw.SQLITE_LIMIT_LENGTH, 1_000_000),
    (apsw.SQLITE_LIMIT_SQL_LENGTH, 1_000_000),
    (apsw.SQLITE_LIMIT_ATTACHED, 0),
    (apsw.SQLITE_LIMIT_WORKER_THREADS, 0),
    (apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 500),
)
_HEAP_BYTES = 256 * 1024 * 1024  # also bounds sorting, which stays in memory and so fills nobody's disk
_ANSWER_BYTES = 64 * 1024 * 1024
_STEPS_BETWEEN_LOOKS = 2000  # of SQLite's machine: well below a millisecond


class Answer(NamedTuple):
    """columns: made unique; rows with those keys; more: there were further rows than the limit."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, SQLiteValue], ...]
    more: bool


class _Guard:
    """Says yes to reading; remembers what it refused, since SQLite only says `not authorized`."""

    def __init__(self) -> None:
        self.refused: str | None = None

    def __call__(
        self, action: int, first: str | None, second: str | None, _schema: str | None, _inner: str | None
    ) -> int:
        if action in _READING or self._function(action, second) or self._pragma(action, first, second):
            return apsw.SQLITE_OK
        word = str(apsw.mapping_authorizer_function[action]).removeprefix("SQLITE_").replace("_", " ")
        about = " ".join(part for part in (first, second) if part)
        self.refused = self.refused or f"{word} {about}".strip()
        return apsw.SQLITE_DENY

    @staticmethod
    def _function(action: int, name: str | None) -> bool:
        return action == apsw.SQLITE_FUNCTION and (name or "").lower() not in _FORBIDDEN_FUNCTIONS

    @staticmethod
    def _pragma(action: int, name: str | None, value: str | None) -> bool:
        word = (name or "").lower()
        return action == apsw.SQLITE_PRAGMA and (
            word in _PRAGMAS_ABOUT or (value is None and word in _PRAGMAS_ASKING)
        )


def run_query(db: Connection, sql: str, *, clock: Clock, limit: int, timeout_s: float) -> Answer:
    """Run one statement that reads, on a read-only connection that is used for nothing else afterwards.

    limit: rows at most; timeout_s: at most so long. Raises BadInputError for wrong SQL (naming the place), for
    anything but reading, and beyond a limit of time or size; the store's own errors are left to its caller.
    """
    guard = _guarded(db)
    until = clock.monotonic() + timeout_s
    db.set_progress_handler(lambda: clock.monotonic() > until, _STEPS_BETWEEN_LOOKS)
    apsw.hard_heap_limit(_HEAP_BYTES)
    try:
        return _fetch(db, sql, limit)
    except apsw.AuthError as error:
        raise BadInputError(
            f"refused: {guard.refused or error}; query only reads", hint="llamaagent query 'SELECT ...'"
        ) from error
    except apsw.InterruptError as error:
        raise BadInputError(f"stopped after {timeout_s:g} s", hint="--timeout gives it longer") from error
    except apsw.SQLError as error:
        raise BadInputError(f"{error}{_place(sql, getattr(error, 'error_offset', -1))}") from error
    except (apsw.TooBigError, apsw.MismatchError, apsw.RangeError, apsw.BindingsError) as error:
        raise BadInputError(str(error)) from error
    except (apsw.NoMemError, MemoryError) as error:
        raise BadInputError(f"it needs more than {_HEAP_BYTES >> 20} MiB of memory") from error
    except UnicodeDecodeError as error:
        raise BadInputError("the answer holds text that is not UTF-8; wrap it in hex()") from error
    finally:
        apsw.hard_heap_limit(0)
        db.set_progress_handler(None)


def _guarded(db: Connection) -> _Guard:
    db.pragma("temp_store", "MEMORY")
    for which, most in _LIMITS:
        db.limit(which, most)
    guard = _Guard()
    db.authorizer = guard
    return guard


def _fetch(db: Connection, sql: str, limit: int) -> Answer:
    cursor = db.cursor()
    names: list[tuple[str, ...]] = []
    cursor.exec_trace = _noting(names)
    cursor.execute(sql)
    columns = unique(names[0]) if names else ()
    rows: list[dict[str, SQLiteValue]] = []
    size = 0
    for row in cursor:
        if len(rows) == limit:
            cursor.close(True)
            return Answer(columns, tuple(rows), True)
        size += sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
        if size > _ANSWER_BYTES:
            raise BadInputError(f"the answer is larger than {_ANSWER_BYTES >> 20} MiB")
        rows.append(dict(zip(columns, map(_plain, row), strict=True)))
    return Answer(columns, tuple(rows), False)


def _noting(names: list[tuple[str, ...]]) -> Callable[[apsw.Cursor, str, object], bool]:
    """Is called before each statement of a text: notes the columns of the first, and the second is one too many."""

    def trace(cursor: apsw.Cursor, text: str, _bindings: object) -> bool:
        if names:
            raise BadInputError(f"one statement at a time; the second begins with {text.strip()[:40]!r}")
        names.append(tuple(str(column[0]) for column in cursor.get_description()))
        return True

    return trace


def unique(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that can be keys: the second `a` becomes `a_2`.

    >>> unique(("a", "b", "a", "a_2"))
    ('a', 'b', 'a_3', 'a_2')
    """
    taken = set(names)
    made: list[str] = []
    for name in names:
        word, number = name, 1
        while word in made or (number > 1 and word in taken):
            number += 1
            word = f"{name}_{number}"
        made.append(word)
    return tuple(made)


def _plain(value: SQLiteValue) -> SQLiteValue:
    """A value that every format can carry: a blob as its literal, an infinite number as a word."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float) and value in {float("inf"), float("-inf")}:
        return str(value)
    return value


def _place(sql: str, offset: int) -> str:
    """The line of the statement with a mark below the place; offset in bytes of UTF-8, negative = unknown."""
    if offset < 0:
        return ""
    before = sql.encode()[:offset].decode("utf-8", "replace")
    start = before.rfind("\n") + 1
    end = sql.find("\n", len(before))
    line = sql[start : len(sql) if end < 0 else end]
    number, column = before.count("\n") + 1, len(before) - start
    return f" (line {number}, column {column + 1})\n  {line}\n  {' ' * column}^"
