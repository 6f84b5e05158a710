"""Pixels in every transfer syntax are the same HU, and damage is a reason, never pixels (T06-T09, T24-T29)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slab_cases import FolderSource, MemorySource

from phantom.dicom import write_ct_series
from phantom.files.dicom_bytes import encode_frame
from tasks import compressed, jpeg_lossless
from tasks.compressed import CodestreamSize, j2k_size, jpeg_size
from tasks.decode import FrameReader, Window, inflated_pixels, to_hu
from tasks.instance import FileRef
from tasks.plan import PixelFormat, PlannedSlice, SeriesPlan
from tasks.rejected import SlabRejected

J2K, J2K_ANY = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
JPEG_LOSSLESS, JPEG_LS, RLE = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"
LITTLE, BIG, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
COMPRESSED = (J2K, JPEG_LOSSLESS, JPEG_LS, RLE)
ROWS, COLUMNS = 96, 128
WINDOW = Window(10, 70, 33, 90)
ENCAPSULATED_HEAD = b"\0" * 20  # whatever stands before the pixels


def pixel_format(uid: str = LITTLE, **changes: Any) -> PixelFormat:
    base = PixelFormat(uid, 1, "MONOCHROME2", 16, 16, 15, 0, None, None)
    return replace(base, **changes)


def words(seed: int = 0, bits: int = 12, shape: tuple[int, int] = (ROWS, COLUMNS)) -> np.ndarray:
    """A smooth picture with some noise, unsigned."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: shape[0], : shape[1]]
    top = (1 << bits) - 1
    return np.clip(top / 2 * (1 + np.sin(x / 9) * np.cos(y / 7)) + rng.normal(0, 9, shape), 0, top).astype(
        "<u2"
    )


