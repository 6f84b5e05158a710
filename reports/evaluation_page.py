"""The page of an evaluation: one HTML file that needs nothing else, to read and to print. Pure: numbers to text."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from estimates.evaluation_numbers import Evaluation
from estimates.reader_study import LSTM, ReadScan
from estimates.result import SIMULATED_CAVEAT
from reports.audit_groups import SEXES
from reports.audit_worklist import PNG_START
from reports.evaluation_pictures import group_pictures, pictures
from reports.evaluation_tables import (
    domain_table,
    group_tables,
    headline_rows,
    left_out_table,
    methods,
    not_scored_table,
    pair_table,
    reader_table,
    sentence,
    versions,
)
from reports.page import page_template

NO_PICTURES: Mapping[str, bytes] = MappingProxyType({})
MISSED, FALSE_ALARM = "Missed: with a fracture, not flagged", "False alarms: flagged, without a fracture"


@dataclass(frozen=True)
class ErrorEntry:
    """One wrong answer as the page shows it."""

    picture: str  # data URI; empty without one
    probability: str
    facts: str
    key: str


def render_evaluation_page(evaluation: Evaluation, thumbnails: Mapping[str, bytes] = NO_PICTURES) -> str:
    """The page as HTML: all text escaped, nothing loaded from elsewhere, no script.

    `thumbnails`: study key → PNG of the slab slice that spoke loudest. ValueError when one is no PNG.
    """
    basis = evaluation.basis
    has_unscored = bool(evaluation.study.n_not_scored) or evaluation.study.has_hidden_reasons
    return page_template("evaluation.html").render(
        basis=basis,
        warnings=_warnings(evaluation),
        headlines=headline_rows(evaluation.study),
        readers=reader_table(evaluation),
        pairs=pair_table(evaluation) if evaluation.study.pairs else None,
        not_scored=not_scored_table(evaluation) if has_unscored else None,
        left_out=left_out_table(basis.left_out, is_shown_small=basis.is_shown_small)
        if basis.left_out
        else None,
        pictures=pictures(evaluation),
        group_pictures=group_pictures(evaluation),
        group_tables=group_tables(evaluation),
        domain=domain_table(evaluation) if evaluation.domain else None,
        errors=_errors(evaluation, thumbnails),
        methods=methods(evaluation),
        versions=versions(basis),
    )


def _warnings(evaluation: Evaluation) -> tuple[str, ...]:
    basis = evaluation.basis
    told = []
    if basis.is_simulated_only:
        told.append(
            f"{SIMULATED_CAVEAT.capitalize()}: the model has learned from simulated scans only, or is judged on "
            "them. A good result on simulated scans says nothing about real anatomy."
        )
    if basis.apparent_words:
        told.append(sentence(basis.apparent_words))
    if basis.is_shown_small:
        told.append("For use inside the house only: small counts and facts about single patients are shown.")
    return tuple(told)


def _errors(
    evaluation: Evaluation, thumbnails: Mapping[str, bytes]
) -> tuple[tuple[str, tuple[ErrorEntry, ...]], ...]:
    lists = []
    for title, is_case in ((MISSED, True), (FALSE_ALARM, False)):
        entries = tuple(
            ErrorEntry(
                _data_uri(thumbnails.get(scan.study_key)),
                f"{scan.score[LSTM]:.3f}",
                _facts(scan),
                scan.study_key,
            )
            for scan in evaluation.errors
            if scan.is_case is is_case
        )
        lists.append((title, entries))
    return tuple(lists)


def _facts(scan: ReadScan) -> str:
    """What is known of the scan; nothing on a page that may leave the house."""
    told = [f"grade {scan.grade}"] if scan.grade else []
    if scan.height_loss is not None:
        told.append(f"height loss {100 * scan.height_loss:.0f} %")
    for name, value in scan.groups.items():
        said = SEXES.get(value, value) if name == "sex" else value
        told.append(said if name in ("sex", "age", "vendor") else f"{name} {said}")
    return ", ".join(told)


def _data_uri(png: bytes | None) -> str:
    if png is None:
        return ""
    if not png.startswith(PNG_START):
        raise ValueError("a thumbnail is no PNG file")
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
