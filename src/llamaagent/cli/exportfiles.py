"""One table to one file, in one of four formats, row by row: memory stays flat, and the file is whole or not there."""

from __future__ import annotations

import json
import math
import os
from contextlib import contextmanager, suppress

from llamaagent.base.errors import CannotCreateError, UsageError
from llamaagent.cli.output import csv_cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO, Any

    from llamaagent.store.dump import Column

    Rows = Iterable[tuple[Any, ...]]

_BATCH = 10_000
_NO_SPACE = frozenset(
    {27, 28, 122, 5}
)  # EFBIG, ENOSPC, EDQUOT, EIO: the disk's fault, told by their own code


@contextmanager
def whole_file(path: str) -> Iterator[IO[bytes]]:
    """A new private file that takes the place of the one at path when the block ends well; else that one stays."""
    part = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
    try:
        with suppress(FileNotFoundError):  # of an export that was killed
            os.unlink(part)
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(fd)
        os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(part)
        if isinstance(error, OSError) and error.errno not in _NO_SPACE:
            raise CannotCreateError(f"cannot write {path}: {error.strerror}") from error
        raise


def write_csv(file: IO[bytes], columns: tuple[Column, ...], rows: Rows) -> int:
    """With a header. What a spreadsheet would take for a formula gets a quote in front; unknown is empty."""
    import csv
    import io

    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.name for column in columns])
    count = 0
    for row in rows:
        count += 1
        writer.writerow([csv_cell(plain(value)) for value in row])
    text.flush()
    text.detach()
    return count


def write_jsonl(file: IO[bytes], columns: tuple[Column, ...], rows: Rows) -> int:
    """One object a line; unknown is null."""
    names = [column.name for column in columns]
    count = 0
    for row in rows:
        count += 1
        thing = dict(zip(names, map(plain, row), strict=True))
        file.write(json.dumps(thing, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return count


def write_parquet(file: IO[bytes], columns: tuple[Column, ...], rows: Rows) -> int:
    """Types as declared, zstd, one row group for each ten thousand rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"INTEGER": pa.int64(), "REAL": pa.float64(), "BLOB": pa.binary()}
    schema = pa.schema([(c.name, kinds.get(c.type, pa.string())) for c in columns])
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            count += len(batch)
            arrays = [
                pa.array(cells, field.type)
                for cells, field in zip(zip(*batch, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return count


def need_pyarrow() -> None:
    """Raises UsageError when the library of the extra `parquet` is not installed."""
    try:
        import pyarrow as _  # noqa: F401, ICN001 - only to see whether it is there
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow", hint="pip install 'llamaagent[parquet]'") from error


def write_inserts(file: IO[bytes], head: str, literal: Callable[[Any], str], rows: Rows) -> int:
    """INSERT statements, one a line where no value has a line end."""
    count = 0
    for row in rows:
        count += 1
        text = f"{head}{', '.join(map(literal, row))});\n"
        file.write(text.encode("utf-8", "surrogatepass"))
    return count


def plain(value: Any) -> Any:
    """What every text format can carry: a blob as its literal, an infinite number as a word.

    >>> plain(bytes([1])), plain(float("inf")), plain("a")
    ("x'01'", 'inf', 'a')
    """
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _batches(rows: Rows) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
