"""How reports name vertebral levels: lists, ranges and shorthand, in English and Chinese."""

from __future__ import annotations

import numpy as np

from phantom.language.report_banks import pick
from phantom.language.report_truth import LEVELS

_REGION_ZH = {"T": "胸", "L": "腰"}
_ENGLISH_STYLES = ("plain", "hyphen", "dorsal")
_ENGLISH_WEIGHTS = (0.95, 0.03, 0.02)
_CHINESE_STYLES = ("latin", "chinese", "ordinal")
_CHINESE_WEIGHTS = (0.5, 0.38, 0.12)
_RANGE_SHARE = 0.6  # of three or more neighbours
_SHORTHAND_SHARE = 0.5  # of Chinese lists within one region: L1、3


def name_levels(rng: np.random.Generator, levels: tuple[str, ...], language: str) -> str:
    """The levels as a report writes them, from above downwards: "T11-L1", "T7, T9 and L1", "腰1、3"."""
    ordered = tuple(level for level in LEVELS if level in levels)
    if language == "zh":
        return _chinese(rng, ordered)
    return _english(rng, ordered)


def _is_run(levels: tuple[str, ...]) -> bool:
    first = LEVELS.index(levels[0])
    return LEVELS[first : first + len(levels)] == levels


def _english(rng: np.random.Generator, levels: tuple[str, ...]) -> str:
    style = str(rng.choice(_ENGLISH_STYLES, p=_ENGLISH_WEIGHTS))
    names = [_english_name(level, style) for level in levels]
    if len(names) > 2 and _is_run(levels) and rng.random() < _RANGE_SHARE:
        return f"{names[0]}{pick(rng, ['-', ' through ', ' to ', '–'])}{names[-1]}"
    if len(names) == 1:
        return names[0]
    last = pick(rng, [" and ", ", ", " & "] if len(names) == 2 else [" and ", ", and ", ", "])
    return ", ".join(names[:-1]) + last + names[-1]


def _english_name(level: str, style: str) -> str:
    region, number = level[0], level[1:]
    if style == "hyphen":
        return f"{region}-{number}"
    return f"D{number}" if style == "dorsal" and region == "T" else level


def _chinese(rng: np.random.Generator, levels: tuple[str, ...]) -> str:
    style = str(rng.choice(_CHINESE_STYLES, p=_CHINESE_WEIGHTS))
    names = [_chinese_name(level, style) for level in levels]
    if style != "ordinal" and len(names) > 1 and _is_run(levels):
        share = _RANGE_SHARE if len(names) > 2 else 0.25
        if rng.random() < share:
            return f"{names[0]}{pick(rng, ['-', '～', '~', '至'])}{names[-1]}"
    one_region = len({level[0] for level in levels}) == 1
    if style != "ordinal" and len(names) > 1 and one_region and rng.random() < _SHORTHAND_SHARE:
        mark = pick(rng, ["、", ",", "，"])
        return mark.join([names[0], *(level[1:] for level in levels[1:])])
    return pick(rng, ["、", "、", "及"] if len(names) == 2 else ["、"]).join(names)


def _chinese_name(level: str, style: str) -> str:
    region, number = level[0], level[1:]
    if style == "latin":
        return level
    if style == "ordinal":
        return f"第{number}{_REGION_ZH[region]}椎"
    return f"{_REGION_ZH[region]}{number}"
