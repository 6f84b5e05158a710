"""Text of a header, decoded by its declared character set; guessed, with a remark, where that is wrong.

Only identifiers and descriptions pass here; records are linked by identifiers, never by names. Rule: the declared set
first; where it fails, or yields control characters that no name has (ISO_IR 100 over GBK bytes), UTF-8 and then
GB18030, both strict; at last Latin-1, which never fails.
"""

from __future__ import annotations

import re
import warnings

GUESSES = ("utf-8", "gb18030")
_CONTROL = re.compile("[\x80-\x9f\ufffd]")
_ASCII_SETS = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})


def decode_text(raw: bytes, character_set: str | None) -> tuple[str, bool]:
    """(text, whether its set was guessed). `character_set` is SpecificCharacterSet joined by backslashes."""
    declared = _declared(raw, character_set or "")
    if declared is not None and not _CONTROL.search(declared):
        return declared, False
    for codec in GUESSES:
        try:
            guessed = raw.decode(codec)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(guessed):
            return guessed, True
    return raw.decode("latin-1"), True


def _declared(raw: bytes, character_set: str) -> str | None:
    """By the declared set, strictly; None where that fails."""
    terms = [term.strip() for term in character_set.split("\\")]
    if b"\x1b" in raw or len(terms) > 1:
        return _with_escapes(raw, terms)
    if terms[0] in _ASCII_SETS:
        return None if not raw.isascii() else raw.decode("ascii")
    try:
        return raw.decode(_codec(terms[0]))
    except (UnicodeDecodeError, LookupError):
        return None


def _codec(term: str) -> str:
    from pydicom.charset import python_encoding

    return str(python_encoding.get(term, term.replace("ISO_IR", "iso_ir").replace(" ", "_")))


def _with_escapes(raw: bytes, terms: list[str]) -> str | None:
    """Code extensions (ISO 2022), by pydicom; its replacement characters tell of a failure."""
    from pydicom.charset import convert_encodings, decode_bytes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            text = decode_bytes(raw, convert_encodings(terms), set(b"\\\r\n\t\f"))
        except (LookupError, ValueError):
            return None
    return None if "\ufffd" in text or "\x1b" in text else str(text)
