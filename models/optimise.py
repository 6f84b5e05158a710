"""The loop that every training stage runs: steps, learning rate, progress, checkpoints. Knows no network."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.recipes import Stage
from models.registry import ModelError

ONE_CYCLE_RISE = 0.25  # share of the steps on which the rate rises
ONE_CYCLE_START = 0.04  # of the highest rate (torch's OneCycleLR: 1/25)
PLATEAU_TOLERANCE = 1e-4  # a validation loss better by less than this share has stalled
CHECKPOINT_EVERY_S = 60.0


@dataclass(frozen=True)
class Progress:
    """Where a training stands."""

    stage: str
    step: int
    n_steps: int
    loss: float  # smoothed
    learning_rate: float
    seconds_left: float  # of this stage
    validation_loss: float = math.nan  # where this step ended an epoch and there is something to validate on


OnProgress = Callable[[Progress], None]
# Parameters with a rate of their own, as a share of the stage's rate.
ParameterGroups = list[tuple[list[nn.Parameter], float]]


@dataclass
class Plateau:
    """Halves the rate when the validation loss has not improved for some epochs."""

    best: float = math.inf
    stalled: int = 0
    factor: float = 1.0

    def update(self, loss: float, patience: int) -> None:
        """Take one epoch's validation loss."""
        if loss < self.best * (1 - PLATEAU_TOLERANCE):
            self.best, self.stalled = loss, 0
            return
        self.stalled += 1
        if self.stalled >= patience:
            self.factor, self.stalled = self.factor / 2, 0


def n_steps(stage: Stage, n_items: int) -> int:
    """How many steps a stage makes over `n_items` images or scans."""
    return math.ceil(stage.epochs * n_items / stage.batch)


def rate_share(stage: Stage, step: int, n_steps: int, plateau: Plateau) -> float:
    """The learning rate at `step`, as a share of the stage's rate."""
    if stage.schedule == "constant":
        return 1.0
    if stage.schedule == "plateau":
        return plateau.factor
    rise = max(1, round(n_steps * ONE_CYCLE_RISE))
    if step < rise:
        return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * (1 - math.cos(math.pi * step / rise)) / 2
    return (1 + math.cos(math.pi * (step - rise) / max(1, n_steps - rise))) / 2


