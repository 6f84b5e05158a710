"""Files made to cost a reader more than they weigh: bytes in, bytes out. Nothing here is large on disk."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

from tasks.header import dataset_offset

UNDEFINED = 0xFFFFFFFF
BOMB_BYTES = 300 << 20  # unpacked


def with_element(data: bytes, element: bytes) -> bytes:
    """The file with one more element at the start of its data set."""
    at = dataset_offset(io.BytesIO(data))
    return data[:at] + element + data[at:]


def deep_sequence(levels: int) -> bytes:
    """Sequences of undefined length inside each other, as an explicit element (0008,1140)."""
    inner = b""
    for _ in range(levels):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        inner = (
            b"\x08\0\x40\x11SQ\0\0"
            + struct.pack("<I", UNDEFINED)
            + item
            + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        )
    return inner


def deflate_bomb(data: bytes) -> bytes:
    """A deflated file whose data set begins with a private element of 1 GB, 300 MB of it there."""
    at = dataset_offset(io.BytesIO(data))
    return data[:at] + _zeros(b"\x09\0\x10\0OB\0\0" + struct.pack("<I", 1 << 30), BOMB_BYTES)


def deflated_pixels(data: bytes, n_bytes: int) -> bytes:
    """A deflated file with `n_bytes` of zeros as pixels, whatever it had; the size it declares is the caller's."""
    at = dataset_offset(io.BytesIO(data))
    plain = zlib.decompress(data[at:], -15)
    head = plain[: plain.rindex(b"\xe0\x7f\x10\0OW\0\0")]
    return data[:at] + _zeros(head + b"\xe0\x7f\x10\0OW\0\0" + struct.pack("<I", n_bytes), n_bytes)


def _zeros(head: bytes, n_bytes: int) -> bytes:
    """`head` and zeros, deflated. A flush after each megabyte makes the blocks alike, so that one serves for all."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (n_bytes >> 20) + packer.compress(bytes(n_bytes % (1 << 20))) + packer.flush()


def zip_bomb(path: Path) -> None:
    """One member that unpacks to a thousand times the zip."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("bomb.dcm", "w", force_zip64=True) as member,
    ):
        for _ in range(BOMB_BYTES >> 20):
            member.write(bytes(1 << 20))
