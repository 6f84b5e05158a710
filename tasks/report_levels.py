"""Vertebral levels as reports write them: T11-L1, L1、3, T12/L1, D12, 胸12, 第十二胸椎, "eleventh thoracic".

Takes folded text (`report_text.fold`), returns codes such as "T12", each once, in the order of the spine.
"""

from __future__ import annotations

import re
from functools import lru_cache

_COUNTS = {"C": 7, "T": 12, "L": 6, "S": 5}  # L6: a lumbarised sacral vertebra
SPINE = tuple(f"{region}{number}" for region, count in _COUNTS.items() for number in range(1, count + 1))
_PLACE = {code: place for place, code in enumerate(SPINE)}

_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]  # 1 .. 12
_CHINESE_NUMBERS = {"十二": 12, "十一": 11, "十": 10} | {
    sign: number for number, sign in enumerate("一二三四五六七八九", start=1)
}
_REGIONS = {
    **dict.fromkeys(("t", "th", "d", "dorsal", "thoracic", "胸"), "T"),
    **dict.fromkeys(("l", "lumbar", "腰"), "L"),
    **dict.fromkeys(("c", "cervical", "颈"), "C"),
    **dict.fromkeys(("s", "sacral", "骶"), "S"),
}

_CN = "十[一二]|[一二三四五六七八九十]"
_NUMBER_END = r"(?!\d|[.]\d|\s?(?:mm|cm|hu|%|x\s?\d|岁|天|月|年|枚|个|处|级|度|毫米|厘米))"
_LETTER = rf"(?<![a-z0-9])(?:th|[tldcs])\s?-?\s?\d{{1,2}}{_NUMBER_END}(?![a-z]|-?\s?(?:weight|signal))"
_ORD = rf"(?:{'|'.join(_ORDINALS)}|\d{{1,2}}(?:st|nd|rd|th))"
_ENGLISH_WORD = (
    rf"(?<![a-z])(?:{_ORD}(?:,?\s(?:and\s|to\s|through\s)?{_ORD}){{0,5}}[\s-]{{1,3}}(?:thoracic|lumbar|dorsal|cervical)"
    rf"|(?:thoracic|lumbar|dorsal)\s(?:vertebra(?:l body)?\s)?\d{{1,2}}{_NUMBER_END})(?![a-z0-9])"
)
_CHINESE = (
    rf"[胸腰颈骶]\s?[椎锥]?\s?体?\s?(?:第\s?)?(?:\d{{1,2}}{_NUMBER_END}|{_CN})"
    rf"|第\s?(?:\d{{1,2}}|{_CN})(?:\s?[、,及和与/-]\s?(?:第\s?)?(?:\d{{1,2}}|{_CN})){{0,5}}\s?[胸腰颈骶]\s?[椎锥]"
    r"|(?<![\d.])\d{1,2}\s?[胸腰颈]\s?[椎锥]"
)
_ONE = f"(?:{_LETTER}|{_ENGLISH_WORD}|{_CHINESE})"
_SEPARATOR = (
    r"(?:\s?(?:椎体|椎)?\s?(?:、|及|和|与|至|到|/|&|\+|-)\s?"
    r"|\s?,\s?(?:and\s|及|和)?|\s(?:and|to|through|thru|or)\s)"
)
_BARE = rf"(?:\d{{1,2}}|{_CN}){_NUMBER_END}(?![a-z])"
LEVEL_PATTERN = rf"{_ONE}(?:{_SEPARATOR}(?:{_ONE}|{_BARE})|\s{_ONE}){{0,12}}"

# What a level can begin with: one sign; and where a letter follows it, these two, or a Chinese region and one of these.
LEVEL_SIGNS = "tldcsefn0123456789胸腰颈骶第"
_PAIRS = frozenset(word[:2] for word in (*_ORDINALS, "th", "thoracic", "lumbar", "dorsal"))
_AFTER_CHINESE = "椎锥体第一二三四五六七八九十"


def can_begin_level(signs: str) -> bool:
    """Whether a level can begin with the one or two signs that a folded text has here."""
    first, second = signs[:1], signs[1:2]
    if first.isdigit() or not second.isalpha():
        return first in LEVEL_SIGNS
    return signs in _PAIRS or (first in "胸腰颈骶第" and second in _AFTER_CHINESE)


_ITEMS = re.compile(rf"({_ONE})|({_BARE})|(-|至|到|to|through|thru)")
_DIGITS = re.compile(r"\d{1,2}")
_CHINESE_NUMBER = re.compile(_CN)
_ORDINAL = re.compile("|".join(_ORDINALS))
_REGION = re.compile(r"thoracic|lumbar|dorsal|cervical|[胸腰颈骶]|^(?:th(?=[\s\d-])|[tldcs])")
_LONGEST_RANGE = 12  # a longer one ("C2-L5 imaged") is a field of view, not a list of fractures


@lru_cache(maxsize=4096)
def levels_of(text: str) -> tuple[str, ...]:
    """The levels that a folded text names, lists and ranges spelled out."""
    found: list[str] = []
    region, is_range = "", False
    for item in _ITEMS.finditer(text):
        one, bare, dash = item.groups()
        if dash:
            is_range = bool(found)
            continue
        if one:
            region = _region_of(one)
        if not region:
            continue
        codes = [f"{region}{number}" for number in _numbers_of(one or bare, is_many=bool(one))]
        for code in codes:
            if code in _PLACE:
                found += _between(found[-1], code) if is_range and found else []
                found.append(code)
            is_range = False
    return tuple(sorted(set(found), key=_PLACE.__getitem__))


def in_order(levels: set[str]) -> tuple[str, ...]:
    """Codes from the top of the spine down."""
    return tuple(sorted(levels, key=_PLACE.__getitem__))


def _region_of(one: str) -> str:
    found = _REGION.search(one)
    if found is None:
        return ""
    return _REGIONS[found[0]]


def _numbers_of(text: str, *, is_many: bool) -> list[int]:
    numbers = [_ORDINALS.index(word) + 1 for word in _ORDINAL.findall(text)]
    numbers += [int(digits) for digits in _DIGITS.findall(text)]
    numbers += [_CHINESE_NUMBERS[sign] for sign in _CHINESE_NUMBER.findall(text)]
    return numbers if is_many else numbers[:1]


def _between(first: str, last: str) -> list[str]:
    """The levels between two, both left out; nothing when the range runs upwards or is a field of view."""
    start, end = sorted((_PLACE[first], _PLACE[last]))
    between = [level for level in SPINE[start + 1 : end] if level != "L6"]  # nearly nobody has one
    return between if end - start < _LONGEST_RANGE else []
