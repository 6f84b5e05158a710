"""Decodes one compressed frame, after its own declared size was compared with the header. No I/O here.

Every frame comes in as bytes and leaves as words (rows, columns) of a window. Damage is `SlabRejected`,
never pixels.
"""

from __future__ import annotations

import importlib
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks import jpeg_lossless, openjpeg
from tasks.plan import PixelFormat
from tasks.rejected import SlabRejected

Words = NDArray[Any]

JPEG_LOSSLESS = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
JPEG_LOSSY = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
HTJ2K = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203))
JPEG_2000 = frozenset({"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}) | HTJ2K
RLE = "1.2.840.10008.1.2.5"

# Start-of-frame markers: all but DHT (C4), JPG (C8) and DAC (CC); F7 is JPEG-LS (T.87).
_SOF = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
MOST_TILES = 4096  # of one J2K frame: a 512² image in tiles of 8²


@dataclass(frozen=True, slots=True)
class CodestreamSize:
    """What a compressed frame says of itself."""

    rows: int
    columns: int
    components: int
    precision: int
    is_signed: bool = False


def decode_frame(
    frame: bytes, rows: int, columns: int, pixels: PixelFormat, window: tuple[int, int, int, int]
) -> Words:
    """The window (first row, end row, first column, end column) of one compressed frame.

    Unsigned words, or signed values where the codestream itself is signed (JPEG 2000). Raises SlabRejected:
    `size_mismatch` (other size than the header), `decode`, `no_decoder:UID`.
    """
    uid = pixels.transfer_syntax_uid
    try:
        words = _decode(uid, frame, (rows, columns), pixels, window)
    except ImportError as error:
        raise SlabRejected(f"no_decoder:{uid}") from error
    except (SlabRejected, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # plugins raise whatever they like; a panic of Rust is no Exception
        raise SlabRejected("decode") from error
    if words.shape != (window[1] - window[0], window[3] - window[2]):
        raise SlabRejected("size_mismatch")
    return words


def _decode(
    uid: str, frame: bytes, shape: tuple[int, int], pixels: PixelFormat, window: tuple[int, int, int, int]
) -> Words:
    if uid in JPEG_2000:
        return _jpeg_2000(uid, frame, shape, pixels, window)
    if uid in JPEG_LOSSLESS:
        return _jpeg_lossless(frame, shape, pixels, window)
    if uid in JPEG_LOSSY:
        check_size(jpeg_size(frame), shape, pixels)
        _check_end(frame)
        return _cut(_plugin_jpeg(frame, shape), window)
    if uid in JPEG_LS:
        check_size(jpeg_size(frame), shape, pixels)
        _check_end(frame)
        data, _ = importlib.import_module("jpeg_ls").decode_pixel_data(frame)
        return _cut(_words_of(data, shape), window)
    if uid == RLE:
        n_bits = pixels.bits_allocated
        _check_rle(frame, n_bits // 8)
        data = importlib.import_module("rle").decode_pixel_data(
            frame, version=2, rows=shape[0], columns=shape[1], bits_allocated=n_bits, byteorder="<"
        )
        return _cut(_words_of(data, shape), window)
    raise SlabRejected(f"no_decoder:{uid}")


def _jpeg_2000(
    uid: str, frame: bytes, shape: tuple[int, int], pixels: PixelFormat, window: tuple[int, int, int, int]
) -> Words:
    size = j2k_size(frame)
    check_size(size, shape, pixels)
    least = (2, 5) if uid in HTJ2K else openjpeg.LEAST_VERSION
    if openjpeg.can_decode_area(least):
        values = openjpeg.decode_area(frame, window)
    else:
        data = importlib.import_module("openjpeg").decode_pixel_data(frame, version=2)
        words = _words_of(data, shape)
        values = _cut(words.view(words.dtype.str.replace("u", "i")) if size.is_signed else words, window)
    return values.astype(np.int16 if size.is_signed else np.uint16)


def _jpeg_lossless(
    frame: bytes, shape: tuple[int, int], pixels: PixelFormat, window: tuple[int, int, int, int]
) -> Words:
    size = jpeg_size(frame)
    check_size(size, shape, pixels)
    _check_end(frame)
    image = jpeg_lossless.decode(frame, shape[0], shape[1], size.precision, window[1])
    if image is None:
        return _cut(_plugin_jpeg(frame, shape), window)
    return image[window[0] :, window[2] : window[3]]


def _check_end(frame: bytes) -> None:
    """Refuse a JPEG without its end marker: cut short, the plugins return pixels without a word, or hang."""
    if not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise SlabRejected("decode")


def _plugin_jpeg(frame: bytes, shape: tuple[int, int]) -> Words:
    """pylibjpeg-libjpeg without pydicom around it (measured: pydicom adds a third to its 10.8 ms)."""
    status, data, _ = importlib.import_module("_libjpeg").decode(frame, 0, as_array=True)
    if not status.startswith(b"0::::"):
        raise SlabRejected("decode")
    return _words_of(data, shape)


def _words_of(data: Any, shape: tuple[int, int]) -> Words:
    """Bytes of a decoder → (rows, columns) of unsigned words; one or two bytes a pixel, little endian."""
    n_bytes, n_pixels = memoryview(data).nbytes, shape[0] * shape[1]
    if n_bytes not in (n_pixels, 2 * n_pixels):
        raise SlabRejected("size_mismatch", found_bytes=n_bytes, expected_bytes=2 * n_pixels)
    dtype = np.dtype(np.uint8) if n_bytes == n_pixels else np.dtype("<u2")
    return np.frombuffer(data, dtype).reshape(shape)


def _cut(words: Words, window: tuple[int, int, int, int]) -> Words:
    return words[window[0] : window[1], window[2] : window[3]]


def check_size(size: CodestreamSize, shape: tuple[int, int], pixels: PixelFormat) -> None:
    """Raise SlabRejected unless a frame declares what the header declares."""
    if (size.rows, size.columns) != shape:
        n_found, n_expected = size.rows * size.columns * 2, shape[0] * shape[1] * 2
        raise SlabRejected("size_mismatch", found_bytes=n_found, expected_bytes=n_expected)
    if size.components != 1:
        raise SlabRejected("photometric")
    if not 0 < size.precision <= pixels.bits_allocated:
        raise SlabRejected("bits")


def jpeg_size(frame: bytes) -> CodestreamSize:
    """Size from the start-of-frame segment of JPEG or JPEG-LS (T.81 B.2.2), else SlabRejected(decode)."""
    place = 2
    if not frame.startswith(b"\xff\xd8"):
        raise SlabRejected("decode")
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            break
        marker = frame[place + 1]
        if marker == 0xFF or marker in _STANDALONE:  # fill byte, or a marker without a length
            place += 1 if marker == 0xFF else 2
            continue
        if marker in _SOF and place + 10 <= len(frame):
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, place + 4)
            return CodestreamSize(rows, columns, components, precision)
        if marker in (0xD9, 0xDA):
            break
        place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    raise SlabRejected("decode")


def j2k_size(frame: bytes) -> CodestreamSize:
    """Size from the SIZ segment (T.800 A.5.1), of a bare codestream or one in a JP2 file."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(frame) < start + 45:
        raise SlabRejected("decode")
    x1, y1, x0, y0, tile_x, tile_y, tile_x0, tile_y0, components = struct.unpack_from(
        ">8IH", frame, start + 8
    )
    depth = frame[start + 42]
    if x1 <= x0 or y1 <= y0 or not tile_x or not tile_y:
        raise SlabRejected("dims")
    n_tiles = -(-(x1 - tile_x0) // tile_x) * -(-(y1 - tile_y0) // tile_y)
    if x0 or y0 or frame[start + 43 : start + 45] != b"\x01\x01" or n_tiles > MOST_TILES:
        raise SlabRejected("dims")
    return CodestreamSize(y1, x1, components, (depth & 0x7F) + 1, bool(depth & 0x80))


def _check_rle(frame: bytes, n_segments: int) -> None:
    """The RLE header: as many segments as bytes a pixel, offsets inside the frame (PS3.5 G.5)."""
    if len(frame) < 64:
        raise SlabRejected("decode")
    count, *offsets = struct.unpack_from("<16I", frame)
    used = offsets[:n_segments]
    if count != n_segments or any(not 64 <= offset < len(frame) for offset in used):
        raise SlabRejected("decode")


def item_spans(stream: Any, start: int, end: int) -> list[tuple[int, int]]:
    """(offset, length) of every item of an encapsulated PixelData that begins at `start` (PS3.5 A.4).

    The first one is the basic offset table. Raises SlabRejected(truncated | decode).
    """
    spans: list[tuple[int, int]] = []
    place = start
    while True:
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8:
            raise SlabRejected("truncated", missing_bytes=8 - len(head))
        group, element, length = struct.unpack("<HHI", head)
        if (group, element) == (0xFFFE, 0xE0DD):
            return spans
        if (group, element) != (0xFFFE, 0xE000) or length == 0xFFFFFFFF:
            raise SlabRejected("decode")
        if place + 8 + length > end:
            raise SlabRejected("truncated", missing_bytes=place + 8 + length - end)
        spans.append((place + 8, length))
        place += 8 + length


def spans_of_frame(
    spans: list[tuple[int, int]], offset_table: bytes, frame: int, n_frames: int
) -> list[tuple[int, int]]:
    """The fragments of one frame: all of a single-frame file, else by offset table, else one each."""
    fragments = spans[1:]
    if n_frames == 1:
        return fragments
    if len(fragments) == n_frames:
        return fragments[frame : frame + 1]
    offsets = list(struct.unpack(f"<{len(offset_table) // 4}I", offset_table[: len(offset_table) // 4 * 4]))
    if len(offsets) != n_frames or not fragments:
        raise SlabRejected("decode")
    origin = fragments[0][0] - 8
    first = origin + offsets[frame]
    end = origin + offsets[frame + 1] if frame + 1 < n_frames else 1 << 62
    return [span for span in fragments if first <= span[0] - 8 < end]
