"""Builds `Instance` records for selection tests, without files: an axial stack of a thoracolumbar CT by default."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from tasks.instance import FileIssue, FileRef, Instance, StudyInstances
from tasks.series import Stack, group_series

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
STUDY = "1.2.3"
SERIES = "1.2.3.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def make_instance(number: int = 0, **values: Any) -> Instance:
    """One axial CT slice, `number` × 3 mm above the origin. Any field can be given."""
    series = values.get("series_instance_uid", SERIES)
    sop = values.get("sop_instance_uid", f"{series}.{number}")
    fields: dict[str, Any] = {
        "file": FileRef(f"{series}/{number}.dcm".encode(), None, 524_288 + 1024, 1),
        "content_digest": hashlib.sha256(sop.encode()).hexdigest()[:32],
        "sop_instance_uid": sop,
        "sop_class_uid": CT_IMAGE,
        "series_instance_uid": series,
        "study_instance_uid": STUDY,
        "patient_id": "P1",
        "issuer_of_patient_id": None,
        "accession_number": "A1",
        "study_date": "20200101",
        "acquisition_date": "20200101",
        "patient_birth_date": "19500615",
        "patient_age": None,
        "patient_sex": "F",
        "modality": "CT",
        "image_type": "ORIGINAL\\PRIMARY\\AXIAL",
        "series_number": 2,
        "acquisition_number": 1,
        "instance_number": number + 1,
        "temporal_position": None,
        "frame_of_reference_uid": "1.2.3.9",
        "series_description": "ABDOMEN 3MM",
        "protocol_name": None,
        "study_description": None,
        "derivation_description": None,
        "body_part_examined": "ABDOMEN",
        "contrast_bolus_agent": None,
        "patient_position": "HFS",
        "manufacturer": "GE MEDICAL SYSTEMS",
        "model_name": "LightSpeed VCT",
        "station_name": None,
        "convolution_kernel": "STANDARD",
        "kvp": 120.0,
        "gantry_tilt_deg": 0.0,
        "slice_thickness_mm": 3.0,
        "is_lossy": False,
        "is_burned_in": False,
        "specific_character_set": None,
        "transfer_syntax_uid": EXPLICIT_LITTLE,
        "rows": 512,
        "columns": 512,
        "n_frames": 1,
        "samples_per_pixel": 1,
        "photometric": "MONOCHROME2",
        "bits_allocated": 16,
        "bits_stored": 16,
        "high_bit": 15,
        "pixel_representation": 1,
        "pixel_padding_value": None,
        "pixel_padding_range_limit": None,
        "slope": 1.0,
        "intercept": -1024.0,
        "rescale_type": "HU",
        "pixel_offset": 1024,
        "pixel_length": 524_288,
        "position_mm": (-200.0, -200.0, 3.0 * number),
        "orientation": AXIAL,
        "pixel_spacing_mm": (0.8, 0.8),
    }
    return Instance(**{**fields, **values})


def make_stack(n: int = 60, *, spacing_mm: float = 3.0, start: int = 0, **values: Any) -> list[Instance]:
    """`n` axial slices from feet to head; `start` numbers the first SOP Instance UID."""
    return [
        make_instance(start + i, **{"position_mm": (-200.0, -200.0, spacing_mm * i), **values})
        for i in range(n)
    ]


def make_sagittal(n: int = 25, *, spacing_mm: float = 3.0, **values: Any) -> list[Instance]:
    """`n` sagittal reformats from right to left."""
    fields = {
        "series_instance_uid": "1.2.3.2",
        "image_type": "DERIVED\\SECONDARY\\REFORMATTED\\AVERAGE",
        "series_description": "SAG SPINE",
        "orientation": SAGITTAL,
        **values,
    }
    return [
        make_instance(i, **{"position_mm": (spacing_mm * (i - n // 2), -200.0, 200.0), **fields})
        for i in range(n)
    ]


def make_study(
    instances: Iterable[Instance], *, issues: Iterable[FileIssue] = (), **values: Any
) -> StudyInstances:
    """The study that an index would give for these instances."""
    found, broken = tuple(instances), tuple(issues)
    fields: dict[str, Any] = {
        "study_instance_uid": STUDY,
        "instances": found,
        "n_files": len(found) + len(broken),
        "duplicates": 0,
        "conflicts": frozenset(),
        "issues": broken,
    }
    return StudyInstances(**{**fields, **values})


def stacks_of(instances: Iterable[Instance]) -> list[Stack]:
    """The stacks that grouping makes of these instances."""
    return group_series(make_study(instances))


def broken_file(number: int = 0, series: str = SERIES, **values: Any) -> FileIssue:
    """A truncated file that still names its series."""
    fields: dict[str, Any] = {
        "file": FileRef(f"broken{number}".encode(), None, 1000 + number, 1),
        "outcome": "quarantined",
        "reason": "truncated",
        "study_instance_uid": STUDY,
        "series_instance_uid": series,
        "sop_instance_uid": f"{series}.b{number}",
    }
    return FileIssue(**{**fields, **values})
