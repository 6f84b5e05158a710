"""One JPEG 2000 file per slab: explains itself, keeps bone within 10 HU, and is whole or not there."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from slab_cases import SAGITTAL, scan

from tasks.jpeg2000 import SlabFileError, read_slab, slab_bytes_estimate, write_slab
from tasks.openjpeg import glymur_module, library_name
from tasks.slab import Slab, build_slab, slab_task

MOST_BONE_RMS_HU = 10.0  # asked by the issue


@pytest.fixture(scope="module")
def slab() -> Slab:
    return build_slab(*scan(n_slices=60))


def bone_rms_hu(one: Slab, other: Slab) -> float:
    bone = one.slab_xzy_hu > 150
    assert bone.sum() > 1000
    return float(np.sqrt(np.mean((one.slab_xzy_hu[bone].astype(float) - other.slab_xzy_hu[bone]) ** 2)))


def test_a_slab_comes_back_with_its_geometry(tmp_path: Path, slab: Slab) -> None:
    path = tmp_path / "ab" / "slab.jp2"
    n_bytes = write_slab(path, slab)
    back = read_slab(path)
    assert n_bytes == path.stat().st_size < slab.slab_xzy_hu.nbytes / 9
    assert replace(back.record, n_bytes=None, is_kept=False) == slab.record
    assert back.record.n_bytes == n_bytes
    assert back.record.is_kept
    assert bone_rms_hu(slab, back) < MOST_BONE_RMS_HU
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["slab.jp2"]


def test_reduced_resolution_shows_the_same(tmp_path: Path, slab: Slab) -> None:
    write_slab(tmp_path / "slab.jp2", slab)
    half = read_slab(tmp_path / "slab.jp2", reduce=1)
    n, rows, columns = slab.slab_xzy_hu.shape
    assert half.slab_xzy_hu.shape == (n, -(-rows // 2), -(-columns // 2))
    assert half.record.pixel_mm == 2 * slab.record.pixel_mm
    full = slab.slab_xzy_hu[:, : rows // 2 * 2, : columns // 2 * 2].astype(float)
    means = full.reshape(n, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4))
    inside = means > 0
    assert np.abs((half.slab_xzy_hu[:, : rows // 2, : columns // 2] - means)[inside]).mean() < 20


def test_any_jpeg_2000_reader_understands_it(tmp_path: Path, slab: Slab) -> None:
    """Samples are HU + 1024, all slices are components, and the box says so in words."""
    write_slab(tmp_path / "slab.jp2", slab)
    file = glymur_module().Jp2k(str(tmp_path / "slab.jp2"))
    assert file.shape == (*slab.slab_xzy_hu.shape[1:], len(slab.slab_xzy_hu))
    text = next(box for box in file.box if box.box_id == "xml ").xml.getroot()
    assert text.find("samples").get("offset") == "1024"
    assert text.find("axes").get("rows") == "head to foot"


def test_a_single_native_slice_and_values_over_the_top(tmp_path: Path) -> None:
    plan, source = scan(orientation=SAGITTAL, n_slices=1, shape=(120, 150), plane="sagittal")
    slab = build_slab(plan, source)
    slab.slab_xzy_hu[0, :10, :10] = 3071
    write_slab(tmp_path / "one.jp2", slab)
    back = read_slab(tmp_path / "one.jp2")
    assert back.slab_xzy_hu.shape == slab.slab_xzy_hu.shape
    assert back.slab_xzy_hu.max() <= 3071 + 60


def test_a_file_is_replaced_whole(tmp_path: Path, slab: Slab) -> None:
    path = tmp_path / "slab.jp2"
    path.write_bytes(b"old")
    write_slab(path, slab)
    assert read_slab(path).record.rows == slab.record.rows


@pytest.mark.parametrize("n_kept", [0, 100, 5000])
def test_a_damaged_file_is_refused(tmp_path: Path, slab: Slab, n_kept: int) -> None:
    path = tmp_path / "slab.jp2"
    write_slab(path, slab)
    path.write_bytes(path.read_bytes()[:n_kept])
    with pytest.raises(SlabFileError):
        read_slab(path)


@pytest.mark.parametrize("place", [0.3, 0.6, -40])
def test_a_hole_that_a_decoder_would_fill_is_told(tmp_path: Path, slab: Slab, place: float) -> None:
    path = tmp_path / "slab.jp2"
    write_slab(path, slab)
    data = bytearray(path.read_bytes())
    start = int(place * len(data)) if place > 0 else len(data) + int(place)
    data[start : start + 8] = bytes(byte ^ 1 for byte in data[start : start + 8])
    path.write_bytes(data)
    with pytest.raises(SlabFileError):
        read_slab(path)


def test_a_file_of_an_earlier_version_names_no_digest(tmp_path: Path, slab: Slab) -> None:
    path = tmp_path / "slab.jp2"
    write_slab(path, slab)
    data = path.read_bytes()
    place = data.index(b"xml <?xml") - 4
    box = re.sub(rb' sha256="[0-9a-f]{64}"', b"", data[place + 4 :])
    path.write_bytes(data[:place] + struct.pack(">I", len(box) + 4) + box)
    assert read_slab(path).slab_xzy_hu.shape == slab.slab_xzy_hu.shape


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_slab(tmp_path / "none.jp2")


def test_T39_a_full_disk_is_named(slab: Slab) -> None:
    """In a process whose files may not grow, as on a full disk: an OSError with its number, and nothing left."""
    script = (
        "import resource, signal, sys, errno, os, pathlib\n"
        "from slab_cases import scan\n"
        "from tasks.slab import build_slab\n"
        "from tasks.jpeg2000 import write_slab\n"
        "slab = build_slab(*scan(n_slices=45))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "path = pathlib.Path(sys.argv[1]) / 'slab.jp2'\n"
        "try:\n"
        "    write_slab(path, slab)\n"
        "except OSError as error:\n"
        "    print(error.errno, os.listdir(sys.argv[1]))\n"
    )
    import tempfile

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", script, folder],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
    code, left = done.stdout.split(maxsplit=1)
    assert int(code) in (errno.EFBIG, errno.EIO, errno.ENOSPC)
    assert left.strip() == "[]"


def test_a_worker_that_cannot_write_fails_and_does_not_quarantine(tmp_path: Path) -> None:
    plan, source = scan(n_slices=45)
    (tmp_path / "file").write_bytes(b"")
    result = slab_task(plan, source, tmp_path / "file" / "slab.jp2")
    assert result.rejection is not None
    assert (result.rejection.outcome, result.rejection.reason) == ("failed", "io")


def test_the_library_is_found_and_the_estimate_grows() -> None:
    assert library_name() is not None
    assert slab_bytes_estimate(1000) == 1000 * slab_bytes_estimate(1)
    assert 500_000 < slab_bytes_estimate(1) < 2_000_000
