"""What the truth of an evaluation has to do with those it judges: reports that are the truth, a threshold chosen on it.

Takes scans and words, returns scans and what must be said. Reads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from estimates.reader_study import REPORTS, ReadScan
from flows.labels import FROM_REPORTS, REPORT_WORDS
from models.registry import OperatingPoint
from models.split_file import SplitFacts

UNKNOWN = "whether the labels of this split came from reports is not known: an earlier version drew it"


def origin_of_split(facts: SplitFacts) -> str:
    """Where the labels of a split came from, empty where that is not known.

    Splits of an earlier version say it in the words of their source, if at all.
    """
    is_of_reports = facts.label_source.startswith(REPORT_WORDS)
    return facts.label_origin or (FROM_REPORTS if is_of_reports else "")


def with_independent_reports(scans: Sequence[ReadScan], origin: str) -> tuple[list[ReadScan], str]:
    """The scans, without their reports where these are the truth or seem to be; and what to say of it, if anything.

    `origin`: of the labels, as in `flows/labels.py`. Where it is not known, reports that agree with every label are
    taken for the truth.
    """
    if origin not in ("", FROM_REPORTS):
        return list(scans), ""
    agree = [scan.said[REPORTS] == scan.is_case for scan in scans if REPORTS in scan.said]
    if origin:
        return _without_reports(scans), "the reports are no reader here: they are the truth"
    if not agree:
        return list(scans), UNKNOWN
    if not all(agree):
        return list(scans), f"{UNKNOWN}. The reports may be no independent reader"
    why = f"the reports are no reader here: they agree with every label, and {UNKNOWN}"
    return _without_reports(scans), why


def _without_reports(scans: Sequence[ReadScan]) -> list[ReadScan]:
    said = [{name: answer for name, answer in scan.said.items() if name != REPORTS} for scan in scans]
    return [replace(scan, said=answers) for scan, answers in zip(scans, said, strict=True)]


def apparent_words(point: OperatingPoint, sample: str) -> str:
    """What to say where the rule of the threshold names `sample`, the scans that are the truth; else nothing."""
    named = rf"(?<![\w.-]){re.escape(sample)}(?![\w-])"
    if not sample or not re.search(named, f"{point.rule} {point.chosen_on}"):
        return ""
    return (
        f"apparent, not validated: threshold or calibration were chosen on {sample}, the scans that are the truth "
        "here; the numbers are optimistic, expect worse on other scans"
    )
