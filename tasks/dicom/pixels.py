"""Whether the declared pixel data can be there at all: present, of a possible size, and complete. Allocates nothing.

Returns the first problem in the order of the fault catalogue: mandatory attributes, impossible sizes, a file that ends
early, sizes that disagree.
"""

from __future__ import annotations

from tasks.dicom import values as v
from tasks.dicom.elements import PIXEL_TAGS, Elements, ReadAt, tag
from tasks.sources.base import Problem

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
CT_IMAGE_CLASSES = ENHANCED_CT_CLASSES | {CT_IMAGE}
# Uncompressed syntaxes: implicit, explicit, big endian, deflated.
NATIVE_SYNTAXES = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
)
DEFLATED = "1.2.840.10008.1.2.1.99"
MAX_SIDE = 16_384  # pixels; CT has 512 to 2048, the largest radiographs under 8000
MAX_PIXEL_BYTES = 16 << 30  # of one object; the largest enhanced CT (5000 frames of 1024²) has 10 GB
MAX_FRAGMENTS = 100_000  # walked in one object
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_PIXEL_DATA = tag(0x7FE0, 0x0010)


def pixel_problem(
    found: Elements, transfer_syntax_uid: str, read_at: ReadAt, size_bytes: int, tail: bytes
) -> Problem | None:
    """The reason why this is no complete instance, or None. `tail` are the last bytes of the file."""
    values = found.values
    missing = _missing(values, found)
    if missing:
        return Problem(f"missing_mandatory:{','.join(missing)}")
    if found.pixel_offset is None:
        return Problem("truncated", f"missing_bytes={found.missing_bytes}") if found.is_cut else None
    n_bytes = _declared_bytes(found)
    if n_bytes is None:
        return Problem("dims")
    if found.pixel_length is None:
        return _fragments_problem(read_at, found.pixel_offset, size_bytes, tail)
    end = found.pixel_offset + found.pixel_length
    if transfer_syntax_uid != DEFLATED and end > size_bytes:
        return Problem("truncated", f"missing_bytes={end - size_bytes}")
    if transfer_syntax_uid in NATIVE_SYNTAXES and n_bytes and found.pixel_tag == _PIXEL_DATA:
        return _length_problem(found.pixel_length, n_bytes)
    return None


def _missing(values: dict[bytes, bytes], found: Elements) -> list[str]:
    """Tags of absent mandatory attributes; pixels are asked of CT images only."""
    needed = ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
    sop_class = v.code(values.get(v.TAG_OF["SOPClassUID"]))
    is_ct = sop_class in CT_IMAGE_CLASSES or (
        sop_class is None and v.code(values.get(v.TAG_OF["Modality"])) == "CT"
    )
    if is_ct:
        needed += ["Rows", "Columns", "BitsAllocated"]
    absent = [v.TAG_OF[keyword] for keyword in needed if not _is_given(values.get(v.TAG_OF[keyword]))]
    if is_ct and found.pixel_tag not in PIXEL_TAGS:
        absent.append(_PIXEL_DATA)
    return [f"{each[1::-1].hex()}{each[:1:-1].hex()}".upper() for each in absent]


def _is_given(raw: bytes | None) -> bool:
    # A binary 32 is a blank and a NUL: numbers of two bytes count as given whatever they are.
    return raw is not None and (len(raw) == 2 or bool(raw.strip(b" \0")))


def _declared_bytes(found: Elements) -> int | None:
    """Bytes of all frames as declared, 0 where that cannot be told; None: impossible."""
    values = found.values
    rows = v.unsigned(values.get(v.TAG_OF["Rows"])) or 0
    columns = v.unsigned(values.get(v.TAG_OF["Columns"])) or 0
    if 0 in (rows, columns) and found.pixel_tag == _PIXEL_DATA:
        return None
    n_frames = v.integer(values.get(v.TAG_OF["NumberOfFrames"]))
    n_frames = 1 if n_frames is None else n_frames
    samples = v.unsigned(values.get(v.TAG_OF["SamplesPerPixel"])) or 1
    bits = v.unsigned(values.get(v.TAG_OF["BitsAllocated"])) or 0
    is_possible = max(rows, columns) <= MAX_SIDE and n_frames >= 0 and samples <= 4 and bits <= 64
    if not is_possible:
        return None
    n_bytes = -(-rows * columns * max(n_frames, 1) * samples * bits // 8)
    if n_bytes > MAX_PIXEL_BYTES:
        return None
    photometric = v.code(values.get(v.TAG_OF["PhotometricInterpretation"])) or ""
    return 0 if photometric.startswith("YBR") else n_bytes  # subsampled colour: never a CT


def _length_problem(found_bytes: int, expected_bytes: int) -> Problem | None:
    """Exactly as declared, or with one byte of padding to an even length."""
    if found_bytes in (expected_bytes, expected_bytes + expected_bytes % 2):
        return None
    return Problem("size_mismatch", f"found_bytes={found_bytes} expected_bytes={expected_bytes}")


def _fragments_problem(read_at: ReadAt, offset: int, size_bytes: int, tail: bytes) -> Problem | None:
    """Encapsulated pixel data end with a delimiter; where the file does not, the fragments are walked."""
    if tail.endswith(_SEQUENCE_END + b"\0\0\0\0"):
        return None
    for _ in range(MAX_FRAGMENTS):
        head = read_at(offset, 8)
        if len(head) < 8:
            return Problem("truncated", f"missing_bytes={offset + 8 - size_bytes}")
        if head[:4] == _SEQUENCE_END:
            return None
        if head[:4] != _ITEM:
            return Problem("bad_header")
        offset += 8 + int.from_bytes(head[4:], "little")
    return Problem("bad_header")
