"""Labels the reports of a warehouse by a lexicon: writes only what differs from what is stated now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from tasks.report_versions import Version, label_versions
from tasks.statements import Labeller, ReportLabel
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.records import LexiconRecord, ReportEvidence, ReportStatementRecord
from warehouse.store import Store

GROUPS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """A report whose label is another one now. `accession_number` and the evidence name people."""

    report_key: str
    accession_number: str | None
    before: str  # statement (wording)
    after: str
    evidence: str


class _Row(NamedTuple):
    """A row of the query report_versions."""

    label_group: str
    report_key: str
    accession_number: str | None
    study_key: str | None
    text: str
    status: str
    reported_at: Any
    sequence: int
    outcome: str
    reason: str | None
    lexicon_digest: str | None
    statement: str | None
    wording: str | None
    levels: list[str] | None
    acuity: str | None
    treatment: str | None
    cause: str | None
    n_statements: int | None


def relabel(store: Store, labeller: Labeller, groups: Iterable[str]) -> list[Change]:
    """Label the groups, and all reports when the lexicon is not the one that counts; returns what changed.

    A lexicon counts from the end of its first full pass: killed before, the next import goes on from there.
    """
    position, highest = _positions(store, labeller.digest)
    if position is None:
        _place_lexicon(store, labeller, 0)
    counts_already = position is not None and position == highest > 0
    asked = set(groups) | set(_groups(store, is_all=not counts_already))
    changes: list[Change] = []
    for names in _slices(sorted(asked)):
        batch = LandingBatch()
        for row, label in _labelled(store, labeller, names):
            if not _is_stated(row, label):
                _add(batch, row.report_key, label, labeller.digest)
                if row.statement is not None:
                    changes.append(_change(row, label))
        store.land(batch)
    if not counts_already:
        _place_lexicon(store, labeller, highest + 1)
    return changes


def differences(store: Store, labeller: Labeller) -> Iterator[Change]:
    """What a lexicon would change, without writing anything."""
    for names in _slices(_groups(store, is_all=True)):
        for row, label in _labelled(store, labeller, names):
            if row.statement is not None and not _is_stated(row, label):
                yield _change(row, label)


def _labelled(store: Store, labeller: Labeller, names: list[str]) -> Iterator[tuple[_Row, ReportLabel]]:
    given = {"label_groups": names, "lexicon_digest": labeller.digest}
    with store.read_live_identified() as connection:
        rows = [_Row(*row) for row in connection.execute(query("report_versions"), given).fetchall()]
    for _, group in groupby(rows, key=attrgetter("label_group")):
        for members in _reports_of(list(group)):
            labels = label_versions([_version(row) for row in members], labeller)
            for row in members:
                yield row, labels[row.report_key]


def _reports_of(rows: list[_Row]) -> list[list[_Row]]:
    """The versions of one accession number by the study that they are linked to: two sites may use the same number.

    What is linked to none stays with the one study that there is, and apart from them where there are several.
    """
    studies = sorted({row.study_key for row in rows if row.study_key is not None})
    if len(studies) <= 1:
        return [rows]
    parts = [[row for row in rows if row.study_key == study] for study in (*studies, None)]
    return [part for part in parts if part]


def _version(row: _Row) -> Version:
    """Versions of one accession number are one report, but not what names another patient."""
    is_in_group = row.outcome == "linked" or row.reason == "link_no_study"
    return Version(row.report_key, row.status, row.reported_at, row.sequence, row.text, is_in_group)


def _stated_values(label: ReportLabel) -> tuple[object, ...]:
    return (
        label.statement,
        label.wording,
        list(label.levels),
        label.acuity or None,
        label.treatment or None,
        label.cause or None,
        len(label.statements),
    )


def _is_stated(row: _Row, label: ReportLabel) -> bool:
    stated = (
        row.statement,
        row.wording,
        row.levels,
        row.acuity,
        row.treatment,
        row.cause,
        row.n_statements,
    )
    return stated == _stated_values(label)


def _change(row: _Row, label: ReportLabel) -> Change:
    before = f"{row.statement} ({row.wording})"
    after = f"{label.statement} ({label.wording})"
    return Change(row.report_key, row.accession_number, before, after, label.evidence)


def _add(batch: LandingBatch, report_key: str, label: ReportLabel, digest: str) -> None:
    batch.report_statements.append(
        ReportStatementRecord(
            report_key=report_key,
            lexicon_digest=digest,
            statement=label.statement,
            wording=label.wording,
            levels=list(label.levels),
            acuity=label.acuity or None,
            treatment=label.treatment or None,
            cause=label.cause or None,
            n_statements=len(label.statements),
        )
    )
    for number, said in enumerate(label.statements):
        batch.report_evidences.append(
            ReportEvidence(report_key, digest, number, said.statement, said.evidence, said.trigger or None)
        )


def _positions(store: Store, digest: str) -> tuple[int | None, int]:
    """Position of a lexicon (None: it never labelled here), and the highest of all."""
    with store.read_live() as connection:
        rows = connection.execute("SELECT lexicon_digest, position FROM lexicon").fetchall()
    return dict(rows).get(digest), max((position for _, position in rows), default=0)


def _place_lexicon(store: Store, labeller: Labeller, position: int) -> None:
    names = ", ".join(labeller.lexicon.names)
    store.land(LandingBatch(lexica=[LexiconRecord(labeller.digest, names, position)]))


def _groups(store: Store, *, is_all: bool) -> list[str]:
    with store.read_live_identified() as connection:
        rows = connection.execute(query("report_accessions"), {"is_all": is_all}).fetchall()
    return [row[0] for row in rows]


def _slices(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), GROUPS_AT_ONCE):
        yield names[start : start + GROUPS_AT_ONCE]