def item(data: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data


def encapsulated(frames: list[bytes], table: bytes = b"") -> bytes:
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    return item(table) + b"".join(map(item, padded)) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def one_slice(
    data: bytes,
    pixels: PixelFormat,
    *,
    offset: int | None = 0,
    length: int | None = None,
    frame: int = 0,
    n_frames: int = 1,
    slope: float = 1.0,
    intercept: float = -1024.0,
    shape: tuple[int, int] = (ROWS, COLUMNS),
) -> tuple[SeriesPlan, MemorySource]:
    sliced = PlannedSlice(
        FileRef(b"f", None, len(data)),
        frame,
        n_frames,
        (0.0, 0.0, 0.0),
        0.0,
        slope,
        intercept,
        offset,
        length,
        pixels,
    )
    plan = SeriesPlan(
        "study", "series", "revision", "axial", None, shape[0], shape[1], 1.0, 1.0,
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 1.0, None, 0.0, 0.0, False, (), (sliced,), len(data),
    )  # fmt: skip
    return plan, MemorySource({b"f": data})


def read(plan: SeriesPlan, source: Any, window: Window | None = None) -> np.ndarray:
    return FrameReader(plan, source).read_hu(plan.slices[0], window)


def read_frame(frame: bytes, uid: str, window: Window | None = None, **changes: Any) -> np.ndarray:
    data = ENCAPSULATED_HEAD + encapsulated([frame])
    return read(*one_slice(data, pixel_format(uid, **changes), offset=len(ENCAPSULATED_HEAD)), window)


def reason(function: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(SlabRejected) as caught:
        function(*args, **kwargs)
    assert caught.value.message
    return caught.value.reason


# ---- T28, T29: the same pixels --------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", COMPRESSED)
@pytest.mark.parametrize("bits", [12, 16])
def test_T28_compressed_frames_are_those_of_their_uncompressed_twin(uid: str, bits: int) -> None:
    image = words(bits=bits)
    native = read(*one_slice(image.tobytes(), pixel_format()))
    frame = encode_frame(image, uid, bits)
    stored = {"bits_stored": bits, "high_bit": bits - 1}
    assert np.array_equal(read_frame(frame, uid, **stored), native)
    part = native[WINDOW.first_row : WINDOW.end_row, WINDOW.first_column : WINDOW.end_column]
    assert np.array_equal(read_frame(frame, uid, WINDOW, **stored), part)


@pytest.mark.parametrize("uid", COMPRESSED)
def test_T28_signed_frames(uid: str) -> None:
    image = (words(bits=12).astype(np.int32) - 2048).astype("<i2")
    expected = np.clip(image.astype(float), -1024, 3071)
    frame = encode_frame(image, uid, 16)
    plan, source = one_slice(encapsulated([frame]), pixel_format(uid, pixel_representation=1), intercept=0.0)
    assert np.array_equal(read(plan, source), expected)


def test_T29_byte_orders_and_deflated_files(tmp_path: Path) -> None:
    image = words()
    expected = read(*one_slice(image.tobytes(), pixel_format()))
    assert np.array_equal(read(*one_slice(image.astype(">u2").tobytes(), pixel_format(BIG))), expected)
    volume = (image.astype(np.int32) - 1024).astype(np.int16)[None]
    (path,) = write_ct_series(tmp_path, volume, spacing_mm=(1.0, 1.0, 1.0), transfer_syntax=DEFLATED)
    plan, _ = one_slice(b"", pixel_format(DEFLATED), offset=None)
    ref = FileRef(path.name.encode(), None, path.stat().st_size)
    plan = replace(plan, slices=(replace(plan.slices[0], file=ref),))
    assert np.array_equal(read(plan, FolderSource(tmp_path)), expected)
    part = expected[WINDOW.first_row : WINDOW.end_row, WINDOW.first_column : WINDOW.end_column]
    assert np.array_equal(read(plan, FolderSource(tmp_path), WINDOW), part)


def test_T28_both_decoders_of_lossless_jpeg_agree() -> None:
    """Pillow's libjpeg-turbo is optional: the plugin gives the same pixels."""
    image = words()
    frame = encode_frame(image, JPEG_LOSSLESS, 16)
    assert np.array_equal(compressed._plugin_jpeg(frame, (ROWS, COLUMNS)), image)
    fast = jpeg_lossless.decode(frame, ROWS, COLUMNS, 16, ROWS)
    assert fast is None or np.array_equal(fast, image)


def test_damage_in_lossless_jpeg_parks_no_more_than_its_thread() -> None:
    """A fatal error of libjpeg leaves its thread behind; the next frame gets another one."""
    image = words()
    frame = encode_frame(image, JPEG_LOSSLESS, 16)
    for _ in range(2):
        assert jpeg_lossless.decode(b"\xff\xd8" + b"\0" * 50, ROWS, COLUMNS, 16, ROWS) is None
    again = jpeg_lossless.decode(frame, ROWS, COLUMNS, 16, ROWS)
    assert again is None or np.array_equal(again, image)


@pytest.mark.parametrize("uid", [JPEG_LOSSLESS, J2K])
def test_T23_frames_of_one_file_by_order_and_by_offset_table(uid: str) -> None:
    images = [words(seed) for seed in range(3)]
    frames = [encode_frame(image, uid, 16) for image in images]
    frames = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    in_two = [frames[0][:100], frames[0][100:], frames[1], frames[2]]
    starts = [0, len(frames[0]) + 16, len(frames[0]) + 16 + len(frames[1]) + 8]
    table = struct.pack("<3I", *starts)
    for data in (encapsulated(frames), encapsulated(in_two, table)):
        for index, image in enumerate(images):
            plan, source = one_slice(data, pixel_format(uid), frame=index, n_frames=3)
            assert np.array_equal(read(plan, source), np.clip(image.astype(float) - 1024, -1024, 3071))
    assert reason(read, *one_slice(encapsulated(in_two), pixel_format(uid), n_frames=3)) == "decode"


# ---- T24-T27: what the words mean -----------------------------------------------------------------------------


def hu_of(raw: list[int], pixels: PixelFormat, slope: float = 1.0, intercept: float = 0.0) -> list[float]:
    plan, _ = one_slice(b"", pixels, slope=slope, intercept=intercept)
    array = np.array([raw], np.uint8 if pixels.bits_allocated == 8 else "<u2")
    return [float(value) for value in to_hu(array, plan.slices[0])[0]]


def test_T25_twelve_bits_signed_and_overlay_bits() -> None:
    twelve = pixel_format(bits_stored=12, high_bit=11)
    assert hu_of([0x0123, 0xF123, 0x0FFF], twelve) == [291, 291, 3071]  # overlays in the upper bits
    signed = replace(twelve, pixel_representation=1)
    assert hu_of([0x0FFF, 0xF7FF, 0x0800], signed) == [-1, 2047, -1024]
    lifted = pixel_format(bits_stored=12, high_bit=15)  # values in the upper twelve bits
    assert hu_of([0x1230, 0x123F], lifted) == [0x123, 0x123]
    assert hu_of([0xFFF0], replace(lifted, pixel_representation=1)) == [-1]
    assert hu_of([200], pixel_format(bits_allocated=8, bits_stored=8, high_bit=7), slope=2.0) == [400]


def test_T26_padding_is_air_where_it_is_no_tissue() -> None:
    signed = pixel_format(pixel_representation=1)
    assert hu_of([63536, 5], replace(signed, padding_value=-2000)) == [-1024, 5]
    assert hu_of([63536, 5], replace(signed, padding_value=63536)) == [-1024, 5]
    assert hu_of([63536, 5], pixel_format(padding_value=63536)) == [-1024, 5]
    between = replace(signed, padding_value=-3000, padding_limit=-1500)
    assert hu_of([65536 - 3000, 65536 - 1500, 7], between) == [-1024, -1024, 7]
    assert hu_of([0, 1], replace(signed, padding_value=0)) == [0, 1]  # water stays water


def test_values_are_clipped_to_what_a_slab_holds() -> None:
    assert hu_of([0, 65535], pixel_format(), intercept=-3024.0) == [-1024, 3071]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"photometric": "MONOCHROME1"}, "photometric"),
        ({"photometric": "RGB", "samples_per_pixel": 3}, "photometric"),
        ({"photometric": "PALETTE COLOR"}, "photometric"),
        ({"bits_allocated": 32}, "bits"),
        ({"bits_stored": 17}, "bits"),
        ({"bits_stored": 12, "high_bit": 10}, "bits"),
    ],
)
def test_T27_formats_that_are_no_ct(changes: dict[str, Any], expected: str) -> None:
    assert reason(read, *one_slice(words().tobytes(), pixel_format(**changes))) == expected


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf")])
def test_T24_impossible_rescale(slope: float) -> None:
    assert reason(read, *one_slice(words().tobytes(), pixel_format(), slope=slope)) == "bad_rescale"


