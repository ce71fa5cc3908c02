"""What workers told of DICOM files, kept in SQLite by real path, size, time and inode.

It is a cache: whatever is wrong with its file, another takes its place. Every method blocks, and
may be called from any thread, by one at a time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from imgd.core.conditional import FileFacts
from imgd.dicom.index_file import IndexFile, one
from imgd.dicom.model import IndexedInstance, IndexEntry, NotIndexed
from imgd.files.dicom_survey import SurveyedFile
from imgd.files.disk import is_below
from imgd.host.workers import JobProgress
from imgd.pictures.instances import Broken, Indexed, Instance

FORMAT: Final = b"1"  # of the tables
_DAY: Final = 86400
_CHUNK: Final = 500  # rows of one SELECT
_FOLDER: Final = """
INSERT INTO folders (path, used_at) VALUES (?, ?)
ON CONFLICT (path) DO UPDATE SET used_at = max(used_at, excluded.used_at) RETURNING id
"""
_PUT: Final = """
INSERT INTO files (folder, name, size, mtime_ns, inode, summary, why) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (folder, name) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
    inode = excluded.inode, summary = excluded.summary, why = excluded.why
RETURNING id
"""
_ROWS: Final = "SELECT id, name, size, mtime_ns, inode, summary, why FROM files WHERE folder = ?"

StoredFile = tuple[SurveyedFile, Indexed]


class RecordsMissing(Exception):
    """Instances of which nothing is stored (any more)."""

    def __init__(self, instances: Sequence[IndexedInstance]) -> None:
        super().__init__(len(instances))
        self.instances = instances


class _Summary(msgspec.Struct, array_like=True):
    """What memory keeps of an instance, but for its file."""

    study: str
    series: str
    uid: str
    sop_class: str
    syntax: str
    modality: str
    number: int | None
    frames: int
    rows: int
    columns: int
    offset: int
    length: int
    series_number: int | None


_NO_SENSE: Final = (msgspec.MsgspecError, ValueError, TypeError)  # what rows may raise
_summaries: Final = msgspec.msgpack.Decoder(_Summary)
_records: Final = msgspec.json.Decoder(Instance)


class IndexStore:
    """A file at ``path``, made when it is first needed.

    ``version`` is of what is stored: rows of another are dropped. ``wall`` gives seconds since the
    epoch. Every method raises StoreLost if the file fails; Unavailable if no other can be made.
    """

    def __init__(
        self, path: str, version: bytes = b"", wall: Callable[[], float] = time.time
    ) -> None:
        self.version = FORMAT + b" " + version
        self._file = IndexFile(path, self.version, wall)
        self._wall = wall
        self._texts: dict[str, str] = {}  # UIDs and modalities that many instances share

    def find(
        self, root: str, surveyed: Sequence[SurveyedFile], progress: JobProgress
    ) -> dict[str, IndexEntry]:
        """What is stored of these files as they are now, by name, and nothing of those that are in
        the same folders below ``root`` no more.
        """
        by_folder: dict[str, dict[str, list[SurveyedFile]]] = {}
        for file in surveyed:
            folder, last = os.path.split(file.real)
            by_folder.setdefault(folder, {}).setdefault(last, []).append(file)
        found: dict[str, IndexEntry] = {}
        with self._file.used() as connection:
            for folder, files in by_folder.items():
                gone = self._find_in(connection, folder, files, found, progress)
                if is_below(folder, root):
                    _delete(connection, gone)
        return found

    def _find_in(
        self,
        connection: sqlite3.Connection,
        folder: str,
        files: dict[str, list[SurveyedFile]],
        found: dict[str, IndexEntry],
        progress: JobProgress,
    ) -> list[int]:
        """Add what is stored of a folder's files to ``found``; the rows of those that are gone."""
        [row] = one(connection, _FOLDER, (os.fsencode(folder), self._today()))
        gone = []
        for number, name, *facts, summary, why in connection.execute(_ROWS, (row,)):
            progress.step()
            same_name = files.get(os.fsdecode(name), []) if isinstance(name, bytes) else []
            if not same_name:
                gone.append(number)
            for file in same_name:
                if tuple(facts) == _key(file.facts):
                    with suppress(*_NO_SENSE):  # as if it were not stored
                        found[file.name] = self._entry(file, number, summary, why)
        return gone

    def _entry(self, file: SurveyedFile, row: int, summary: bytes | None, why: str) -> IndexEntry:
        if summary is None:
            return NotIndexed(file.facts, str(why))
        known = _summaries.decode(summary)
        shared = self._texts.setdefault
        return IndexedInstance(
            names=tuple(file.name.split("/")),
            facts=file.facts,
            row=row,
            study=shared(known.study, known.study),
            series=shared(known.series, known.series),
            uid=known.uid,
            sop_class=shared(known.sop_class, known.sop_class),
            syntax=shared(known.syntax, known.syntax),
            modality=shared(known.modality, known.modality),
            number=known.number,
            frames=known.frames,
            rows=known.rows,
            columns=known.columns,
            offset=known.offset,
            length=known.length,
            series_number=known.series_number,
        )

    def put(self, files: Iterable[StoredFile]) -> dict[str, IndexEntry]:
        """Store what a worker told of each file; the same as :meth:`find` gives it later."""
        entries = {}
        with self._file.used() as connection:
            for file, told in files:
                summary, why = _told(told)
                folder, name = os.path.split(file.real)
                [folder_row] = one(connection, _FOLDER, (os.fsencode(folder), self._today()))
                values = folder_row, os.fsencode(name), *_key(file.facts), summary, why
                [row] = one(connection, _PUT, values)
                connection.execute("DELETE FROM records WHERE id = ?", (row,))
                if isinstance(told, Instance):
                    record = msgspec.json.encode(told)
                    connection.execute("INSERT INTO records VALUES (?, ?)", (row, record))
                entries[file.name] = self._entry(file, row, summary, why or "")
        return entries

    def records(self, instances: Sequence[IndexedInstance]) -> list[Instance]:
        """What is stored of each; RecordsMissing."""
        with self._file.used() as connection:
            stored = dict(_read_records(connection, [instance.row for instance in instances]))
            records = [_record(instance, stored.get(instance.row)) for instance in instances]
            missing = [i for i, record in zip(instances, records, strict=True) if record is None]
            _delete(connection, [instance.row for instance in missing])
        if missing:
            raise RecordsMissing(missing)
        return [record for record in records if record is not None]

    def drop_old(self) -> None:
        """Drop what is of another version, or unused, if there is a file."""
        self._file.drop_old()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _today(self) -> int:
        """To the day, so that a folder that is asked for again and again is not written again."""
        return int(self._wall()) // _DAY * _DAY


