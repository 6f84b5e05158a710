"""A frozen model on a frozen test set: every study of a `phantom/protocol-N` scored once, and what follows from it.

The threshold, the calibration and the domain limit beside the model are read, never changed. Each use of the test set
adds a line to `protocol_uses.jsonl` beside the model, with the digests of all that was frozen, before a scan is drawn
(`flows/protocol_use.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from estimates.roc import Interval, auc, share
from flows.errors import SettingsError
from flows.evaluation_scans import refusal_of
from flows.model_files import PROTOCOL_FILE, PROTOCOL_SCANS_FILE, PROTOCOL_USES_FILE
from flows.phantom_scans import HALF_WIDTH_MM, PIXEL_MM, largest_loss, sequence_scan
from flows.process_pool import BACKGROUND, map_in_order
from flows.protocol_use import ProtocolUse
from flows.result_rows import read_rows, write_rows
from models.config import ViewRecipe
from models.dataset import FRACTURE_LOSS, LOW_LOSS, SequenceScan
from models.domain import DomainReference, read_domain
from models.infer import ScanScore, Scorer
from models.loading import load_model
from models.pooling import max_probability, mean_probability, vote_share
from models.registry import CARD_FILE, OperatingPoint, read_operating_point
from phantom import protocol
from phantom.protocol import ProtocolStudy, draw_test_patient, draw_test_scan

SCANS_PER_CALL = 16
POOL_CHUNK = 4
CARD_HEADING = "## On the frozen test set, "
RULES = ("lstm", "max", "mean", "vote")
GIVEAWAYS = ("trabecular_hu", "age_years", "noise_hu", "thickness_mm", "mean_intensity")
LOSS_BIN = 0.05
# Thickest slice of each group of scanners, in mm.
THICKNESS_GROUPS = ((1.0, "to 1 mm"), (2.0, "to 2 mm"), (3.0, "to 3 mm"), (9.0, "over 3 mm"))


@dataclass(frozen=True)
class ProtocolResult:
    """One scored study: what it is, and a score by each rule (probabilities; vote: share of images)."""

    patient_seed: int
    family: str
    is_seen_family: bool
    kind: str
    worst_grade: int
    largest_loss: float
    coverage: str
    thickness_mm: float
    kernel: str
    kvp: int
    noise_hu: float
    trabecular_hu: float
    age_years: float
    mean_intensity: float
    domain_distance: float  # from what the model has seen; 0 without a reference
    n_vertebrae: int | None  # whole ones that were heard; None of a model that reads none
    is_evaluable: bool  # within the limit of the domain, and vertebrae are heard
    lstm: float
    max: float
    mean: float
    vote: float


def judge_on_protocol(
    directory: Path,
    *,
    number: int,
    workers: int = 2,
    say: Callable[[str], None] = print,
    every: int = 1,
    first: int = 0,
) -> str:
    """Score frozen test set `number` with the model in `directory`, write the results beside it, return a summary.

    A test that was stopped goes on. `every`: only each so many-th study (1: all), counted from `first`, which the log
    and the results say. Raises ModelError for a model that is none or has no operating point, ProtocolError when the
    test set is not as it was frozen, SettingsError when there is no such set and when no study is left.
    """
    try:
        test_set = protocol.protocol_of(number)
    except protocol.ProtocolError as error:
        raise SettingsError(str(error)) from error
    loaded, point = load_model(directory), read_operating_point(directory)
    domain, all_studies = read_domain(directory), protocol.test_studies(number)
    studies = all_studies[first::every]
    if not studies:
        raise SettingsError(f"no study from number {first} on: {test_set} has {len(all_studies)}")
    which = {"protocol": number, "studies": len(studies), "every": every, "first": first}
    use = ProtocolUse(directory, loaded.digest, which)
    results = [ProtocolResult(**row) for row in use.rows]
    if results:
        say(f"{len(results)} of {len(studies)} studies were scored before this test was stopped")
    scorer, draw = Scorer(loaded), partial(_draw, view=loaded.config.view)
    drawn = map_in_order(draw, studies[len(results) :], workers, chunksize=POOL_CHUNK, niceness=BACKGROUND)
    while part := list(islice(drawn, SCANS_PER_CALL)):
        scores = scorer.score([sequence for _, sequence in part])
        scored = [
            _scored(facts, sequence, score, point, domain)
            for (facts, sequence), score in zip(part, scores, strict=True)
        ]
        use.keep(map(asdict, scored))
        results += scored
        say(f"scored {len(results)} of {len(studies)} studies of the test set")
    write_rows(directory / PROTOCOL_SCANS_FILE, ProtocolResult, results, digits=5)
    kept = read_results(directory / PROTOCOL_SCANS_FILE)  # what others can count again
    report = {**heading_of(which), **summarise(kept, point.threshold)}
    (directory / PROTOCOL_FILE).write_text(json.dumps(report, indent=2) + "\n")
    _write_section(directory / CARD_FILE, report)
    use.end()
    return _summary(report)


def heading_of(which: Mapping[str, Any]) -> Report:
    """Which studies of which test set a result is of, by a line of the log; the first lines were all of protocol 1."""
    test_set = protocol.protocol_of(which.get("protocol", 1))
    is_whole = (which["every"], which["first"]) == (1, 0)
    part = "all of them" if is_whole else f"every {which['every']}. from number {which['first']} on"
    return {
        "protocol": str(test_set),
        "protocol_digest": test_set.digest,
        "studies": f"{which['studies']} studies: {part}",
    }


Facts = dict[str, str | int | float | bool]
Report = dict[str, Any]


def _draw(study: ProtocolStudy, view: ViewRecipe) -> tuple[Facts, SequenceScan]:
    """One study's images as the scorer reads them, and its facts."""
    slab = draw_test_scan(study, pixel_mm=PIXEL_MM, half_width_mm=HALF_WIDTH_MM)
    scan, bodies = slab.acquisition, [body for body in slab.vertebrae if body.is_visible]
    facts: Facts = {
        "patient_seed": study.patient_seed,
        "family": study.family,
        "is_seen_family": study.is_seen_family,
        "kind": study.kind,
        "worst_grade": study.worst_grade,
        "largest_loss": largest_loss(slab),
        "coverage": study.coverage,
        "thickness_mm": float(scan.thickness_mm),
        "kernel": scan.kernel,
        "kvp": scan.kvp,
        "noise_hu": float(scan.noise_hu),
        "trabecular_hu": float(np.mean([body.trabecular_hu for body in bodies] or [0.0])),
        "age_years": float(draw_test_patient(study).age_years),
    }
    return facts, sequence_scan(slab, f"test-{study.patient_seed}", view)