# ---- T06-T09: declared sizes ----------------------------------------------------------------------------------


def test_T06_T07_native_sizes() -> None:
    data = words().tobytes()
    for length in (len(data) - 2, len(data) * 2):
        assert reason(read, *one_slice(data, pixel_format(), length=length)) == "size_mismatch"
    assert reason(read, *one_slice(data[:-100], pixel_format())) == "truncated"


@pytest.mark.parametrize("uid", COMPRESSED)
@pytest.mark.parametrize("shape", [(ROWS // 2, COLUMNS), (ROWS * 2, COLUMNS)])
def test_T06_T07_frames_of_another_size(uid: str, shape: tuple[int, int]) -> None:
    frame = encode_frame(words(shape=shape), uid, 16)
    assert reason(read_frame, frame, uid) in ("size_mismatch", "decode")


@pytest.mark.parametrize("shape", [(65535, 65535), (0, 512), (-1, 512)])
def test_T08_impossible_dimensions(shape: tuple[int, int]) -> None:
    assert reason(read, *one_slice(b"", pixel_format(), shape=shape)) == "dims"


def test_T09_a_forged_j2k_size_is_refused_unread() -> None:
    frame = bytearray(encode_frame(words(), J2K, 16))
    place = frame.find(b"\xff\x51")
    struct.pack_into(">II", frame, place + 6, 1 << 30, 1 << 30)
    assert reason(read_frame, bytes(frame), J2K) in ("size_mismatch", "dims")
    frame = bytearray(encode_frame(words(), J2K, 16))
    struct.pack_into(">II", frame, place + 22, 1, 1)  # tiles of one pixel
    assert reason(read_frame, bytes(frame), J2K) == "dims"


@pytest.mark.parametrize("has_group_length", [True, False])
def test_T09_a_deflate_bomb_is_not_inflated(has_group_length: bool) -> None:
    syntax = b"1.2.840.10008.1.2.1.99"
    told = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(told)) if has_group_length else b""
    meta = b"\0" * 128 + b"DICM" + length + told
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = meta + packer.compress(b"\0" * (64 << 20)) + packer.flush()
    assert len(bomb) < 100_000
    assert reason(inflated_pixels, bomb, 2 * ROWS * COLUMNS) == "size_mismatch"
    assert reason(inflated_pixels, b"\0" * 200, 10) == "bad_header"
    assert reason(inflated_pixels, meta + b"\xff" * 50, 10) == "decode"


def test_T09_items_of_impossible_length() -> None:
    for length, expected in ((0xFFFFFFF0, "truncated"), (0xFFFFFFFF, "decode")):
        data = item(b"") + struct.pack("<HHI", 0xFFFE, 0xE000, length) + b"abc"
        assert reason(read, *one_slice(data, pixel_format(J2K))) == expected
    assert reason(read, *one_slice(item(b""), pixel_format(J2K))) == "truncated"
    assert reason(read, *one_slice(b"\0" * 64, pixel_format(J2K))) == "decode"


@pytest.mark.parametrize("uid", COMPRESSED)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_T04_a_frame_cut_short_is_no_picture(uid: str, share: float) -> None:
    frame = encode_frame(words(), uid, 16)
    assert reason(read_frame, frame[: int(len(frame) * share) // 2 * 2], uid) in ("decode", "size_mismatch")


@pytest.mark.parametrize("uid", COMPRESSED)
def test_rubbish_is_no_picture(uid: str) -> None:
    rng = np.random.default_rng(5)
    assert reason(read_frame, rng.bytes(2000), uid) in ("decode", "size_mismatch", "dims")
    assert reason(read_frame, b"", uid) == "decode"


def test_T28_an_unknown_transfer_syntax_names_itself() -> None:
    uid = "1.2.840.10008.1.2.4.100"
    assert reason(read_frame, b"\0" * 64, uid) == f"no_decoder:{uid}"


def test_sizes_are_read_from_the_codestreams() -> None:
    image = words()
    assert j2k_size(encode_frame(image, J2K, 16)) == CodestreamSize(ROWS, COLUMNS, 1, 16)
    signed = (image.astype(np.int32) - 2048).astype("<i2")
    assert j2k_size(encode_frame(signed, J2K, 16)).is_signed
    assert jpeg_size(encode_frame(image, JPEG_LS, 16)) == CodestreamSize(ROWS, COLUMNS, 1, 16)
    assert jpeg_size(encode_frame(image, JPEG_LOSSLESS, 16)).rows == ROWS


def test_a_rejection_survives_pickling() -> None:
    import pickle

    back = pickle.loads(pickle.dumps(SlabRejected("truncated", missing_bytes=7)))
    assert (back.reason, back.numbers) == ("truncated", {"missing_bytes": 7})
    assert "7 bytes" in back.message
