"""Two readings of the cards within one second: the clock does not tell them apart, the database must."""

from pathlib import Path

from apsw import Connection

from llamaagent.domain.sample import GpuSample
from llamaagent.store.connect import open_database
from llamaagent.store.samples import SampleStore

A = GpuSample("GPU-aaaa", 0, "A", memory_used_mib=100, temperature_celsius=40)
B = GpuSample("GPU-bbbb", 1, "B", memory_used_mib=200, temperature_celsius=41)


def read(db: Connection, *cards: GpuSample) -> None:
    with db:
        SampleStore(db).add_gpus(cards, (), "boot", 1000)


def states(db: Connection) -> dict[object, object]:
    return dict(db.execute("SELECT uuid, status FROM gpus"))  # type: ignore[arg-type]


def test_a_card_that_goes_in_the_same_second_is_gone(tmp_path: Path) -> None:
    with open_database(str(tmp_path / "x.db")) as db:
        read(db, A, B)
        read(db, A)
        assert states(db) == {"GPU-aaaa": "present", "GPU-bbbb": "gone"}
        read(db, A, B)
        assert states(db) == {"GPU-aaaa": "present", "GPU-bbbb": "present"}


def test_the_later_of_two_samples_of_a_second_is_kept(tmp_path: Path) -> None:
    with open_database(str(tmp_path / "x.db")) as db:
        read(db, A, B)
        read(db, A._replace(memory_used_mib=3500, temperature_celsius=None), B)
        found = db.execute(
            "SELECT g.uuid, s.memory_used_mib, s.temperature_celsius FROM gpu_samples AS s"
            " JOIN gpus AS g ON g.id = s.gpu_id ORDER BY g.uuid"
        )
        assert list(found) == [("GPU-aaaa", 3500, None), ("GPU-bbbb", 200, 41)]
