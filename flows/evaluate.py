"""`ovf evaluate`: a model against the truth about scans of a warehouse. Puts labels, scores and split together.

labels → studies of the warehouse → without patients the model was trained on → scores → numbers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection as Connection

from estimates.curves import (
    average_precision,
    brier_score,
    decision_curve,
    precision_recall_curve,
    reliability,
    roc_curve,
)
from estimates.evaluation_numbers import Evaluation, EvaluationBasis, EvaluationCurves
from estimates.reader_study import HEIGHT_LOSS, LSTM, ReadScan, domain_rows, read_study
from estimates.reader_study_suppression import suppressed_domain, suppressed_study
from estimates.suppress import SMALLEST_SHOWN
from flows.audit_frame import AuditModel, audit_model, audit_model_of
from flows.errors import SettingsError
from flows.evaluation_scans import DIMENSIONS, Scores, evaluation_scans, said_in_warehouse, said_now
from flows.evaluation_truth import apparent_words, origin_of_split, with_independent_reports
from flows.kept_split import kept_split
from flows.label_file import Label
from flows.labels import Labels, ReportRule, labels_from_file, labels_from_readings, labels_from_reports
from flows.scored_models import without_scores
from flows.training_words import counter
from flows.version import code_version
from models.domain import read_domain
from models.registry import (
    ModelError,
    ModelListing,
    OperatingPoint,
    describe_model,
    find_model,
    installed_weights,
    read_operating_point,
)
from models.split_file import TEST, Split, has_split, read_split
from tasks.shard_work import kept_slab_path
from warehouse.connect import value_of
from warehouse.queries import query
from warehouse.store import Store

TRAINED_ON = "patient_of_the_training"


class EvaluationError(SettingsError):
    """An evaluation cannot be made from what there is; the message says what to do."""


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What is asked. Without any source of labels: the stored test part of the model."""

    slab_directory: Path
    model: str | None = None  # folder, id, digest or its first digits; None: the only one that has scored
    labels: Path | None = None
    is_from_reports: bool = False
    is_from_readings: bool = False
    audit_id: str | None = None
    report_rule: ReportRule = field(default_factory=ReportRule)
    is_showing_small: bool = False

    @property
    def is_of_stored_test(self) -> bool:
        """Whether the truth is the stored test part of the model."""
        return self.labels is None and not self.is_from_reports and not self.is_from_readings


@dataclass(frozen=True, slots=True)
class _Model:
    """The model in question, and whether the warehouse has its scores."""

    directory: Path | None  # None: known to the warehouse only
    scored: AuditModel | None
    listing: ModelListing | None


def evaluate(store: Store, asked: EvaluationRequest, say: Callable[[str], None] = print) -> Evaluation:
    """All numbers. Raises SettingsError and its kinds (exit 10) and ModelError (exit 13)."""
    with store.read() as connection:
        model = _model(connection, asked.model, say)
        split, split_words = _split(store, connection, model)
        labels = _labels(store, connection, asked, split)
        digest = model.scored.model_digest if model.scored else None
        rows = _rows(connection, digest)
        point = _point(connection, model)
    if digest is None:  # what is stored was said by other models
        rows = [row | {"domain_distance": None} for row in rows]
    by_study, left_out = _counted(labels, rows, split)
    wanted = [row for row in rows if by_study.get(row["study_key"], Label(None)).is_case is not None]
    if not wanted:
        raise EvaluationError(f"no study of this warehouse has a label that counts ({labels.source})")
    scores = _scores(wanted, model, asked, say)
    scans, words = with_independent_reports(evaluation_scans(wanted, by_study, scores), labels.origin)
    basis = _basis(asked, model, labels, (split, split_words), point)
    basis = replace(basis, left_out=left_out, reports_words=words)
    return _evaluated(scans, basis, _domain_limit(wanted, model))


