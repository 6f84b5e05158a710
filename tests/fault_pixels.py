"""The fault table, pixels and zips: cases for the rows of docs/faults.md that the slab stage decides, and T63."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
from factory import make_enhanced_ct
from fault_archive import (
    N_SLICES,
    ORIGIN_MM,
    PIXEL_MM,
    SIDE,
    STEP_MM,
    Case,
    Edit,
    Volume,
    bytes_of,
    only,
    scan,
    trunk,
    volume_of,
    with_value,
)
from fault_bombs import deflated_pixels, zip_bomb
from fault_cases import SCORED, excluded, plain, quarantined
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from phantom.files.dicom_bytes import encode_frame

ALL = N_SLICES
Words = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


# ---- frames


def _frame_changed(change: Callable[[bytearray], None], *slices: int) -> Edit:
    """Change the one compressed frame of these slices (of all, when none is named)."""

    def edit(ds: Dataset, index: int) -> None:
        if slices and index not in slices:
            return
        frame = bytearray(next(generate_frames(ds.PixelData, number_of_frames=1)))
        change(frame)
        ds.PixelData = encapsulate([bytes(frame)])

    return edit


def _forge_size(side: int) -> Callable[[bytearray], None]:
    """Image and tile size in the SIZ segment of a JPEG 2000 codestream (T.800 A.5.1)."""

    def change(frame: bytearray) -> None:
        at = frame.index(b"\xff\x51")
        for place in (at + 6, at + 10, at + 22, at + 26):
            frame[place : place + 4] = side.to_bytes(4, "big")

    return change


def _forge_jpeg_ls_size(frame: bytearray) -> None:
    """Lines and columns of the start-of-frame segment (T.87 C.2.2)."""
    at = frame.index(b"\xff\xf7")
    frame[at + 5 : at + 9] = (60_000).to_bytes(2, "big") * 2


def _forge_components(frame: bytearray) -> None:
    """Sixteen thousand components in the SIZ segment."""
    at = frame.index(b"\xff\x51") + 38
    frame[at : at + 2] = (16_384).to_bytes(2, "big")


def _forge_segments(frame: bytearray) -> None:
    """Both RLE segments begin behind the frame (PS3.5 G.5)."""
    frame[4:12] = (1 << 30).to_bytes(4, "little") * 2


def _forge_both(side: int) -> Edit:
    forge = _frame_changed(_forge_size(side))

    def edit(ds: Dataset, index: int) -> None:
        forge(ds, index)
        ds.Rows = ds.Columns = side

    return edit


def _flip(frame: bytearray) -> None:
    """Twenty bytes of the coded data, behind all headers."""
    for place in range(len(frame) // 2, len(frame) // 2 + 200, 10):
        frame[place] ^= 0xFF


def _deflated(folder: Path, seed: int) -> None:
    """One object of 16,000² pixels that are all zero: half a gigabyte in 2 MB, and it declares just that."""
    (path,) = scan(folder, seed, keep=[0], transfer_syntax=DeflatedExplicitVRLittleEndian, edit=_size(16_000))
    path.write_bytes(deflated_pixels(path.read_bytes(), 2 * 16_000 * 16_000))


def _rows(n: int) -> Edit:
    def edit(ds: Dataset, _: int) -> None:
        ds.Rows = n

    return edit


def _size(side: int) -> Edit:
    def edit(ds: Dataset, _: int) -> None:
        ds.Rows = ds.Columns = side

    return edit


def frames() -> Iterator[Case]:
    """T09, T28, T29, T30, T31: compressed frames, whole, forged and damaged."""
    j2k = {"transfer_syntax": JPEG2000Lossless}
    one = _frame_changed(_forge_size(60_000), 12)
    yield quarantined("T09", "j2k_size_of_one_slice", "size_mismatch", edit=one, **j2k)
    yield quarantined("T09", "j2k_size_and_rows", "dims", edit=_forge_both(16_000), **j2k)
    yield quarantined("T09", "j2k_largest_allowed_size", "size_mismatch", edit=_forge_both(4_000), **j2k)
    for name, reason, forge, syntax in (
        ("j2k_components", "photometric", _forge_components, JPEG2000Lossless),
        ("jpeg_ls_size", "size_mismatch", _forge_jpeg_ls_size, JPEGLSLossless),
        ("rle_segments", "decode", _forge_segments, RLELossless),
    ):
        yield quarantined("T09", name, reason, edit=_frame_changed(forge, 12), transfer_syntax=syntax)
    yield quarantined("T06", "j2k_rows_doubled", "size_mismatch", edit=_rows(2 * SIDE), **j2k)
    yield quarantined("T07", "j2k_rows_halved", "size_mismatch", edit=_rows(SIDE // 2), **j2k)
    yield Case("T09", "deflated_pixels", _deflated, files={"bad_header": 1})
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        yield plain("T28", syntax.keyword, SCORED, transfer_syntax=syntax, is_twin=True)
    yield plain("T28", "JPEGLosslessSV1", SCORED, edit=_jpeg_lossless, is_twin=True)
    unknown = lambda data, _: data.replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.9\0")  # noqa: E731
    yield excluded(
        "T28", "unknown", "no_decoder:1.2.840.10008.1.2.9", transfer_syntax=RLELossless, corrupt=unknown
    )
    other = lambda data, _: with_value(data, 0x00020010, b"UI", b"1.2.840.10008.1.2.4.90")  # noqa: E731
    yield quarantined("T28", "called_j2k", "decode", transfer_syntax=RLELossless, corrupt=other)
    for syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian):
        yield plain("T29", syntax.keyword, SCORED, transfer_syntax=syntax, is_twin=True)
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": 12}
    yield plain("T30", "lossy", SCORED, **lossy, flags=frozenset({"lossy"}), is_twin=True)
    torn = frozenset({"qc_torn"})  # no codestream of JPEG 2000 tells of damage
    yield plain("T31", "flipped_j2k", SCORED, edit=_frame_changed(_flip, 12), **j2k, flags=torn)
    yield quarantined(
        "T31", "flipped_jpeg_ls", "decode", edit=_frame_changed(_flip, 12), transfer_syntax=JPEGLSLossless
    )
    yield quarantined(
        "T31", "flipped_rle", "decode", edit=_frame_changed(_flip, 12), transfer_syntax=RLELossless
    )


def _jpeg_lossless(ds: Dataset, index: int) -> None:
    words = np.frombuffer(ds.PixelData, "<i2").reshape(SIDE, SIDE)
    ds.RescaleIntercept, ds.PixelRepresentation = -1024, 0
    frame = encode_frame((words + 1024).astype("<u2"), JPEGLosslessSV1, 16)
    ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"


# ---- values


def _stored(
    change: Callable[[Volume, int], np.ndarray[tuple[int, ...], np.dtype[np.generic]]], **values: object
) -> Edit:
    """Store the same HU in another way: `change` gives the words, `values` the elements that explain them."""

    def edit(ds: Dataset, index: int) -> None:
        ds.PixelData = change(trunk()[index], index).tobytes()
        for keyword, value in values.items():
            setattr(ds, keyword, value(index) if callable(value) else value)

    return edit


def _junk(index: int) -> Words:
    return np.random.default_rng(index).integers(0, 16, (SIDE, SIDE)).astype("<u2") << np.uint16(12)


_U12 = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "RescaleIntercept": -1024}


def _unsigned(hu: Volume) -> Words:
    return (hu + 1024).astype("<u2")


def _padded(hu: Volume, _: int) -> Volume:
    return np.where(_outside(), -2000, hu).astype("<i2")


def _outside() -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    side = np.arange(SIDE) - (SIDE - 1) / 2
    return np.hypot(side[:, None], side[None, :]) > SIDE / 2


def _colour(ds: Dataset, _: int) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(SIDE * SIDE * 3)


def values() -> Iterator[Case]:
    """T24 to T27: what the stored words mean."""
    yield excluded("T24", "slope_absent", "no_rescale", RescaleSlope=None)
    yield excluded("T24", "intercept_absent", "no_rescale", RescaleIntercept=None)
    yield quarantined("T24", "slope_zero", "bad_rescale", RescaleSlope=0)
    for text in (b"nan ", b"inf ", b"-1"):
        name = text.decode().strip().strip("-") + "_slope"
        forge = lambda data, _, text=text: with_value(data, 0x00281053, b"DS", text)  # noqa: E731
        yield quarantined("T24", name, "bad_rescale", corrupt=forge)
    one = only(12)(lambda data, _: with_value(data, 0x00281053, b"DS", b"0 "))
    yield quarantined("T24", "slope_zero_in_one_slice", "bad_rescale", corrupt=one)
    per_slice = _stored(
        lambda hu, k: ((hu + 10 * (k % 3)) * (1 + k % 2)).astype("<i2"),
        RescaleSlope=lambda k: 1 / (1 + k % 2),
        RescaleIntercept=lambda k: -10 * (k % 3),
    )
    yield plain("T24", "per_slice", SCORED, edit=per_slice, is_twin=True)
    for name, edit in {
        "twelve_bits": _stored(lambda hu, _: _unsigned(hu), **_U12),
        "left_justified": _stored(lambda hu, _: _unsigned(hu) << np.uint16(4), **_U12 | {"HighBit": 15}),
        "overlay_bits": _stored(lambda hu, k: _unsigned(hu) | _junk(k), **_U12),
        "signed_thirteen": _stored(
            lambda hu, k: (
                (hu.astype("<u2") & np.uint16(0x0FFF))
                | (_junk(k) & np.uint16(0xE000))
                | ((hu < 0).astype("<u2") << np.uint16(12))
            ),
            BitsStored=13,
            HighBit=12,
        ),
    }.items():
        yield plain("T25", name, SCORED, edit=edit, is_twin=True)
    padding = frozenset({"padding"})
    signed = _stored(_padded, PixelPaddingValue=-2000)
    yield plain("T26", "signed", SCORED, edit=signed, flags=padding, is_twin=True)
    forge = lambda data, _: with_value(data, 0x00280120, b"US", (63536).to_bytes(2, "little"))  # noqa: E731
    yield plain("T26", "as_63536", SCORED, edit=signed, corrupt=forge, flags=padding, is_twin=True)
    yield quarantined("T27", "MONOCHROME1", "photometric", PhotometricInterpretation="MONOCHROME1")
    yield quarantined("T27", "palette", "photometric", PhotometricInterpretation="PALETTE COLOR")
    yield quarantined("T27", "rgb", "photometric", edit=_colour)


# ---- what the pixels show


def _tubes(*centres_mm: float, radius_mm: float = 60.0, bone_mm: float = 20.0, hu: float = 40.0) -> Volume:
    """Limbs or heads: round, with bone inside."""

    def hu_of(x, y, z):  # type: ignore[no-untyped-def]
        away = np.min([np.hypot(x - c, y) for c in centres_mm], axis=0) + 0 * z
        return np.where(away < bone_mm, 900.0, np.where(away < radius_mm, hu, -1000.0))

    return volume_of(hu_of)


def _head(x, y, z):  # type: ignore[no-untyped-def]
    away = np.hypot(x / 75, y / 95) + 0 * z
    return np.where(away < 0.9, 35.0, np.where(away < 1, 1000.0, -1000.0))


def _with_screw() -> Volume:
    volume = trunk().copy()
    volume[10:16, 55:62, 46:50] = 3000
    return volume


def contents() -> Iterator[Case]:
    """T32, T33: what no header says."""
    flat = np.full_like(trunk(), 40)
    yield quarantined("T32", "constant", "qc_hu_range", volume=flat)
    yield quarantined("T32", "all_air", "qc_hu_range", volume=np.full_like(trunk(), -1000))
    yield quarantined("T32", "not_in_hu", "qc_hu_range", volume=trunk() + np.int16(1000))
    ends = trunk().copy()
    ends[8:12] = -1000
    yield quarantined("T32", "air_inside", "blank_slices", volume=ends)
    for name, intercept in {"some_too_high": 0, "some_too_low": -2048}.items():
        third = lambda k, other=intercept: other if k % 3 == 0 else -1024  # noqa: E731
        yield quarantined("T32", name, "qc_hu_range", RescaleIntercept=third)
    flat_inside = trunk().copy()
    flat_inside[14] = 0
    yield quarantined("T32", "one_constant_slice", "blank_slices", volume=flat_inside)
    yield plain("T32", "metal", SCORED, volume=_with_screw(), flags=frozenset({"qc_metal"}))
    spine = "not_evaluable:no_spine"
    yield excluded("T33", "knee", spine, volume=_tubes(0.0))
    yield excluded("T33", "both_knees", spine, volume=_tubes(-90.0, 90.0))
    yield excluded("T33", "head", spine, volume=volume_of(_head))
    yield excluded("T33", "water_phantom", spine, volume=_tubes(0.0, radius_mm=150, bone_mm=0, hu=0))


# ---- enhanced objects and zips


def _enhanced(folder: Path, seed: int) -> None:
    path = make_enhanced_ct(
        folder / "enhanced.dcm",
        ALL,
        seed=seed,
        pixels=trunk()[0],
        pixel_spacing_mm=(PIXEL_MM, PIXEL_MM),
        origin_mm=ORIGIN_MM,
        slice_spacing_mm=STEP_MM,
    )
    ds = pydicom.dcmread(path)
    ds.PixelData = trunk().astype("<i2").tobytes()
    path.write_bytes(bytes_of(ds))


def _enhanced_without_places(folder: Path, seed: int) -> None:
    _enhanced(folder, seed)
    ds = pydicom.dcmread(folder / "enhanced.dcm")
    for group in ds.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
    (folder / "enhanced.dcm").write_bytes(bytes_of(ds))


def _zipped(method: int) -> Callable[[Path, int], None]:
    def write(folder: Path, seed: int) -> None:
        paths = scan(folder, seed)
        with zipfile.ZipFile(folder / "scan.zip", "w", method) as archive:
            for path in paths:
                archive.write(path, f"../../{path.name}")
                path.unlink()

    return write


def _damaged_zip(folder: Path, seed: int) -> None:
    """One member's bytes are flipped, its neighbours stand."""
    _zipped(zipfile.ZIP_DEFLATED)(folder, seed)
    data = bytearray((folder / "scan.zip").read_bytes())
    at = data.index(b"0012.dcm") + 2000
    data[at : at + 50] = os.urandom(50)
    (folder / "scan.zip").write_bytes(data)


