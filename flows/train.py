"""`ovf train`, first form: a model from simulated scans only, with the published two stages, resumable.

draw phantoms → pre-train on dense truth → features → LSTM → final → threshold → test → card
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from flows.errors import SettingsError
from flows.model_card import TrainingFacts, results_csv, write_card
from flows.phantom_evaluation import Evaluation, Result, choose_operating_point, evaluate, score_phantoms
from flows.phantom_scans import TEST_SEEDS, TRAINING_SEEDS, DrawRequest, PhantomScan, draw_scans, requests
from flows.training_words import counter, progress_words
from flows.version import code_version
from models.config import TILES_VIEW, ModelConfig, ViewRecipe
from models.dataset import SequenceScan, TrainingScan, split_by_patient
from models.heads import FractureNet
from models.loading import LoadedModel, load_model, save_model
from models.lstm import ScanLstm
from models.optimise import Checkpoint
from models.recipes import RECIPES, TrainingRecipe
from models.registry import OperatingPoint, write_operating_point
from models.training import (
    Aggregation,
    ExtractorLoss,
    TrainerSettings,
    pool_scans,
    pretrain,
    settle_batch_norm,
    train_aggregation,
    train_features,
)
from phantom.protocol import SEEN

Say = Callable[[str], None]

# Seeds of one training never meet those of another with another --seed (below a million patients each).
SEED_SPAN = 10_000_000
OPERATING_POINT_SEEDS = TEST_SEEDS - 1_000_000
AGGREGATION_SEEDS = TRAINING_SEEDS + 1_000_000
# Mean and spread of the training images in 0…1, as measured on 24 phantoms of the first version.
PIXEL_MEAN, PIXEL_STD = 0.23, 0.15


@dataclass(frozen=True)
class Plan:
    """How many simulated patients each part of a training gets."""

    extractor: int = 3500
    aggregation: int = 600  # training and validation of the LSTM
    operating_point: int = 200
    test: int = 400

    @classmethod
    def of(cls, patients: int | None) -> Plan:
        """The plan for a total number of patients, in the proportions of the default; None: the default."""
        whole = cls()
        if patients is None:
            return whole
        scale = patients / (whole.extractor + whole.aggregation + whole.operating_point + whole.test)
        return cls(
            *(
                max(8, round(n * scale))
                for n in (whole.extractor, whole.aggregation, whole.operating_point, whole.test)
            )
        )


def train_on_phantoms(
    out: Path,
    *,
    recipe: str | TrainingRecipe = "quick",
    patients: int | None = None,
    seed: int = 1,
    say: Say = print,
    model_id: str = "ovf-phantom",
    workers: int = 2,
    view: ViewRecipe = TILES_VIEW,
    start: str | None = None,
    families: tuple[str, ...] = SEEN,
) -> str:
    """Train on simulated scans, write the model under `out`, return a summary. Resumes where it stopped.

    `start` is the id or folder of a model whose extractor the training begins from; random weights otherwise.
    `families` of phantoms are dealt out in turn. Raises SettingsError for a recipe that does not exist, ModelError
    for a start that is none, ProtocolError for a family that training must not see.
    """
    chosen = _recipe(recipe) if isinstance(recipe, str) else recipe
    plan = Plan.of(patients)
    config = ModelConfig(model_id=model_id, view=view, pixel_mean=PIXEL_MEAN, pixel_std=PIXEL_STD)
    settings = TrainerSettings(chosen, config, seed, Checkpoint(out / "checkpoints"), progress_words(say))
    draw = _Drawing(seed, config, workers, say, families)
    torch.manual_seed(seed)
    net, origin = _starting_net(config, start)
    _train_extractor(net, draw.extractor(plan.extractor), settings)
    lstm, facts = _train_lstm(net, draw.sequences(plan.aggregation), settings, plan, say)
    facts = replace(facts, start=origin, families=families)
    save_model(out, net, lstm, config, f"# {model_id}\n\nNot evaluated yet.\n")
    point, evaluation, results = _judge(load_model(out), draw, plan, say)
    card = write_card(config, facts, point, evaluation)
    save_model(out, net, lstm, config, card)
    write_operating_point(out, point)
    (out / "evaluation.json").write_text(evaluation.to_json())
    (out / "evaluation_scans.csv").write_text(results_csv(results))
    return _summary(out, point, evaluation)


def _starting_net(config: ModelConfig, start: str | None) -> tuple[FractureNet, str]:
    """A new extractor, or a copy of another model's; and where it is from, in words."""
    net = FractureNet(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is None:
        return net, "random weights"
    other = load_model(start)
    net.load_state_dict(other.net.state_dict())
    return net, f"the extractor of {other.config.model_id} ({other.digest[:12]})"


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

    def extractor(self, n: int) -> list[TrainingScan]:
        scans = self._draw("extractor", TRAINING_SEEDS, n, is_for_extractor=True)
        return [scan.training for scan in scans if scan.training is not None]  # the views are let go

    def sequences(self, n: int) -> list[SequenceScan]:
        return [scan.sequence for scan in self._draw("LSTM", AGGREGATION_SEEDS, n)]

    def operating_point(self, n: int) -> list[PhantomScan]:
        return list(self._draw("operating point", OPERATING_POINT_SEEDS, n))

    def test(self, n: int) -> list[PhantomScan]:
        return list(self._draw("test", TEST_SEEDS, n))

    def _draw(
        self, what: str, first: int, n: int, *, is_for_extractor: bool = False
    ) -> Iterator[PhantomScan]:
        self.say(f"simulating {n} patients for the {what}")
        wanted: list[DrawRequest] = requests(
            self.seed * SEED_SPAN + first,
            n,
            self.config.view,
            is_for_extractor=is_for_extractor,
            families=self.families,
        )
        return draw_scans(wanted, self.workers)


def _train_extractor(net: FractureNet, scans: Sequence[TrainingScan], settings: TrainerSettings) -> None:
    """Pre-training on crops, then features on whole tiles; batch norm is settled on tiles before and after."""
    recipe, view = settings.recipe, settings.config.view
    size = (view.tile_rows, view.tile_cols)
    loss = ExtractorLoss(net, scans, settings, size=size, dense_weight=0.0, image_truth=False)
    if recipe.pretrain.epochs > 0:
        pretrain(net, scans, settings)
        settle_batch_norm(net, lambda step: loss.draw(recipe.features, step)[0])
    train_features(net, scans, settings)
    settle_batch_norm(net, lambda step: loss.draw(recipe.features, step)[0], keep=recipe.features_frozen)


def _train_lstm(
    net: FractureNet, scans: Sequence[SequenceScan], settings: TrainerSettings, plan: Plan, say: Say
) -> tuple[ScanLstm, TrainingFacts]:
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
    return lstm, TrainingFacts(recipe, settings.seed, *sizes, code_version())


def _judge(
    loaded: LoadedModel, draw: _Drawing, plan: Plan, say: Say
) -> tuple[OperatingPoint, Evaluation, list[Result]]:
    """The threshold from scans of its own, then the test, once."""
    held_out = score_phantoms(
        loaded, draw.operating_point(plan.operating_point), counter("scored", plan.operating_point, say)
    )
    point = choose_operating_point(held_out, f"{len(held_out)} simulated scans that no training touched")
    results = score_phantoms(loaded, draw.test(plan.test), counter("scored", plan.test, say))
    return point, evaluate(results, point.threshold), results


def _summary(out: Path, point: OperatingPoint, evaluation: Evaluation) -> str:
    found = evaluation.auc_by_rule["lstm"]
    return (
        f"Trained on simulated scans only; not for clinical use. On {evaluation.n_positive} + "
        f"{evaluation.n_negative} simulated scans of other seeds: AUC {found.value:.3f} "
        f"({found.low:.3f}-{found.high:.3f}), sensitivity {evaluation.sensitivity.value:.2f} at specificity "
        f"{evaluation.specificity.value:.2f}, threshold {point.threshold:.3f}. Model, card and numbers: {out}"
    )
