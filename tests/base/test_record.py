"""Our NamedTuple does what typing's does, for a fraction of its price."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from llamaagent.base.record import NamedTuple


class Ours(NamedTuple):
    """A record."""

    a: int
    b: str | None = None
    c: tuple[int, ...] = (1,)

    @property
    def twice(self) -> int:
        return 2 * self.a


class Theirs(typing.NamedTuple):
    """A record."""

    a: int
    b: str | None = None
    c: tuple[int, ...] = (1,)


CALLS = [
    ((1,), {}),
    ((1, "x"), {}),
    ((1, "x", (2, 3)), {}),
    ((), {"a": 4}),
    ((1,), {"c": ()}),
    ((), {"c": (), "a": 2, "b": None}),
]
WRONG = [((), {}), ((1, 2, 3, 4), {}), ((1,), {"a": 2}), ((1,), {"z": 2}), ((), {"b": "x"})]


@pytest.mark.parametrize(("args", "given"), CALLS)
def test_built_alike(args: tuple[object, ...], given: dict[str, object]) -> None:
    ours, theirs = Ours(*args, **given), Theirs(*args, **given)
    assert tuple(ours) == tuple(theirs)
    assert ours == theirs
    assert ours._asdict() == theirs._asdict()
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert hash(ours) == hash(theirs)
    assert ours.b == theirs.b


@pytest.mark.parametrize(("args", "given"), WRONG)
def test_refused_alike(args: tuple[object, ...], given: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Theirs(*args, **given)
    with pytest.raises(TypeError):
        Ours(*args, **given)


def test_replace_keeps_the_rest_and_refuses_unknown_fields() -> None:
    assert Ours(1, "x")._replace(b=None) == Ours(1)
    with pytest.raises(ValueError, match="no field 'z'"):
        Ours(1)._replace(z=1)


def test_methods_matching_copying_and_pickling_work() -> None:
    record = Ours(3, "y")
    assert record.twice == 6
    match record:
        case Ours(a=a, b=b):
            assert (a, b) == (3, "y")
    assert copy.deepcopy(record) == record
    assert pickle.loads(pickle.dumps(record)) == record
    assert Ours._make([1, "x", ()]) == Ours(1, "x", ())
    assert Ours._fields == Theirs._fields
    assert Ours._field_defaults == Theirs._field_defaults
    with pytest.raises(AttributeError):
        record.a = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        record.new = 1  # type: ignore[attr-defined]


def test_a_default_before_a_field_without_one_is_refused() -> None:
    with pytest.raises(TypeError, match="without a default"):

        class _Wrong(NamedTuple):
            a: int = 1
            b: int  # type: ignore[misc]