def _encrypted_zip(folder: Path, seed: int) -> None:
    """Every member says that it is encrypted."""
    _zipped(zipfile.ZIP_STORED)(folder, seed)
    data = bytearray((folder / "scan.zip").read_bytes())
    for magic, at_flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(magic)
        while at >= 0:
            data[at + at_flags] |= 1
            at = data.find(magic, at + 4)
    (folder / "scan.zip").write_bytes(data)


def _bomb(folder: Path, seed: int) -> None:
    scan(folder, seed)
    zip_bomb(folder / "bomb.zip")


def objects() -> Iterator[Case]:
    """T23, T63: many images in one file."""
    yield Case("T23", "enhanced", _enhanced, SCORED, is_twin=True)
    yield Case("T23", "without_places", _enhanced_without_places, ("excluded", "unsupported_sop"))
    yield Case("T63", "stored", _zipped(zipfile.ZIP_STORED), SCORED, is_twin=True, needs_layout=True)
    yield Case("T63", "deflated", _zipped(zipfile.ZIP_DEFLATED), SCORED, is_twin=True, needs_layout=True)
    yield Case(
        "T63",
        "damaged_member",
        _damaged_zip,
        ("excluded", "missing_slices"),
        needs_layout=True,
        files={"zip_damaged": 1},
    )
    yield Case("T63", "encrypted", _encrypted_zip, needs_layout=True)
    yield Case("T63", "bomb", _bomb, SCORED, is_twin=True, needs_layout=True)


def pixel_cases() -> list[Case]:
    """All of this module."""
    return [*frames(), *values(), *contents(), *objects()]
