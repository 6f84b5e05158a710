"""`ovf train --warehouse`: a model from a hospital's own slabs and labels, with the published two stages, resumable.

labels → cohort → split by patient → slabs → features → LSTM → final → weights with their split → threshold → card
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flows.cohort import Cohort, CohortOrder, CohortScan, draw_cohort, split_cohort
from flows.cohort_card import CohortFacts, cohort_card, cohort_text
from flows.cohort_recipes import check_name, cohort_recipe, shares_of, view_of_recipe
from flows.cohort_slabs import CohortImages, read_images, slab_order
from flows.cohort_state import keep_cohort, kept_cohort
from flows.errors import SettingsError
from flows.labels import FROM_FILE, FROM_REPORTS, Labels, ReportRule, labels_from_file, labels_from_reports
from flows.model_files import CALIBRATION_FILE
from flows.operating_point import calibrated_point
from flows.settings import DEFAULT_MODEL
from flows.start_split import StartSplit, start_split
from flows.training_curves import Curves, both
from flows.training_folder import claim_folder, digest_of
from flows.training_words import counter, progress_words
from flows.version import code_version
from models.config import ModelConfig, ViewRecipe
from models.dataset import SequenceScan, TrainingScan
from models.digests import short_digest
from models.domain import fit_domain, write_domain
from models.heads import FractureNet
from models.infer import Scorer, choose_device
from models.loading import load_model, save_model
from models.lstm import ScanLstm
from models.optimise import CHECKPOINT_EVERY_S, Checkpoint
from models.recipes import TrainingRecipe
from models.registry import OperatingPoint, write_operating_point
from models.split_file import (
    CALIBRATION,
    TEST,
    TRAINING,
    VALIDATION,
    SplitFacts,
    SplitRow,
    check_split,
    write_split,
)
from models.starting import Start, starting_net
from models.training import Aggregation, PooledScan, TrainerSettings, pool_scans, train_aggregation
from models.weak_labels import train_weak_features
from tasks.shard_work import kept_slab_path
from warehouse.connect import value_of
from warehouse.paths import replace_file
from warehouse.queries import query
from warehouse.store import Store

Say = Callable[[str], None]

# The shipped extractor, pre-trained on where fractures are: what only a simulator knows.
DEFAULT_START = DEFAULT_MODEL
LEAST_PATIENTS = 10  # of cases and of controls: one for each tenth
TARGET_SPECIFICITY = 0.95
INTENDED_USE = (
    "research, on scans like those it was trained on; not validated elsewhere; not for clinical use"
)


@dataclass(frozen=True, slots=True)
class TrainOrder:
    """What is asked of a training."""

    slab_directory: Path
    labels: Path | None = None  # None: from reports
    report_rule: ReportRule = field(default_factory=ReportRule)
    cohort: CohortOrder = field(default_factory=CohortOrder)
    recipe: str | TrainingRecipe = "quick"
    start: str = DEFAULT_START
    view: ViewRecipe | None = None
    model_id: str = "ovf-own"
    is_simulated: bool = False  # the patients are simulated; a label file of `ovf demo` says so itself
    seed: int = 1
    workers: int = 2
    checkpoint_every_s: float = CHECKPOINT_EVERY_S

    @property
    def recipe_name(self) -> str:
        return self.recipe if isinstance(self.recipe, str) else self.recipe.name


@dataclass(frozen=True)
class _Images:
    """Part → its scans with what is read of them; test has none: nothing of it is read."""

    of: Mapping[str, list[tuple[CohortScan, CohortImages]]]
    n_unreadable: int

    def training_scans(self, part: str) -> list[TrainingScan]:
        return [images.training for _, images in self.of.get(part, []) if images.training is not None]

    def sequences(self, part: str) -> list[SequenceScan]:
        return [images.sequence for _, images in self.of.get(part, [])]


def train_on_cohort(store: Store, out: Path, order: TrainOrder, say: Say = print) -> str:
    """Draw the cohort, train on it, write model, split and curves under `out`; returns a summary.

    Called again it goes on from its last checkpoint. Raises SettingsError (labels, cohort too small, another training's
    folder) and ModelError (start).
    """
    if isinstance(order.recipe, str):
        check_name(order.recipe)  # before slabs are read
    labels, cohort, key_id = _cohort_of(store, out, order)
    say(cohort_text(cohort, labels))
    _check_enough(cohort)
    is_simulated = order.is_simulated or labels.is_simulated
    start = starting_net(order.start, _config(order, is_simulated), order.seed)
    if start.config.bodies:
        say(
            f"the reader of vertebrae {start.config.bodies} is heard beside the LSTM, as it is: nothing teaches it"
        )
    before = start_split(order.start, key_id) if start.is_model else StartSplit()
    parts = split_cohort(cohort, shares_of(order.recipe_name), order.seed, before.part_of(cohort.scans))
    _check_parts(parts, order, say)
    images = _read_all(parts, start.config.view, order, say)
    _check_read(images, say)
    recipe = _recipe(order, images, start)
    config = start.config if start.is_model else _normalised(start.config, images)
    rows = _split_rows(parts, images)
    rows += before.earlier(rows)
    check_split(rows)  # before hours are spent
    facts = SplitFacts(
        order.seed,
        {name: shares_of(order.recipe_name)[name] for name in parts},
        key_id,
        labels.source,
        is_simulated,
        _left_out(cohort, images),
        before.words,
        FROM_FILE if order.labels else FROM_REPORTS,
    )
    claim_folder(out, _fingerprint(rows, recipe, config, start.origin, order.seed))
    keep_cohort(out, _order_digest(order), labels, cohort, key_id)
    curves = Curves(out)
    settings = TrainerSettings(
        recipe,
        config,
        order.seed,
        Checkpoint(out / "checkpoints", order.checkpoint_every_s),
        both(progress_words(say), curves.add),
    )
    lstm, pooled = _train(start, images, settings, say)
    curves.draw()
    told = CohortFacts(recipe, start.origin, code_version(), facts, tuple(rows))
    summary = _keep(out, (start.net, lstm), config, told, images)
    _keep_domain(out, pooled, say)
    return summary


def _cohort_of(store: Store, out: Path, order: TrainOrder) -> tuple[Labels, Cohort, str]:
    """Labels, cohort and the id of the pseudonyms' key: as this training drew them when it began, else drawn now."""
    is_readable = order.labels is None or order.labels.is_file()  # what is not there is told when it is read
    kept = kept_cohort(out, _order_digest(order)) if is_readable else None
    return kept or _drawn_cohort(store, order)


