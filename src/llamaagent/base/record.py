"""`NamedTuple` at a tenth of the price of typing's, for records on the path of an idle pass.

typing.NamedTuple compiles every annotation of every field and pulls in `typing` and `re`;
collections.namedtuple compiles a constructor for each class. With some eighty records either is more than the
rest of a pass. Here nothing is compiled. Type checkers are told that this is typing's own, and a test holds
the two to the same behaviour.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from _collections import _tuplegetter

    _OWN = frozenset({"__new__", "__init__", "__slots__", "__getnewargs__", "_make", "_replace", "_asdict"})

    def _complete(cls, args, given):
        """All values in order, from positional and named ones and the defaults."""
        fields, defaults = cls._fields, cls._field_defaults
        if len(args) > len(fields):
            raise TypeError(f"{cls.__name__} takes {len(fields)} values but {len(args)} were given")
        values = list(args)
        for field in fields[len(args) :]:
            if field in given:
                values.append(given.pop(field))
            elif field in defaults:
                values.append(defaults[field])
            else:
                raise TypeError(f"{cls.__name__} is missing {field!r}")
        if given:
            raise TypeError(f"{cls.__name__} has no field {next(iter(given))!r}, or it was given twice")
        return values

    class _Maker(type):
        """Turns a class body of annotated fields into a tuple class with the body's methods."""

        def __new__(cls, name, bases, body):
            if "_record_base" in body:
                return super().__new__(cls, name, bases, body)
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body.pop(field) for field in fields if field in body}
            if fields[len(fields) - len(defaults) :] != tuple(defaults):
                raise TypeError(f"{name}: a field without a default follows one with a default")
            if not _OWN.isdisjoint(body):
                raise AttributeError(f"{name}: a record cannot define {', '.join(_OWN & body.keys())}")
            body |= {
                "__slots__": (),
                "_fields": fields,
                "_field_defaults": defaults,
                "__match_args__": fields,
            }
            for index, field in enumerate(fields):
                body[field] = _tuplegetter(index, None)
            return super().__new__(cls, name, (_Record,), body)

    class _Record(tuple, metaclass=_Maker):
        """What every record can do."""

        __slots__ = ()
        _record_base = True
        _fields = ()
        _field_defaults = {}  # noqa: RUF012 - each record has its own

        def __new__(cls, /, *args, **given):
            if given or len(args) != len(cls._fields):
                args = _complete(cls, args, given)
            return tuple.__new__(cls, args)

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, /, **given):
            values = [given.pop(field, value) for field, value in zip(self._fields, self, strict=True)]
            if given:
                raise ValueError(f"{type(self).__name__} has no field {next(iter(given))!r}")
            return tuple.__new__(type(self), values)

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            shown = ", ".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({shown})"

    class NamedTuple(metaclass=_Maker):
        """Base of records: fields by annotation, defaults by assignment."""

        _record_base = True


__all__ = ["NamedTuple"]
