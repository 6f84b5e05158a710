"""What the crawl knows of one DICOM instance, and where its bytes lie. No I/O here.

These two records travel from crawl to select to slab. They hold identifiers and live only in the index
(owner-only files) and in memory; the warehouse gets pseudonyms (`tasks.identity`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileRef:
    """Where the bytes of one instance lie, relative to the root of its archive."""

    path: bytes  # relative to the archive root, in the file system's own bytes
    member: bytes | None = None  # member name inside a zip, else None
    size_bytes: int = 0  # of the file, or of the uncompressed member
    mtime_ns: int = 0  # of the file, or of the zip that holds the member


@dataclass(frozen=True, slots=True)
class FramePlane:
    """Geometry and rescale of one frame of an enhanced multi-frame object."""

    position_mm: tuple[float, float, float]  # ImagePositionPatient, LPS
    orientation: tuple[float, float, float, float, float, float]  # ImageOrientationPatient
    pixel_spacing_mm: tuple[float, float] | None  # row spacing, column spacing
    slope: float | None
    intercept: float | None
    slice_thickness_mm: float | None = None
    image_type: str | None = None  # FrameType, joined by backslashes
    rescale_type: str | None = None  # HU, MGML, ...


@dataclass(frozen=True, slots=True)
class Instance:
    """The header values of one SOP instance that later stages read. What is absent is None, never invented."""

    file: FileRef
    content_digest: str  # hex; over header bytes, size and a sample of the pixel data; part of the revision

    # identity
    sop_instance_uid: str
    sop_class_uid: str | None
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str | None
    issuer_of_patient_id: str | None
    accession_number: str | None

    # patient and study
    study_date: str | None  # DICOM DA, YYYYMMDD, as found
    acquisition_date: str | None  # AcquisitionDate, else ContentDate, else SeriesDate
    patient_birth_date: str | None
    patient_age: str | None  # DICOM AS, such as 067Y
    patient_sex: str | None

    # series
    modality: str | None
    image_type: str | None  # ImageType joined by backslashes
    series_number: int | None
    acquisition_number: int | None
    instance_number: int | None
    temporal_position: str | None  # TemporalPositionIdentifier, else None
    frame_of_reference_uid: str | None
    series_description: str | None
    protocol_name: str | None
    study_description: str | None
    derivation_description: str | None
    body_part_examined: str | None
    contrast_bolus_agent: str | None
    patient_position: str | None  # HFS, FFP, ...
    manufacturer: str | None
    model_name: str | None
    station_name: str | None
    convolution_kernel: str | None
    kvp: float | None
    gantry_tilt_deg: float | None
    slice_thickness_mm: float | None
    is_lossy: bool  # LossyImageCompression (0028,2110) = 01
    is_burned_in: bool  # BurnedInAnnotation = YES
    specific_character_set: str | None

    # pixels
    transfer_syntax_uid: str
    rows: int | None
    columns: int | None
    n_frames: int
    samples_per_pixel: int | None
    photometric: str | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None  # 0 unsigned, 1 signed
    pixel_padding_value: int | None  # as stored (raw), sign per pixel_representation
    pixel_padding_range_limit: int | None
    slope: float | None
    intercept: float | None
    rescale_type: str | None  # HU, US, ...
    pixel_offset: (
        int | None
    )  # byte offset of the first pixel byte (native) or of the PixelData item sequence (encapsulated)
    pixel_length: int | None  # declared length of PixelData in bytes; None when undefined (encapsulated)

    # geometry
    position_mm: tuple[float, float, float] | None  # ImagePositionPatient, LPS
    orientation: tuple[float, float, float, float, float, float] | None  # ImageOrientationPatient
    pixel_spacing_mm: tuple[float, float] | None  # PixelSpacing: row spacing, column spacing
    frames: tuple[FramePlane, ...] | None = None  # enhanced multi-frame only, in frame order

    # remarks of the reader, such as "preamble_polyglot", "no_meta"; they become flags
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileIssue:
    """A file that is no usable instance, and why. The UIDs are set as far as its header could be read."""

    file: FileRef
    outcome: str  # excluded | quarantined | failed | pending
    reason: str  # a code of warehouse.reasons, with its detail behind a colon where it has one
    detail: str | None = None  # name=value for the message's template, such as "missing_bytes=1024"
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class StudyTicket:
    """A study of the index that has something new. `touch` goes back with its revision."""

    study_instance_uid: str
    study_revision: str | None  # as last stored by the flow; None: never processed
    n_files: int
    n_bytes: int
    touch: int  # number of the wave that last changed it


@dataclass(frozen=True, slots=True)
class StudyInstances:
    """All the index knows of one study. Independent of file names, folders and the order of reading."""

    study_instance_uid: str
    instances: tuple[Instance, ...]  # identical duplicates dropped; sorted by series and SOP Instance UID
    n_files: int  # duplicates and broken files included
    duplicates: int  # identical copies that were dropped
    conflicts: frozenset[str]  # SOP Instance UIDs that occur with different contents
    issues: tuple[FileIssue, ...]  # broken files whose header still names study and series
    duplicates_by_series: tuple[tuple[str, int], ...] = ()  # (SeriesInstanceUID, identical copies dropped)
    vanished: frozenset[str] = frozenset()  # SOP Instance UIDs whose files have gone from the archive
