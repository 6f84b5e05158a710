"""What stands around the sentence that matters: history, technique, organs, traps, impression. Blind to the label.

Nothing here looks at the findings of the case, save that a trap never speaks of a level that is among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phantom.language.report_banks import Bank, choose, common_slots, fill, load_bank, pick, sentence, tidy
from phantom.language.report_levels import name_levels
from phantom.language.report_rates import ReportRates
from phantom.language.report_truth import ReportCase

ABNORMAL_SHARE = 0.28  # of organs; chosen
KEPT_SHARE = 0.85  # of organs that a full report goes through; chosen
BRIEF_KEPT_SHARE = 0.3
SILENT_BONES_SHARE = 0.55  # of reports say something harmless about bones; chosen
NORMAL_BONES_SHARE = 0.3  # of reports call the bones sound, unless they name a fracture; chosen
_NATIVE = ("without", "Noncontrast", "low-dose")
_ENHANCED = ("enhanc", "强化", "增强")  # what only a scan with contrast shows
_TRIES = 12
_PARTS = {
    "chest": ("chest", "chest-only"),
    "abdomen-pelvis": ("abdomen", "abdomen-only"),
    "chest-abdomen-pelvis": ("chest", "abdomen"),
    "spine": ("spine",),
}
_REGION = {"chest": "chest", "abdomen-pelvis": "abdomen", "chest-abdomen-pelvis": "both", "spine": "spine"}
WEDGED_LEVELS = ("T6", "T7", "T8", "T11", "T12", "L1")  # where bodies are a little wedged by nature
RARE_LEVELS = ("T1", "T2", "T3")  # little is said of these
_LAYOUTS = {
    "en": (("plain", "sectioned", "structured", "brief"), (0.25, 0.5, 0.15, 0.1)),
    "zh": (("plain", "sectioned", "brief"), (0.2, 0.68, 0.12)),
}
_TRADITIONAL_SHARE = 0.12  # of Chinese reports


@dataclass(frozen=True)
class Frame:
    """Everything of a report but what it states about vertebral bodies. Organs: (label, sentence)."""

    layout: str
    script: str
    history: str
    technique: str
    comparison: str
    organs: tuple[tuple[str, str], ...]
    bone_sentences: tuple[str, ...]
    normal_bones: str  # left out beside a fracture
    impression: tuple[str, ...]
    impression_normal: str
    traps: tuple[str, ...]
    trap_sentences: frozenset[str]  # those that stand in the place of an organ
    breaks_other_bone: bool
    headings: Mapping[str, str]


_Trap = tuple[str, Mapping[str, Any]]  # name and table
_Organs = dict[str, tuple[str, str, str]]  # organ -> label, sentence, line of the impression


def draw_frame(
    rng: np.random.Generator, case: ReportCase, bank: Bank, rates: ReportRates, *, taken: frozenset[str]
) -> Frame:
    """Draw style, organs and traps of a report. `taken`: levels of which no trap may speak."""
    names, weights = _LAYOUTS[case.language]
    layout = case.layout or str(rng.choice(names, p=weights))
    region = _REGION[case.coverage]
    technique = sentence(rng, pick(rng, bank.frame["technique"][region]), case.language, {})
    organs = _draw_organs(rng, case, bank, is_brief=layout == "brief", has_contrast=_has_contrast(technique))
    drawn = _draw_traps(rng, case, bank, rates)
    free = [level for level in case.shown if level not in taken] or list(case.shown)
    bones = _place_traps(rng, drawn, organs, case, free)
    silent, normal = _draw_bones(rng, bank)
    history, history_traps = _draw_history(rng, case, bank, rates, layout)
    return Frame(
        layout=layout,
        script=_script(rng, case),
        history=history,
        technique=technique,
        comparison=_comparison(rng, case, bank),
        organs=tuple((label, said) for label, said, _ in organs.values()),
        bone_sentences=(*silent, *bones),
        normal_bones=normal,
        impression=tuple(line for _, _, line in organs.values() if line),
        impression_normal=sentence(rng, pick(rng, bank.frame["impression"][region]), case.language, {}),
        traps=(*(name for name, _ in drawn), *history_traps),
        trap_sentences=frozenset(organs[o][1] for _, t in drawn if (o := t.get("replaces", "")) in organs),
        breaks_other_bone=any(trap.get("is_fracture", False) for _, trap in drawn),
        headings={name: pick(rng, options) for name, options in bank.frame["headings"].items()},
    )


def _script(rng: np.random.Generator, case: ReportCase) -> str:
    is_traditional = rng.random() < _TRADITIONAL_SHARE
    if case.language != "zh":
        return ""
    return case.script or ("hant" if is_traditional else "hans")


def _comparison(rng: np.random.Generator, case: ReportCase, bank: Bank) -> str:
    if not case.has_prior:
        return pick(rng, bank.frame["comparison"]["none"])
    if case.comparison:
        return case.comparison
    return pick(rng, bank.frame["comparison"]["prior"][:-1])


def _has_contrast(technique: str) -> bool:
    if technique.isascii():
        return not any(word in technique for word in _NATIVE)
    return "增强" in technique


def _draw_organs(
    rng: np.random.Generator, case: ReportCase, bank: Bank, *, is_brief: bool, has_contrast: bool
) -> _Organs:
    found: _Organs = {}
    share = BRIEF_KEPT_SHARE if is_brief else KEPT_SHARE
    for name, organ in bank.organs.items():
        is_here = set(organ["parts"]) & set(_PARTS[case.coverage]) and organ.get("sex", case.sex) == case.sex
        if not is_here or rng.random() > share:
            continue
        for _ in range(_TRIES):
            said, concluded = _organ_sentences(rng, organ, case.language)
            if has_contrast or not any(word in said for word in _ENHANCED):
                found[name] = (organ["label"], said, concluded)
                break
    return found


def _organ_sentences(rng: np.random.Generator, organ: Mapping[str, Any], language: str) -> tuple[str, str]:
    """What is said of an organ, and its line of the impression (often none)."""
    if rng.random() > ABNORMAL_SHARE:
        return sentence(rng, pick(rng, organ["normal"]), language, {}), ""
    slots = common_slots(rng, language)
    said, concluded = organ["abnormal"][int(rng.integers(len(organ["abnormal"])))]
    return sentence(rng, said, language, slots), sentence(
        rng, concluded, language, slots
    ) if concluded else ""


def _draw_traps(rng: np.random.Generator, case: ReportCase, bank: Bank, rates: ReportRates) -> list[_Trap]:
    count = int(rng.choice(len(rates.trap_counts), p=rates.trap_counts))
    names = [n for n, t in bank.traps.items() if t["place"] == "findings" and _fits(t, case.coverage)]
    drawn = [str(n) for n in rng.choice(names, size=min(count, len(names)), replace=False)]
    taken: set[str] = set()
    kept = []
    for name in drawn:
        trap = bank.traps[name]
        place = trap.get("replaces", name)
        if place in taken or set(trap.get("excludes", ())) & set(drawn):
            continue
        taken.add(place)
        kept.append((name, trap))
    return kept


def _fits(trap: Mapping[str, Any], coverage: str) -> bool:
    return "any" in trap["parts"] or bool(set(trap["parts"]) & set(_PARTS[coverage]))


def _place_traps(
    rng: np.random.Generator,
    drawn: list[_Trap],
    organs: _Organs,
    case: ReportCase,
    free_levels: list[str],
) -> list[str]:
    """Put traps in the place of the organ they speak of; returns the sentences that stand among the bones."""
    bones, bank = [], load_bank(case.language)
    wedged = [level for level in free_levels if level in WEDGED_LEVELS] or free_levels
    free_levels = [level for level in free_levels if level not in RARE_LEVELS] or free_levels
    for _, trap in drawn:
        slots = common_slots(rng, case.language) | {
            "free_level": name_levels(rng, (pick(rng, free_levels),), case.language),
            "wedge_level": name_levels(rng, (pick(rng, wedged),), case.language),
        }
        said = sentence(rng, pick(rng, trap["texts"]), case.language, slots)
        organ = trap.get("replaces", "")
        if organ and set(bank.organs[organ]["parts"]) & set(_PARTS[case.coverage]):
            organs[organ] = (bank.organs[organ]["label"], said, "")
        else:
            bones.append(said)
    return bones


def _draw_bones(rng: np.random.Generator, bank: Bank) -> tuple[tuple[str, ...], str]:
    """Harmless sentences about bones, and one that calls them sound; either may be missing."""
    texts = bank.spine["silent"]
    silent = sentence(rng, pick(rng, texts["texts"]), bank.language, {})
    normal = sentence(rng, pick(rng, texts["normal"]), bank.language, {})
    has_silent, has_normal = rng.random() < SILENT_BONES_SHARE, rng.random() < NORMAL_BONES_SHARE
    return (silent,) if has_silent else (), normal if has_normal else ""


def _draw_history(
    rng: np.random.Generator, case: ReportCase, bank: Bank, rates: ReportRates, layout: str
) -> tuple[str, list[str]]:
    """Who is examined why, and the names of traps in it; plain and brief reports often have none."""
    is_shown = rng.random() < (0.92 if layout in ("sectioned", "structured") else 0.35)
    table = bank.frame["history"]
    slots = common_slots(rng, case.language) | {
        "age": str(case.age_years),
        "sex": case.sex,
        "person": pick(rng, table["person_f" if case.sex == "F" else "person_m"]),
        "history_level": name_levels(
            rng, (pick(rng, ["T12", "L1", "L2", "T11", "L3", "T8"]),), case.language
        ),
    }
    why = fill(choose(rng, pick(rng, table[_REGION[case.coverage]])), slots)
    who = fill(choose(rng, pick(rng, table["who"])), slots)
    names = [n for n, t in bank.traps.items() if t["place"] == "history"]
    trap = pick(rng, names)
    said = fill(choose(rng, pick(rng, bank.traps[trap]["texts"])), slots)
    has_trap = rng.random() < rates.history_trap_share
    if not is_shown:
        return "", []
    text = who + (_lower(why) if who.endswith(", ") else why)
    if has_trap:
        text = said if rng.random() < 0.35 else (f"{text} {said}" if case.language == "en" else text + said)
    return tidy(text, case.language), [trap] if has_trap else []


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
