"""Raw element values to the fields of an `Instance`. Pure; what cannot be read is None, never a default.

Numbers follow PS3.5 section 6.2 (DS, IS, US, SS). Conversions are cached: most values repeat in every slice of a
series, and equal strings that are one object make records small on their way between processes.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from tasks.dicom.elements import tag
from tasks.dicom.text import decode_text
from tasks.instance import FileRef, FramePlane, Instance

TAG_OF = {
    "SpecificCharacterSet": tag(0x0008, 0x0005),
    "ImageType": tag(0x0008, 0x0008),
    "SOPClassUID": tag(0x0008, 0x0016),
    "SOPInstanceUID": tag(0x0008, 0x0018),
    "StudyDate": tag(0x0008, 0x0020),
    "SeriesDate": tag(0x0008, 0x0021),
    "AcquisitionDate": tag(0x0008, 0x0022),
    "ContentDate": tag(0x0008, 0x0023),
    "AccessionNumber": tag(0x0008, 0x0050),
    "Modality": tag(0x0008, 0x0060),
    "Manufacturer": tag(0x0008, 0x0070),
    "StationName": tag(0x0008, 0x1010),
    "StudyDescription": tag(0x0008, 0x1030),
    "SeriesDescription": tag(0x0008, 0x103E),
    "ManufacturerModelName": tag(0x0008, 0x1090),
    "DerivationDescription": tag(0x0008, 0x2111),
    "PatientID": tag(0x0010, 0x0020),
    "IssuerOfPatientID": tag(0x0010, 0x0021),
    "PatientBirthDate": tag(0x0010, 0x0030),
    "PatientSex": tag(0x0010, 0x0040),
    "PatientAge": tag(0x0010, 0x1010),
    "ContrastBolusAgent": tag(0x0018, 0x0010),
    "BodyPartExamined": tag(0x0018, 0x0015),
    "SliceThickness": tag(0x0018, 0x0050),
    "KVP": tag(0x0018, 0x0060),
    "ProtocolName": tag(0x0018, 0x1030),
    "GantryDetectorTilt": tag(0x0018, 0x1120),
    "ConvolutionKernel": tag(0x0018, 0x1210),
    "PatientPosition": tag(0x0018, 0x5100),
    "StudyInstanceUID": tag(0x0020, 0x000D),
    "SeriesInstanceUID": tag(0x0020, 0x000E),
    "SeriesNumber": tag(0x0020, 0x0011),
    "AcquisitionNumber": tag(0x0020, 0x0012),
    "InstanceNumber": tag(0x0020, 0x0013),
    "ImagePositionPatient": tag(0x0020, 0x0032),
    "ImageOrientationPatient": tag(0x0020, 0x0037),
    "FrameOfReferenceUID": tag(0x0020, 0x0052),
    "TemporalPositionIdentifier": tag(0x0020, 0x0100),
    "SamplesPerPixel": tag(0x0028, 0x0002),
    "PhotometricInterpretation": tag(0x0028, 0x0004),
    "NumberOfFrames": tag(0x0028, 0x0008),
    "Rows": tag(0x0028, 0x0010),
    "Columns": tag(0x0028, 0x0011),
    "PixelSpacing": tag(0x0028, 0x0030),
    "BitsAllocated": tag(0x0028, 0x0100),
    "BitsStored": tag(0x0028, 0x0101),
    "HighBit": tag(0x0028, 0x0102),
    "PixelRepresentation": tag(0x0028, 0x0103),
    "PixelPaddingValue": tag(0x0028, 0x0120),
    "PixelPaddingRangeLimit": tag(0x0028, 0x0121),
    "BurnedInAnnotation": tag(0x0028, 0x0301),
    "RescaleIntercept": tag(0x0028, 0x1052),
    "RescaleSlope": tag(0x0028, 0x1053),
    "RescaleType": tag(0x0028, 0x1054),
    "LossyImageCompression": tag(0x0028, 0x2110),
}
TAGS = frozenset(TAG_OF.values())


def _tags(keywords: str) -> tuple[bytes, ...]:
    return tuple(TAG_OF[keyword] for keyword in keywords.split())


# Binary numbers: their bytes are turned round where a file is big endian.
BINARY = frozenset(
    _tags(
        "SamplesPerPixel Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation "
        "PixelPaddingValue PixelPaddingRangeLimit"
    )
)
_CACHE = 1 << 14
_BLANK = b" \0"


@lru_cache(_CACHE)
def code(raw: bytes | None) -> str | None:
    """CS, DA, AS, UI: ASCII by definition; multiple values joined by backslashes, each without its padding."""
    if raw is None:
        return None
    if b"\\" not in raw:
        return raw.strip(_BLANK).decode("latin-1") or None
    return "\\".join(part.strip(" \0") for part in raw.decode("latin-1").split("\\")) or None


@lru_cache(_CACHE)
def text(raw: bytes | None, character_set: str | None) -> tuple[str | None, bool]:
    """LO, SH, ST: (text, whether its character set was guessed)."""
    if not raw:
        return None, False
    if raw.isascii() and b"\x1b" not in raw:
        return code(raw), False
    decoded, is_guessed = decode_text(raw, character_set)
    return "\\".join(part.strip(" \0") for part in decoded.split("\\")) or None, is_guessed


@lru_cache(_CACHE)
def number(raw: bytes | None) -> float | None:
    """The first value of a DS. NaN and infinity stay what they are: a later check rejects them."""
    if not raw:
        return None
    return _float(raw.partition(b"\\")[0])


def _float(raw: bytes) -> float | None:
    # Python takes 1_000 for a number, DICOM does not.
    if b"_" in raw:
        return None
    try:
        return float(raw.strip(_BLANK))
    except ValueError:
        return None


@lru_cache(_CACHE)
def numbers(raw: bytes | None, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite values of a DS, else None."""
    if not raw:
        return None
    values = tuple(map(_float, raw.split(b"\\")))
    if len(values) != count or not all(value is not None and math.isfinite(value) for value in values):
        return None
    return values  # type: ignore[return-value]  # no None is left