def _delete(connection: sqlite3.Connection, rows: Iterable[int]) -> None:
    connection.executemany("DELETE FROM files WHERE id = ?", ((row,) for row in rows))


def _key(facts: FileFacts) -> tuple[int, int, int]:
    """SQLite's integers have a sign and 64 bits; an inode's number may have all of them."""
    return facts.size, facts.mtime_ns, facts.inode & 0x7FFF_FFFF_FFFF_FFFF


def _told(told: Indexed) -> tuple[bytes | None, str | None]:
    """The summary of an instance, or why it is none."""
    if not isinstance(told, Instance):
        return None, told.why if isinstance(told, Broken) else ""
    is_native = told.pixels is not None and not told.pixels.fragments
    return (
        msgspec.msgpack.encode(
            _Summary(
                study=told.study,
                series=told.series,
                uid=told.uid,
                sop_class=told.sop_class,
                syntax=told.syntax,
                modality=told.modality,
                number=told.number,
                frames=told.frames,
                rows=told.rows,
                columns=told.columns,
                offset=told.pixels.offset if told.pixels and is_native else 0,
                length=told.pixels.length if told.pixels and is_native else 0,
                series_number=told.series_number,
            )
        ),
        None,
    )


def _read_records(
    connection: sqlite3.Connection, rows: Sequence[int]
) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        marks = ",".join("?" * len(some))
        yield from connection.execute(f"SELECT * FROM records WHERE id IN ({marks})", some)  # noqa: S608 (marks)


def _record(instance: IndexedInstance, stored: bytes | None) -> Instance | None:
    """None if it is missing, or of another file."""
    if stored is None:
        return None
    try:
        record = _records.decode(stored)
    except _NO_SENSE:
        return None
    same = (record.study, record.series, record.uid)
    return record if same == (instance.study, instance.series, instance.uid) else None
