"""The curves of a training: losses and rates by step, as `curves.csv` and `curves.png`. Goes on where it stopped."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from flows.model_files import CURVES_FILE, CURVES_PICTURE
from models.optimise import Progress
from warehouse.paths import replace_file

POINTS_PER_STAGE = 200
WRITE_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Point:
    """One row of curves.csv. The loss is smoothed; the validation loss is empty between epochs."""

    stage: str
    step: int
    loss: float
    validation_loss: float | None
    learning_rate: float


class Curves:
    """Takes every step's progress, keeps about 200 points a stage and all validations, writes them now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.points: dict[tuple[str, int], Point] = {
            (p.stage, p.step): p for p in _read(folder / CURVES_FILE)
        }
        self.written_at = time.monotonic()

    def add(self, progress: Progress) -> None:
        """One step of a stage."""
        is_last = progress.step == progress.n_steps
        is_validated = not math.isnan(progress.validation_loss)
        every = max(1, progress.n_steps // POINTS_PER_STAGE)
        if is_last or is_validated or progress.step % every == 0:
            self.points[progress.stage, progress.step] = Point(
                progress.stage,
                progress.step,
                progress.loss,
                progress.validation_loss if is_validated else None,
                progress.learning_rate,
            )
        if is_last or time.monotonic() - self.written_at > WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Write the table, whole or not at all."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([field.name for field in fields(Point)])
        writer.writerows(astuple(point) for point in self.points.values())
        replace_file(self.folder / CURVES_FILE, stream.getvalue().encode())
        self.written_at = time.monotonic()

    def draw(self) -> None:
        """Write the picture: one panel a stage, losses on the left, the rate on the right."""
        replace_file(self.folder / CURVES_PICTURE, _picture(list(self.points.values())))


def both(*listeners: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Tell every listener."""

    def tell(progress: Progress) -> None:
        for listener in listeners:
            listener(progress)

    return tell


def _read(path: Path) -> list[Point]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Point(
                row["stage"],
                int(row["step"]),
                float(row["loss"]),
                float(row["validation_loss"]) if row["validation_loss"] else None,
                float(row["learning_rate"]),
            )
            for row in csv.DictReader(stream)
        ]


def _picture(points: list[Point]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(point.stage for point in points))
    figure = Figure(figsize=(4.6 * max(1, len(stages)), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for place, stage in enumerate(stages, start=1):
        own = sorted((p for p in points if p.stage == stage), key=lambda point: point.step)
        _panel(figure.add_subplot(1, len(stages), place), stage, own)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _panel(axes: Any, stage: str, points: list[Point]) -> None:
    axes.plot([p.step for p in points], [p.loss for p in points], label="training, smoothed")
    checked = [p for p in points if p.validation_loss is not None]
    if checked:
        axes.plot([p.step for p in checked], [p.validation_loss for p in checked], ".-", label="validation")
    axes.set(title=stage, xlabel="step", ylabel="loss", ylim=(0, None))
    axes.legend(loc="upper right", fontsize=7)
    rate = axes.twinx()
    rate.plot([p.step for p in points], [p.learning_rate for p in points], ":", color="grey", linewidth=1)
    rate.set_ylabel("learning rate", fontsize=7, color="grey")
    rate.tick_params(labelsize=6, colors="grey")