def _model(connection: Connection, name: str | None, say: Callable[[str], None]) -> _Model:
    """A folder or an installed model by its own digest, else what the name means among those that have scored here."""
    try:
        directory = find_model(name) if name is not None else None
    except ModelError:
        directory = None
    if directory is None:
        scored = audit_model(connection, name, say)
        listing = installed_weights(scored.model_id, scored.model_digest)
        return _Model(listing.directory if listing else None, scored, listing)
    listing = describe_model(directory)
    if others := without_scores(connection, listing.model_id, listing.digest):
        say(others)
    return _Model(directory, audit_model_of(connection, listing.digest), listing)


def _split(store: Store, connection: Connection, model: _Model) -> tuple[Split | None, str]:
    """The split of the model, of its folder or as kept beside the warehouse, and in words what it proves."""
    if model.directory is None:
        assert model.scored is not None
        split = kept_split(store.paths, model.scored.model_digest)
    elif not has_split(model.directory):
        is_simulated = model.listing is not None and model.listing.is_simulated_only
        seen = "it was trained on simulated scans of its own" if is_simulated else "see its card"
        return None, f"the model has no stored split: {seen}"
    else:
        split = read_split(model.directory)
    if split is None:
        unknown = "whether it was trained on these patients cannot be shown"
        return None, f"the folder of the model is not here (--model FOLDER): {unknown}"
    key_id = str(value_of(connection, "SELECT key_id FROM store_stamp"))
    if split.facts.key_id != key_id:
        return None, "the split of the model was made with another key: it says nothing about these patients"
    shown = "no patient counted here is in the training, validation or calibration part of the model's split"
    return split, f"{shown}; {split.facts.start}" if split.facts.start else shown


def _labels(store: Store, connection: Connection, asked: EvaluationRequest, split: Split | None) -> Labels:
    if asked.labels is not None:
        return labels_from_file(store, asked.labels)
    if asked.is_from_reports:
        return labels_from_reports(_asked(connection, "cohort_scans", {}), asked.report_rule)
    if asked.is_from_readings:
        return labels_from_readings(connection, asked.audit_id)
    if split is None:
        raise EvaluationError(
            "the model has no stored test part for this warehouse: "
            "give --labels FILE, --from-readings or --from-reports"
        )
    by_study = {row.study_key: Label(bool(row.is_case), row.grade, row.height_loss) for row in split.of(TEST)}
    source = f"the test part of the model's split; {split.facts.label_source}"
    return Labels(by_study, source, split.facts.is_simulated, origin=origin_of_split(split.facts))


def _asked(connection: Connection, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = connection.execute(query(name), dict(parameters))
    columns = [column[0] for column in found.description]
    return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]


def _rows(connection: Connection, model_digest: str | None) -> list[dict[str, Any]]:
    return _asked(connection, "evaluation_scans", {"model_digest": model_digest})


def _counted(
    labels: Labels, rows: list[dict[str, Any]], split: Split | None
) -> tuple[dict[str, Label], dict[str, int]]:
    """Labels that count, and the labelled studies that do not: no label, not here, or trained on."""
    learned = [row for row in split.rows if row.split != TEST] if split else []
    person = {row["study_key"]: row["person_key"] for row in rows}
    # by their studies too: a pseudonym is another one once a PatientID was corrected
    seen = {name for row in learned for name in (row.patient_key, person.get(row.study_key))}
    left_out = dict(labels.n_unlinked)
    counted = {}
    for study_key, label in labels.by_study.items():
        if study_key not in person:
            reason: str | None = "not_in_warehouse"
        elif label.is_case is None:
            reason = label.reason or "no_label"
        else:
            reason = TRAINED_ON if person[study_key] in seen else None
        if reason is None:
            counted[study_key] = label
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
    return counted, dict(sorted(left_out.items()))


def _scores(
    wanted: list[dict[str, Any]], model: _Model, asked: EvaluationRequest, say: Callable[[str], None]
) -> Scores:
    if model.scored is not None:
        return said_in_warehouse(wanted)
    assert model.directory is not None
    say(f"the warehouse has no scores of this model: scoring {len(wanted)} stored slabs")

    def path(series_key: str, revision: str) -> Path:
        return kept_slab_path(asked.slab_directory, series_key, revision)

    return said_now(wanted, model.directory, path, counter("scored", len(wanted), say))


