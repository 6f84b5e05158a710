"""How often reports say, hedge, deny or leave out a fracture: every share in one place, with its source.

Published shares of fractures missing from CT reports run from 40 to 92 %. Williams 2009 (thoracic CT, moderate and
severe): 13 % reported. Mitchell 2017 (doi 10.1007/s11657-017-0363-y): 46 % reported, the less the lower the
Genant grade. No paper gives a share for each grade on CT of all kinds; those below fall with the grade, and with
worst grades 49 : 33 : 18 leave 65 % unsaid. They are settings, not findings. "chosen" means: by judgement, without
a source.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportRates:
    """Shares of reports. Index 0 of the tuples by grade is a study without a fracture."""

    present_by_grade: tuple[float, float, float, float] = (
        0.02,
        0.12,
        0.35,
        0.68,
    )  # see above; 0: false positive
    possible_share: float = 0.05  # of all reports, whatever the truth; the project's brief
    absent_report_share: float = 0.05  # of studies; the project's brief
    denied_share: float = 0.3  # of reports that say nothing of a fracture: "no fracture"; chosen
    present_other_cause: float = 0.85  # burst, metastatic or cemented bodies are what one looks for; chosen
    present_if_known: float = 0.7  # an earlier report named it; chosen
    ambiguous_by_grade: tuple[float, float, float, float] = (0.4, 0.4, 0.28, 0.18)  # of statements; chosen
    treatment_alone_share: float = 0.3  # of statements on cemented bodies name the cement only; chosen
    second_level_by_grade: tuple[float, float, float, float] = (
        0.0,
        0.45,
        0.7,
        0.9,
    )  # further levels named; chosen
    repeated_share: float = 0.6  # of statements come again in the impression; chosen
    impression_only_share: float = 0.08  # chosen
    misnumbered_share: float = 0.02  # named one level off; chosen
    preliminary_share: float = 0.07  # a preliminary report before the final one; chosen
    addendum_share: float = 0.035  # an addendum as a report of its own; chosen
    corrected_share: float = 0.02  # a corrected report as a report of its own; chosen
    addendum_inside_share: float = 0.025  # an addendum within the text; chosen
    reversal_share: float = 0.55  # of addenda and corrections, as far as the statement allows; chosen
    cumulative_share: float = 0.7  # of addenda repeat the whole report; chosen
    history_trap_share: float = 0.2  # of reports that have a history; chosen
    trap_counts: tuple[float, ...] = (
        0.42,
        0.32,
        0.18,
        0.08,
    )  # no, one, two, three traps in the findings; chosen


PUBLISHED = ReportRates()
