"""Finds libopenjp2, lends it to glymur, and decodes a part of one JPEG 2000 codestream that lies in memory.

The system's library comes first, then the copy that Pillow's wheel carries. Without either, `slab.jp2` files can
be neither written nor read, and single frames are decoded whole by pylibjpeg-openjpeg.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = (
    "libopenjp2 was not found: install it (Debian: libopenjp2-7), or use a Pillow wheel, which carries a copy"
)
LEAST_VERSION = (2, 4)  # decoding of an area is correct and fast from here on
_CODESTREAM, _JP2_FILE = 0, 2  # OPJ_CODEC_FORMAT
_JP2_MAGIC = b"\x00\x00\x00\x0cjP  "


class NoOpenJpegError(RuntimeError):
    """libopenjp2 is neither on the system nor in Pillow's wheel."""


class CodestreamError(ValueError):
    """A JPEG 2000 codestream that OpenJPEG refuses."""


@lru_cache(maxsize=1)
def library_name() -> str | None:
    """File of libopenjp2: the system's soname, else the path of Pillow's copy, else None."""
    name = find_library("openjp2")
    if name is not None:
        return name
    import PIL

    site = Path(PIL.__file__).parent
    places = (site.parent / "pillow.libs", site / ".dylibs")
    found = [path for place in places for path in sorted(place.glob("libopenjp2*"))]
    return str(found[0]) if found else None


@lru_cache(maxsize=1)
def glymur_module() -> ModuleType:
    """glymur, bound to the library found. Raises NoOpenJpegError with what to install."""
    name = library_name()
    if name is None:
        raise NoOpenJpegError(MISSING)
    if "glymur" not in sys.modules:
        with tempfile.TemporaryDirectory() as folder:
            _write_glymurrc(Path(folder), name)
            with _environment("XDG_CONFIG_HOME", folder):
                import glymur
    import glymur
    from glymur.lib import openjp2

    if openjp2.OPENJP2 is None:
        raise NoOpenJpegError(MISSING)
    return glymur  # type: ignore[no-any-return]


def _write_glymurrc(folder: Path, name: str) -> None:
    (folder / "glymur").mkdir()
    (folder / "glymur" / "glymurrc").write_text(f"[library]\nopenjp2: {name}\n")


@contextmanager
def _environment(key: str, value: str) -> Iterator[None]:
    before = os.environ.get(key)
    os.environ[key] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]
        else:
            os.environ[key] = before


class _Component(ctypes.Structure):
    """opj_image_comp_t of OpenJPEG 2.x."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("dx", "dy", "w", "h", "x0", "y0", "prec", "bpp", "sgnd")),
        ("resno_decoded", ctypes.c_uint32),
        ("factor", ctypes.c_uint32),
        ("data", ctypes.POINTER(ctypes.c_int32)),
        ("alpha", ctypes.c_uint16),
    ]


class _Image(ctypes.Structure):
    """opj_image_t of OpenJPEG 2.x."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("x0", "y0", "x1", "y1", "numcomps")),
        ("color_space", ctypes.c_int),
        ("comps", ctypes.POINTER(_Component)),
        ("icc_profile_buf", ctypes.c_void_p),
        ("icc_profile_len", ctypes.c_uint32),
    ]


_READ = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_SKIP = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
_SEEK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p)
_END = ctypes.c_size_t(-1).value
_PARAMETERS_BYTES = 16384  # more than sizeof(opj_dparameters_t), about 8.3 kB


