"""Instances as rows of the index: what a series shares is stored once, the rest per instance. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from tasks.instance import FileIssue, FileRef, FramePlane, Instance

# Fields that differ from slice to slice. All others but the file, the digest and the UIDs are shared by a series.
OWN = (
    "acquisition_number",
    "instance_number",
    "temporal_position",
    "slope",
    "intercept",
    "pixel_offset",
    "pixel_length",
    "position_mm",
    "frames",
    "remarks",
)
_APART = ("file", "content_digest", "sop_instance_uid", "study_instance_uid")
COMMON = tuple(each.name for each in fields(Instance) if each.name not in (*OWN, *_APART))
_ORDER = tuple(each.name for each in fields(Instance))
_own_values, _common_values = attrgetter(*OWN), attrgetter(*COMMON)
_PLANE_FIELDS = tuple(each.name for each in fields(FramePlane))
_plane_values = attrgetter(*_PLANE_FIELDS)
_FRAMES = OWN.index("frames")


def encode(instance: Instance) -> tuple[bytes, str, str]:
    """(digest of the common values, common values as JSON, own values as JSON)."""
    own = _own_values(instance)
    if instance.frames is not None:
        planes = [_plane_values(each) for each in instance.frames]
        own = (*own[:_FRAMES], planes, *own[_FRAMES + 1 :])
    digest, common = _common_json(_common_values(instance))
    return digest, common, json.dumps(own, separators=(",", ":"))


@lru_cache(1024)
def _common_json(values: tuple[Any, ...]) -> tuple[bytes, str]:
    common = json.dumps(values, separators=(",", ":"))
    return hashlib.blake2b(common.encode(), digest_size=12).digest(), common


def decode(file: FileRef, digest: str, *, sop_uid: str, study_uid: str, common: str, own: str) -> Instance:
    """The instance again, equal in every field."""
    values: dict[str, Any] = dict(zip(COMMON, _common_of(common), strict=True))
    values.update(zip(OWN, map(_tuple, json.loads(own)), strict=True))
    if values["frames"] is not None:
        values["frames"] = tuple(FramePlane(*each) for each in values["frames"])
    values |= {
        "file": file,
        "content_digest": digest,
        "sop_instance_uid": sop_uid,
        "study_instance_uid": study_uid,
    }
    return Instance(*[values[name] for name in _ORDER])


@lru_cache(1024)
def _common_of(common: str) -> tuple[Any, ...]:
    return tuple(map(_tuple, json.loads(common)))


def _tuple(value: Any) -> Any:
    """JSON lists are tuples in our records."""
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def encode_issue(issue: FileIssue) -> str:
    """A broken file that names its series."""
    return json.dumps([issue.outcome, issue.reason, issue.detail, issue.series_instance_uid])


def decode_issue(file: FileRef, sop_uid: str, study_uid: str, own: str) -> FileIssue:
    """The issue again."""
    outcome, reason, detail, series_uid = json.loads(own)
    return FileIssue(file, outcome, reason, detail, study_uid, series_uid, sop_uid or None)
