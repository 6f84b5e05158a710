"""The files of a study to its instances: identical copies dropped, conflicting ones named. Pure.

The result does not depend on file names, folders or the order of reading, but for the one file that stands for several
identical ones.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from tasks.header import DIGEST_BYTES
from tasks.instance import FileIssue, Instance, StudyInstances


class Copy(NamedTuple):
    """One file of one SOP instance."""

    instance: Instance
    full_digest: (
        bytes | None
    )  # of all its bytes, where it had to be told from another file of equal content digest
    is_vanished: bool


def assemble(study_uid: str, copies: list[Copy], issues: list[FileIssue]) -> StudyInstances:
    """One study from all its files."""
    # One UID in two series is a conflict in both, and no slice of either: nothing is lost from one without a word.
    by_uids: dict[tuple[str, str], list[Copy]] = {}
    series_of: dict[str, set[str]] = {}
    for copy in copies:
        sop_uid, series_uid = copy.instance.sop_instance_uid, copy.instance.series_instance_uid
        by_uids.setdefault((sop_uid, series_uid), []).append(copy)
        series_of.setdefault(sop_uid, set()).add(series_uid)
    instances, conflicts, there = [], set(), set()
    dropped: Counter[str] = Counter()
    for (sop_uid, series_uid), same in by_uids.items():
        instance, n_contents = _one_of(same)
        instances.append(instance)
        if n_contents > 1 or len(series_of[sop_uid]) > 1:
            conflicts.add(sop_uid)
        dropped[series_uid] += len(same) - n_contents
        if not all(copy.is_vanished for copy in same):
            there.add(sop_uid)
    # A broken file of an instance that is there in full does no harm; it only counts as a file.
    unmatched = [each for each in issues if each.sop_instance_uid not in there]
    instances.sort(key=lambda each: (each.series_instance_uid, each.sop_instance_uid))
    return StudyInstances(
        study_instance_uid=study_uid,
        instances=tuple(instances),
        n_files=len(copies) + len(issues),
        duplicates=dropped.total(),
        conflicts=frozenset(conflicts),
        issues=tuple(sorted(unmatched, key=lambda each: (each.file.path, each.file.member or b""))),
        duplicates_by_series=tuple(sorted((uid, n) for uid, n in dropped.items() if n)),
        vanished=frozenset(series_of.keys() - there),
    )


def _one_of(same: list[Copy]) -> tuple[Instance, int]:
    """(the instance that stands for all, number of different contents)."""
    if len(same) == 1:
        return same[0].instance, 1
    compared = {copy.instance.content_digest: copy.full_digest for copy in same if copy.full_digest}
    contents = {_contents(copy, compared) for copy in same}
    first = min(same, key=lambda copy: (copy.is_vanished, _contents(copy, compared), _place(copy)))
    if len(contents) == 1:
        return first.instance, 1
    # The digest names all contents, so that the revision changes when the conflict is resolved.
    digest = hashlib.blake2b(b"".join(_names(contents)), digest_size=DIGEST_BYTES).hexdigest()
    return replace(first.instance, content_digest=digest), len(contents)


def _names(contents: set[bytes]) -> list[bytes]:
    """What names the contents of a conflict, sorted: their content digests, and more only where two share one.

    Full digests are kept of files that were once compared with another: they must not say so.
    """
    shared = Counter(each[:DIGEST_BYTES] for each in contents)
    return sorted(each if shared[each[:DIGEST_BYTES]] > 1 else each[:DIGEST_BYTES] for each in contents)


def _contents(copy: Copy, compared: dict[str, bytes]) -> bytes:
    """What tells contents apart. A file that could not be compared counts as one that could (equal digests)."""
    digest = copy.instance.content_digest
    return bytes.fromhex(digest) + (copy.full_digest or compared.get(digest, b""))


def _place(copy: Copy) -> tuple[bytes, bytes]:
    return copy.instance.file.path, copy.instance.file.member or b""
