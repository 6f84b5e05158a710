"""What is told of a cohort, and the card of a model trained on one, as Markdown, in the order of TRIPOD+AI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.cohort import Cohort
from flows.labels import Labels
from flows.model_card import architecture_lines
from models.config import ModelConfig
from models.recipes import TrainingRecipe
from models.registry import OperatingPoint
from models.split_file import CALIBRATION, EARLIER, TEST, TRAINING, VALIDATION, SplitFacts, SplitRow

PARTS = (TRAINING, VALIDATION, CALIBRATION, TEST, EARLIER)
USES = {
    TRAINING: "features and LSTM",
    VALIDATION: "learning rates; joins the training at the very end, as published",
    CALIBRATION: "threshold and calibration; no training touched it",
    TEST: "nothing yet: `ovf evaluate --model` counts it",
    EARLIER: "the model that this one began from",
}
WHY = {
    "no_label": "no label",
    "no_report": "no report, or one without text",
    "reader_not_evaluable": "the readers could not judge it",
    "other_cause": "traumatic, pathological or treated fracture: a class of its own",
    "report_possible": "the report doubts a fracture",
    "report_ambiguous": "the report says deformity or height loss only",
    "incomplete": "incomplete data",
    "marked_metal": "marked: metal in the slab",
    "marked_motion": "marked: moved, or damaged slices",
    "marked_text": "marked: text burned into the pixels",
    "not_scored": "no slab: the sweep did not score it",
    "slab_not_kept": "the sweep kept no slab (--no-slabs)",
    "slab_file_missing": "the slab's file is not there: see --slabs",
    "slab_unreadable": "the slab's file is damaged",
    "sound_scan_of_a_case": "no fracture, but the patient has one in another scan",
    "further_scan": "a later scan of the same patient",
    "case_without_control": "no free control of that sex and age",
    "control_not_drawn": "controls that chance did not draw",
}


@dataclass(frozen=True)
class CohortFacts:
    """What a training saw."""

    recipe: TrainingRecipe
    start: str
    code_version: str
    split: SplitFacts
    rows: tuple[SplitRow, ...]


def cohort_text(cohort: Cohort, labels: Labels) -> str:
    """Who was drawn, and every other study by reason: the counts add up."""
    n_left = sum(cohort.left_out.values())
    lines = [
        f"labels: {labels.source}",
        f"{cohort.n_found:,} studies = {len(cohort.scans):,} in the cohort + {n_left:,} left out",
        f"cohort: {len(cohort.cases):,} scans with a fracture, {len(cohort.controls):,} without",
        *left_out_lines(cohort.left_out),
    ]
    lines += [f"labels without a study, {reason}: {n:,}" for reason, n in sorted(labels.n_unlinked.items())]
    return "\n".join(lines)


def left_out_lines(left_out: Mapping[str, int]) -> list[str]:
    """`  1,234 marked_metal (marked: metal in the slab)`, the largest first."""
    ordered = sorted(
        ((n, reason) for reason, n in left_out.items() if n), key=lambda each: (-each[0], each[1])
    )
    return [f"  {n:>6,} {reason} ({WHY.get(reason.split(':', 1)[0], 'left out')})" for n, reason in ordered]


def cohort_card(config: ModelConfig, facts: CohortFacts, point: OperatingPoint | None) -> str:
    """The card: use, data, split, training, threshold, limits. Results are in the folder of `ovf evaluate`."""
    view = config.view
    lines = [f"# {config.model_id}", "", *_warning(config), "", "## What it is", ""]
    lines += [
        *architecture_lines(config),
        f"- Reads: view `{view.name}`, {view.tile_rows} × {view.tile_cols} pixels, HU {view.hu_low:.0f} to "
        f"{view.hu_high:.0f}",
        "- Says: one logit per scan (osteoporotic vertebral fracture, Genant grade 1 or more), one per image",
        f"- Intended use: {config.intended_use}",
        "",
        "## Data",
        "",
        f"- Labels: {facts.split.label_source}. A weak label: one per scan, and reports and readers err.",
        "- Split by patient, stored as pseudonyms in `split.csv` and bound to the weights by `manifest.json`.",
        "",
        "| part | scans | patients | with a fracture | used for |",
        "|---|---|---|---|---|",
        *(_part_row(facts, part) for part in PARTS),
        *_start_words(facts),
        "",
        "Left out, by reason:",
        "",
        *(f"- {line.strip()}" for line in left_out_lines(facts.split.left_out)),
        "",
        "## Training",
        "",
        f"- Recipe `{facts.recipe.name}`, seed {facts.split.seed}, from {facts.start}, code {facts.code_version}.",
        "- Feature stage by label propagation: every image carries its scan's label.",
        "- Curves: `curves.csv`, `curves.png`.",
        "",
        *_threshold(point),
        "## Limits",
        "",
        "- Fractures outside the slices that the view reads are not looked for.",
        f"- {_share_words(point)}: a probability is not the share of this archive until it is calibrated on a random, "
        "read sample of it.",
        "- Other hospitals, scanners and protocols: unseen.",
        "",
    ]
    return "\n".join(lines)


def _share_words(point: OperatingPoint | None) -> str:
    if point is None or point.case_share is None:
        return "Cases and controls were drawn, not met"
    return (
        f"Cases and controls were drawn, {point.case_share:.0%} cases among those that probabilities hold for"
    )


def _warning(config: ModelConfig) -> list[str]:
    if config.is_simulated_only:
        return ["**Trained on simulated scans only. Not for clinical use.** No real fracture was seen."]
    return ["**Trained on scans of one archive; not validated elsewhere. Not for clinical use.**"]


def _part_row(facts: CohortFacts, part: str) -> str:
    rows = [row for row in facts.rows if row.split == part]
    patients = len({row.patient_key for row in rows})
    return f"| {part} | {len(rows)} | {patients} | {sum(row.is_case for row in rows)} | {USES[part]} |"


def _start_words(facts: CohortFacts) -> list[str]:
    return ["", f"Of the patients of other trainings: {facts.split.start}."] if facts.split.start else []


def _threshold(point: OperatingPoint | None) -> list[str]:
    if point is None:
        return []
    return [
        "## Calibration and threshold",
        "",
        f"Probability = logistic({point.calibration_slope:.3f} × the scan's logit {point.calibration_intercept:+.3f}); "
        f"flagged from {point.threshold:.4f} on: {point.rule} ({point.chosen_on}).",
        "",
    ]
