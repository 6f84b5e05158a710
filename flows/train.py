"""`ovf train`, first form: a model from simulated scans only, with the published two stages, resumable.

draw phantoms → pre-train on dense truth → features → LSTM → final → threshold → test → card
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from flows.errors import SettingsError
from flows.model_card import TrainingFacts, write_card
from flows.model_files import TRAINING_FILE
from flows.phantom_evaluation import Evaluation
from flows.phantom_judgement import judge, keep_judgement
from flows.phantom_scans import TEST_SEEDS, TRAINING_SEEDS, DrawRequest, PhantomScan, requests
from flows.real_scans import RealSource, draw_twins, read_sources
from flows.scan_cache import DrawnScans, MixedScans, draw_scans_once
from flows.training_curves import Curves, both
from flows.training_folder import claim_folder, digest_of
from flows.training_words import counter, progress_words
from flows.version import code_version
from models.config import ModelConfig, ViewRecipe
from models.dataset import SequenceScan, TrainingScan, split_by_patient
from models.domain import DomainReference, fit_domain
from models.heads import ALL_DENSE_CHANNELS, FractureNet
from models.infer import choose_device
from models.loading import LoadedModel, load_model, save_model
from models.lstm import ScanLstm
from models.optimise import Checkpoint, n_steps
from models.recipes import RECIPES, TrainingRecipe
from models.registry import OperatingPoint, describe_model
from models.split_file import has_split
from models.starting import RANDOM, new_net, origin_of, starting_net
from models.training import (
    Aggregation,
    ExtractorLoss,
    PooledScan,
    TrainerSettings,
    n_images,
    pool_scans,
    pretrain,
    settle_batch_norm,
    train_aggregation,
    train_features,
)
from models.weak_labels import train_weak_features
from phantom.protocol import SEEN

Say = Callable[[str], None]

# Seeds of one training never meet those of another with another --seed (below a million patients each).
SEED_SPAN = 10_000_000
OPERATING_POINT_SEEDS = TEST_SEEDS - 1_000_000
AGGREGATION_SEEDS = TRAINING_SEEDS + 1_000_000
# Mean and spread of the training images in 0…1, as measured on 24 phantoms of the first version.
PIXEL_MEAN, PIXEL_STD = 0.23, 0.15
MOST_SOURCES = 1_000_000


@dataclass(frozen=True)
class Plan:
    """How many simulated patients each part of a training gets."""

    extractor: int
    aggregation: int  # training and validation of the LSTM
    operating_point: int
    test: int

    @classmethod
    def of(cls, recipe: TrainingRecipe, patients: int | None) -> Plan:
        """The recipe's plan, or one for a total number of patients in its proportions."""
        if patients is None:
            return cls(*recipe.patients)
        scale = patients / sum(recipe.patients)
        return cls(*(max(8, round(n * scale)) for n in recipe.patients))


@dataclass(frozen=True)
class RealData:
    """Real scans that twins are made of, and where their vertebrae are marked (`ovf twins`, docs/from-real.md)."""

    paths: tuple[Path, ...] = ()
    marks: tuple[Path, ...] = ()
    credit: str = ""  # whose scans they are, and under which licence; for the card


def train_on_phantoms(
    out: Path,
    *,
    recipe: str | TrainingRecipe = "quick",
    patients: int | None = None,
    seed: int = 1,
    say: Say = print,
    model_id: str = "ovf-phantom",
    workers: int = 2,
    view: ViewRecipe | None = None,
    start: str | None = None,
    families: tuple[str, ...] = SEEN,
    real: RealData = RealData(),
) -> str:
    """Train on simulated scans, write the model under `out`, return a summary. Resumes where it stopped.

    `start` is the id or folder of a model whose extractor the training begins from, or a file of public weights;
    random weights otherwise.
    A folder with another training is refused (SettingsError).
    `families` of phantoms are dealt out in turn; `real` adds twins of real scans where the recipe has a share for them.
    Raises SettingsError for a recipe that does not exist, ModelError for a start that is none, ProtocolError for a
    family that training must not see, RealDataError for real scans that no twins can be made of.
    """
    chosen = _recipe(recipe) if isinstance(recipe, str) else recipe
    plan = Plan.of(chosen, patients)
    config = _config(chosen, model_id, view or chosen.view)
    checkpoint, curves = Checkpoint(out / "checkpoints"), Curves(out)
    settings = TrainerSettings(chosen, config, seed, checkpoint, both(progress_words(say), curves.add))
    sources = read_sources(real.paths, real.marks) if real.paths else []
    draw = _Drawing(seed, config, workers, say, families, out / "scans", sources, chosen)
    net, origin = _starting_net(config, start, seed, say)
    told = [(source.name, source.marks, source.digest) for source in sources]
    claim_folder(out, digest_of(chosen, plan, config.to_json(), seed, families, origin, told))
    _train_extractor(net, draw, plan.extractor, settings)
    sequences = [*draw.twin_sequences(), *draw.sequences(plan.aggregation)]
    lstm, facts, pooled = _train_lstm(net, sequences, settings, plan, say)
    curves.draw()
    facts = replace(facts, start=origin, families=families, n_real=len(sources), credit=real.credit)
    save_model(out, net, lstm, config, f"# {model_id}\n\nNot evaluated yet.\n")
    loaded = load_model(out)
    judged = judge(
        loaded,
        held_out=lambda: draw.operating_point(plan.operating_point),
        test=lambda: draw.test(plan.test),
        target_specificity=chosen.target_specificity,
        domain=_domain(loaded, pooled),
        say=say,
    )
    case_share = sum(scan.is_positive for scan in pooled) / len(pooled)
    judged = replace(judged, point=replace(judged.point, case_share=case_share))
    save_model(out, net, lstm, config, write_card(config, facts, judged.point, judged.evaluation))
    keep_judgement(out, judged)
    (out / TRAINING_FILE).write_text(json.dumps(_training(facts, draw, plan), indent=2) + "\n")
    return _summary(out, judged.point, judged.evaluation)


