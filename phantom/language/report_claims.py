"""What a report says of vertebral bodies: the statement, which bodies it names, and the sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from phantom.language.report_banks import choose, fill, load_bank, pick, tidy
from phantom.language.report_levels import name_levels
from phantom.language.report_rates import ReportRates
from phantom.language.report_truth import LEVELS, Claim, ReportCase, SpineFinding

FALSE_LEVELS = ("T6", "T7", "T8", "T9", "T11", "T12", "L1", "L2", "L3")  # where wedging is often overcalled
_LOSS_BY_GRADE = ((0.05, 0.18), (0.20, 0.25), (0.25, 0.40), (0.40, 0.70))  # Genant 1993; 0: overcalled
_SEVERITY = {
    "en": (("mild", "minimal", "slight", ""), ("moderate", "mild to moderate", ""), ("severe", "marked", "")),
    "zh": (("轻度", "轻微"), ("中度",), ("重度", "明显")),
}
_SHAPES_EN = {"wedge": ("wedge", ""), "biconcave": ("biconcave", ""), "crush": ("",)}
_NEEDS_ONE = ("{loss}", "{grade}")
# Words that compare with an earlier study: not in a report that has none.
_COMPARING = re.compile(
    r"(prior|previous) (CT|exam|study)|the prior|(from|to) prior|since|interval|前片|较前|旧片|同前|原", re.I
)
_TRIES = 16


@dataclass(frozen=True)
class _Entry:
    """A template with its truth."""

    template: str
    cause: str
    wording: str
    acuity: str
    treatment: str
    needs_level: bool
    is_generic: bool
    trap: str


@cache
def _entries(language: str, statement: str) -> tuple[_Entry, ...]:
    tables: list[Mapping[str, Any]] = list(load_bank(language).spine[statement])
    return tuple(
        _Entry(
            template=text,
            cause=table.get("cause", ""),
            wording=table["wording"],
            acuity=table.get("acuity", ""),
            treatment=table.get("treatment", ""),
            needs_level=table.get("needs_level", False),
            is_generic=table.get("generic", False),
            trap=table.get("trap", ""),
        )
        for table in tables
        for text in table["texts"]
    )


def worst_grade(case: ReportCase) -> int:
    """Worst Genant grade among untreated osteoporotic bodies; 0 without one."""
    return max((f.grade for f in _osteoporotic(case)), default=0)


def _osteoporotic(case: ReportCase) -> tuple[SpineFinding, ...]:
    return tuple(f for f in case.findings if f.cause == "osteoporotic" and not f.is_treated and f.grade)


def draw_statement(rng: np.random.Generator, case: ReportCase, rates: ReportRates) -> str:
    """What the reports of this study say in the end: present, possible, absent or unmentioned."""
    grade = worst_grade(case)
    stated = rates.present_by_grade[grade]
    if any(f.was_known for f in _osteoporotic(case)):
        stated = max(stated, rates.present_if_known)
    if any(f.is_treated or f.cause != "osteoporotic" for f in case.findings):
        stated = max(stated, rates.present_other_cause)
    luck = rng.random()
    if luck < rates.possible_share:
        return "possible"
    if luck < rates.possible_share + stated:
        return "present"
    return "absent" if rng.random() < rates.denied_share else "unmentioned"


def draw_spoken(rng: np.random.Generator, case: ReportCase, rates: ReportRates) -> tuple[SpineFinding, ...]:
    """The bodies that a report names when it names any: the worst, others by grade; one made up without any."""
    if not case.findings:
        return (_false_finding(rng, case),)
    ranked = sorted(
        case.findings, key=lambda f: (f.is_treated or f.cause != "osteoporotic", f.grade), reverse=True
    )
    spoken = [
        f for k, f in enumerate(ranked) if k == 0 or rng.random() < rates.second_level_by_grade[f.grade]
    ]
    if len(spoken) == 1 and rng.random() < rates.misnumbered_share:
        spoken = [_misnumbered(rng, spoken[0], case)]
    return tuple(spoken)


def _false_finding(rng: np.random.Generator, case: ReportCase) -> SpineFinding:
    options = [level for level in FALSE_LEVELS if level in case.shown] or list(case.shown)
    shape = pick(rng, ["wedge", "wedge", "biconcave"])
    return SpineFinding(pick(rng, options), grade=1, shape=shape, loss=float(rng.uniform(*_LOSS_BY_GRADE[0])))


def _misnumbered(rng: np.random.Generator, finding: SpineFinding, case: ReportCase) -> SpineFinding:
    place = LEVELS.index(finding.level)
    near = [LEVELS[k] for k in (place - 1, place + 1) if 0 <= k < len(LEVELS) and LEVELS[k] in case.shown]
    if not near:
        return finding
    return replace(finding, level=pick(rng, near))


def draw_claims(
    rng: np.random.Generator,
    case: ReportCase,
    statement: str,
    spoken: tuple[SpineFinding, ...],
    rates: ReportRates,
    *,
    allows_generic: bool = True,
) -> tuple[Claim, ...]:
    """The sentences for a statement; none for "unmentioned". `allows_generic`: a denial may be of any fracture."""
    if statement == "unmentioned":
        return ()
    if statement == "present":
        return tuple(_present(rng, case, group, rates) for group in _groups(spoken))
    if statement == "possible":
        hedged = spoken[:1] if rng.random() < 0.85 else spoken[:2]
        return (_sentence(rng, case, "possible", _entries(case.language, "possible"), hedged),)
    entries = _entries(case.language, "absent")
    allowed = tuple(e for e in entries if allows_generic or not e.is_generic)
    weighted = tuple(e for e in allowed if not e.needs_level or rng.random() < 0.3)
    return (_sentence(rng, case, "absent", weighted, spoken[:1]),)


def _kind(finding: SpineFinding) -> tuple[str, bool, bool]:
    cause = "treated" if finding.is_treated else finding.cause
    return cause, finding.is_recent, finding.was_known


def _groups(spoken: tuple[SpineFinding, ...]) -> list[tuple[SpineFinding, ...]]:
    """Bodies of one cause and age share a sentence."""
    kinds = list(dict.fromkeys(_kind(f) for f in spoken))
    return [tuple(f for f in spoken if _kind(f) == kind) for kind in kinds]


def _present(
    rng: np.random.Generator, case: ReportCase, group: tuple[SpineFinding, ...], rates: ReportRates
) -> Claim:
    cause, is_recent, was_known = _kind(group[0])
    wanted_wording = "ambiguous" if rng.random() < rates.ambiguous_by_grade[group[0].grade] else "fracture"
    if cause == "treated" and rng.random() < rates.treatment_alone_share:
        wanted_wording = "none"
    entries = [e for e in _entries(case.language, "present") if e.cause == cause]
    acuity = "" if rng.random() < 0.5 else _acuity(is_recent, was_known, case.has_prior)
    for fits in (
        [e for e in entries if e.wording == wanted_wording and e.acuity == acuity],
        [e for e in entries if e.wording == wanted_wording and e.acuity in ("", acuity)],
        [e for e in entries if e.acuity in ("", acuity)],
        entries,
    ):
        if fits:
            return _sentence(rng, case, "present", tuple(fits), group)
    raise ValueError(f"no text for a vertebral body of cause {cause}")


def _acuity(is_recent: bool, was_known: bool, has_prior: bool) -> str:
    if is_recent:
        return "new"
    return "unchanged" if was_known and has_prior else "old"


def _sentence(
    rng: np.random.Generator,
    case: ReportCase,
    statement: str,
    entries: tuple[_Entry, ...],
    group: tuple[SpineFinding, ...],
) -> Claim:
    # Treatments are alike likely, however many sentences the bank has for each.
    treatments = sorted({e.treatment for e in entries})
    treatment = pick(rng, treatments)
    entries = tuple(e for e in entries if e.treatment == treatment)
    is_many = len(group) > 1
    for _ in range(_TRIES):
        entry = entries[int(rng.integers(len(entries)))]
        text = choose(rng, entry.template, is_many=is_many)
        needs_one = any(slot in text for slot in _NEEDS_ONE)
        if not (is_many and needs_one) and (case.has_prior or not _COMPARING.search(text)):
            break
    levels = tuple(f.level for f in group)
    slots = _slots(rng, group, case.language)
    return Claim(
        text=tidy(fill(text, slots), case.language),
        statement=statement,
        wording=entry.wording,
        levels=tuple(v for v in LEVELS if v in levels) if "{levels}" in text else (),
        acuity=entry.acuity,
        treatment=entry.treatment,
        cause="" if entry.cause == "treated" else entry.cause,
        is_generic=entry.is_generic,
        trap=entry.trap,
    )


def _slots(rng: np.random.Generator, group: tuple[SpineFinding, ...], language: str) -> dict[str, str]:
    finding = group[0]
    is_alike = len({f.grade for f in group}) == 1 and finding.grade > 0
    low, high = _LOSS_BY_GRADE[finding.grade]
    loss = finding.loss if finding.loss is not None else float(rng.uniform(low, high))
    words = _SEVERITY[language][max(finding.grade, 1) - 1]
    return {
        "levels": name_levels(rng, tuple(f.level for f in group), language),
        "severity": pick(rng, words) if is_alike else "",
        "shape": pick(rng, _SHAPES_EN[finding.shape]) if len(group) == 1 else "",
        "loss": _loss_words(rng, loss, language),
        "grade": str(max(finding.grade, 1)),
    }


def _loss_words(rng: np.random.Generator, loss: float, language: str) -> str:
    rounded = max(5, 5 * round(20 * loss))
    if language == "zh" and 0.28 < loss < 0.38 and rng.random() < 0.6:
        return "1/3"
    if language == "zh" and 0.45 < loss < 0.55 and rng.random() < 0.6:
        return "1/2"
    if language == "en" and rng.random() < 0.25:
        return f"{rounded}-{rounded + 5}%"
    return f"{rounded}%"
