"""Takes the most suspicious slice of a slab and its heat map, returns a Secondary Capture that shows both. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from models.digests import short_digest
from tasks.publish_facts import (
    MANUFACTURER,
    SERIES_NUMBERS,
    ObjectUids,
    Reference,
    ScoredResult,
    SourceSeries,
    caveats,
    put_in_study,
)

LOW_HU, HIGH_HU = -200.0, 1000.0  # the window that the models read (models.config.ViewRecipe)
HEAT_OPACITY = 0.55  # bone stays visible under the strongest heat
LEAST_WIDTH = 480  # of the picture, so that the caveats can be read
FONT_PIXELS, LINE_PIXELS, MARGIN_PIXELS = 14, 19, 8
HEARD = "the vertebra that is read beside it"
_HEAT_RGB = np.array([[255, 0, 0], [255, 235, 60]], np.float32)  # weak to strong


class Frame(NamedTuple):
    """Around a vertebra in a picture: first and last row and column, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, slots=True, eq=False)
class SuspiciousSlice:
    """One sagittal slice of a slab, rows from head to foot, columns from front to back."""

    slice_zy_hu: NDArray[np.int16]  # (rows, columns)
    heat_zy: NDArray[np.float32]  # (rows, columns), how much of the answer rests here; at or below 0: nothing
    slab_slice: int  # 0 = rightmost
    n_slab_slices: int
    lossy_ratio: float  # of the kept slab
    is_along_spine: bool = False  # each row lies as far beside that slice as the spine does
    heard: Frame | None = None  # the vertebra that speaks beside the LSTM; None: none does


def capture_reference(uids: ObjectUids, facts: str, predecessor_uid: str | None) -> Reference:
    """Where the capture of these facts will lie."""
    return Reference.made_of(SecondaryCaptureImageStorage, uids, "capture", facts, predecessor_uid or "")


def build_capture(
    picture: SuspiciousSlice,
    result: ScoredResult,
    source: SourceSeries,
    *,
    place: Reference,
    test_system: str | None,
) -> Dataset:
    """The Secondary Capture, ready to be sent."""
    made = SCImage(
        pixel_array=draw(picture, result, test_system),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("P", "F"),
        study_instance_uid=source.study_instance_uid,
        series_instance_uid=place.series_instance_uid,
        series_number=SERIES_NUMBERS["capture"],
        sop_instance_uid=place.sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=result.model_id[:64],
        software_versions=result.code_version[:64],
    )
    made.BodyPartExamined = "SPINE"
    made.ConversionType = "SYN"  # PS3.3 C.8.6.1: synthetic image
    made.BurnedInAnnotation = "NO"  # the text in it names nobody
    made.LossyImageCompression = "01"
    made.LossyImageCompressionRatio, made.LossyImageCompressionMethod = picture.lossy_ratio, "ISO_15444_1"
    along = ", moved sideways with the spine," if picture.is_along_spine else ""
    framed = "" if picture.heard is None else f"; framed: {HEARD}"
    made.DerivationDescription = (
        f"Sagittal slice {picture.slab_slice + 1} of {picture.n_slab_slices} (right to left){along} as resampled for "
        f"the model; heat: where covering the image lowers the model's answer{framed}. "
        + caveats(result, test_system)
    )
    made.SourceImageSequence = [_source_item(*instance) for instance in source.instances]
    return put_in_study(made, source, result.scored_at, test_system)


def draw(picture: SuspiciousSlice, result: ScoredResult, test_system: str | None) -> NDArray[np.uint8]:
    """(rows, columns, 3): the slice, beside it the same under its heat map, below both what they are."""
    plain = grey_rgb(picture.slice_zy_hu)
    panels = np.concatenate([plain, framed_rgb(heated_rgb(plain, picture.heat_zy), picture.heard)], axis=1)
    rows, columns = panels.shape[:2]
    lines = _lines(picture, result, test_system)
    width = max(columns, LEAST_WIDTH)
    sheet = Image.new("RGB", (width, rows + LINE_PIXELS * len(lines) + 2 * MARGIN_PIXELS))
    sheet.paste(Image.fromarray(panels), ((width - columns) // 2, 0))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PIXELS)
    for number, line in enumerate(lines):
        pen.text(
            (MARGIN_PIXELS, rows + MARGIN_PIXELS + number * LINE_PIXELS), line, (255, 255, 255), font=font
        )
    drawn: NDArray[np.uint8] = np.asarray(sheet, np.uint8)
    return drawn


def _lines(picture: SuspiciousSlice, result: ScoredResult, test_system: str | None) -> list[str]:
    said = f"{result.model_id} {short_digest(result.model_digest)}: probability {result.probability:.3f}"
    lines = [*caveats(result, test_system).split("; "), said, "left: slice; right: what the answer rests on"]
    return lines if picture.heard is None else [*lines, f"framed: {HEARD}"]


def grey_rgb(
    slice_zy_hu: NDArray[np.floating] | NDArray[np.integer], low_hu: float = LOW_HU, high_hu: float = HIGH_HU
) -> NDArray[np.uint8]:
    """(rows, columns, 3) of the slice; in the models' window unless told."""
    scaled = (slice_zy_hu.astype(np.float32) - low_hu) * (255 / (high_hu - low_hu))
    return np.repeat(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def heated_rgb(plain: NDArray[np.uint8], heat_zy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The same under its heat, from nothing at 0 to the strongest of this slice."""
    strongest = float(heat_zy.max(initial=0.0))
    if strongest <= 0:
        return plain
    share = np.clip(heat_zy / strongest, 0, 1)[:, :, None]
    colour = _HEAT_RGB[0] + share * (_HEAT_RGB[1] - _HEAT_RGB[0])
    mixed = plain * (1 - HEAT_OPACITY * share) + colour * (HEAT_OPACITY * share)
    heated: NDArray[np.uint8] = np.rint(mixed).astype(np.uint8)
    return heated


def framed_rgb(picture_rgb: NDArray[np.uint8], frame: Frame | None) -> NDArray[np.uint8]:
    """The same with a white frame drawn into it; without one as it is."""
    if frame is None:
        return picture_rgb
    framed = picture_rgb.copy()
    rows, columns = slice(frame.top, frame.bottom + 1), slice(frame.left, frame.right + 1)
    framed[[frame.top, frame.bottom], columns] = 255
    framed[rows, [frame.left, frame.right]] = 255
    return framed


def _source_item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item, purpose = Dataset(), Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code.value, "DCM", code.meaning
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