def _config(recipe: TrainingRecipe, model_id: str, view: ViewRecipe) -> ModelConfig:
    config = ModelConfig(model_id=model_id, view=view, pixel_mean=PIXEL_MEAN, pixel_std=PIXEL_STD)
    if not recipe.has_wide_head:
        return config
    return replace(
        config, pooling="focus", dense_channels=ALL_DENSE_CHANNELS, dense_hidden=128, dense_stride=8
    )


def _starting_net(config: ModelConfig, start: str | None, seed: int, say: Say) -> tuple[FractureNet, str]:
    """A new extractor, one filled from public weights, or a copy of another model's; and where it is from, in words."""
    if start is None or start == RANDOM or Path(start).is_file():
        begun = starting_net(start or RANDOM, config, seed)
        return begun.net, begun.origin
    found = describe_model(start)
    if has_split(found.directory) or not found.is_simulated_only:
        raise SettingsError(
            f"{found.model_id} was trained on patients: a training on simulated scans would not remember them. "
            "Begin from a model of simulated scans, or train on the warehouse (--warehouse)"
        )
    other, net = load_model(start), new_net(config, seed)
    if other.config.bodies:
        say(
            f"{found.model_id} hears the reader of vertebrae {other.config.bodies}, the new model does not: "
            "python -m flows.add_bodies joins them"
        )
    if other.config.dense_channels == config.dense_channels:
        net.load_state_dict(other.net.state_dict())
    else:  # another dense head: it begins anew
        net.resnet.load_state_dict(other.net.resnet.state_dict())
        net.head.load_state_dict(other.net.head.state_dict())
    return net, origin_of(other)


def _recipe(name: str) -> TrainingRecipe:
    if name not in RECIPES:
        raise SettingsError(f"no recipe of that name; there are: {', '.join(RECIPES)}")
    return RECIPES[name]


@dataclass(frozen=True)
class _Drawing:
    """Simulated scans of one training, each kind from seeds of its own."""

    seed: int
    config: ModelConfig
    workers: int
    say: Say
    families: tuple[str, ...]
    folder: Path
    sources: Sequence[RealSource]
    recipe: TrainingRecipe

    def extractor(self, n: int) -> DrawnScans:
        """Simulated scans that are drawn while the training reads the first of them."""
        wanted = self._requests(TRAINING_SEEDS, n, is_for_extractor=True)
        return DrawnScans(wanted, self.folder, self.workers)

    def twins(self) -> list[TrainingScan]:
        """Twins and shams of the real scans, for the extractor."""
        scans = [scan for source in self.sources for scan in self._twins(source, 0, is_for_extractor=True)]
        return [scan.training for scan in scans if scan.training is not None]

    def twin_sequences(self) -> list[SequenceScan]:
        """Others of them, for the LSTM; of volumes only."""
        volumes = [source for source in self.sources if not source.is_image]
        scans = [scan for source in volumes for scan in self._twins(source, 1, is_for_extractor=False)]
        return [scan.sequence for scan in scans if scan.sequence is not None]

    def _twins(self, source: RealSource, kind: int, *, is_for_extractor: bool) -> list[PhantomScan]:
        n = source.pairs(self.recipe.twin_pairs[kind])
        self.say(f"making {n} twins and their shams of {source.name}, {len(source.marks)} vertebrae")
        seed = (self.seed * 2 + kind) * MOST_SOURCES + source.number  # each source draws its own losses
        return draw_twins(source, n, seed, self.config.view, self.folder, is_for_extractor=is_for_extractor)

    def sequences(self, n: int) -> list[SequenceScan]:
        return [s.sequence for s in self._draw("LSTM", AGGREGATION_SEEDS, n) if s.sequence is not None]

    def operating_point(self, n: int) -> list[PhantomScan]:
        return self._draw("operating point", OPERATING_POINT_SEEDS, n)

    def test(self, n: int) -> list[PhantomScan]:
        return self._draw("test", TEST_SEEDS, n)

    def _draw(self, what: str, first: int, n: int) -> list[PhantomScan]:
        self.say(f"simulating {n} patients for the {what}")
        return list(draw_scans_once(self._requests(first, n), self.folder, self.workers))

    def _requests(self, first: int, n: int, *, is_for_extractor: bool = False) -> list[DrawRequest]:
        first_seed = self.seed * SEED_SPAN + first
        families = self.families + (self.recipe.extra_families if is_for_extractor else ())
        return requests(first_seed, n, self.config.view, is_for_extractor=is_for_extractor, families=families)


