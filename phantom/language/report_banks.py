"""Banks of sentences: TOML files beside this module, and the little grammar they are written in.

`[a|b|]` draws one of several, nested as one likes; `<one~many>` follows the number of levels; `{name}` is filled.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_NUMBER = re.compile(r"<([^<>~]*)~([^<>~]*)>")
_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE_NUMBER = re.compile(r"\b([Aa]) (?=(?:8|11|18)\b)")
_ARTICLE = re.compile(r"\b([Aa])n? (?=([a-z]))")
_VOWELS = frozenset("aeio")
_LOBES = {
    "en": (
        "right upper lobe",
        "right middle lobe",
        "right lower lobe",
        "left upper lobe",
        "left lower lobe",
        "lingula",
    ),
    "zh": ("右肺上叶", "右肺中叶", "右肺下叶", "左肺上叶", "左肺下叶", "左肺上叶舌段"),
}
_SIDES = {"en": ("left", "right"), "zh": ("左", "右")}
Slots = Mapping[str, str]


@dataclass(frozen=True)
class Bank:
    """All texts of one language."""

    language: str
    spine: Mapping[str, Any]
    organs: Mapping[str, Any]
    traps: Mapping[str, Any]
    frame: Mapping[str, Any]


@cache
def load_bank(language: str) -> Bank:
    """The bank of "en" or "zh". Raises FileNotFoundError for another language."""
    return Bank(
        language, *(load_texts(f"{name}_{language}") for name in ("spine", "organs", "traps", "frame"))
    )


def load_texts(name: str) -> dict[str, Any]:
    """One TOML file of report_texts."""
    path = files("phantom.language").joinpath("report_texts", f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def pick(rng: np.random.Generator, options: tuple[str, ...] | list[str]) -> str:
    """One of several texts, each as likely."""
    return options[int(rng.integers(len(options)))]


def choose(rng: np.random.Generator, template: str, *, is_many: bool = False) -> str:
    """Resolve the choices and the numbers of a template; slots stay."""
    while "[" in template:
        template = _CHOICE.sub(lambda m: pick(rng, m.group(1).split("|")), template)
    return _NUMBER.sub(lambda m: m.group(2 if is_many else 1), template)


def fill(text: str, slots: Slots) -> str:
    """Put the slots in. Raises KeyError for one that is not given."""
    return _SLOT.sub(lambda m: slots[m.group(1)], text)


def tidy(text: str, language: str) -> str:
    """One space where several came together, articles, and a capital at the start of each English sentence."""
    if language == "zh":
        return re.sub(r"，(?=[，。])", "", text.strip())
    text = re.sub(r" +", " ", text).strip()
    text = re.sub(r" (?=[,.;])", "", text)
    text = _ARTICLE.sub(lambda m: f"{m.group(1)}{'n' if m.group(2) in _VOWELS else ''} ", text)
    text = _ARTICLE_NUMBER.sub(r"\1n ", text)
    text = re.sub(r"(?<=[a-z)%\d]\. )([a-z])", lambda m: m.group(1).upper(), text)
    return text[:1].upper() + text[1:]


def sentence(rng: np.random.Generator, template: str, language: str, slots: Slots) -> str:
    """A template with everything resolved, tidied."""
    return tidy(fill(choose(rng, template), slots), language)


def common_slots(rng: np.random.Generator, language: str) -> dict[str, str]:
    """Sizes, sides and lobes; "mm2" is the same size said again."""
    size = str(int(rng.integers(3, 12)))
    aorta, aneurysm = f"{rng.uniform(4.0, 4.7):.1f}", f"{rng.uniform(3.1, 5.4):.1f}"
    return {
        "mm": size,
        "mm2": size,
        "node": str(int(rng.integers(11, 17))),
        "cm": f"{rng.uniform(1.1, 4.8):.1f}",
        "aorta": aorta,
        "aorta2": aorta,
        "aneurysm": aneurysm,
        "aneurysm2": aneurysm,
        "pulmonary": f"{rng.uniform(3.1, 3.9):.1f}",
        "spleen": f"{rng.uniform(13.2, 15.9):.1f}",
        "bowel": f"{rng.uniform(3.0, 4.6):.1f}",
        "prostate": f"{rng.uniform(4.8, 6.4):.1f}",
        "side": pick(rng, _SIDES[language]),
        "lobe": pick(rng, _LOBES[language]),
        "addendum_day": pick(rng, ("one day", "two days", "three days")),
    }
