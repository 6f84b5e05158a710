"""Writes one planned study: its main series and what stands beside it, each series in a folder of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian

from phantom import company
from phantom.dicom import SAGITTAL, write_ct_series
from phantom.dicom_bytes import make_uid
from phantom.positions import StoredVolume, store
from phantom.schedule import StudyPlan
from phantom.slabs import VertebraTruth, render_slab
from phantom.volume import PhantomVolume, average_slices, render_volume

COLUMNS = 256
THICK_MM = 5.0
SAGITTAL_HALF_WIDTH_MM = 39.0
TILT_MARGIN_MM = 15.0  # a tilted stack may cut a body this near to its ends
_DESCRIPTIONS = {
    "chest": ("CT THORAX", "CHEST", "胸部CT平扫"),
    "abdomen-pelvis": ("CT ABDOMEN PELVIS", "ABDOMEN", "腹盆CT"),
    "chest-abdomen-pelvis": ("CT CHEST ABDOMEN PELVIS", "CHEST", "胸腹盆CT"),
    "spine": ("CT SPINE", "SPINE", "脊柱CT"),
}


def write_study(work: Path, plan: StudyPlan) -> tuple[VertebraTruth, ...]:
    """All series of one study, each in a folder of its own; returns the truth of the main series."""
    if plan.kind == "sagittal":
        return _write_sagittal(work / "S002", plan)
    volume = render_volume(
        plan.patient, columns=COLUMNS, coverage=plan.coverage, acquisition=plan.scan, seed=plan.number
    )
    if plan.kind == "enhanced":
        _write_enhanced(work / "S002", volume, plan)
    else:
        _write_axial(work / "S002", volume, plan, series="thin", number=2)
    _write_company(work, volume, plan)
    return _shown(volume, plan)


def _shown(volume: PhantomVolume, plan: StudyPlan) -> tuple[VertebraTruth, ...]:
    if plan.position != "HFS-tilt":
        return volume.vertebrae
    margin = TILT_MARGIN_MM / volume.spacing_mm[0]
    count = len(volume.volume_zyx_hu)
    kept = []
    for body in volume.vertebrae:
        is_inside = body.row_start > margin and body.row_stop < count - margin
        kept.append(replace(body, is_visible=body.is_visible and is_inside))
    return tuple(kept)


def _write_company(work: Path, volume: PhantomVolume, plan: StudyPlan) -> None:
    company.write_localizers(work / "S001", volume, _tags(plan, "scout", 1), plan.seed)
    thick = average_slices(volume, max(2, round(THICK_MM / volume.spacing_mm[0])))
    if plan.has_thick:
        _write_axial(work / "S003", thick, plan, series="thick", number=3)
    if plan.has_bone_kernel:
        _write_axial(work / "S004", _bone_kernel(volume), plan, series="bone", number=4)
    if plan.has_sagittal:
        _write_sagittal(work / "S005", plan)
    if plan.derived:
        _write_axial(work / "S006", _derived(thick, plan.derived), plan, series=plan.derived, number=6)
    if plan.has_dose_report:
        company.write_dose_report(work / "S999", _study_tags(plan), f"{plan.seed} dose")
    if plan.has_capture:
        company.write_screen_capture(work / "S998", _study_tags(plan), f"{plan.seed} capture")


def _study_tags(plan: StudyPlan) -> dict[str, Any]:
    """Patient and study, the same for every series of a study."""
    english, part, chinese = _DESCRIPTIONS[plan.coverage]
    day = f"{plan.study_date:%Y%m%d}"
    return {
        "SpecificCharacterSet": plan.charset,
        "StudyDate": day,
        "SeriesDate": day,
        "AcquisitionDate": day,
        "ContentDate": day,
        "AccessionNumber": plan.accession_number,
        "StudyID": str(plan.number + 1),
        "StudyDescription": chinese if plan.language == "zh" else english,
        "BodyPartExamined": part,
        "Manufacturer": plan.vendor[0],
        "ManufacturerModelName": plan.vendor[1],
        "PatientName": plan.patient_name,
        "PatientID": plan.patient_id,
        "PatientBirthDate": f"{plan.birth_date:%Y%m%d}",
        "PatientSex": plan.patient.sex,
        "PatientAge": f"{plan.age_years:03d}Y" if plan.has_age_tag else None,
        "StudyInstanceUID": study_uid(plan),
        "FrameOfReferenceUID": make_uid(plan.seed, "frame"),
    }


def study_uid(plan: StudyPlan) -> str:
    """Study Instance UID of a plan."""
    return make_uid(plan.seed, plan.accession_number, "study")


def series_uid(plan: StudyPlan, series: str) -> str:
    """Series Instance UID of one series of a plan."""
    return make_uid(plan.seed, plan.accession_number, "series", series)


def _tags(plan: StudyPlan, series: str, number: int) -> dict[str, Any]:
    soft, sharp = plan.vendor[2:]
    kinds = {
        "mip": ["DERIVED", "SECONDARY", "AXIAL", "MIP"],
        "iodine": ["DERIVED", "PRIMARY", "AXIAL", "IODINE"],
    }
    kinds["sagittal"] = ["DERIVED", "SECONDARY", "REFORMATTED"]
    names = {
        "thin": "Body 3.0",
        "thick": "Body 5.0",
        "bone": "Bone",
        "mip": "MIP 20mm",
        "iodine": "Iodine map",
    }
    return _study_tags(plan) | {
        "ImageType": kinds.get(series, ["ORIGINAL", "PRIMARY", "AXIAL"]),
        "SeriesInstanceUID": series_uid(plan, series),
        "SeriesNumber": str(number),
        "SeriesDescription": names.get(series, "SAG REFORMAT"),
        "ConvolutionKernel": sharp if series == "bone" else soft,
        "KVP": str(plan.kvp),
    }


def _write_axial(
    directory: Path, volume: PhantomVolume, plan: StudyPlan, *, series: str, number: int
) -> None:
    stored = store(volume, plan.position)
    _write_stored(directory, stored, volume.spacing_mm, plan, _tags(plan, series, number))


def _write_stored(
    directory: Path,
    stored: StoredVolume,
    spacing_mm: tuple[float, float, float],
    plan: StudyPlan,
    tags: dict[str, Any],
) -> None:
    padding = (-2000 if plan.is_signed else 63536) if plan.has_padding else None
    tags |= {"PatientPosition": stored.patient_position, "GantryDetectorTilt": f"{stored.tilt_deg:g}"}
    write_ct_series(
        directory,
        stored.volume_zyx_hu,
        spacing_mm=spacing_mm,
        origin_xyz_mm=stored.origin_xyz_mm,
        orientation=stored.orientation,
        step_xyz_mm=stored.step_xyz_mm,
        transfer_syntax=plan.transfer_syntax,
        intercept=0.0 if plan.is_signed else -1024.0,
        is_signed=plan.is_signed,
        padding=padding,
        tags=tags,
        seed=tags["SeriesInstanceUID"],
    )


def _write_enhanced(directory: Path, volume: PhantomVolume, plan: StudyPlan) -> None:
    tags = _tags(plan, "thin", 2)
    stored = store(volume, "HFS")
    company.write_enhanced(
        directory / "IM0001",
        stored.volume_zyx_hu,
        spacing_mm=volume.spacing_mm,
        origin_xyz_mm=stored.origin_xyz_mm,
        step_xyz_mm=stored.step_xyz_mm,
        tags=tags,
        seed=tags["SeriesInstanceUID"],
    )


def _write_sagittal(directory: Path, plan: StudyPlan) -> tuple[VertebraTruth, ...]:
    """A native sagittal reformat of 3 mm, right to left."""
    slab = render_slab(
        plan.patient,
        pixel_mm=1.0,
        half_width_mm=SAGITTAL_HALF_WIDTH_MM,
        coverage=plan.coverage,
        acquisition=plan.scan,
        seed=plan.number,
    )
    tags = _tags(plan, "sagittal", 5)
    write_ct_series(
        directory,
        slab.slab_xzy_hu,
        spacing_mm=(slab.slice_spacing_mm, slab.pixel_mm, slab.pixel_mm),
        origin_xyz_mm=(float(slab.x_mm[0]), float(slab.y_mm[0]), float(slab.z_mm[0])),
        orientation=SAGITTAL,
        step_xyz_mm=(slab.slice_spacing_mm, 0.0, 0.0),
        transfer_syntax=ExplicitVRLittleEndian,
        intercept=-1024.0,
        tags=tags,
        seed=tags["SeriesInstanceUID"],
    )
    return slab.vertebrae


def _bone_kernel(volume: PhantomVolume) -> PhantomVolume:
    """The same slices through a sharp kernel: unsharp masking in the plane."""
    hu = volume.volume_zyx_hu
    sharp = hu.copy()
    for plane, out in zip(hu, sharp, strict=True):
        inner = plane[1:-1, 1:-1].astype(np.float32)
        around = (plane[:-2, 1:-1] + 0.0 + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]) * 0.25
        out[1:-1, 1:-1] = np.clip(np.rint(inner + 0.9 * (inner - around)), -1024, 3071)
    return replace(volume, volume_zyx_hu=sharp)


def _derived(thick: PhantomVolume, kind: str) -> PhantomVolume:
    """A maximum projection over 20 mm, or a map of iodine: pictures that must never be scored."""
    hu = thick.volume_zyx_hu
    if kind == "mip":
        projected = np.stack([hu[k : k + 4].max(axis=0) for k in range(len(hu))])
        return replace(thick, volume_zyx_hu=projected)
    return replace(thick, volume_zyx_hu=np.clip(hu - 40, 0, 250).astype(np.int16))
