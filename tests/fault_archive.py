"""Writes the fault archive: good studies, and beside them one folder per fault of the catalogue (docs/faults.md).

A `Case` is one folder with at most one study, what the study must end as, and what its loose files must end as.
The cases themselves stand in `fault_cases`.
"""

from __future__ import annotations

import functools
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from factory import AXIAL, ct_dataset, uid
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian
from slab_cases import trunk_hu

N_SLICES, SIDE, PIXEL_MM, STEP_MM = 20, 96, 4.2, 4.5
ORIGIN_MM = (-(SIDE - 1) / 2 * PIXEL_MM, -(SIDE - 1) / 2 * PIXEL_MM, 0.0)
_PLACE = ("ImagePositionPatient", "ImageOrientationPatient")
SEED_OF_REFERENCE = 1  # its pixels are those of every scan here, unless a case says otherwise

Volume = NDArray[np.int16]
Edit = Callable[[Dataset, int], None]
Corrupt = Callable[[bytes, int], bytes]


@dataclass(frozen=True)
class Case:
    """One fault. Reasons are compared up to the colon, unless the expectation has one."""

    row: str  # of the catalogue
    name: str
    write: Callable[[Path, int], object]  # folder, seed
    study: tuple[str, str | None] | None = None  # (outcome, reason); None: the folder holds no study
    series: tuple[tuple[str, str | None], ...] | None = None  # of all series; None: one series, as the study
    flags: frozenset[str] = frozenset()  # that the scored series must carry
    files: Mapping[str, int] = field(default_factory=dict)  # reason → number, of files that are no instance
    is_twin: bool = False  # what the model reads is that of the reference, bit by bit
    needs_layout: bool = False  # is about names and folders: left out where these are changed
    study_uid: str | None = None
    most_s: float = 5.0  # for the crawl of its files, and for selection and slab

    @property
    def id(self) -> str:
        return f"{self.row}_{self.name}"

    @property
    def seed(self) -> int:
        return 2 + zlib.crc32(self.id.encode()) % 1_000_000

    @property
    def uid(self) -> str:
        return self.study_uid or str(uid("study", self.seed))

    @property
    def series_outcomes(self) -> Counter[tuple[str, str | None]]:
        if self.series is None:
            return Counter([self.study] if self.study else [])
        return Counter(self.series)


@functools.cache
def trunk(n: int = N_SLICES, step_mm: float = STEP_MM) -> Volume:
    """A trunk with a spine, (n, SIDE, SIDE) HU, slices from feet to head."""
    return volume_of(trunk_hu, n, step_mm)


def volume_of(
    hu_of: Callable[..., NDArray[np.float64]], n: int = N_SLICES, step_mm: float = STEP_MM
) -> Volume:
    """Any anatomy on the grid of this archive."""
    side = ORIGIN_MM[0] + np.arange(SIDE) * PIXEL_MM
    z = np.arange(n)[:, None, None] * step_mm
    return np.rint(hu_of(side[None, None, :], side[None, :, None], z)).astype(np.int16)


def scan(
    folder: Path,
    seed: int,
    *,
    volume: Volume | None = None,
    keep: Iterable[int] | None = None,
    label: str = "",
    orientation: Sequence[float] = AXIAL,
    file_name: str = "{index:04d}.dcm",
    edit: Edit | None = None,
    corrupt: Corrupt | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    **attributes: Any,
) -> list[Path]:
    """Write one series of the study `seed`: `edit` changes a data set, `corrupt` the bytes of a file.

    `attributes` may be values, or functions of the slice number.
    """
    volume = trunk() if volume is None else volume
    attributes = {"slice_spacing_mm": STEP_MM, "origin_mm": ORIGIN_MM, **attributes}
    attributes.setdefault("SeriesInstanceUID", uid("series", seed, label))
    attributes.setdefault("SOPInstanceUID", lambda index: uid("instance", seed, label, index))
    paths, template = [], None
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(volume)) if keep is None else keep:
        here = {key: value(index) if callable(value) else value for key, value in attributes.items()}
        if template is not None and _is_plain(attributes, edit, transfer_syntax):
            data = _next_slice(template, index, volume[index], here)
        else:
            ds = ct_dataset(
                index,
                seed=seed,
                pixels=volume[index],
                pixel_spacing_mm=(PIXEL_MM, PIXEL_MM),
                orientation=orientation,
                transfer_syntax=transfer_syntax,
                **here,
            )
            if edit is not None:
                edit(ds, index)
            data = bytes_of(ds)
            template = data
        paths.append(folder / file_name.format(index=index))
        paths[-1].write_bytes(data if corrupt is None else corrupt(data, index))
    return paths


def _is_plain(attributes: Mapping[str, Any], edit: Edit | None, transfer_syntax: str) -> bool:
    """Whether slices differ in number, UID, place and pixels only, so that one can be made from another's bytes."""
    changing = {key for key, value in attributes.items() if callable(value)}
    odd = {"ImagePositionPatient", "ImageOrientationPatient"} & set(attributes)
    return (
        edit is None
        and transfer_syntax == ExplicitVRLittleEndian
        and changing == {"SOPInstanceUID"}
        and not odd
    )


def _next_slice(template: bytes, index: int, pixels: Volume, values: Mapping[str, Any]) -> bytes:
    """Another slice from the bytes of the first: a hundred times faster than writing it anew."""
    first = pydicom.dcmread(
        io.BytesIO(template), specific_tags=["InstanceNumber", *_PLACE], stop_before_pixels=True
    )
    direction = [float(value) for value in first.ImageOrientationPatient]
    n_steps = index - (int(first.InstanceNumber) - 1)
    step = np.cross(direction[:3], direction[3:]) * values["slice_spacing_mm"]
    place = np.asarray([float(value) for value in first.ImagePositionPatient]) + n_steps * step
    words = pixels.astype("<i2").tobytes()
    data = template[: -len(words)] + words
    text = "\\".join(f"{value:.4f}" for value in place)
    data = with_value(data, 0x00080018, b"UI", values["SOPInstanceUID"].encode())
    data = with_value(data, 0x00200013, b"IS", str(index + 1).encode())
    return with_value(data, 0x00200032, b"DS", text.encode())


def bytes_of(ds: Dataset) -> bytes:
    """A data set as a file."""
    stream = DicomBytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return bytes(stream.getvalue())


def only(*indices: int) -> Callable[[Corrupt], Corrupt]:
    """Corrupt these slices only."""

    def wrap(corrupt: Corrupt) -> Corrupt:
        return lambda data, index: corrupt(data, index) if index in indices else data

    return wrap


def write_archive(root: Path, cases: Iterable[Case]) -> None:
    """Every case in a folder of its own name, and the reference beside them."""
    scan(root / "reference", SEED_OF_REFERENCE)
    for case in cases:
        case.write(root / case.id, case.seed)


def with_value(data: bytes, tag: int, vr: bytes, value: bytes) -> bytes:
    """The file (explicit little endian) with one short element replaced, whatever its value: nothing is validated."""
    group, element = tag >> 16, tag & 0xFFFF
    head = group.to_bytes(2, "little") + element.to_bytes(2, "little")
    at = data.index(head, 132)
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return data[:at] + head + vr + len(value).to_bytes(2, "little") + value + data[at + 8 + length :]