def _order_digest(order: TrainOrder) -> str:
    """All that decides who is in the cohort, but for the archive itself."""
    truth = hashlib.sha256(order.labels.read_bytes()).hexdigest() if order.labels else order.report_rule
    return digest_of(truth, dataclasses.replace(order.cohort, seed=order.seed))


def _drawn_cohort(store: Store, order: TrainOrder) -> tuple[Labels, Cohort, str]:
    """From the published copy."""
    with store.read() as connection:
        found = connection.execute(query("cohort_scans"))
        names = [column[0] for column in found.description]
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        key_id = str(value_of(connection, "SELECT key_id FROM store_stamp"))
    if order.labels is not None:
        labels = labels_from_file(store, order.labels)
    else:
        labels = labels_from_reports(rows, order.report_rule)
    cohort_order = dataclasses.replace(order.cohort, seed=order.seed)
    return labels, draw_cohort(rows, labels.by_study, cohort_order, _has_file(order.slab_directory)), key_id


def _has_file(directory: Path) -> Callable[[str, str], bool]:
    return lambda series_key, revision: kept_slab_path(directory, series_key, revision).is_file()


def _check_enough(cohort: Cohort) -> None:
    n_cases, n_controls = (len({s.patient_key for s in part}) for part in (cohort.cases, cohort.controls))
    if min(n_cases, n_controls) < LEAST_PATIENTS:
        raise SettingsError(
            f"{n_cases} patients with and {n_controls} without a fracture are too few: {LEAST_PATIENTS} of each at "
            "least, so that each part of the split has some. The lines above say who was left out and why"
        )


def _check_parts(parts: Mapping[str, Sequence[CohortScan]], order: TrainOrder, say: Say) -> None:
    """Parts may run short where the start has learned from most patients. Raises SettingsError where none can be."""
    short = [name for name, scans in parts.items() if len({scan.is_case for scan in scans}) < 2]
    if not short:
        return
    why = f"the start {Path(order.start).name} has learned from most of these patients already"
    told = f"no scan with, or none without, a fracture in: {', '.join(short)} ({why})"
    if not _can_learn(parts):
        raise SettingsError(f"{told}; begin from another (--start)")
    say(told)


