"""Where the files of a study end up: folders of several schemes, flat, hashed, zipped, on a medium; and litter."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pydicom

from phantom.files.dicom_bytes import make_uid
from phantom.files.media import write_medium
from phantom.files.schedule import StudyPlan
from phantom.files.study_tags import plain_tags, study_uid

_ZIP_DATE = (2020, 1, 1, 0, 0, 0)


def file_away(work: Path, archive: Path, plan: StudyPlan) -> None:
    """Move a study from the work folder to where this hospital keeps it; the work folder is gone afterwards."""
    _SCHEMES[plan.files.packaging](work, archive, plan)
    shutil.rmtree(work, ignore_errors=True)


def _files(work: Path) -> list[Path]:
    return sorted(path for path in work.rglob("*") if path.is_file())


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)


def _folders(work: Path, archive: Path, plan: StudyPlan) -> None:
    """Year, month, accession; a folder for each series."""
    target = archive / f"{plan.study_date:%Y}" / f"{plan.study_date:%m}" / f"CT_{plan.accession_number}"
    target.parent.mkdir(parents=True, exist_ok=True)
    work.rename(target)


def _by_uids(work: Path, archive: Path, plan: StudyPlan) -> None:
    """Study UID, series number, SOP UID, as a PACS cache has it."""
    for path in _files(work):
        header = pydicom.dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
        folder = archive / "cache" / study_uid(plan) / path.parent.name
        _move(path, folder / f"{header.SOPInstanceUID}.dcm")


def _by_patient(work: Path, archive: Path, plan: StudyPlan) -> None:
    """Patient, day and study, series; file names with blanks and capitals."""
    folder = archive / "PATIENTS" / plan.patient_id / f"{plan.study_date:%d.%m.%Y} CT {plan.number}"
    for path in _files(work):
        _move(path, folder / f"Series {path.parent.name[1:]}" / f"{path.name}.DCM")


def _flat(work: Path, archive: Path, plan: StudyPlan) -> None:
    """One folder for a case, the series in the file names."""
    for path in _files(work):
        folder = archive / "export" / f"CASE{plan.number:04d}"
        _move(path, folder / f"{path.parent.name}_{path.name}.dcm")


def _mixed(work: Path, archive: Path, plan: StudyPlan) -> None:
    """One folder for a case, all series shuffled under one row of numbers, without extension."""
    shuffled = sorted(_files(work), key=lambda path: _hash(plan, work, path))
    for number, path in enumerate(shuffled, 1):
        _move(path, archive / "export" / f"CASE{plan.number:04d}" / f"I{number * 10:06d}")


def _hashed(work: Path, archive: Path, plan: StudyPlan) -> None:
    """Objects named by a hash, without extension, spread over folders."""
    for path in _files(work):
        key = _hash(plan, work, path)
        _move(path, archive / "objects" / key[:2] / key[2:34])


def _hash(plan: StudyPlan, work: Path, path: Path) -> str:
    return hashlib.sha256(f"{plan.seed}/{path.relative_to(work).as_posix()}".encode()).hexdigest()


def _zip(work: Path, archive: Path, plan: StudyPlan, *, method: int, prefix: str) -> None:
    target = archive / "transfer" / f"{plan.accession_number}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", method, compresslevel=1) as bundle:
        for path in _files(work):
            info = zipfile.ZipInfo(f"{prefix}{path.relative_to(work).as_posix()}", _ZIP_DATE)
            info.compress_type = method
            bundle.writestr(info, path.read_bytes(), compresslevel=1)


def _zip_stored(work: Path, archive: Path, plan: StudyPlan) -> None:
    _zip(work, archive, plan, method=zipfile.ZIP_STORED, prefix="")


def _zip_deflated(work: Path, archive: Path, plan: StudyPlan) -> None:
    _zip(work, archive, plan, method=zipfile.ZIP_DEFLATED, prefix=f"DICOM/ST{plan.number:06d}/")


def _medium(work: Path, archive: Path, plan: StudyPlan) -> None:
    """A medium with a DICOMDIR, as patients bring them."""
    target = archive / "media" / f"CD{plan.number:05d}"
    folders = sorted(path for path in work.iterdir() if path.is_dir())
    write_medium(target, folders, plain_tags(plan), uid=make_uid(plan.seed, "medium"), name=target.name)
    (target / "AUTORUN.INF").write_text("[autorun]\r\nopen=viewer.exe\r\n")


_SCHEMES: dict[str, Callable[[Path, Path, StudyPlan], None]] = {
    "folders": _folders,
    "uids": _by_uids,
    "patients": _by_patient,
    "flat": _flat,
    "mixed": _mixed,
    "hashed": _hashed,
    "zip-stored": _zip_stored,
    "zip-deflated": _zip_deflated,
    "media": _medium,
}


def litter(archive: Path) -> None:
    """What else lies in such folders."""
    (archive / "README.txt").write_text("Export of the CT archive. Ask radiology IT before moving.\n")
    (archive / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    (archive / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + bytes(120))
    (archive / "preview.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1" + bytes(64) + b"\xff\xd9")
    (archive / "export.log").write_text("".join(f"{k:04d} copied\n" for k in range(40)))
    (archive / "报告模板.txt").write_text("检查所见：\n诊断意见：\n", encoding="gb18030")