def make_optimiser(stage: Stage, groups: ParameterGroups) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD over the groups; each remembers its share of the rate as `rate_share`."""
    parameters = [{"params": own, "rate_share": share} for own, share in groups]
    if stage.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=stage.learning_rate, momentum=stage.betas[0], weight_decay=stage.weight_decay
        )
    kind = torch.optim.AdamW if stage.optimiser == "adamw" else torch.optim.Adam
    return kind(
        parameters,
        lr=stage.learning_rate,
        betas=stage.betas,
        eps=stage.eps,
        weight_decay=stage.weight_decay,
    )


class Checkpoint:
    """One training's state on disk: tensors as safetensors, numbers as JSON, replaced as one by rename."""

    def __init__(self, directory: Path, every_s: float = CHECKPOINT_EVERY_S) -> None:
        self.directory, self.every_s = directory, every_s
        directory.mkdir(parents=True, exist_ok=True)

    def save(self, stage: str, step: int, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Write the state after `step` steps of `stage`; the previous one stays until this is complete."""
        name = f"{stage}-{step:07d}"
        temporary = self.directory / f"{name}.tmp"
        save_file({key: value.detach().contiguous().clone() for key, value in tensors.items()}, temporary)
        os.replace(temporary, self.directory / f"{name}.safetensors")
        state = {"stage": stage, "step": step, "file": f"{name}.safetensors", **extra}
        previous = self._state(stage)
        pointer = self.directory / f"{stage}.json.tmp"
        pointer.write_text(json.dumps(state))
        os.replace(pointer, self.directory / f"{stage}.json")
        if previous is not None and previous["file"] != state["file"]:
            (self.directory / previous["file"]).unlink(missing_ok=True)

    def load(self, stage: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The tensors and numbers last saved for `stage`; None when there are none."""
        state = self._state(stage)
        return None if state is None else (load_file(self.directory / state["file"]), state)

    def _state(self, stage: str) -> dict[str, Any] | None:
        path = self.directory / f"{stage}.json"
        return json.loads(path.read_text()) if path.exists() else None


class DivergedError(ModelError):
    """A training whose loss is no number any more: there will be no model."""


class StageRun:
    """One stage: optimise `module` by `batch_loss(step)`, resuming from and writing to a checkpoint.

    `batch_loss` must draw everything random from the step's number, so that a resumed run repeats an
    undisturbed one. `validation_loss` is called once an epoch where the schedule needs it.
    """

    def __init__(
        self,
        stage: Stage,
        module: nn.Module,
        groups: ParameterGroups,
        *,
        n_items: int,
        checkpoint: Checkpoint | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.stage, self.module, self.checkpoint, self.on_progress = stage, module, checkpoint, on_progress
        self.parameters = [p for own, _ in groups for p in own]
        self.optimiser = make_optimiser(stage, groups)
        self.steps_per_epoch = max(1, math.ceil(n_items / stage.batch))
        self.n_steps = n_steps(stage, n_items)
        self.plateau = Plateau()
        self.smooth_loss = math.nan
        self.first_step = self._resume()

    def run(
        self, batch_loss: Callable[[int], Tensor], validation_loss: Callable[[], float] | None = None
    ) -> None:
        """Run the steps that are left."""
        started = saved = time.monotonic()
        for step in range(self.first_step, self.n_steps):
            rate = self._set_rate(step)
            self._step(step, batch_loss(step))
            validated = math.nan
            if validation_loss is not None and (step + 1) % self.steps_per_epoch == 0:
                validated = validation_loss()
                self.plateau.update(validated, self.stage.patience_epochs)
            now = time.monotonic()
            if self.on_progress is not None:
                left = (now - started) / (step + 1 - self.first_step) * (self.n_steps - step - 1)
                self.on_progress(
                    Progress(self.stage.name, step + 1, self.n_steps, self.smooth_loss, rate, left, validated)
                )
            if self._is_due(now - saved, step + 1):
                self._save(step + 1)
                saved = now

    def _is_due(self, since_s: float, step: int) -> bool:
        return self.checkpoint is not None and (since_s > self.checkpoint.every_s or step == self.n_steps)

    def _set_rate(self, step: int) -> float:
        rate = self.stage.learning_rate * rate_share(self.stage, step, self.n_steps, self.plateau)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["rate_share"]
        return rate

    def _step(self, step: int, loss: Tensor) -> None:
        value = float(loss.detach())
        if not math.isfinite(value):  # before it reaches weights and checkpoint
            raise DivergedError(
                f"stage {self.stage.name}: the loss is not finite any more at step {step + 1}. No model was written. "
                "Take a lower learning rate (a recipe of its own), another --seed or another --start, and another --out"
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters, self.stage.clip_norm)
        self.optimiser.step()
        self.smooth_loss = value if math.isnan(self.smooth_loss) else 0.95 * self.smooth_loss + 0.05 * value

    def _save(self, step: int) -> None:
        if self.checkpoint is None:
            return
        tensors = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        for index, values in self.optimiser.state_dict()["state"].items():
            for key, value in values.items():
                tensors[f"optimiser.{index}.{key}"] = torch.as_tensor(value)
        numbers = {"plateau": [self.plateau.best, self.plateau.stalled, self.plateau.factor]}
        self.checkpoint.save(self.stage.name, step, tensors, numbers)

    def _resume(self) -> int:
        saved = self.checkpoint.load(self.stage.name) if self.checkpoint is not None else None
        if saved is None:
            return 0
        tensors, numbers = saved
        prefix = "module."
        self.module.load_state_dict(
            {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        )
        state = self.optimiser.state_dict()
        state["state"] = _optimiser_state(tensors)
        self.optimiser.load_state_dict(state)
        self.plateau = Plateau(*numbers["plateau"])
        return int(numbers["step"])


def _optimiser_state(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    return state