@lru_cache(_CACHE)
def integer(raw: bytes | None) -> int | None:
    """The first value of an IS; "3.0" counts, "3.5" does not."""
    if not raw:
        return None
    value = _float(raw.partition(b"\\")[0])
    return int(value) if value is not None and value.is_integer() else None


def unsigned(raw: bytes | None) -> int | None:
    """US, or UL where a file has it so (then out of range for every later check)."""
    return int.from_bytes(raw, "little") if raw and len(raw) in (2, 4) else None


def signed(raw: bytes | None) -> int | None:
    """SS."""
    return int.from_bytes(raw, "little", signed=True) if raw and len(raw) in (2, 4) else None


def instance_of(
    values: dict[bytes, bytes],
    *,
    file: FileRef,
    content_digest: str,
    transfer_syntax_uid: str,
    pixel_offset: int | None,
    pixel_length: int | None,
    frames: tuple[FramePlane, ...] | None,
    remarks: tuple[str, ...],
) -> Instance:
    """Every field from the raw values, in the order of `Instance`. The UIDs that name an instance must be there."""
    character_set = code(values.get(_SET))
    texts, is_guessed = _texts(values, character_set)
    fields: tuple[Any, ...] = (
        file,
        content_digest,
        *_uids(values),
        *texts[:3],
        *_patient_and_dates(values),
        *_series(values, texts),
        character_set,
        transfer_syntax_uid,
        *_pixels(values),
        texts[12],
        pixel_offset,
        pixel_length,
        *_geometry(values),
        frames,
        (*remarks, "charset_guessed") if is_guessed else remarks,
    )
    return Instance(*fields)


def _texts(values: dict[bytes, bytes], character_set: str | None) -> tuple[list[str | None], bool]:
    """The values of `_TEXTS`, and whether the character set of any was guessed."""
    get = values.get
    both = [text(get(each), character_set) for each in _TEXTS]
    return [each for each, _ in both], any(is_guessed for _, is_guessed in both)


def _uids(values: dict[bytes, bytes]) -> tuple[str, str | None, str, str]:
    get = values.get
    return code(get(_SOP)) or "", code(get(_CLASS)), code(get(_SERIES)) or "", code(get(_STUDY)) or ""


def _patient_and_dates(values: dict[bytes, bytes]) -> tuple[str | None, ...]:
    get = values.get
    return (
        code(get(_STUDY_DATE)),
        code(get(_ACQUISITION_DATE)) or code(get(_CONTENT_DATE)) or code(get(_SERIES_DATE)),
        code(get(_BIRTH_DATE)),
        code(get(_AGE)),
        code(get(_SEX)),
        code(get(_MODALITY)),
        code(get(_IMAGE_TYPE)),
    )


