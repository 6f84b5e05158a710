"""The way of the studies, from found to read, with what was lost at each step (as in the STARD flow diagram)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from estimates.audit_numbers import WaterfallStep
from reports.audit_words import count, plain
from reports.figures.svg import LINE_PX, WIDTH_PX, Figure, element, line, picture, text_lines, wrapped

STEP_NAMES = {
    "found": "Studies found",
    "ct": "CT",
    "eligible": "Eligible",
    "scored": "Scored by the AI",
    "with_report": "With a report",
    "audited": "Read by people",
}
LOST_BEFORE = {
    "ct": "Not CT",
    "eligible": "Not eligible, or still open",
    "scored": "Not scored",
    "with_report": "Without a report",
    "audited": "Not read",
}
BOX_PX, BOX_HEIGHT_PX = 170.0, 46.0
LOST_FROM_PX = BOX_PX + 34
LOST_PX = WIDTH_PX - LOST_FROM_PX - 1
INNER_PX = 10.0
GAP_PX = 18.0


@dataclass(frozen=True)
class _Stage:
    """One box on the way, and the lines of the box of those lost before it."""

    name: str
    n_studies: int | None
    lost: tuple[str, ...]

    @property
    def lost_height_px(self) -> float:
        return LINE_PX * len(self.lost) + 2 * INNER_PX if self.lost else 0.0


def flow_picture(steps: Sequence[WaterfallStep]) -> Figure:
    """The picture. A count that is None is hidden."""
    stages = _stages(steps)
    parts: list[Markup] = []
    y = 1.0
    for i, stage in enumerate(stages):
        if i:
            before_lost = y
            y += max(stage.lost_height_px, GAP_PX) + GAP_PX
            parts += _way(before_lost, y)
            if stage.lost:
                parts += _lost_box(stage, before_lost + GAP_PX / 2)
        parts += _step_box(stage, y)
        y += BOX_HEIGHT_PX
    said = "; ".join(
        f"{stage.name}: {count(stage.n_studies)}" + (f" ({', '.join(stage.lost)})" if stage.lost else "")
        for stage in stages
    )
    return picture("flow", "The way of the studies", said, y + 2, parts)


def _stages(steps: Sequence[WaterfallStep]) -> list[_Stage]:
    stages = []
    for reached in (step for step in steps if step.reason is None):
        lost = [step for step in steps if step.step == reached.step and step.reason is not None]
        lines = [line for step in lost for line in _lost_lines(step)]
        if lines:
            lines = [f"{LOST_BEFORE.get(reached.step, 'Lost')}:", *lines]
        name = STEP_NAMES.get(reached.step, plain(reached.step))
        stages.append(_Stage(name, reached.n_studies, tuple(lines)))
    return stages


def _lost_lines(step: WaterfallStep) -> list[str]:
    reason = plain(step.reason or "")
    why = f"{step.outcome}: {reason}" if step.outcome not in (None, "scored") else reason
    return wrapped(f"{count(step.n_studies)}  {why}", LOST_PX - 2 * INNER_PX)


def _step_box(stage: _Stage, y: float) -> list[Markup]:
    middle = BOX_PX / 2
    return [
        element("rect", x=1, y=y, width=BOX_PX, height=BOX_HEIGHT_PX, rx=4, class_="box"),
        text_lines([stage.name], middle, y + 15, text_anchor="middle"),
        text_lines([count(stage.n_studies)], middle, y + 33, text_anchor="middle", class_="heading"),
    ]


def _way(top: float, bottom: float) -> list[Markup]:
    x = BOX_PX / 2
    tip = f"{x - 4:.1f},{bottom - 7:.1f} {x + 4:.1f},{bottom - 7:.1f} {x:.1f},{bottom - 1:.1f}"
    return [
        line(x, top, x, bottom - 6, {"class": "way"}),
        element("polygon", points=tip, class_="tip"),
    ]


def _lost_box(stage: _Stage, y: float) -> list[Markup]:
    middle = y + stage.lost_height_px / 2
    height = stage.lost_height_px
    return [
        line(BOX_PX / 2, middle, LOST_FROM_PX, middle, {"class": "way"}),
        element("rect", x=LOST_FROM_PX, y=y, width=LOST_PX, height=height, rx=4, class_="box lost"),
        text_lines(stage.lost, LOST_FROM_PX + INNER_PX, middle),
    ]
