"""The card of a model trained on simulated scans, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from estimates.roc import Interval
from flows.phantom_evaluation import Evaluation
from models.bodies import LEAST_ADDED, LEAST_VERTEBRAE, MOST_ADDED
from models.config import ModelConfig
from models.recipes import TrainingRecipe
from models.registry import OperatingPoint

PERCENT = 100
IS, SAW, DID, LIMITS = "What it is", "What it saw", "How it did on simulated scans of other seeds", "Limits"


@dataclass(frozen=True)
class TrainingFacts:
    """How much a training saw, for the card."""

    recipe: TrainingRecipe
    seed: int
    n_extractor: int
    n_training: int
    n_validation: int
    code_version: str
    start: str = "random weights"  # what the extractor began from
    families: tuple[str, ...] = ()
    n_real: int = 0  # real scans that twins were made of
    credit: str = ""  # whose scans they are, and under which licence


def write_card(
    config: ModelConfig, facts: TrainingFacts, point: OperatingPoint, evaluation: Evaluation
) -> str:
    """The card: what it is, what it saw, what it may be used for, and how it did on simulated scans."""
    return "\n".join(
        [
            f"# {config.model_id}",
            "",
            _warning(facts),
            "The numbers below say nothing about real fractures: a network that is nearly perfect inside one simulator",
            "can be blind on real anatomy.",
            "",
            *_what_it_is(config),
            *_what_it_saw(facts),
            *_results(evaluation, point),
            *_limits(),
        ]
    )


def _warning(facts: TrainingFacts) -> str:
    if not facts.n_real:
        return (
            "**Trained on simulated scans only. Not for clinical use.** No real patient or fracture was seen."
        )
    return (
        "**Trained on simulated scans and on real scans with made fractures only. Not for clinical use.** No real "
        "fracture was seen."
    )


def _what_it_is(config: ModelConfig) -> list[str]:
    view = config.view
    return [
        f"## {IS}",
        "",
        *architecture_lines(config),
        f"- Reads: view `{view.name}`, {view.tile_rows} × {view.tile_cols} pixels of {view.pixel_mm} mm, "
        f"HU {view.hu_low:.0f} to {view.hu_high:.0f}, mid-sagittal slices of 3 mm"
        + (" that follow the spine to the side" if view.midline else ""),
        "- Says: one logit per scan (some vertebra from T1 to L5 is fractured, Genant grade 1 or more), and a",
        "  logit and 32 features per image, kept raw. Probabilities are not calibrated to any population.",
        f"- Intended use: {config.intended_use}",
        "",
    ]


def architecture_lines(config: ModelConfig) -> list[str]:
    """What the network is made of, for any card."""
    lines = [
        f"- Architecture: {config.architecture} (ResNet34 → 512 → 32 per image, LSTM 256 over a scan's images)"
    ]
    if config.bodies:
        lines.append(
            f"- Vertebrae one by one: the logit of the most suspicious, by the reader `{config.bodies}` (taught on "
            f"made fractures only: models/readers/{config.bodies}.json), kept between {LEAST_ADDED:g} and "
            f"{MOST_ADDED:g}, times {config.body_weight:g}, is added to the LSTM's; a scan with fewer than "
            f"{LEAST_VERTEBRAE} whole ones is not evaluable"
        )
    return lines


def rejudged_card(card: str, config: ModelConfig, point: OperatingPoint, evaluation: Evaluation) -> str:
    """A card with what the model is and how it did told anew; what it saw and its limits stay, all else goes."""
    head, *sections = card.split("\n## ")
    kept = {_title(section): "## " + section.rstrip() for section in sections}
    for lines in (_what_it_is(config), _results(evaluation, point)):
        kept[_title(lines[0])] = "\n".join(lines).rstrip()
    shown = (IS, SAW, DID, LIMITS)
    return "\n\n".join([head.rstrip(), *(text for title, text in kept.items() if title in shown)]) + "\n"


def _title(section: str) -> str:
    return section.removeprefix("## ").split("\n", 1)[0]


def _what_it_saw(facts: TrainingFacts) -> list[str]:
    recipe = facts.recipe
    return [
        f"## {SAW}",
        "",
        "- Simulated scans of this project's `phantom`, half of them with a fracture (grades 1 : 2 : 3 about",
        "  49 : 33 : 18); wedge, biconcave and crush; chest, abdomen-pelvis, both, and spine coverage.",
        f"- Families of the simulator: {', '.join(facts.families)}.",
        f"- Recipe `{recipe.name}`, seed {facts.seed}, from {facts.start}, code {facts.code_version}.",
        f"- {facts.n_extractor} patients for the extractor, pre-trained on where the fractures are (truth that",
        f"  only a simulator has); {facts.n_training} other patients for the LSTM, {facts.n_validation} of",
        "  validation, which join in at the very end. Scans of operating point and test are of seeds of their own.",
        *_real_scans(facts),
        "",
    ]


def _real_scans(facts: TrainingFacts) -> list[str]:
    if not facts.n_real:
        return []
    return [
        f"- Twins of {facts.n_real} real scans in which one vertebra was lowered, and their shams (heights kept); "
        f"the scans' own fractures, if any, are unknown. {facts.credit}".rstrip(),
    ]


def _results(evaluation: Evaluation, point: OperatingPoint) -> list[str]:
    return [
        f"## {DID}",
        "",
        f"{evaluation.n_positive} with and {evaluation.n_negative} without a fracture; 95 % limits "
        "(areas: DeLong; rates: Clopper-Pearson).",
        "",
        "| what | value | 95 % limits |",
        "|---|---|---|",
        *(_row(f"AUC, {rule}", found) for rule, found in evaluation.auc_by_rule.items()),
        *(_row(f"AUC of worst grade {grade}", found) for grade, found in evaluation.auc_by_grade.items()),
        *(_row(f"AUC, {name}", found) for name, found in evaluation.auc_by_coverage.items()),
        *(_row(f"AUC, family {name}", found) for name, found in evaluation.auc_by_family.items()),
        _row("sensitivity", evaluation.sensitivity),
        _row("specificity", evaluation.specificity),
        *(
            [_row("flagged: 8-19 % loss, no fracture", evaluation.imitator_flag_rate)]
            if evaluation.imitator_flag_rate
            else []
        ),
        "",
        f"Threshold {point.threshold:.4f} on the scan's probability: {point.rule} ({point.chosen_on}).",
        "",
        "Scores that must know nothing (the better of a score and its opposite; 0.5 is nothing): "
        + ", ".join(f"{name} {area:.2f}" for name, area in evaluation.auc_of_giveaways.items())
        + ".",
        "",
    ]


def _row(name: str, found: Interval) -> str:
    return f"| {name} | {found.value:.3f} | {found.low:.3f}-{found.high:.3f} |"


def _limits() -> list[str]:
    return [
        f"## {LIMITS}",
        "",
        "- Never tried on real fractures. A sweep with it shows that the pipeline works, not who is ill.",
        "- One simulator. Other scanners, metal, tumours, children: unseen.",
        "- Fractures outside the slices that the view reads, and below T1 or above L5, are not looked for.",
        "- The threshold was chosen where half of the scans are positive; prevalence elsewhere is far lower.",
        "",
    ]