def _config(order: TrainOrder, is_simulated: bool) -> ModelConfig:
    view = order.view or view_of_recipe(order.recipe_name)
    return ModelConfig(
        model_id=order.model_id,
        view=view,
        is_simulated_only=is_simulated,
        intended_use="research; not for clinical use" if is_simulated else INTENDED_USE,
    )


def _read_all(
    parts: Mapping[str, Sequence[CohortScan]], view: ViewRecipe, order: TrainOrder, say: Say
) -> _Images:
    """Read the slabs of every part but the test's."""
    wanted = [(part, scan) for part in parts if part != TEST for scan in parts[part]]
    say(f"reading {len(wanted)} slabs; the {len(parts.get(TEST, []))} of the test stay closed")
    orders = [
        slab_order(
            order.slab_directory,
            (scan.series_key, scan.series_revision),
            (scan.patient_key, scan.is_case),
            view,
            is_for_extractor=part in (TRAINING, VALIDATION),
        )
        for part, scan in wanted
    ]
    found: dict[str, list[tuple[CohortScan, CohortImages]]] = {part: [] for part in parts}
    count, n_unreadable = counter("read", len(wanted), say), 0
    for done, ((part, scan), images) in enumerate(
        zip(wanted, read_images(orders, order.workers), strict=True)
    ):
        count(done + 1)
        if images is None:
            n_unreadable += 1
        else:
            found[part].append((scan, images))
    return _Images(found, n_unreadable)


def _check_read(images: _Images, say: Say) -> None:
    """Raises SettingsError where the slabs that could be read are not enough to learn from."""
    if not images.n_unreadable:
        return
    told = f"{images.n_unreadable} slabs are gone or damaged and left out"
    say(told)
    if not _can_learn({part: [scan for scan, _ in read] for part, read in images.of.items()}):
        raise SettingsError(
            f"{told}: what is left for training and validation is not enough; sweep those series again (ovf requeue)"
        )


def _can_learn(parts: Mapping[str, Sequence[CohortScan]]) -> bool:
    """Both kinds to train on, and at least one scan that says when it is enough."""
    return len({scan.is_case for scan in parts[TRAINING]}) == 2 and bool(parts[VALIDATION])


def _recipe(order: TrainOrder, images: _Images, start: Start) -> TrainingRecipe:
    if isinstance(order.recipe, TrainingRecipe):
        return order.recipe
    n_images = sum(len(scan.images) for scan in images.training_scans(TRAINING))
    return cohort_recipe(order.recipe, n_images, has_model_start=start.is_model)


def _normalised(config: ModelConfig, images: _Images) -> ModelConfig:
    """Mean and spread of the training images in 0…1: the published mean, as one number."""
    values = [scan.images[::2, ::4, ::4] for scan in images.training_scans(TRAINING)]
    pixels = np.concatenate([one.ravel() for one in values]).astype(np.float64) / 255
    return dataclasses.replace(
        config, pixel_mean=round(float(pixels.mean()), 4), pixel_std=round(float(pixels.std()), 4)
    )


def _split_rows(parts: Mapping[str, Sequence[CohortScan]], images: _Images) -> list[SplitRow]:
    """Every scan of the test, and of the other parts those that could be read."""
    rows = [scan.row(part) for part, read in images.of.items() for scan, _ in read]
    return rows + [scan.row(TEST) for scan in parts.get(TEST, [])]


def _left_out(cohort: Cohort, images: _Images) -> dict[str, int]:
    counts = dict(cohort.left_out) | {"slab_unreadable": images.n_unreadable}
    return {reason: n for reason, n in sorted(counts.items()) if n}


def _fingerprint(
    rows: Sequence[SplitRow], recipe: TrainingRecipe, config: ModelConfig, origin: str, seed: int
) -> str:
    return digest_of(*sorted(rows, key=lambda row: row.study_key), recipe, config.to_json(), origin, seed)


Pooled = Mapping[str, list[PooledScan]]