@lru_cache(maxsize=1)
def _library() -> Any | None:
    """The library with its signatures, or None when there is none or it is too old."""
    name = library_name()
    if name is None:
        return None
    try:
        library: Any = ctypes.CDLL(name)
    except OSError:
        return None
    library.opj_version.restype = ctypes.c_char_p
    version = tuple(int(part) for part in library.opj_version().decode().split(".")[:2])
    if version < LEAST_VERSION or version[0] != 2:
        return None
    library.version = version
    pointer = ctypes.c_void_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "opj_stream_create": (pointer, [ctypes.c_size_t, ctypes.c_int32]),
        "opj_stream_set_read_function": (None, [pointer, _READ]),
        "opj_stream_set_skip_function": (None, [pointer, _SKIP]),
        "opj_stream_set_seek_function": (None, [pointer, _SEEK]),
        "opj_stream_set_user_data": (None, [pointer, pointer, pointer]),
        "opj_stream_set_user_data_length": (None, [pointer, ctypes.c_uint64]),
        "opj_stream_destroy": (None, [pointer]),
        "opj_create_decompress": (pointer, [ctypes.c_int]),
        "opj_set_default_decoder_parameters": (None, [pointer]),
        "opj_setup_decoder": (ctypes.c_int32, [pointer, pointer]),
        "opj_read_header": (ctypes.c_int32, [pointer, pointer, ctypes.POINTER(ctypes.POINTER(_Image))]),
        "opj_set_decode_area": (
            ctypes.c_int32,
            [pointer, ctypes.POINTER(_Image), ctypes.c_int32, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32],
        ),
        "opj_decode": (ctypes.c_int32, [pointer, pointer, ctypes.POINTER(_Image)]),
        "opj_destroy_codec": (None, [pointer]),
        "opj_image_destroy": (None, [ctypes.POINTER(_Image)]),
    }
    for name_of_function, (result, arguments) in signatures.items():
        function = getattr(library, name_of_function)
        function.restype, function.argtypes = result, arguments
    return library


def can_decode_area(least_version: tuple[int, int] = LEAST_VERSION) -> bool:
    """Whether a usable libopenjp2 of at least this version is here (HTJ2K needs 2.5)."""
    library = _library()
    return library is not None and library.version >= least_version


class _MemoryStream:
    """An OpenJPEG input stream over bytes. Keeps its callbacks alive."""

    def __init__(self, library: Any, data: bytes) -> None:
        self._data, self._place = data, 0
        self._callbacks = (_READ(self._read), _SKIP(self._skip), _SEEK(self._seek))
        self.handle = library.opj_stream_create(max(len(data), 1024), 1)
        library.opj_stream_set_read_function(self.handle, self._callbacks[0])
        library.opj_stream_set_skip_function(self.handle, self._callbacks[1])
        library.opj_stream_set_seek_function(self.handle, self._callbacks[2])
        library.opj_stream_set_user_data(self.handle, None, None)
        library.opj_stream_set_user_data_length(self.handle, len(data))

    def _read(self, buffer: int, n_wanted: int, _: Any) -> int:
        n_read = min(n_wanted, len(self._data) - self._place)
        if n_read <= 0:
            return int(_END)
        ctypes.memmove(buffer, self._data[self._place : self._place + n_read], n_read)
        self._place += n_read
        return n_read

    def _skip(self, n_bytes: int, _: Any) -> int:
        if not 0 <= self._place + n_bytes <= len(self._data):
            return -1
        self._place += n_bytes
        return n_bytes

    def _seek(self, place: int, _: Any) -> int:
        if not 0 <= place <= len(self._data):
            return 0
        self._place = place
        return 1


def decode_area(codestream: bytes, area: tuple[int, int, int, int] | None = None) -> NDArray[np.int32]:
    """Decode one component image, or the area (first row, end row, first column, end column) of it.

    Returns int32 (rows, columns), signed when the codestream says so. Raises CodestreamError.
    """
    library = _library()
    if library is None:
        raise NoOpenJpegError(MISSING)
    stream = _MemoryStream(library, codestream)
    codec = library.opj_create_decompress(_JP2_FILE if codestream.startswith(_JP2_MAGIC) else _CODESTREAM)
    image = ctypes.POINTER(_Image)()
    try:
        parameters = ctypes.create_string_buffer(_PARAMETERS_BYTES)
        library.opj_set_default_decoder_parameters(parameters)
        _check(library.opj_setup_decoder(codec, parameters))
        _check(library.opj_read_header(stream.handle, codec, ctypes.byref(image)))
        if area is not None:
            first_row, end_row, first_column, end_column = area
            _check(library.opj_set_decode_area(codec, image, first_column, first_row, end_column, end_row))
        _check(library.opj_decode(codec, stream.handle, image))
        return _first_component(image)
    finally:
        if image:
            library.opj_image_destroy(image)
        library.opj_destroy_codec(codec)
        library.opj_stream_destroy(stream.handle)


def _check(status: int) -> None:
    if not status:
        raise CodestreamError("OpenJPEG refuses the codestream")


def _first_component(image: Any) -> NDArray[np.int32]:
    component = image.contents.comps[0]
    if image.contents.numcomps != 1 or not component.data:
        raise CodestreamError("not one component")
    return np.ctypeslib.as_array(component.data, shape=(component.h, component.w)).copy()