def _scored(
    facts: Facts,
    sequence: SequenceScan,
    score: ScanScore,
    point: OperatingPoint,
    domain: DomainReference | None,
) -> ProtocolResult:
    distance = domain.distance(score.slice_features) if domain is not None else 0.0
    return ProtocolResult(
        **facts,  # type: ignore[arg-type]
        mean_intensity=float(sequence.images_nhw.mean()),
        domain_distance=distance,
        n_vertebrae=score.n_vertebrae,
        is_evaluable=refusal_of(score, domain, distance) is None,
        lstm=point.probability(score.logit),
        max=max_probability(score.slice_logits),
        mean=mean_probability(score.slice_logits),
        vote=vote_share(score.slice_logits),
    )


def read_results(path: Path) -> list[ProtocolResult]:
    """The scored studies that a test left beside a model."""
    return read_rows(path, ProtocolResult)


def summarise(results: Sequence[ProtocolResult], threshold: float) -> Report:
    """All numbers of a test, for all families, the seen and the unseen ones; traumatic and the like are left out."""
    groups = {
        "all families": list(results),
        "seen families": [r for r in results if r.is_seen_family],
        "unseen families": [r for r in results if not r.is_seen_family],
    }
    found: Report = {"threshold": threshold}
    return found | {name: _of_group(own, threshold) for name, own in groups.items() if _has_both(own)}


