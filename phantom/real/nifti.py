"""Reads a NIfTI-1 file (.nii or .nii.gz) as an array with its place in the patient. No other package is needed.

The header is that of nifti1.h (348 bytes, https://nifti.nimh.nih.gov/nifti-1). NIfTI's world is RAS: x to the right
and y to the front; what is returned is LPS, as DICOM has it. Sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from phantom.real.ct_series import HU_MAX, HU_MIN, LEAN_COSINE, RealDataError, RealSeries

HEADER_BYTES = 348
MAX_BYTES = 2 << 30  # of unpacked voxels: 1.0 mm masks of a whole body stay below
# Data types of nifti1.h; complex and colour ones are no masks.
TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class PlacedArray:
    """An array (i, j, k) and the 4 × 4 matrix from its indices to patient millimetres (LPS)."""

    values_ijk: npt.NDArray[np.generic]
    to_lps_mm: npt.NDArray[np.float64]


def is_nifti(path: Path) -> bool:
    """Whether a file is called as NIfTI files are."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def read_nifti(path: Path) -> PlacedArray:
    """Read a three-dimensional NIfTI-1 file. RealDataError when it is none, is cut short, or is too large."""
    try:
        with _opened(path) as file:
            head = file.read(HEADER_BYTES)
            order = _byte_order(head)
            header = np.frombuffer(head, _HEADER.newbyteorder(order))[0]
            shape, kind = _shape(header), np.dtype(_type(header)).newbyteorder(order)
            size = int(np.prod(shape)) * kind.itemsize
            if size > MAX_BYTES:
                raise RealDataError("the NIfTI file is too large")
            file.read(max(0, _offset(header) - HEADER_BYTES))
            data = file.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise RealDataError("the NIfTI file cannot be read") from error
    if len(data) < size:
        raise RealDataError("the NIfTI file is cut short")
    values = np.frombuffer(data, kind).reshape(shape, order="F")
    return PlacedArray(_scaled(values, header), RAS_TO_LPS @ _to_ras(header))


_HEADER = np.dtype(
    [
        ("sizeof_hdr", "i4"), ("unused1", "V36"), ("dim", "i2", 8), ("intent", "V14"), ("datatype", "i2"),
        ("bitpix", "i2"), ("slice_start", "i2"), ("pixdim", "f4", 8), ("vox_offset", "f4"), ("scl_slope", "f4"),
        ("scl_inter", "f4"), ("unused2", "V132"), ("qform_code", "i2"), ("sform_code", "i2"), ("quatern", "f4", 3),
        ("qoffset", "f4", 3), ("srow", "f4", (3, 4)), ("intent_name", "V16"), ("magic", "S4"),
    ]
)  # fmt: skip


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_packed else path.open("rb")  # type: ignore[return-value]


def _byte_order(head: bytes) -> Literal["<", ">"]:
    if len(head) == HEADER_BYTES and head[344:347] == b"n+1":
        if int.from_bytes(head[:4], "little") == HEADER_BYTES:
            return "<"
        if int.from_bytes(head[:4], "big") == HEADER_BYTES:
            return ">"
    raise RealDataError("the file is no NIfTI-1 file in one piece")


def _shape(header: np.void) -> tuple[int, int, int]:
    count, sizes = int(header["dim"][0]), [int(n) for n in header["dim"][1:]]
    if not 3 <= count <= 7 or min(sizes[:3]) < 1 or any(n > 1 for n in sizes[3:count]):
        raise RealDataError("the NIfTI file does not hold one three-dimensional array")
    return sizes[0], sizes[1], sizes[2]


def _type(header: np.void) -> str:
    code = int(header["datatype"])
    if code not in TYPES:
        raise RealDataError("the NIfTI file holds numbers of a kind that is not read")
    return TYPES[code]


def _offset(header: np.void) -> int:
    offset = float(header["vox_offset"])
    if not HEADER_BYTES <= offset <= 1 << 24:
        raise RealDataError("the NIfTI file has a broken header")
    return int(offset)


def _scaled(values: npt.NDArray[np.generic], header: np.void) -> npt.NDArray[np.generic]:
    """Slope and intercept applied; nifti1.h: a slope of 0 means none."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite([slope, intercept]).all() or slope == 0 or (slope, intercept) == (1, 0):
        return values
    return values.astype(np.float64) * slope + intercept


def _to_ras(header: np.void) -> npt.NDArray[np.float64]:
    """Indices to RAS millimetres: the sform where there is one, else the qform."""
    matrix = np.eye(4)
    if int(header["sform_code"]) > 0:
        matrix[:3] = header["srow"]
    elif int(header["qform_code"]) > 0:
        matrix[:3, :3] = _rotation(header) * np.abs(header["pixdim"][1:4].astype(float))
        matrix[:3, 2] *= -1.0 if float(header["pixdim"][0]) < 0 else 1.0
        matrix[:3, 3] = header["qoffset"]
    else:
        raise RealDataError("the NIfTI file does not say where it lies in the patient")
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-6:
        raise RealDataError("the NIfTI file has a broken place in the patient")
    return matrix


def _rotation(header: np.void) -> npt.NDArray[np.float64]:
    """The qform's rotation from its three quaternion parts (nifti1.h, method 2)."""
    b, c, d = (float(v) for v in header["quatern"])
    a = float(np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d)))
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def read_ct_volume(path: Path) -> RealSeries:
    """A CT in one NIfTI file, HU, axial slices or any others along the patient's axes.

    RealDataError when the voxels lean, or hold no HU.
    """
    placed = read_nifti(path)
    steps = placed.to_lps_mm[:3, :3]
    axes = [int(np.argmax(np.abs(steps[axis]))) for axis in range(3)]  # which index runs along x, y, z
    spacing_xyz = np.array([abs(steps[axis, axes[axis]]) for axis in range(3)])
    if (
        sorted(axes) != [0, 1, 2]
        or (spacing_xyz < LEAN_COSINE * np.linalg.norm(steps[:, axes], axis=0)).any()
    ):
        raise RealDataError("the voxels of the NIfTI file lean against the patient's axes")
    values = placed.values_ijk.transpose(axes[::-1])  # z, y, x
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all() or float(values.min()) > HU_MIN / 2:
        raise RealDataError("the NIfTI file holds no CT in HU: nothing in it is as thin as air")
    index = np.zeros(3)
    flips = {0: steps[2, axes[2]] > 0, 1: steps[1, axes[1]] < 0, 2: steps[0, axes[0]] < 0}  # of z, y, x
    for axis, is_flipped in flips.items():
        if is_flipped:
            values = np.flip(values, axis)
            of_file = axes[2 - axis]
            index[of_file] = placed.values_ijk.shape[of_file] - 1
    origin = (placed.to_lps_mm @ [*index, 1.0])[:3]
    return RealSeries(
        np.ascontiguousarray(np.clip(np.rint(values), HU_MIN, HU_MAX).astype(np.int16)),
        (float(spacing_xyz[2]), float(spacing_xyz[1]), float(spacing_xyz[0])),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        float(spacing_xyz[2]),
        (bool(flips[1]), bool(flips[2])),
        address=str(path),
    )