def _train(start: Start, images: _Images, settings: TrainerSettings, say: Say) -> tuple[ScanLstm, Pooled]:
    """Both stages and the published end; `start.net` is changed in place."""
    device = choose_device(None)
    train_weak_features(
        start.net, images.training_scans(TRAINING), images.training_scans(VALIDATION), settings, device
    )
    pooled = {}
    for part in (TRAINING, VALIDATION):
        scans = images.sequences(part)
        count = counter(f"extractor read, {part},", len(scans), say)
        pooled[part] = pool_scans(start.net, scans, settings.config, count, device)
    torch.manual_seed(settings.seed)
    lstm = ScanLstm(settings.config)
    train_aggregation(Aggregation(start.net.head, lstm), pooled[TRAINING], pooled[VALIDATION], settings)
    return lstm, pooled


def _keep(
    out: Path, networks: tuple[FractureNet, ScanLstm], config: ModelConfig, told: CohortFacts, images: _Images
) -> str:
    """Write the model, its threshold and its split; returns what to tell."""
    save_model(out, *networks, config, cohort_card(config, told, None))
    point = _operating_point(out, images)
    if point.case_share is None:  # uncalibrated: as the training saw them
        learned = [scan.is_case for part in (TRAINING, VALIDATION) for scan, _ in images.of[part]]
        point = dataclasses.replace(point, case_share=sum(learned) / len(learned))
    digest = save_model(out, *networks, config, cohort_card(config, told, point))
    # The split first: a model that seems whole without it would be tested on its own patients.
    write_split(out, told.rows, told.split)
    write_operating_point(out, point)
    n = {
        name: sum(row.split == name for row in told.rows)
        for name in (TRAINING, VALIDATION, CALIBRATION, TEST)
    }
    return (
        f"Trained {config.model_id} ({short_digest(digest)}) on {n[TRAINING]} + {n[VALIDATION]} scans; "
        f"{n[CALIBRATION]} for calibration and {n[TEST]} for the test were not trained on. "
        f"Threshold {point.threshold:.3f}: {point.rule}.\n"
        f"Model, card, split and curves: {out}\nNext:  ovf evaluate --model {shlex.quote(str(out))} --out evaluation"
    )


def _keep_domain(out: Path, pooled: Pooled, say: Say) -> None:
    """How far a scan may lie from what was trained on: fitted on training, its limit chosen on validation."""
    loaded = load_model(out)
    features = {}
    with torch.inference_mode():
        for part, scans in pooled.items():
            features[part] = [loaded.net.head(scan.pooled)[0].double().numpy() for scan in scans]
    fitted_on = f"{len(features[TRAINING])} scans of the training part"
    try:
        reference = fit_domain(features[TRAINING], model_digest=loaded.digest, fitted_on=fitted_on)
    except ValueError as error:
        say(f"no domain reference: {error}")
        return
    distances = np.array([reference.distance(one) for one in features[VALIDATION]])
    write_domain(out, reference.with_limit(distances, "the validation part"))


def _operating_point(out: Path, images: _Images) -> OperatingPoint:
    """Calibration and threshold from the calibration part, whose scores are kept.

    Raw probabilities, and one half, where there is none or too little of it; the rule then says so.
    """
    scans = images.of.get(CALIBRATION, [])
    if not scans:
        return OperatingPoint(0.5, "one half, as published: uncalibrated", "nothing")
    logits = np.array([s.logit for s in Scorer(load_model(out)).score([i.sequence for _, i in scans])])
    is_case = np.array([scan.is_case for scan, _ in scans])
    _write_calibration(out, [scan for scan, _ in scans], logits)
    chosen_on = f"{len(scans)} scans of the calibration part, {(~is_case).sum()} of them without a fracture"
    return calibrated_point(logits, is_case, TARGET_SPECIFICITY, chosen_on)


def _write_calibration(out: Path, scans: Sequence[CohortScan], logits: Iterable[float]) -> None:
    """What a calibration is fitted on: pseudonyms, truth and raw logits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["patient_key", "study_key", "is_case", "logit"])
    for scan, logit in zip(scans, logits, strict=True):
        writer.writerow([scan.patient_key, scan.study_key, int(scan.is_case), repr(float(logit))])
    replace_file(out / CALIBRATION_FILE, stream.getvalue().encode())