def _sides(results: Iterable[ProtocolResult]) -> tuple[list[ProtocolResult], list[ProtocolResult]]:
    kept = list(results)
    return [r for r in kept if r.kind == "positive"], [r for r in kept if r.kind == "negative"]


def _has_both(results: Iterable[ProtocolResult]) -> bool:
    return all(_sides(results))


def _of_group(results: Sequence[ProtocolResult], threshold: float) -> Report:
    positive, negative = _sides(results)
    low = [r for r in negative if LOW_LOSS <= r.largest_loss < FRACTURE_LOSS]
    return {
        "n_positive": len(positive),
        "n_negative": len(negative),
        "auc_by_rule": {rule: asdict(_area(positive, negative, rule)) for rule in RULES},
        "sensitivity": asdict(_flagged(positive, threshold)),
        "specificity": asdict(_not_flagged(negative, threshold)),
        "not_evaluable": {
            "positive": sum(not r.is_evaluable for r in positive),
            "negative": sum(not r.is_evaluable for r in negative),
            "sensitivity_if_wrong": asdict(
                _share_of(positive, lambda r: r.is_evaluable and r.lstm >= threshold)
            ),
            "specificity_if_wrong": asdict(
                _share_of(negative, lambda r: r.is_evaluable and r.lstm < threshold)
            ),
        },
        "flagged_low_bodies": asdict(_flagged(low, threshold)) if low else None,
        "by_grade": {
            str(grade): {
                "n": len(own),
                "auc": asdict(_area(own, negative)),
                "flagged": asdict(_flagged(own, threshold)),
            }
            for grade in (1, 2, 3)
            if (own := [r for r in positive if r.worst_grade == grade])
        },
        "flagged_by_loss": list(_by_loss(positive + negative, threshold)),
        "auc_by_family": _areas_by(positive + negative, lambda r: r.family),
        "auc_by_coverage": _areas_by(positive + negative, lambda r: r.coverage),
        "auc_by_thickness": _areas_by(positive + negative, _thickness_group),
        "auc_by_kernel": _areas_by(positive + negative, lambda r: r.kernel),
        "auc_by_kvp": _areas_by(positive + negative, lambda r: str(r.kvp)),
        "auc_of_giveaways": {name: _either_way(positive, negative, name) for name in GIVEAWAYS},
        "flagged_of_other_kinds": _other_kinds(results, threshold),
    }


def _area(
    positive: Sequence[ProtocolResult], negative: Sequence[ProtocolResult], rule: str = "lstm"
) -> Interval:
    return auc([float(getattr(r, rule)) for r in positive], [float(getattr(r, rule)) for r in negative])


def _flagged(results: Sequence[ProtocolResult], threshold: float) -> Interval:
    return share(sum(r.lstm >= threshold for r in results), len(results))


def _share_of(results: Sequence[ProtocolResult], is_right: Callable[[ProtocolResult], bool]) -> Interval:
    return share(sum(map(is_right, results)), len(results))


def _not_flagged(results: Sequence[ProtocolResult], threshold: float) -> Interval:
    return share(sum(r.lstm < threshold for r in results), len(results))


def _by_loss(results: Sequence[ProtocolResult], threshold: float) -> Iterator[Report]:
    """Flagged by the largest loss of a scan, in bins of 5 %."""
    bins = np.array([int(r.largest_loss / LOSS_BIN + 1e-9) for r in results])
    for number in sorted(set(bins.tolist())):
        own = [r for r, at in zip(results, bins, strict=True) if at == number]
        yield {
            "from": round(number * LOSS_BIN, 2),
            "to": round((number + 1) * LOSS_BIN, 2),
            "n": len(own),
            "flagged": asdict(_flagged(own, threshold)),
        }


def _areas_by(results: Sequence[ProtocolResult], key: Callable[[ProtocolResult], str]) -> Report:
    found: Report = {}
    for value in sorted({key(r) for r in results}):
        positive, negative = _sides(r for r in results if key(r) == value)
        if positive and negative:
            area = _area(positive, negative)
            found[value] = {"n_positive": len(positive), "n_negative": len(negative), **asdict(area)}
    return found


