"""All profile files of a site to profiles, and what only shows when they are seen together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.config.bases import Bases
from llamaagent.config.check import Checker
from llamaagent.config.declare import Declared, declare, stem_of
from llamaagent.config.files import FolderState
from llamaagent.config.merge import without_nulls
from llamaagent.config.node import Faults, Mark
from llamaagent.config.schema import NAME_PATTERN, PROFILE
from llamaagent.config.yamltext import parse_documents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.config.files import Places
    from llamaagent.config.offered import Offered
    from llamaagent.config.settings import LoadedSettings


class LoadedProfiles(NamedTuple):
    """Every document found, whatever its host, and the places that were looked at."""

    declared: tuple[Declared, ...]
    folders: tuple[FolderState, ...]
    broken_files: tuple[str, ...]  # may declare more than is known of them


def load_profiles(
    paths: Iterable[str], site: LoadedSettings, places: Places, offered: Offered, faults: Faults
) -> LoadedProfiles:
    """Read folders and files; every fault of every file is noted, and none hides another."""
    bases = Bases(places, site, offered)
    declared: list[Declared] = []
    folders: list[FolderState] = []
    broken: list[str] = []
    seen: set[str] = set()
    for path in paths:
        state = _look(path, bases, faults)
        folders.append(state)
        for file in state.files:
            if file in seen:
                continue
            seen.add(file)
            found = Faults()
            declared += _read(file, site, bases, found)
            if found.broken:
                broken.append(file)
            faults.extend(found)
    declared = _refuse_clashes(declared)
    for one in declared:
        faults.extend(one.faults, one.name)
    valid = [one.mark.file for one in declared if one.profile is not None]
    counted = [state._replace(valid_count=sum(file in state.files for file in valid)) for state in folders]
    broken += [one.mark.file for one in declared if one.profile is None]
    return LoadedProfiles(tuple(declared), tuple(counted), tuple(sorted(set(broken))))


def applies(hosts: Iterable[str], host: str) -> bool:
    """Does a profile with these host patterns run on this host? None at all means everywhere."""
    from fnmatch import fnmatchcase

    patterns = list(hosts)
    return not patterns or any(fnmatchcase(host, pattern) for pattern in patterns)


def _look(path: str, bases: Bases, faults: Faults) -> FolderState:
    """The profile files of a folder, or the file itself; bases are checked on the way."""
    mark = Mark(path, 1, 1)
    if os.path.isfile(path):
        return FolderState(path, True, (path,))
    names, error = bases.places.list_folder(path)
    if error is not None:
        faults.add(mark, f"cannot read {path}: {error}")
        return FolderState(path, False, error=error)
    for name in names:
        if name.startswith("_"):
            _check_base(os.path.join(path, name), bases, faults)
    return FolderState(
        path, True, tuple(os.path.join(path, name) for name in names if not name.startswith("_"))
    )


def _check_base(path: str, bases: Bases, faults: Faults) -> None:
    """A base that nobody extends is checked all the same."""
    node = bases.file(path, Mark(path, 1, 1, "base"), faults)
    if node is not None:
        Checker(faults, bases.places, bases.catalogue_for(node, faults)).entries(
            without_nulls(node), PROFILE, "profile"
        )


def _read(file: str, site: LoadedSettings, bases: Bases, faults: Faults) -> list[Declared]:
    start = Mark(file, 1, 1)
    data = bases.places.read(file, start, faults)
    documents = [] if data is None else parse_documents(data, file, faults)
    if documents:
        return [declare(document, file, len(documents) == 1, site, bases) for document in documents]
    if not faults.broken:
        faults.add(start, "the file declares nothing; remove it, or write a profile into it")
    import re

    name = stem_of(file)
    return [Declared(name if re.fullmatch(NAME_PATTERN, name) else None, start, None, None, Faults())]


def _refuse_clashes(declared: list[Declared]) -> list[Declared]:
    """Two of one name, or on one fixed port of one host: neither is taken, nobody can say which is meant."""
    refused: set[int] = set()
    by_name: dict[str, list[int]] = {}
    by_port: dict[int, list[int]] = {}
    for index, one in enumerate(declared):
        if one.name is not None:
            by_name.setdefault(one.name, []).append(index)
        port = _fixed_port(one)
        if port is not None:
            by_port.setdefault(port, []).append(index)
    for name, indexes in by_name.items():
        for index, other in _pairs(indexes, declared):
            refused |= {index, other}
            _note(declared, index, other, ("name",), f"name {name!r} is used twice, also")
    for port, indexes in by_port.items():
        for index, other in _pairs(indexes, declared):
            if declared[index].name != declared[other].name:
                refused |= {index, other}
                _note(declared, index, other, ("listen", "port"), f"port {port} is fixed twice, also")
    return [one._replace(profile=None) if index in refused else one for index, one in enumerate(declared)]


def _note(declared: list[Declared], index: int, other: int, keys: tuple[str, ...], text: str) -> None:
    here, there = declared[index], declared[other]
    where = there.mark_of(*keys)
    name = f" for {there.name!r}" if "port" in keys else ""
    here.faults.add(here.mark_of(*keys), f"{text}{name} at {where.file}:{where.line}")


def _pairs(indexes: list[int], declared: list[Declared]) -> list[tuple[int, int]]:
    """(later, the first earlier one) of those that can meet on one host."""
    out = []
    for position, later in enumerate(indexes):
        rivals = (one for one in indexes[:position] if _share_host(declared[later], declared[one]))
        first = next(rivals, None)
        if first is not None:
            out.append((later, first))
    return out


def _fixed_port(one: Declared) -> int | None:
    if one.profile is None:
        return None
    external = one.profile.runtime.kind == "external"
    return one.profile.runtime.port if external else one.profile.listen.port


def _share_host(one: Declared, other: Declared) -> bool:
    """May both apply to one host? Yes when that cannot be excluded."""
    if one.profile is None or other.profile is None:
        return True
    ours, theirs = one.profile.hosts, other.profile.hosts
    if not ours or not theirs:
        return True
    return any(applies([a], b) or applies([b], a) for a in ours for b in theirs)
