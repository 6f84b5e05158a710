"""A deflated data set, inflated no further than asked, and never beyond its declared pixels.

A 1 MB deflated file can take 3 GB when it is inflated in one go. Here the header is inflated by the piece, and the
pixels are counted, not kept.
"""

from __future__ import annotations

import zlib

from tasks.dicom.elements import MAX_GROUPS_BYTES, BadHeader, Elements, ReadAt

MAX_HEADER_BYTES = MAX_GROUPS_BYTES  # inflated, before the pixel data
MAX_COUNTED_BYTES = 2 << 30  # pixels that are counted; a longer object is refused
# Pixels against their deflated bytes: real CTs reach 4, an empty slice 1000; only large objects are asked.
MOST_EXPANDED, EXPANSION_FREE_BYTES = 200, 64 << 20
_PACKED_BYTES, _STEP_BYTES = 64 << 10, 1 << 20


class Inflated:
    """Random access to the start of a deflated stream."""

    size_limit = MAX_HEADER_BYTES + MAX_COUNTED_BYTES

    def __init__(self, read_at: ReadAt, start: int, end: int) -> None:
        self._read_at, self._at = read_at, start
        self._most_bytes = max(EXPANSION_FREE_BYTES, MOST_EXPANDED * (end - start))
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = b""
        self._data = bytearray()

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Bytes of the inflated stream, fewer at its end. Raises BadHeader."""
        if offset + n_bytes > MAX_HEADER_BYTES:
            raise BadHeader("inflated header")
        while len(self._data) < offset + n_bytes:
            piece = self._next()
            if not piece:
                break
            self._data += piece
        return bytes(self._data[offset : offset + n_bytes])

    def _next(self) -> bytes:
        while not self._inflate.eof:
            if not self._packed:
                self._packed = self._read_at(self._at, _PACKED_BYTES)
                self._at += len(self._packed)
                if not self._packed:
                    return b""
            try:
                piece = self._inflate.decompress(self._packed, _STEP_BYTES)
            except zlib.error:
                raise BadHeader("deflate") from None
            self._packed = self._inflate.unconsumed_tail
            if piece:
                return piece
        return b""

    def missing_pixel_bytes(self, found: Elements) -> int:
        """How many bytes the stream ends before the declared end of its pixels. Raises BadHeader."""
        if found.pixel_offset is None or found.pixel_length is None:
            return 0
        end = found.pixel_offset + found.pixel_length
        if found.pixel_length > min(MAX_COUNTED_BYTES, self._most_bytes):
            raise BadHeader("deflated pixels")
        n_bytes = len(self._data)
        while n_bytes < end:
            piece = self._next()
            if not piece:
                return end - n_bytes
            n_bytes += len(piece)
        return 0