def _thickness_group(result: ProtocolResult) -> str:
    return next(name for most, name in THICKNESS_GROUPS if result.thickness_mm <= most)


def _either_way(positive: Sequence[ProtocolResult], negative: Sequence[ProtocolResult], name: str) -> float:
    area = _area(positive, negative, name).value
    return max(area, 1 - area)


def _other_kinds(results: Sequence[ProtocolResult], threshold: float) -> Report:
    kinds = ("traumatic", "pathological", "treated")
    own = {kind: [r for r in results if r.kind == kind] for kind in kinds}
    return {kind: asdict(_flagged(scans, threshold)) for kind, scans in own.items() if scans}


def _write_section(card: Path, report: Report) -> None:
    """The test as the last section of the model's card, in place of an earlier one; the card is in no digest."""
    kept = card.read_text(encoding="utf-8").split(CARD_HEADING)[0].rstrip()
    heading = f"{CARD_HEADING}`{report['protocol']}`"
    card.write_text(f"{kept}\n\n{heading}\n\n" + "\n".join(_section(report)) + "\n", encoding="utf-8")


def _section(report: Report) -> Iterator[str]:
    groups = {name: group for name, group in report.items() if isinstance(group, dict)}
    yield f"Simulated scans of seeds and families as frozen; {PROTOCOL_USES_FILE} logs every use. 95 % limits."
    yield f"{report['studies']}."
    yield ""
    yield "| what | " + " | ".join(groups) + " |"
    yield "|---|" + "---|" * len(groups)
    yield _row(
        "studies with and without a fracture", groups, lambda g: f"{g['n_positive']} + {g['n_negative']}"
    )
    for rule in RULES:
        yield _row(f"AUC, {rule}", groups, _limits_at("auc_by_rule", rule))
    for grade in ("1", "2", "3"):
        yield _row(f"AUC, worst grade {grade}", groups, _limits_at("by_grade", grade, "auc"))
        yield _row(f"flagged, grade {grade}", groups, _limits_at("by_grade", grade, "flagged"))
    yield _row("sensitivity", groups, _limits_at("sensitivity"))
    yield _row("specificity", groups, _limits_at("specificity"))
    yield _row(
        "sensitivity, not evaluable counted as wrong",
        groups,
        _limits_at("not_evaluable", "sensitivity_if_wrong"),
    )
    yield _row(
        "specificity, not evaluable counted as wrong",
        groups,
        _limits_at("not_evaluable", "specificity_if_wrong"),
    )
    yield _row("flagged: 8-19 % loss, no fracture", groups, _limits_at("flagged_low_bodies"))
    for name in GIVEAWAYS:
        areas = {group: found["auc_of_giveaways"][name] for group, found in groups.items()}
        yield f"| AUC of {name} alone, either way | " + " | ".join(f"{a:.2f}" for a in areas.values()) + " |"


def _limits_at(*path: str) -> Callable[[Report], str]:
    """A number with its limits somewhere in a group's report; a dash where there is none."""

    def cell(group: Report) -> str:
        found: Any = group
        for name in path:
            found = found.get(name) if found else None
        return _limits(found) if found else "-"

    return cell


def _row(what: str, groups: dict[str, Report], cell: Callable[[Report], str]) -> str:
    return f"| {what} | " + " | ".join(cell(group) for group in groups.values()) + " |"


def _summary(report: Report) -> str:
    lines = ["Simulated scans only; not for clinical use."]
    for name, group in report.items():
        if isinstance(group, dict):
            lstm, sens, spec = group["auc_by_rule"]["lstm"], group["sensitivity"], group["specificity"]
            lines.append(
                f"{name}: {group['n_positive']} + {group['n_negative']}, AUC {_limits(lstm)}, "
                f"sensitivity {_limits(sens)}, specificity {_limits(spec)}"
            )
    return "\n".join(lines)


def _limits(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f}-{found['high']:.3f})"
