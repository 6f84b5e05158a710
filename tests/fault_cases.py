"""The fault table, headers and files: cases for the rows of docs/faults.md that the crawl and selection decide."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from factory import SAGITTAL, uid
from fault_archive import N_SLICES, ORIGIN_MM, STEP_MM, Case, only, scan, trunk, with_value
from fault_bombs import deep_sequence, deflate_bomb, with_element
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from tasks.header import dataset_offset

SCORED = ("scored", None)
NOT_CHOSEN = ("excluded", "not_chosen")
MISSING = ("excluded", "missing_slices")
BROKEN = ("quarantined", "broken_instances")
ALL = N_SLICES


def plain(row: str, name: str, study: tuple[str, str | None], /, **options: object) -> Case:
    """A case whose only difference are options of `scan`."""
    mine = {key: options.pop(key) for key in list(options) if key in Case.__dataclass_fields__}
    return Case(row, name, lambda folder, seed: scan(folder, seed, **options), study, **mine)  # type: ignore[arg-type]


def excluded(row: str, name: str, reason: str, /, **options: object) -> Case:
    return plain(row, name, ("excluded", reason), **options)


def quarantined(row: str, name: str, reason: str, /, **options: object) -> Case:
    return plain(row, name, ("quarantined", reason), **options)


# ---- files


def _beside_rubbish(folder: Path, seed: int) -> None:
    scan(folder, seed)
    rubbish = {
        "readme.txt": b"DICOM files of a scan\n" * 40,
        "photo.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(500),
        "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
        ".DS_Store": b"\0\0\0\1Bud1" + bytes(400),
        "zeros.dcm": bytes(4096),
    }
    for name, data in rubbish.items():
        (folder / name).write_bytes(data)


def _bare(data: bytes, _: int) -> bytes:
    import io

    return data[dataset_offset(io.BytesIO(data)) :]


def _cut(n_bytes: int):  # type: ignore[no-untyped-def]
    return lambda data, _: data[:n_bytes]


def files() -> Iterator[Case]:
    """T01 to T05: files that are none, or not whole."""
    yield plain("T01", "empty_inside", MISSING, corrupt=only(12)(_cut(0)), files={"empty": 1})
    yield plain("T01", "empty_at_the_end", SCORED, corrupt=only(ALL - 1)(_cut(0)), files={"empty": 1})
    yield Case("T02", "rubbish_beside", _beside_rubbish, SCORED, is_twin=True, files={"not_dicom": 5})
    yield Case("T03", "no_meta", lambda f, s: scan(f, s, corrupt=_bare), files={"no_meta": ALL})
    for name, syntax in (
        ("native", "1.2.840.10008.1.2.1"),
        ("encapsulated", RLELossless),
        ("deflated", DeflatedExplicitVRLittleEndian),
    ):
        inside = only(12)(_cut(-900))
        yield plain(
            "T04", f"{name}_inside", BROKEN, transfer_syntax=syntax, corrupt=inside, files={"truncated": 1}
        )
    yield plain("T04", "every_file", BROKEN, corrupt=_cut(-900), files={"truncated": ALL})
    at_end = only(ALL - 1)(_cut(-900))
    left_out = frozenset({"slices_missing_outside"})
    yield plain("T04", "at_the_end", SCORED, corrupt=at_end, files={"truncated": 1}, flags=left_out)
    yield plain("T05", "cut_in_header", MISSING, corrupt=only(12)(_cut(420)), files={"missing_mandatory": 1})


def sizes() -> Iterator[Case]:
    """T06 to T09: sizes that lie."""

    def huge(ds: Dataset, _: int) -> None:
        ds.Rows = ds.Columns = 65535

    def rows(n: int):  # type: ignore[no-untyped-def]
        def edit(ds: Dataset, _: int) -> None:
            ds.Rows = n

        return edit

    frames = b"\x28\0\x08\0IS\x0a\0" + b"2147483648"
    yield plain("T06", "rows_doubled", BROKEN, edit=rows(192), files={"size_mismatch": ALL})
    yield plain("T07", "rows_halved", BROKEN, edit=rows(48), files={"size_mismatch": ALL})
    yield plain("T08", "both_65535", BROKEN, edit=huge, files={"dims": ALL})
    before_rows = b"\x28\0\x10\0US\2\0"
    many = lambda data, _: data.replace(before_rows, frames + before_rows)  # noqa: E731
    yield plain("T08", "frames", BROKEN, corrupt=many, files={"dims": ALL})
    as_long = lambda data, _: with_value(data, 0x00280010, b"UL", b"\0\0\x10\0")  # noqa: E731
    yield plain("T08", "rows_as_long", BROKEN, corrupt=as_long, files={"dims": ALL})
    nested = only(12)(lambda data, _: with_element(data, deep_sequence(3000)))
    yield plain("T09", "nested_sequences", MISSING, corrupt=nested, files={"bad_header": 1})
    forged = b"\x08\0\x01\0OB\0\0\xf0\xff\xff\xff"
    long = only(12)(lambda data, _: with_element(data, forged))
    yield plain("T09", "forged_length", MISSING, corrupt=long, files={"missing_mandatory": 1})
    bomb = only(12)(lambda data, _: deflate_bomb(data))
    yield plain(
        "T09",
        "deflate_bomb",
        MISSING,
        transfer_syntax=DeflatedExplicitVRLittleEndian,
        corrupt=bomb,
        files={"bad_header": 1},
    )


# ---- copies, names and folders


def _copied(folder: Path, seed: int) -> None:
    scan(folder / "one", seed)
    shutil.copytree(folder / "one", folder / "two")


def _conflicting(folder: Path, seed: int) -> None:
    scan(folder / "one", seed)
    scan(folder / "two", seed, keep=[12], volume=trunk() + np.int16(7))


def _conflicting_inside(folder: Path, seed: int) -> None:
    """Copies that differ in one pixel only: header, size and end are alike."""
    scan(folder / "one", seed)
    volume = trunk().copy()
    volume[12, 40, 40] += 1
    scan(folder / "two", seed, keep=[12], volume=volume)


def _scattered(folder: Path, seed: int) -> None:
    for part in range(5):
        scan(folder / f"part{part}", seed, keep=range(part, ALL, 5), file_name="{index}")


def _two_in_one_folder(folder: Path, seed: int) -> None:
    scan(folder, seed, file_name="a{index}")
    scan(folder, seed, label="second", file_name="b{index}")


def _links(folder: Path, seed: int) -> None:
    paths = scan(folder / "files", seed)
    (folder / "files" / "loop").symlink_to(folder)
    (folder / "dangling").symlink_to(folder / "nowhere")
    for path in paths[:3]:
        os.link(path, folder / f"linked-{path.name}")


def _deep(folder: Path, seed: int) -> None:
    """Slices below a path longer than the system takes at once."""
    scan(folder, seed, keep=range(ALL - 1))
    (last,) = scan(folder, seed, keep=[ALL - 1])
    here = os.getcwd()
    try:
        os.chdir(folder)
        for _ in range(18):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
        Path("last.dcm").write_bytes(last.read_bytes())
    finally:
        os.chdir(here)
    last.unlink()


def copies() -> Iterator[Case]:
    """T11, T12, T14, T35, T36: copies, names, folders."""
    yield Case("T11", "identical", _copied, SCORED, flags=frozenset({"dup_same"}), is_twin=True)
    yield Case("T12", "conflicting", _conflicting, ("quarantined", "dup_conflict"))
    yield Case("T12", "conflicting_inside", _conflicting_inside, ("quarantined", "dup_conflict"))
    yield Case("T14", "scattered", _scattered, SCORED, is_twin=True)
    yield Case("T14", "two_in_one_folder", _two_in_one_folder, SCORED, (SCORED, NOT_CHOSEN))
    for name, pattern in {
        "newline": "a\nb {index}",
        "surrogates": os.fsdecode(b"\xff\xfe\x80") + "{index}",
        "long": "x" * 250 + "{index:04d}",
        "quotes": '\'; DROP TABLE "study"; -- {index}',
    }.items():
        yield plain("T35", name, SCORED, file_name=pattern, is_twin=True, needs_layout=True)
    yield Case("T35", "links", _links, SCORED, is_twin=True, needs_layout=True)
    yield Case("T35", "deep", _deep, SCORED, is_twin=True, needs_layout=True)
    for name, text in {
        "traversal": "../../../../canary",
        "absolute": "/tmp/ovf-canary",
        "nul": "../a\0b",
        "device": "CON",
        "sql": "1' OR '1'='1",
    }.items():
        yield _named(name, text)


def _named(name: str, text: str) -> Case:
    raw = text.encode()

    def forge(data: bytes, index: int) -> bytes:
        data = with_value(data, 0x0020000D, b"UI", raw)
        data = with_value(data, 0x0020000E, b"UI", raw + b".s")
        data = with_value(data, 0x00080018, b"UI", raw + f".{index}".encode())
        return with_value(data, 0x00100020, b"LO", raw)

    return plain("T36", name, SCORED, corrupt=forge, study_uid=text, is_twin=True)


# ---- several scans in one series, and geometry


def _one_uid(**second: object):  # type: ignore[no-untyped-def]
    """Two scans under one series UID that differ in `second`."""

    def write(folder: Path, seed: int) -> None:
        scan(folder / "a", seed)
        scan(folder / "b", seed, label="b", SeriesInstanceUID=uid("series", seed, ""), **second)  # type: ignore[arg-type]

    return write


def _at(*, first_mm: float = 0.0, tilt_deg: float = 0.0):  # type: ignore[no-untyped-def]
    """Attributes of a stack sheared by a tilted gantry."""
    angle = np.deg2rad(tilt_deg)
    return {
        "orientation": (1, 0, 0, 0, round(float(np.cos(angle)), 6), round(float(np.sin(angle)), 6)),
        "ImagePositionPatient": lambda k: [*ORIGIN_MM[:2], first_mm + k * STEP_MM],
    }


def _uneven(k: int) -> list[float]:
    return [*ORIGIN_MM[:2], k * 1.0 if k < ALL // 2 else ALL // 2 + (k - ALL // 2) * 5.0]


def stacks() -> Iterator[Case]:
    """T13, T15 to T21: whole, one scan, in one place, of known size."""
    yield excluded("T13", "gap_inside", "missing_slices", keep=[k for k in range(ALL) if k != 12])
    near_end = [k for k in range(ALL) if k != ALL - 3]
    yield plain("T13", "gap_at_the_end", SCORED, keep=near_end, flags=frozenset({"slices_missing_outside"}))
    two = (SCORED, NOT_CHOSEN)
    yield Case("T15", "two_acquisitions", _one_uid(AcquisitionNumber=2), SCORED, two, is_twin=True)
    yield Case("T15", "two_kernels", _one_uid(ConvolutionKernel="B70f"), SCORED, two, is_twin=True)
    yield Case("T15", "two_phases", _one_uid(TemporalPositionIdentifier=2), SCORED, two, is_twin=True)
    yield Case("T15", "nothing_tells_apart", _one_uid(), ("quarantined", "mixed"))
    yield plain("T16", "overlap", SCORED, SliceThickness=5.0, is_twin=True)
    yield excluded("T17", "two_spacings", "spacing_inconsistent", ImagePositionPatient=_uneven)
    yield plain("T18", "tilted", SCORED, **_at(tilt_deg=15), flags=frozenset({"tilt_resampled"}))
    yield excluded("T18", "tilted_too_far", "gantry_tilt", **_at(tilt_deg=40))
    yield excluded("T18", "two_slices", "too_few", keep=range(2), **_at(tilt_deg=15))
    yield plain(
        "T19",
        "feet_first",
        SCORED,
        PatientPosition="FFS",
        orientation=(-1, 0, 0, 0, 1, 0),
        origin_mm=(-ORIGIN_MM[0], ORIGIN_MM[1], 0.0),
    )
    yield excluded(
        "T20", "no_position", "no_geometry", ImagePositionPatient=None, SliceLocation=lambda k: k * 3.0
    )
    yield excluded("T20", "no_orientation", "no_geometry", ImageOrientationPatient=None)
    one_without = lambda k: None if k == 7 else [*ORIGIN_MM[:2], k * STEP_MM]  # noqa: E731
    yield plain(
        "T20",
        "one_slice_without",
        MISSING,
        ImagePositionPatient=one_without,
        series=(MISSING, ("excluded", "no_geometry")),
    )
    end_without = lambda k: None if k < 4 else [1, 0, 0, 0, 1, 0]  # noqa: E731
    yield plain(
        "T20",
        "end_without",
        SCORED,
        ImageOrientationPatient=end_without,
        series=(SCORED, ("excluded", "no_geometry")),
        flags=frozenset({"slices_missing_outside"}),
    )
    yield excluded("T21", "absent", "no_spacing", PixelSpacing=None)
    yield excluded("T21", "zero", "no_spacing", PixelSpacing=[0, 0])
    yield excluded("T21", "of_the_detector", "no_spacing", PixelSpacing=None, ImagerPixelSpacing=[4.2, 4.2])


# ---- other objects, people, texts


def sagittal(folder: Path, seed: int, *, blank: int | None = None) -> None:
    """Sixteen native sagittal images of the trunk, one of them constant when `blank` says which."""
    images = np.ascontiguousarray(trunk()[::-1].transpose(2, 0, 1)[40:56])
    if blank is not None:
        images[blank] = 0
    scan(
        folder,
        seed,
        label="sagittal",
        volume=images,
        orientation=SAGITTAL,
        ImageType=["DERIVED", "SECONDARY", "MPR"],
        origin_mm=(-32.0, ORIGIN_MM[1], 85.5),
        slice_spacing_mm=4.2,
        PixelSpacing=[STEP_MM, 4.2],
        SliceThickness=5.0,
    )


def _derived_sagittal(folder: Path, seed: int) -> None:
    scan(folder / "axial", seed)
    sagittal(folder / "sagittal", seed)


def _structured_report(ds: Dataset, _: int) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    ds.Modality = "SR"
    del ds.PixelData


def objects() -> Iterator[Case]:
    """T22, T32: what is no plain axial CT image."""
    for name, reason, values in (
        ("localizer", "localizer", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
        ("screen_save", "image_type", {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}),
        ("mip", "mip", {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}),
        (
            "capture",
            "sop_class",
            {"SOPClassUID": SecondaryCaptureImageStorage, "ImageType": ["DERIVED", "SECONDARY"]},
        ),
        ("other_modality", "not_ct", {"Modality": "PT"}),
    ):
        yield excluded("T22", name, reason, **values)
    yield excluded("T22", "dose_report", "not_ct", keep=[0], edit=_structured_report)
    yield Case("T22", "derived_reformat", _derived_sagittal, SCORED, (SCORED, NOT_CHOSEN))
    yield Case("T32", "whole_sagittal", sagittal, SCORED)
    yield Case("T32", "blank_sagittal", lambda f, s: sagittal(f, s, blank=8), ("quarantined", "blank_slices"))
    yield excluded(
        "T33",
        "by_its_description",
        "body_part",
        BodyPartExamined="KNEE",
        SeriesDescription="Knee right",
        ProtocolName="Knee",
        StudyDescription="CT knee",
    )


def people() -> Iterator[Case]:
    """T34 and T45: odd ages and texts."""
    unknown = frozenset({"age_unknown"})
    yield excluded("T34", "newborn", "under_age", PatientAge="000Y", PatientBirthDate="20240301")
    yield plain(
        "T34", "older_than_anybody", SCORED, PatientAge="150Y", PatientBirthDate="18740101", flags=unknown
    )
    yield plain(
        "T34", "born_after_the_scan", SCORED, PatientAge=None, PatientBirthDate="20300101", flags=unknown
    )
    yield plain("T34", "ninety_and_more", SCORED, PatientAge="099Y", PatientBirthDate="19250101")
    yield plain(
        "T34", "sex_unknown", SCORED, PatientSex="O", PatientAge=None, PatientBirthDate=None, flags=unknown
    )
    guessed = frozenset({"charset_guessed"})
    gbk = "腹部平扫".encode("gb18030")

    def texts(patient_id: bytes, description: bytes = b"Abdomen 3.0 ", charset: bytes | None = None):  # type: ignore[no-untyped-def]
        def forge(data: bytes, _: int) -> bytes:
            data = with_value(data, 0x00100020, b"LO", patient_id)
            data = with_value(data, 0x0008103E, b"LO", description)
            return data if charset is None else with_value(data, 0x00080005, b"CS", charset)

        return forge

    for name, forge, flags in (
        ("gbk_under_latin", texts(b"P1", gbk), guessed),
        ("gbk_patient_id", texts("张三0017".encode("gb18030")), guessed),
        ("unknown_charset", texts(b"P1", gbk, b"NO_SUCH "), guessed),
        ("declared_gb18030", texts(b"P1", gbk, b"GB18030 "), frozenset()),
        ("override_and_emoji", texts("P\u202e\U0001f600".encode(), b"A", b"ISO_IR 192"), frozenset()),
        ("nul_and_controls", texts(b"P\0\x1b\x07\r\n1"), frozenset()),
        ("formula", texts(b"=HYPERLINK(1)"), frozenset()),
    ):
        yield plain("T45", name, SCORED, corrupt=forge, flags=flags, is_twin=True)
    for name, magic in (("program", b"MZ\x90\0"), ("picture", b"II*\0"), ("script", b"#!/bin/sh\n")):
        polyglot = lambda data, _, magic=magic: magic.ljust(128, b"\0") + data[128:]  # noqa: E731
        flags = frozenset({"preamble_polyglot"})
        yield plain("T61", f"preamble_{name}", SCORED, corrupt=polyglot, flags=flags, is_twin=True)


def header_cases() -> list[Case]:
    """All of this module."""
    return [*files(), *sizes(), *copies(), *stacks(), *objects(), *people()]


__all__ = ["CTImageStorage", "header_cases"]
