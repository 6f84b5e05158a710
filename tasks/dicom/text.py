"""Text of a header, decoded by its declared character set; guessed, with a remark, where that is wrong.

Only identifiers and descriptions pass here; records are linked by identifiers, never by names. Many archives declare
Latin-1, or nothing, over UTF-8 or GBK bytes. Latin-1 takes any bytes, so it is believed only where they do not look
like one of those: valid UTF-8, pairs of high bytes that are all Chinese characters, or control characters that no
description has.
"""

from __future__ import annotations

import re
import warnings

_HIGH_RUNS = re.compile(rb"[\x80-\xff]+")
_ESCAPE = re.compile(r"\x1b[$()*+,\-./]*[0-~]")  # pydicom leaves those of some sets in the text
_CONTROL = re.compile("[\x80-\x9f\ufffd]")
_ASCII_SETS = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_LATIN_SETS = frozenset({"ISO_IR 100", "ISO 2022 IR 100"})
MIN_CHINESE_BYTES = (
    4  # where Latin-1 is declared: two characters; German has pairs of high bytes ("öß"), not two
)


def decode_text(raw: bytes, character_set: str | None) -> tuple[str, bool]:
    """(text, whether its set was guessed). `character_set` is SpecificCharacterSet joined by backslashes."""
    terms = [term.strip() for term in (character_set or "").split("\\")]
    is_latin = terms[0] in _LATIN_SETS and len(terms) == 1
    if not is_latin or not _looks_foreign(raw, MIN_CHINESE_BYTES):
        declared = _declared(raw, terms)
        if declared is not None and not _CONTROL.search(declared):
            return declared, False
    return _guess(raw), True


def _guess(raw: bytes) -> str:
    """UTF-8, then Chinese, strictly; at last Latin-1, which never fails."""
    codecs = ["utf-8"]
    if _is_chinese(raw, 2) or _CONTROL.search(raw.decode("latin-1")):
        codecs.append("gb18030")
    for codec in codecs:
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _looks_foreign(raw: bytes, min_chinese_bytes: int) -> bool:
    """Whether bytes with a high bit are UTF-8 or Chinese, rather than Latin-1."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return _is_chinese(raw, min_chinese_bytes)
    return not raw.isascii()


def _is_chinese(raw: bytes, min_bytes: int) -> bool:
    """Whether all high bytes come in pairs that GB 2312 knows."""
    runs = _HIGH_RUNS.findall(raw)
    if sum(map(len, runs)) < min_bytes or any(len(run) % 2 for run in runs):
        return False
    try:
        raw.decode("gb2312")
    except UnicodeDecodeError:
        return False
    return True


def _declared(raw: bytes, terms: list[str]) -> str | None:
    """By the declared set, strictly; None where that fails."""
    if b"\x1b" in raw or len(terms) > 1:
        return _with_escapes(raw, terms)
    if terms[0] in _ASCII_SETS:
        return raw.decode("ascii") if raw.isascii() else None
    try:
        return raw.decode(_codec(terms[0]))
    except (ValueError, LookupError):  # any codec the file may name, or none: "undefined", a NUL in it
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
    return None if "\ufffd" in text else _ESCAPE.sub("", text)
