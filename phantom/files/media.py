"""A medium as patients bring it: files under short names and a DICOMDIR (PS3.3 annex F, PS3.10 section 8)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from phantom.dicom import item_of
from phantom.files.dicom_bytes import encode_dataset, file_head

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
IN_USE = 0xFFFF
_ITEM = struct.pack("<HH", 0xFFFE, 0xE000)
# Within an encoded record: where the values of the next and of the lower record's offset stand.
_NEXT_AT, _LOWER_AT = 8 + 8, 8 + 12 + 10 + 8
_READ = (
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "CompletionFlag",
    "VerificationFlag",
    "ContentDate",
    "ContentTime",
    "ConceptNameCodeSequence",
)


@dataclass
class _Record:
    """One directory record with what hangs below it."""

    kind: str
    values: dict[str, Any]
    below: list[_Record] = field(default_factory=list)
    offset: int = 0
    raw: bytes = b""


def write_medium(target: Path, folders: Sequence[Path], tags: dict[str, Any], *, uid: str, name: str) -> None:
    """Move the files of every folder (one series each) to `target` and write its DICOMDIR.

    `tags` are those of patient and study, as they were written into the files.
    """
    study = _Record("STUDY", _chosen(tags, ("StudyDate", "StudyTime", "AccessionNumber", "StudyDescription")))
    study.values |= _chosen(tags, ("StudyInstanceUID", "StudyID"))
    for number, folder in enumerate(folders):
        study.below.append(_series(target, folder, number))
    patient = _Record("PATIENT", _chosen(tags, ("PatientName", "PatientID")), [study])
    for record in _all([patient]):
        record.values["SpecificCharacterSet"] = tags.get("SpecificCharacterSet")
    (target / "DICOMDIR").write_bytes(_directory(patient, uid, name))


def _chosen(tags: dict[str, Any], keywords: Iterable[str]) -> dict[str, Any]:
    return {keyword: tags.get(keyword) or "" for keyword in keywords}


def _series(target: Path, folder: Path, number: int) -> _Record:
    record = _Record("SERIES", {})
    for k, path in enumerate(sorted(folder.iterdir())):
        parts = ("DICOM", "PT000000", "ST000000", f"SE{number:06d}", f"IM{k:06d}")
        header = pydicom.dcmread(path, specific_tags=list(_READ), stop_before_pixels=True)
        record.below.append(_leaf(header, parts))
        record.values = {
            "Modality": header.Modality,
            "SeriesInstanceUID": header.SeriesInstanceUID,
            "SeriesNumber": header.get("SeriesNumber", ""),
        }
        moved = target.joinpath(*parts)
        moved.parent.mkdir(parents=True, exist_ok=True)
        path.rename(moved)
    return record


def _leaf(header: pydicom.FileDataset, parts: tuple[str, ...]) -> _Record:
    values: dict[str, Any] = {
        "ReferencedFileID": list(parts),
        "ReferencedSOPClassUIDInFile": header.SOPClassUID,
        "ReferencedSOPInstanceUIDInFile": header.SOPInstanceUID,
        "ReferencedTransferSyntaxUIDInFile": header.file_meta.TransferSyntaxUID,
        "InstanceNumber": header.get("InstanceNumber", 1),
    }
    if header.Modality != "SR":
        return _Record("IMAGE", values)
    return _Record("SR DOCUMENT", values | {word: header.get(word) for word in _READ[6:]})


def _all(records: Iterable[_Record]) -> list[_Record]:
    """Every record, each before those below it."""
    return [one for record in records for one in (record, *_all(record.below))]


def _encoded(record: _Record) -> bytes:
    head = item_of(OffsetOfTheNextDirectoryRecord=0, RecordInUseFlag=IN_USE)
    head.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    head.DirectoryRecordType = record.kind
    for keyword, value in record.values.items():
        if value is not None:
            setattr(head, keyword, value)
    body = encode_dataset(head, ExplicitVRLittleEndian)
    return _ITEM + struct.pack("<I", len(body)) + body


def _directory(patient: _Record, uid: str, name: str) -> bytes:
    head = file_head(MEDIA_DIRECTORY, uid, ExplicitVRLittleEndian)
    records = _all([patient])
    for record in records:
        record.raw = _encoded(record)
    length = sum(len(record.raw) for record in records)
    sequence = struct.pack("<HH2sHI", 4, 0x1220, b"SQ", 0, length)
    offset = len(head) + len(_summary(name, 0)) + len(sequence)
    summary = _summary(name, offset)
    for record in records:
        record.offset = offset
        offset += len(record.raw)
    return head + summary + sequence + b"".join(_linked([patient]))


def _summary(name: str, offset: int) -> bytes:
    summary: Dataset = item_of(FileSetID=name, FileSetConsistencyFlag=0)
    summary.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = offset
    summary.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = offset
    return encode_dataset(summary, ExplicitVRLittleEndian)


def _linked(level: Sequence[_Record]) -> list[bytes]:
    """The encoded records of a level and of those below, with their offsets put in."""
    parts = []
    for k, record in enumerate(level):
        raw = bytearray(record.raw)
        if k + 1 < len(level):
            struct.pack_into("<I", raw, _NEXT_AT, level[k + 1].offset)
        if record.below:
            struct.pack_into("<I", raw, _LOWER_AT, record.below[0].offset)
        parts += [bytes(raw), *_linked(record.below)]
    return parts
