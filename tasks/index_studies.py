"""One partition of the index: studies, and the instances that were read of them, in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from tasks.index_codec import decode, decode_issue, encode, encode_issue
from tasks.index_copies import Copy, assemble
from tasks.instance import FileIssue, FileRef, Instance, StudyInstances, StudyTicket
from tasks.sources.base import join, split

TICKETS_PER_READ = 500
COMMONS_KEPT = 4096  # ids of common values held in memory, per partition


class Stored(NamedTuple):
    """Where the index keeps an instance."""

    part: int
    instance_id: int


def connect(path: Path, schema: str, synchronous: str, version: int) -> sqlite3.Connection:
    """Open or make one file of the index. Rows survive a killed process; FULL ones survive a power cut too.

    Raises sqlite3.DatabaseError for a damaged file, or one of another version.
    """
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        is_new = not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        if found != version and not is_new:
            raise sqlite3.DatabaseError("an index of another version")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA cache_size = -4096")  # kB
        connection.execute(f"PRAGMA user_version = {version}")
        connection.executescript(files("tasks").joinpath(schema).read_text())
    except BaseException:
        connection.close()
        raise
    return connection


class StudyPartition:
    """Writes happen between `begin` and `commit`."""

    def __init__(self, path: Path, part: int, committed_flush: int, version: int = 0) -> None:
        self.part = part
        self.sql = connect(path, "index_studies.sql", "FULL", version)
        self._study_ids: dict[str, int] = {}  # of this flush
        self._place_ids: dict[bytes, int] = {}
        self._series_ids: dict[tuple[int, str], int] = {}
        self._new_files: Counter[tuple[int, int]] = Counter()  # (study, series) → files added by this flush
        self._new_bytes: Counter[int] = Counter()
        self._common_ids: dict[bytes, int] = {}
        self._recover(committed_flush)

    def close(self) -> None:
        self.sql.close()

    # ---- writing

    def begin(self, flush: int) -> None:
        """Open a transaction that `_recover` can take back, should the files' own never be committed."""
        self.sql.execute("BEGIN IMMEDIATE")
        next_id = self.sql.execute("SELECT coalesce(max(instance_id), 0) + 1 FROM instances").fetchone()[0]
        self.sql.execute("DELETE FROM journal")
        self.sql.execute("INSERT INTO journal VALUES (?, ?)", (flush, next_id))

    def commit(self) -> None:
        self._count_added()
        self.sql.execute("COMMIT")
        self._study_ids.clear()
        self._place_ids.clear()
        self._series_ids.clear()
        if len(self._common_ids) > COMMONS_KEPT:
            self._common_ids.clear()

    def _recover(self, committed_flush: int) -> None:
        """Take back instances whose files were never recorded: the crawl will read those files again."""
        row = self.sql.execute("SELECT flush, first_instance_id FROM journal").fetchone()
        if row is None or row[0] <= committed_flush:
            return
        self.sql.execute("BEGIN IMMEDIATE")
        lost = self.sql.execute(
            "SELECT instance_id FROM instances WHERE instance_id >= ?", (row[1],)
        ).fetchall()
        for (instance_id,) in lost:
            self.remove(instance_id, 0)
        self.sql.execute("DELETE FROM journal")
        self.sql.execute("COMMIT")
        self._study_ids.clear()

    def add(self, found: Instance | FileIssue, wave: int) -> int:
        """Insert one instance, or one broken file of a known series; its study becomes dirty."""
        study_id = self._study_id(found.study_instance_uid or "", wave)
        series_id = self._series_id(study_id, found.series_instance_uid or "")
        digest: bytes | None = None
        common_id: int | None = None
        if isinstance(found, Instance):
            common_digest, common, own = encode(found)
            digest = bytes.fromhex(found.content_digest)
            common_id = self._common_id(common_digest, common)
        else:
            own = encode_issue(found)
        place, name, is_member = place_of(found.file)
        cursor = self.sql.execute(
            "INSERT INTO instances (study_id, series_id, sop_uid, place_id, name, is_member, size_bytes,"
            " mtime_ns, digest, common_id, own) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                study_id,
                series_id,
                found.sop_instance_uid or "",
                self._place_id(place),
                name,
                is_member,
                found.file.size_bytes,
                found.file.mtime_ns,
                digest,
                common_id,
                own,
            ),
        )
        self._new_files[study_id, series_id] += 1
        self._new_bytes[study_id] += found.file.size_bytes
        return int(cursor.lastrowid or 0)

    def _count_added(self) -> None:
        """Bring the counts of studies and series up to date with `add`."""
        self.sql.executemany(
            "UPDATE studies SET n_files = n_files + ?, n_bytes = n_bytes + ? WHERE study_id = ?",
            [(n, self._new_bytes.pop(study_id, 0), study_id) for (study_id, _), n in self._new_files.items()],
        )
        self.sql.executemany(
            "UPDATE series SET n_files = n_files + ? WHERE series_id = ?",
            [(n, series_id) for (_, series_id), n in self._new_files.items()],
        )
        self._new_files.clear()

    def refresh(self, instance_id: int, found: Instance | FileIssue) -> bool:
        """Take over the new time stamp of a file whose contents did not change. False: they did."""
        if not isinstance(found, Instance):
            return False
        row = self.sql.execute(
            "SELECT i.sop_uid, s.uid, i.digest, i.size_bytes FROM instances i JOIN studies s USING (study_id)"
            " WHERE instance_id = ?",
            (instance_id,),
        ).fetchone()
        same = (
            found.sop_instance_uid,
            found.study_instance_uid,
            bytes.fromhex(found.content_digest),
            found.file.size_bytes,
        )
        if row != same:
            return False
        # The middle of its pixels may differ all the same: a full digest is computed anew where one is needed.
        self.sql.execute(
            "UPDATE instances SET mtime_ns = ?, is_vanished = 0, full_digest = NULL, own = ?"
            " WHERE instance_id = ?",
            (found.file.mtime_ns, encode(found)[2], instance_id),
        )
        return True

    def remove(self, instance_id: int, wave: int) -> None:
        """Forget one file of a study; an emptied study goes with it."""
        self._count_added()
        row = self.sql.execute(
            "DELETE FROM instances WHERE instance_id = ? RETURNING study_id, series_id, size_bytes",
            (instance_id,),
        ).fetchone()
        if row is None:
            return
        study_id, series_id, size_bytes = row
        self.sql.execute(
            "UPDATE studies SET n_files = n_files - 1, n_bytes = n_bytes - ?, is_dirty = 1,"
            " touch = max(touch, ?) WHERE study_id = ?",
            (size_bytes, wave, study_id),
        )
        self.sql.execute("UPDATE series SET n_files = n_files - 1 WHERE series_id = ?", (series_id,))
        self.sql.execute("DELETE FROM series WHERE series_id = ? AND n_files = 0", (series_id,))
        self.sql.execute("DELETE FROM studies WHERE study_id = ? AND n_files = 0", (study_id,))
        self._study_ids.clear()
        self._series_ids.clear()

    def files_of(self, study_uid: str) -> list[tuple[int, FileRef]]:
        """Every file of a study, broken and vanished ones too."""
        rows = self.sql.execute(
            "SELECT i.instance_id, p.path, i.name, i.is_member, i.size_bytes, i.mtime_ns FROM instances i"
            " JOIN places p USING (place_id) JOIN studies s USING (study_id) WHERE s.uid = ?",
            (study_uid,),
        ).fetchall()
        return [(row[0], _file_of(*row[1:])) for row in rows]

    def erase(self, instance_ids: list[int]) -> None:
        """Remove instances so that nothing of them can be read from the file's free pages."""
        self.sql.execute("PRAGMA secure_delete = ON")
        self.sql.execute("BEGIN IMMEDIATE")
        for instance_id in instance_ids:
            self.remove(instance_id, 0)
        self.sql.execute(
            "DELETE FROM commons WHERE common_id NOT IN"
            " (SELECT common_id FROM instances WHERE common_id IS NOT NULL)"
        )
        self.sql.execute("COMMIT")
        self._common_ids.clear()
        self.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def set_vanished(self, instance_id: int, is_vanished: bool) -> None:
        """Whether the file has gone from the archive; its instance stays."""
        self.sql.execute(
            "UPDATE instances SET is_vanished = ? WHERE instance_id = ?", (is_vanished, instance_id)
        )

    def is_elsewhere(self, instance_id: int) -> bool:
        """Whether nothing is lost with this file: it was broken, or its instance is there a second time."""
        row = self.sql.execute(
            "SELECT study_id, sop_uid, common_id FROM instances WHERE instance_id = ?", (instance_id,)
        ).fetchone()
        if row is None or row[2] is None:
            return True
        others = self.sql.execute(
            "SELECT 1 FROM instances WHERE study_id = ? AND sop_uid = ? AND instance_id <> ?"
            " AND NOT is_vanished AND common_id IS NOT NULL LIMIT 1",
            (row[0], row[1], instance_id),
        )
        return others.fetchone() is not None

    def moved(self, study_uid: str) -> list[tuple[int, FileRef]]:
        """Vanished files of a study whose instance is there again under another name."""
        rows = self.sql.execute(
            "SELECT g.instance_id, p.path, g.name, g.is_member, g.size_bytes, g.mtime_ns FROM instances g"
            " JOIN places p USING (place_id) JOIN studies s USING (study_id) WHERE s.uid = ? AND g.is_vanished"
            " AND EXISTS (SELECT 1 FROM instances i WHERE i.study_id = g.study_id AND i.sop_uid = g.sop_uid"
            "   AND NOT i.is_vanished AND i.common_id IS NOT NULL)",
            (study_uid,),
        ).fetchall()
        return [(row[0], _file_of(*row[1:])) for row in rows]

    def restart(self, wave: int) -> None:
        """A new crawl: studies left open wait for a whole wave again, and may be handed out again."""
        self.sql.execute("UPDATE studies SET touch = ?, issued = -1 WHERE is_dirty", (wave,))

    def set_revision(self, ticket: StudyTicket, revision: str) -> None:
        """Store the revision; the study stays dirty when it was touched after the ticket was handed out."""
        self.sql.execute(
            "UPDATE studies SET revision = ?, is_dirty = (touch <> ?) WHERE uid = ?",
            (revision, ticket.touch, ticket.study_instance_uid),
        )

    # ---- reading

    def settled(self, before_wave: int | None, *, issue: bool) -> Iterator[list[StudyTicket]]:
        """Dirty studies not touched since `before_wave`, not yet handed out; `issue` hands them out."""
        last = (-1, -1)
        while True:
            rows = self.sql.execute(
                "SELECT study_id, touch, uid, revision, n_files, n_bytes FROM studies"
                " WHERE is_dirty AND issued < touch AND (? IS NULL OR touch < ?)"
                " AND (touch, study_id) > (?, ?) ORDER BY touch, study_id LIMIT ?",
                (before_wave, before_wave, *last, TICKETS_PER_READ),
            ).fetchall()
            if not rows:
                return
            last = (rows[-1][1], rows[-1][0])
            if issue:
                self.sql.executemany(
                    "UPDATE studies SET issued = touch WHERE study_id = ?", [(row[0],) for row in rows]
                )
            yield [StudyTicket(uid, rev, n, n_bytes, touch) for _, touch, uid, rev, n, n_bytes in rows]

    def tickets(self, batch: int) -> Iterator[list[StudyTicket]]:
        """All studies."""
        last = -1
        while True:
            rows = self.sql.execute(
                "SELECT study_id, uid, revision, n_files, n_bytes, touch FROM studies WHERE study_id > ?"
                " ORDER BY study_id LIMIT ?",
                (last, batch),
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [StudyTicket(*row[1:]) for row in rows]

    def twins(self, study_uid: str) -> list[tuple[int, FileRef]]:
        """Instances that share SOP UID and digest with another one, and are not fully compared yet."""
        rows = self.sql.execute(
            "SELECT i.instance_id, p.path, i.name, i.is_member, i.size_bytes, i.mtime_ns FROM instances i"
            " JOIN places p USING (place_id) WHERE i.full_digest IS NULL AND NOT i.is_vanished"
            " AND (i.study_id, i.sop_uid, i.digest) IN (SELECT study_id, sop_uid, digest FROM instances"
            "   WHERE study_id = (SELECT study_id FROM studies WHERE uid = ?) AND digest IS NOT NULL"
            "   GROUP BY sop_uid, digest HAVING count(*) > 1)",
            (study_uid,),
        ).fetchall()
        return [(row[0], _file_of(*row[1:])) for row in rows]

    def set_full_digest(self, instance_id: int, full_digest: bytes) -> None:
        self.sql.execute(
            "UPDATE instances SET full_digest = ? WHERE instance_id = ?", (full_digest, instance_id)
        )

    def instances_of(self, study_uid: str) -> StudyInstances:
        """Everything known of one study; KeyError where there is none."""
        rows = self.sql.execute(
            "SELECT i.sop_uid, p.path, i.name, i.is_member, i.size_bytes, i.mtime_ns, i.digest,"
            " i.full_digest, c.value, i.own, i.is_vanished FROM instances i JOIN studies s USING (study_id)"
            " JOIN places p USING (place_id) LEFT JOIN commons c USING (common_id) WHERE s.uid = ?",
            (study_uid,),
        ).fetchall()
        if not rows:
            raise KeyError("no such study")
        copies: list[Copy] = []
        issues: list[FileIssue] = []
        for sop_uid, *place, digest, full_digest, common, own, is_vanished in rows:
            file = _file_of(*place)
            if digest is None:
                issues.append(decode_issue(file, sop_uid, study_uid, own))
                continue
            instance = decode(
                file, digest.hex(), sop_uid=sop_uid, study_uid=study_uid, common=common, own=own
            )
            copies.append(Copy(instance, full_digest, bool(is_vanished)))
        return assemble(study_uid, copies, issues)

    def counts(self) -> tuple[int, int, int, int]:
        """(studies, series by UID, instances and broken files, vanished ones of them)."""
        row = self.sql.execute(
            "SELECT (SELECT count(*) FROM studies), (SELECT count(*) FROM series),"
            " (SELECT coalesce(sum(n_files), 0) FROM studies),"
            " (SELECT count(*) FROM instances WHERE is_vanished)"
        ).fetchone()
        return int(row[0]), int(row[1]), int(row[2]), int(row[3])

    # ---- ids

    def _study_id(self, uid: str, wave: int) -> int:
        known = self._study_ids.get(uid)
        if known is None:
            known = self.sql.execute(
                "INSERT INTO studies (uid, touch) VALUES (?, ?) ON CONFLICT (uid)"
                " DO UPDATE SET touch = excluded.touch, is_dirty = 1 RETURNING study_id",
                (uid, wave),
            ).fetchone()[0]
            self._study_ids[uid] = known
        return known

    def _series_id(self, study_id: int, uid: str) -> int:
        known = self._series_ids.get((study_id, uid))
        if known is None:
            key = (study_id, uid)
            self.sql.execute("INSERT OR IGNORE INTO series (study_id, uid) VALUES (?, ?)", key)
            known = self.sql.execute(
                "SELECT series_id FROM series WHERE study_id = ? AND uid = ?", key
            ).fetchone()[0]
            self._series_ids[key] = known
        return known

    def _place_id(self, path: bytes) -> int:
        known = self._place_ids.get(path)
        if known is None:
            self.sql.execute("INSERT OR IGNORE INTO places (path) VALUES (?)", (path,))
            known = self.sql.execute("SELECT place_id FROM places WHERE path = ?", (path,)).fetchone()[0]
            self._place_ids[path] = known
        return known

    def _common_id(self, digest: bytes, value: str) -> int:
        known = self._common_ids.get(digest)
        if known is None:
            self.sql.execute("INSERT OR IGNORE INTO commons (digest, value) VALUES (?, ?)", (digest, value))
            known = self.sql.execute("SELECT common_id FROM commons WHERE digest = ?", (digest,)).fetchone()[
                0
            ]
            self._common_ids[digest] = known
        return known


def place_of(file: FileRef) -> tuple[bytes, bytes, bool]:
    """(directory or zip, name or member, whether it is a member)."""
    if file.member is not None:
        return file.path, file.member, True
    return (*split(file.path), False)


def _file_of(place: bytes, name: bytes, is_member: int, size_bytes: int, mtime_ns: int) -> FileRef:
    if is_member:
        return FileRef(place, name, size_bytes, mtime_ns)
    return FileRef(join(place, name), None, size_bytes, mtime_ns)
