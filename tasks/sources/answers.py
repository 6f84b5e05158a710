"""What a PACS answers (the DICOM JSON model, PS3.18 annex F) to the rows of the crawl. Pure.

C-FIND identifiers are put into the same form by `tasks.sources.dimse`. An instance that is known from an answer only
has no transfer syntax and no place of its pixels: both are known when it has been fetched.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tasks.dicom.elements import BadHeader, Elements
from tasks.dicom.frames import NO_GROUPS, PER_FRAME, SHARED, EnhancedHeader, read_frames
from tasks.dicom.pixels import ENHANCED_CT_CLASSES
from tasks.dicom.values import BINARY, TAG_OF, instance_of
from tasks.instance import FileRef, Instance

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Answer: TypeAlias = Mapping[str, Any]  # "0020000D" → {"vr": "UI", "Value": [...]}

# Where an answer was found and by whom, and counts of other levels: no part of what an instance is.
_APART = frozenset(
    {
        "00080005",  # SpecificCharacterSet: JSON is UTF-8
        "00080052",  # QueryRetrieveLevel
        "00080054",  # RetrieveAETitle
        "00080056",  # InstanceAvailability
        "00080061",  # ModalitiesInStudy
        "00081190",  # RetrieveURL
        "00080201",  # TimezoneOffsetFromUTC: of the server, in some answers
        "00201200",
        "00201202",
        "00201204",
        "00201206",
        "00201208",
        "00201209",  # numbers of related studies, series and instances
    }
)
_GROUPS = ("52009229", "52009230")
_CHARACTER_SET = TAG_OF["SpecificCharacterSet"]
# The parts of a digest that stand for a size and a time in the index: 59 bits lie in the past as nanoseconds.
_TOKEN_BITS = 59


def value(answer: Answer, tag: str) -> str | None:
    """The first value of an element as text; None where it is absent or empty."""
    values = (answer.get(tag) or {}).get("Value") or [None]
    first = values[0]
    return None if first is None or isinstance(first, dict) else str(first).strip() or None


def count(answer: Answer, tag: str) -> int | None:
    """The first value of an element as a number of things."""
    found = value(answer, tag)
    return int(found) if found is not None and found.isascii() and found.isdigit() else None


def merged(*levels: Answer) -> dict[str, Any]:
    """One answer from those of study, series and instance: the lower level wins where it says anything."""
    said: dict[str, Any] = {}
    for answer in levels:
        elements = {tag: element for tag, element in answer.items() if isinstance(element, Mapping)}
        said |= {tag: element for tag, element in elements.items() if element.get("Value") or tag not in said}
    return said


def answer_of(dataset: Dataset) -> dict[str, Any]:
    """What C-FIND found, in the form of the rest; elements that cannot be read are left out.

    One by one: `Dataset.to_json_dict(suppress_invalid_tags=True)` makes pydicom strict for the whole process while
    it works, and for good when two threads do so at once, so that files would be read otherwise beside a query. It
    also drops what is readable and only longer than the standard has it, as coordinates often are.
    """
    said = {}
    with warnings.catch_warnings():  # they would name the values that they are about
        warnings.simplefilter("ignore")
        for tag in dataset.keys():  # noqa: SIM118 (iterating a data set reads its elements)
            try:
                said[f"{tag:08X}"] = dataset[tag].to_json_dict(None, 0)
            except Exception:  # whatever pydicom makes of another's mistakes
                continue
    return said


def digest_of(answer: Answer) -> str:
    """32 hex characters over everything that an answer says of its subject."""
    said = {tag: (element or {}).get("Value") for tag, element in answer.items() if tag not in _APART}
    text = json.dumps({tag: each for tag, each in said.items() if each}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def token(*parts: object) -> int:
    """A number that stands for a state, in the place of a modification time: equal parts, equal number."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _TOKEN_BITS)


def pixel_bytes(answer: Answer) -> int:
    """Bytes of the native pixels that an answer speaks of; at least one."""
    rows, columns = count(answer, "00280010") or 0, count(answer, "00280011") or 0
    n_frames, bits = count(answer, "00280008") or 1, count(answer, "00280100") or 16
    return max(1, rows * columns * n_frames * bits // 8)


def instance_of_answer(answer: Answer, file: FileRef) -> Instance:
    """The `Instance` that an answer describes, equal to that of its file but for what only the file knows."""
    raw = {tag: _raw(answer[name], tag in BINARY) for tag, name in _NAMES.items() if name in answer}
    groups = _groups(answer)
    values = groups.beside({tag: content for tag, content in raw.items() if content is not None})
    values[_CHARACTER_SET] = b"ISO_IR 192"
    return instance_of(
        values,
        file=file,
        content_digest=digest_of(answer),
        transfer_syntax_uid="",
        pixel_offset=None,
        pixel_length=None,
        frames=groups.planes,
        remarks=(),
    )


def _name(tag: bytes) -> str:
    group, element = int.from_bytes(tag[:2], "little"), int.from_bytes(tag[2:], "little")
    return f"{group:04X}{element:04X}"


_NAMES = {tag: _name(tag) for tag in TAG_OF.values()}


def _raw(element: Mapping[str, Any], is_binary: bool) -> bytes | None:
    """The value as it would stand in a little-endian file."""
    values = [each for each in element.get("Value") or [] if not isinstance(each, dict)]
    if not values:
        return b"" if element.get("vr") else None
    if is_binary:
        return _binary(values[0])
    return "\\".join("" if each is None else str(each) for each in values).encode()


def _binary(number: object) -> bytes | None:
    try:
        return int(str(number)).to_bytes(2, "little", signed=str(number).startswith("-"))
    except (ValueError, OverflowError):
        return None


def _groups(answer: Answer) -> EnhancedHeader:
    """What the functional groups of an enhanced object say; nothing where the answer does not hold them."""
    if value(answer, "00080016") not in ENHANCED_CT_CLASSES or _name(PER_FRAME) not in answer:
        return NO_GROUPS
    buffer = b""
    found = Elements({})
    for tag in (SHARED, PER_FRAME):
        if _name(tag) in answer:
            group = _encoded({_name(tag): answer[_name(tag)]})
            found.spans[tag] = (len(buffer), len(buffer) + len(group))
            buffer += group
    n_frames = count(answer, "00280008") or 1
    try:
        return read_frames(lambda at, n_bytes: buffer[at : at + n_bytes], found, n_frames, is_implicit=False)
    except BadHeader:
        return NO_GROUPS


def _encoded(answer: Answer) -> bytes:
    """Explicit little endian bytes of some elements."""
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(stream, Dataset.from_json(_rounded(answer)))
    return bytes(stream.getvalue())


def _rounded(answer: Any) -> Any:
    """Numbers as text of at most 16 characters, as DS is written: a JSON double may have more digits."""
    if isinstance(answer, list):
        return [_rounded(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    if answer.get("vr") == "DS" and "Value" in answer:
        return {**answer, "Value": [_decimal(each) for each in answer["Value"]]}
    return {name: _rounded(each) for name, each in answer.items()}


def _decimal(number: Any) -> Any:
    return float(f"{number:.10g}") if isinstance(number, float) else number