def _train_extractor(net: FractureNet, draw: _Drawing, n: int, settings: TrainerSettings) -> None:
    """Pre-training on crops, then features on whole tiles; batch norm is settled on tiles before and after."""
    recipe = settings.recipe
    drawn = draw.extractor(n)
    try:
        if recipe.pretrain.epochs > 0:
            pretrain(net, drawn, settings, recipe.pretrain)
        twins, steps = draw.twins(), n_steps(recipe.pretrain, n_images(drawn))
        for stage in recipe.mixed:
            scans = MixedScans(twins, drawn, steps)
            pretrain(net, scans, settings, stage)
            steps += n_steps(stage, n_images(scans))
        _train_on_tiles(net, MixedScans(twins, drawn, steps), settings)
    finally:
        drawn.close()


def _train_on_tiles(net: FractureNet, scans: Sequence[TrainingScan], settings: TrainerSettings) -> None:
    """The feature stage: from each image's own truth, or as published from its scan's label alone."""
    recipe, view = settings.recipe, settings.config.view
    if not recipe.has_image_truth:
        n_training = round(len(scans) * (1 - recipe.validation_share))
        train_weak_features(net, scans[:n_training], scans[n_training:], settings, choose_device(None))
        return
    size = (view.tile_rows, view.tile_cols)
    loss = ExtractorLoss(net, scans, settings, size=size, dense_weight=0.0, image_truth=False)
    if recipe.pretrain.epochs > 0 or recipe.mixed:
        settle_batch_norm(net, lambda step: loss.draw(recipe.features, step).images)
    train_features(net, scans, settings)
    settle_batch_norm(net, lambda step: loss.draw(recipe.features, step).images, keep=recipe.features_frozen)


def _train_lstm(
    net: FractureNet, scans: Sequence[SequenceScan], settings: TrainerSettings, plan: Plan, say: Say
) -> tuple[ScanLstm, TrainingFacts, list[PooledScan]]:
    recipe = settings.recipe
    shares = {"training": 1 - recipe.validation_share, "validation": recipe.validation_share}
    splits = split_by_patient([scan.patient for scan in scans], shares, settings.seed)
    say(f"reading {sum(len(scan.images_nhw) for scan in scans)} images with the extractor")
    pooled = pool_scans(net, scans, settings.config, counter("extractor read", len(scans), say))
    lstm = ScanLstm(settings.config)
    train_aggregation(
        Aggregation(net.head, lstm),
        [pooled[i] for i in splits["training"]],
        [pooled[i] for i in splits["validation"]],
        settings,
    )
    sizes = (plan.extractor, len(splits["training"]), len(splits["validation"]))
    facts = TrainingFacts(recipe, settings.seed, *sizes, code_version())
    return lstm, facts, [pooled[i] for i in splits["training"]]


def _domain(loaded: LoadedModel, pooled: Sequence[PooledScan]) -> DomainReference:
    """Where the scans that the LSTM was trained on lie, in the features that the finished model gives them."""
    with torch.inference_mode():
        features = [loaded.net.head(scan.pooled)[0].numpy() for scan in pooled]
    fitted_on = f"{len(pooled)} scans that the LSTM was trained on"
    return fit_domain(features, model_digest=loaded.digest, fitted_on=fitted_on)


def _training(facts: TrainingFacts, draw: _Drawing, plan: Plan) -> dict[str, Any]:
    """All that decides who was in which part of this training; what `start` has seen is told by its own file."""
    firsts = {
        "extractor": (TRAINING_SEEDS, plan.extractor),
        "lstm": (AGGREGATION_SEEDS, plan.aggregation),
        "operating point": (OPERATING_POINT_SEEDS, plan.operating_point),
        "test": (TEST_SEEDS, plan.test),
    }
    return {
        "recipe": asdict(facts.recipe),
        "seed": facts.seed,
        "start": facts.start,
        "code": facts.code_version,
        "families": list(draw.families),
        "simulated_patients": {
            name: {"first_seed": facts.seed * SEED_SPAN + first, "n": n}
            for name, (first, n) in firsts.items()
        },
        "real_scans": [
            {"name": source.name, "vertebrae": [mark.level for mark in source.marks]}
            for source in draw.sources
        ],
    }


def _summary(out: Path, point: OperatingPoint, evaluation: Evaluation) -> str:
    found = evaluation.auc_by_rule["lstm"]
    return (
        f"Trained on simulated scans only; not for clinical use. On {evaluation.n_positive} + "
        f"{evaluation.n_negative} simulated scans of other seeds: AUC {found.value:.3f} "
        f"({found.low:.3f}-{found.high:.3f}), sensitivity {evaluation.sensitivity.value:.2f} at specificity "
        f"{evaluation.specificity.value:.2f}, threshold {point.threshold:.3f}. Model, card and numbers: {out}"
    )
