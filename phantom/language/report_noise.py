"""Typographic noise: slips, abbreviations, case, widths of signs, traditional characters. Never changes the truth."""

from __future__ import annotations

import re
from functools import cache, partial

import numpy as np

from phantom.language.report_banks import Bank, load_texts

# Shares of reports; chosen. The rest are clean.
_SHARES = {
    "en": (("misspelt", 0.06), ("abbreviated", 0.1), ("lower", 0.03), ("upper", 0.06), ("spaces", 0.03)),
    "zh": (
        ("misspelt", 0.06),
        ("abbreviated", 0.06),
        ("half_width", 0.08),
        ("full_width", 0.05),
        ("spaces", 0.04),
    ),
}
_WORD_SHARE = 0.5  # of the slips and abbreviations that could stand in a report so noted
_HALF_WIDTH = str.maketrans("，。：；（）？", ",.:;()?")
_FULL_WIDTH = {k: k + 0xFEE0 for k in range(0x21, 0x7F) if chr(k).isalnum()}


def draw_noise(rng: np.random.Generator, language: str) -> tuple[str, ...]:
    """Which kinds of noise a report has."""
    return tuple(name for name, share in _SHARES[language] if rng.random() < share)


def apply_noise(rng: np.random.Generator, text: str, kinds: tuple[str, ...], bank: Bank) -> str:
    """The text with noise of these kinds."""
    words = bank.frame["noise"]
    if "abbreviated" in kinds:
        text = _replace(rng, text, words["abbreviations"], bank.language, count=0)
    if "misspelt" in kinds:
        text = _replace(rng, text, words["misspellings"], bank.language, count=1)
    if "spaces" in kinds:
        text = (
            re.sub(r"(?<=[.,;])(?= )", " ", text)
            if bank.language == "en"
            else re.sub(r"(?<=[。，])", " ", text)
        )
    if "lower" in kinds:
        text = text.lower()
    if "upper" in kinds:
        text = text.upper()
    if "half_width" in kinds:
        text = text.translate(_HALF_WIDTH)
    return text.translate(_FULL_WIDTH) if "full_width" in kinds else text


def _replace(
    rng: np.random.Generator, text: str, pairs: list[list[str]], language: str, *, count: int
) -> str:
    for right, wrong in pairs:
        if rng.random() > _WORD_SHARE:
            continue
        pattern = rf"\b{re.escape(right)}\b" if language == "en" else re.escape(right)
        text = re.sub(pattern, partial(_cased, wrong), text, count=count, flags=re.IGNORECASE)
    return text


def _cased(new: str, match: re.Match[str]) -> str:
    """The new word with the capital that the old one had."""
    return new[:1].upper() + new[1:] if match.group()[:1].isupper() else new


@cache
def _traditional() -> tuple[dict[str, str], dict[int, str]]:
    table = load_texts("traditional")
    return table["words"], str.maketrans(table["characters"])


def to_traditional(text: str) -> str:
    """Simplified text in traditional characters: whole words first, then sign by sign."""
    words, characters = _traditional()
    for simplified, traditional in words.items():
        text = text.replace(simplified, traditional)
    return text.translate(characters)