def _basis(
    asked: EvaluationRequest,
    model: _Model,
    labels: Labels,
    known: tuple[Split | None, str],
    point: OperatingPoint,
) -> EvaluationBasis:
    split, split_words = known
    told = model.scored or model.listing
    assert told is not None
    return EvaluationBasis(
        model_id=told.model_id,
        model_digest=model.scored.model_digest if model.scored else _listed(model).digest,
        is_simulated_only=told.is_simulated_only or labels.is_simulated,
        threshold=point.threshold,
        threshold_rule=point.rule,
        label_source=labels.source,
        scores_from="the sweep" if model.scored else "the stored slabs, scored for this evaluation",
        split_words=split_words,
        split_digest=split.digest if split else None,
        code_version=code_version(),
        is_shown_small=asked.is_showing_small,
        is_enriched=asked.is_from_readings,
        bodies=model.listing.bodies if model.listing else "",
        apparent_words=apparent_words(point, labels.sample),
    )


def _listed(model: _Model) -> ModelListing:
    assert model.listing is not None
    return model.listing


def _point(connection: Connection, model: _Model) -> OperatingPoint:
    if model.scored is None:
        return read_operating_point(_listed(model).directory)
    if model.scored.threshold is None:
        raise EvaluationError("the model has no current operating point: nothing it scored is flagged")
    name = model.scored.operating_point_id
    asked = {"model_digest": model.scored.model_digest, "operating_point_id": name}
    rule = value_of(connection, query("operating_point_rule"), asked)
    return OperatingPoint(model.scored.threshold, f"{rule}; operating point {name}", "")


def _domain_limit(wanted: list[dict[str, Any]], model: _Model) -> float | None:
    """The limit that counts: of the warehouse where it has scores, else the one beside the model."""
    if model.scored is not None:
        return next((row["domain_limit"] for row in wanted if row["domain_limit"] is not None), None)
    domain = read_domain(_listed(model).directory)
    return domain.limit if domain else None


def _evaluated(scans: list[ReadScan], basis: EvaluationBasis, limit: float | None) -> Evaluation:
    scored = [scan for scan in scans if LSTM in scan.said]
    if not scored:
        raise EvaluationError("none of the labelled scans was scored: see the reasons in `ovf export scores`")
    has = {"grade": any(s.grade is not None for s in scored)}
    has[HEIGHT_LOSS] = any(scan.height_loss is not None for scan in scored)
    dimensions = [*DIMENSIONS, *(name for name, is_there in has.items() if is_there)]
    study = read_study(scans, dimensions)
    wrong = [scan for scan in scored if scan.said[LSTM] != scan.is_case]
    errors = sorted(wrong, key=lambda scan: (not scan.is_case, _surprise(scan), scan.study_key))
    shown = study if basis.is_shown_small else suppressed_study(study)
    if not basis.is_shown_small:
        errors = [replace(scan, groups={}, grade=None, height_loss=None) for scan in errors]
    domain = domain_rows(scans, limit, 1 if basis.is_shown_small else SMALLEST_SHOWN)
    if not basis.is_shown_small:
        domain = suppressed_domain(domain)
    return Evaluation(basis, shown, _curves(scored), tuple(errors), domain, limit)


def _surprise(scan: ReadScan) -> float:
    """The most confident errors first."""
    return scan.score[LSTM] if scan.is_case else -scan.score[LSTM]


def _curves(scored: list[ReadScan]) -> EvaluationCurves:
    scores, truth = [scan.score[LSTM] for scan in scored], [scan.is_case for scan in scored]
    has_cases, has_controls = any(truth), not all(truth)
    return EvaluationCurves(
        roc=roc_curve(scores, truth) if has_cases and has_controls else None,
        precision_recall=precision_recall_curve(scores, truth) if has_cases else None,
        average_precision=average_precision(scores, truth) if has_cases else None,
        reliability=reliability(scores, truth),
        brier=brier_score(scores, truth),
        decision=decision_curve(scores, truth),
        prevalence=sum(truth) / len(truth),
    )