def _series(values: dict[bytes, bytes], texts: list[str | None]) -> tuple[Any, ...]:
    """From SeriesNumber to BurnedInAnnotation; `texts` are those of `_TEXTS`."""
    get = values.get
    return (
        integer(get(_SERIES_NUMBER)),
        integer(get(_ACQUISITION_NUMBER)),
        integer(get(_INSTANCE_NUMBER)),
        code(get(_TEMPORAL)),
        code(get(_FRAME_OF_REFERENCE)),
        *texts[3:7],
        code(get(_BODY_PART)),
        texts[7],
        code(get(_PATIENT_POSITION)),
        *texts[8:12],
        number(get(_KVP)),
        number(get(_TILT)),
        number(get(_THICKNESS)),
        code(get(_LOSSY)) == "01",
        code(get(_BURNED_IN)) == "YES",
    )


def _pixels(values: dict[bytes, bytes]) -> tuple[Any, ...]:
    """From Rows to RescaleIntercept."""
    get = values.get
    representation = unsigned(get(_REPRESENTATION))
    stored = signed if representation == 1 else unsigned
    return (
        unsigned(get(_ROWS)),
        unsigned(get(_COLUMNS)),
        integer(get(_FRAMES)) or 1,
        unsigned(get(_SAMPLES)),
        code(get(_PHOTOMETRIC)),
        unsigned(get(_ALLOCATED)),
        unsigned(get(_STORED)),
        unsigned(get(_HIGH)),
        representation,
        stored(get(_PADDING)),
        stored(get(_PADDING_LIMIT)),
        number(get(_SLOPE)),
        number(get(_INTERCEPT)),
    )


def _geometry(values: dict[bytes, bytes]) -> tuple[Any, Any, Any]:
    get = values.get
    return numbers(get(_POSITION), 3), numbers(get(_ORIENTATION), 6), numbers(get(_SPACING), 2)


_TEXTS = _tags(
    "PatientID IssuerOfPatientID AccessionNumber SeriesDescription ProtocolName StudyDescription "
    "DerivationDescription ContrastBolusAgent Manufacturer ManufacturerModelName StationName "
    "ConvolutionKernel RescaleType"
)
_SET, _SOP, _CLASS = TAG_OF["SpecificCharacterSet"], TAG_OF["SOPInstanceUID"], TAG_OF["SOPClassUID"]
_STUDY, _SERIES = TAG_OF["StudyInstanceUID"], TAG_OF["SeriesInstanceUID"]
_STUDY_DATE, _ACQUISITION_DATE = TAG_OF["StudyDate"], TAG_OF["AcquisitionDate"]
_CONTENT_DATE, _SERIES_DATE = TAG_OF["ContentDate"], TAG_OF["SeriesDate"]
_BIRTH_DATE, _AGE, _SEX = TAG_OF["PatientBirthDate"], TAG_OF["PatientAge"], TAG_OF["PatientSex"]
_MODALITY, _IMAGE_TYPE, _BODY_PART = TAG_OF["Modality"], TAG_OF["ImageType"], TAG_OF["BodyPartExamined"]
_SERIES_NUMBER, _ACQUISITION_NUMBER = TAG_OF["SeriesNumber"], TAG_OF["AcquisitionNumber"]
_INSTANCE_NUMBER, _TEMPORAL = TAG_OF["InstanceNumber"], TAG_OF["TemporalPositionIdentifier"]
_FRAME_OF_REFERENCE, _PATIENT_POSITION = TAG_OF["FrameOfReferenceUID"], TAG_OF["PatientPosition"]
_KVP, _TILT, _THICKNESS = TAG_OF["KVP"], TAG_OF["GantryDetectorTilt"], TAG_OF["SliceThickness"]
_LOSSY, _BURNED_IN = TAG_OF["LossyImageCompression"], TAG_OF["BurnedInAnnotation"]
_ROWS, _COLUMNS, _FRAMES = TAG_OF["Rows"], TAG_OF["Columns"], TAG_OF["NumberOfFrames"]
_SAMPLES, _PHOTOMETRIC = TAG_OF["SamplesPerPixel"], TAG_OF["PhotometricInterpretation"]
_ALLOCATED, _STORED, _HIGH = TAG_OF["BitsAllocated"], TAG_OF["BitsStored"], TAG_OF["HighBit"]
_REPRESENTATION = TAG_OF["PixelRepresentation"]
_PADDING, _PADDING_LIMIT = TAG_OF["PixelPaddingValue"], TAG_OF["PixelPaddingRangeLimit"]
_SLOPE, _INTERCEPT = TAG_OF["RescaleSlope"], TAG_OF["RescaleIntercept"]
_POSITION, _ORIENTATION = TAG_OF["ImagePositionPatient"], TAG_OF["ImageOrientationPatient"]
_SPACING = TAG_OF["PixelSpacing"]
