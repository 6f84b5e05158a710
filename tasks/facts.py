"""What the checks ask of a stack and of its study, and what a check answers. Pure; reads no files."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.header_words import normal_text
from tasks.instance import Instance
from tasks.series import Stack

Measured = float | int | str | None


@dataclass(frozen=True, slots=True)
class Check:
    """One named check of one stack: what was measured, against which limit, and the reason if it failed."""

    name: str
    reason: str | None  # None: passed
    measured: Measured = None
    limit: Measured = None
    unit: str | None = None  # mm | deg | years | slices | ...

    @property
    def is_passed(self) -> bool:
        """Whether the stack passed."""
        return self.reason is None


def judge(
    name: str,
    is_good: bool,
    reason: str,
    measured: Measured = None,
    *,
    limit: Measured = None,
    unit: str | None = None,
) -> Check:
    """A check with its reason only where it failed."""
    return Check(name, None if is_good else reason, measured, limit, unit)


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What the checks ask of a whole study."""

    patient_ids: frozenset[str]  # every PatientID of its instances, empty ones left out
    n_patients: int  # distinct (issuer, PatientID)
    study_date: dt.date | None
    age_years: int | None


@dataclass(frozen=True, slots=True)
class Texts:
    """The free texts of a stack, normalised for word search. They never leave selection."""

    series: str
    protocol: str
    study: str
    body_part: str
    model: str

    @classmethod
    def of(cls, instance: Instance) -> Texts:
        """Texts of the stack's first instance."""
        series = (
            f"{normal_text(instance.series_description)} | {normal_text(instance.derivation_description)}"
        )
        return cls(
            series.removesuffix(" | "),
            normal_text(instance.protocol_name),
            normal_text(instance.study_description),
            normal_text(instance.body_part_examined),
            normal_text(instance.model_name),
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks ask of one stack that has slices."""

    stack: Stack
    instances: tuple[Instance, ...]
    texts: Texts
    image_type: str | None  # of the first slice, upper case

    @classmethod
    def of(cls, stack: Stack) -> Facts:
        """Facts of a stack with at least one slice."""
        instances = stack.instances
        image_type = stack.slices[0].image_type
        return cls(stack, instances, Texts.of(instances[0]), image_type.upper() if image_type else None)

    @property
    def first(self) -> Instance:
        """The first instance along the normal; what tells stacks apart is the same in all of them."""
        return self.instances[0]


def coded(value: str | None) -> str | None:
    """A coded value as it may stand in a check: capitals, digits, few signs; all else is left out."""
    cleaned = re.sub(r"[^A-Z0-9._\\ -]", "", (value or "").upper()).strip()[:64]
    return cleaned or None


def finite(value: float) -> float | str:
    """JSON knows no NaN and no infinity."""
    return value if math.isfinite(value) else str(value)


def texts_of(instances: Iterable[Instance]) -> list[str]:
    """Every description of a study, for questions about the study as a whole."""
    seen: dict[str, None] = {}
    for instance in instances:
        for text in (instance.series_description, instance.protocol_name, instance.study_description):
            if text:
                seen[text] = None
    return [normal_text(text) for text in seen]


def units_of(facts: Facts) -> set[str | None]:
    """Rescale Type of every instance and, in an enhanced object, of every frame; None where none is told."""
    told = {item.rescale_type for item in facts.instances}
    return told | {frame.rescale_type for item in facts.instances for frame in item.frames or ()}
