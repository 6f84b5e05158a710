"""From DICOM files through header reader and selection to the slab: names, order and compression change nothing."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from slab_cases import Float, trunk_hu

from flows.explain import slab_of_files
from phantom.dicom import write_ct_series
from tasks.slab import Slab

SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "jpeg_lossless": "1.2.840.10008.1.2.4.70",
    "jpeg_ls": "1.2.840.10008.1.2.4.80",
    "jpeg_2000": "1.2.840.10008.1.2.4.90",
    "rle": "1.2.840.10008.1.2.5",
}
SPACING_MM = (2.5, 2.5, 2.5)
SHAPE = (72, 160, 160)


def anatomy() -> np.ndarray:
    z, y, x = (_centred(n, mm) for n, mm in zip(SHAPE, SPACING_MM, strict=True))
    return np.rint(trunk_hu(x[None, None, :], y[None, :, None], z[:, None, None])).astype(np.int16)


def _centred(n: int, step_mm: float) -> Float:
    return np.asarray((np.arange(n) - (n - 1) / 2) * step_mm)


def write(folder: Path, syntax: str = "1.2.840.10008.1.2.1", names: str = "IM{:04d}") -> list[Path]:
    origin = tuple(-(n - 1) / 2 * mm for n, mm in zip(SHAPE[::-1], SPACING_MM[::-1], strict=True))
    return write_ct_series(
        folder,
        anatomy(),
        spacing_mm=SPACING_MM,
        origin_xyz_mm=origin,
        transfer_syntax=syntax,
        names=names,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Slab:
    folder = tmp_path_factory.mktemp("plain")
    write(folder)
    return slab_of_files(folder)


def test_T14_names_folders_and_order_do_not_matter(tmp_path: Path, reference: Slab) -> None:
    paths = write(tmp_path / "a")
    order = np.random.default_rng(3).permutation(len(paths))
    for index, path in zip(order, paths, strict=True):
        folder = tmp_path / "a" / f"part{index % 5}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / f"{index}.x")
    slab = slab_of_files(tmp_path / "a")
    assert np.array_equal(slab.slab_xzy_hu, reference.slab_xzy_hu)
    assert slab.record == reference.record


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_T28_T29_every_transfer_syntax_gives_the_same_bits(
    tmp_path: Path, reference: Slab, syntax: str
) -> None:
    write(tmp_path, SYNTAXES[syntax])
    assert np.array_equal(slab_of_files(tmp_path).slab_xzy_hu, reference.slab_xzy_hu)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", SYNTAXES["jpeg_lossless"]])
def test_members_of_a_zip_give_the_same_bits(tmp_path: Path, reference: Slab, syntax: str) -> None:
    paths = write(tmp_path / "files", syntax)
    (tmp_path / "archive").mkdir()
    with ZipFile(tmp_path / "archive" / "study.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
    assert np.array_equal(slab_of_files(tmp_path / "archive").slab_xzy_hu, reference.slab_xzy_hu)


def test_T24_T25_signed_twelve_bit_and_half_slope_give_the_same_slab(tmp_path: Path, reference: Slab) -> None:
    origin = (-198.75, -198.75, -88.75)
    write_ct_series(
        tmp_path,
        anatomy(),
        spacing_mm=SPACING_MM,
        origin_xyz_mm=origin,
        is_signed=True,
        intercept=1024.0,
        bits_stored=12,
    )
    assert np.array_equal(slab_of_files(tmp_path).slab_xzy_hu, reference.slab_xzy_hu)
