"""The thresholds of selection (strict, lenient) and the cohort that is swept. Reads only the cohort files.

`lenient` is the default: it takes what a hospital archive holds (5 mm slices, single sagittal reformats) and
flags what that costs. `strict` takes only what resolves a grade 1 loss, for studies that report prevalence
by grade.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Profile:
    """Every threshold of selection. A change of any value changes the digest, and with it every decision."""

    name: str
    # Slices over 3 mm cannot resolve a grade 1 loss (20 % of a 20 to 30 mm body is 4 to 6 mm: two slices are
    # needed). Routine body CT of the 2000s is 5 mm. The larger of thickness and distance counts.
    max_thickness_mm: float
    # A vertebra is judged against its neighbours: three thoracolumbar levels of 20 to 40 mm each (strict),
    # or two and a half thoracic ones (lenient).
    min_craniocaudal_mm: float
    # Fewer axial images are loose key images; strict: what 120 mm takes at 3 mm.
    min_axial_slices: int
    # The published input is the central slices of a reformat, at least five; one mid-sagittal image still
    # shows the bodies, and archives keep such key images.
    min_sagittal_slices: int
    # Positions are written with 0.001 to 0.01 mm; tables move within 0.1 mm. Slices are resampled by their
    # own positions, so the lenient profile tolerates steps that vary by a fifth.
    max_spacing_deviation: float  # share of the median distance
    # In-plane drift of positions from their line: a moved field of view, or two scans in one stack.
    max_off_line_mm: float
    # CT gantries tilt by up to 30 degrees; the slab stage resamples it.
    max_tilt_deg: float
    # A row of slices behind a gap may be cut off at an end when at least this share of the stack stays.
    min_main_run_share: float
    accepts_missing_image_type: bool
    accepts_unknown_derivation: bool  # DERIVED or SECONDARY without a word that says how
    accepts_monoenergetic: bool  # virtual keV images look like CT, but their HU of bone depend on the energy
    accepts_broken_at_end: bool  # broken files that leave no gap


LENIENT = Profile(
    name="lenient",
    max_thickness_mm=5.0,
    min_craniocaudal_mm=60.0,
    min_axial_slices=5,
    min_sagittal_slices=1,
    max_spacing_deviation=0.2,
    max_off_line_mm=2.0,
    max_tilt_deg=30.5,
    min_main_run_share=0.8,
    accepts_missing_image_type=True,
    accepts_unknown_derivation=True,
    accepts_monoenergetic=True,
    accepts_broken_at_end=True,
)
STRICT = Profile(
    name="strict",
    max_thickness_mm=3.0,
    min_craniocaudal_mm=120.0,
    min_axial_slices=40,
    min_sagittal_slices=5,
    max_spacing_deviation=0.05,
    max_off_line_mm=1.0,
    max_tilt_deg=30.5,
    min_main_run_share=1.0,
    accepts_missing_image_type=False,
    accepts_unknown_derivation=False,
    accepts_monoenergetic=False,
    accepts_broken_at_end=False,
)
DEFAULT_PROFILE = LENIENT
_PROFILES = {profile.name: profile for profile in (LENIENT, STRICT)}


def profile_named(name: str) -> Profile:
    """Look a profile up. Raises ValueError that names the known ones."""
    if name not in _PROFILES:
        raise ValueError(f"no profile {name!r}: choose one of {', '.join(sorted(_PROFILES))}")
    return _PROFILES[name]


@dataclass(frozen=True, slots=True)
class Cohort:
    """Whose scans are swept. Adults only by default; a patient of unknown age stays in and is flagged."""

    min_age_years: int = 18
    since: dt.date | None = None  # first study date, inclusive
    until: dt.date | None = None  # last study date, inclusive
    cohort_ids: frozenset[str] | None = None  # PatientIDs; None: everybody
    opt_out_ids: frozenset[str] = frozenset()  # PatientIDs
    # Patterns of what is looked at, such as *abdomen*; a series needs one of each kind. Empty: any series.
    body_parts: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()


def read_cohort(
    *,
    min_age_years: int = 18,
    since: dt.date | None = None,
    until: dt.date | None = None,
    cohort: Path | None = None,
    opt_out: Path | None = None,
    body_part: str | None = None,
    description: str | None = None,
    station: str | None = None,
) -> Cohort:
    """Cohort from patterns separated by commas, and from files with one PatientID a line.

    Files are UTF-8; blank lines and lines starting with # are skipped.

    Raises OSError when a file cannot be read and ValueError when a cohort file names nobody: an empty cohort
    is a mistake more often than a wish.
    """
    cohort_ids = None if cohort is None else _read_ids(cohort)
    if cohort_ids is not None and not cohort_ids:
        raise ValueError("the cohort file names no patient")
    opt_out_ids = frozenset() if opt_out is None else _read_ids(opt_out)
    patterns = (_patterns(each) for each in (body_part, description, station))
    return Cohort(min_age_years, since, until, cohort_ids, opt_out_ids, *patterns)


def _patterns(text: str | None) -> tuple[str, ...]:
    return tuple(sorted({each.strip().upper() for each in (text or "").split(",")} - {""}))


def _read_ids(path: Path) -> frozenset[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


class PatientKeys(Protocol):
    """The part of a pseudonymizer that a digest needs."""

    def patient_key(self, patient_id: str | None, issuer: str | None) -> str | None:
        """Keyed pseudonym of a patient."""
        ...

    def __hash__(self) -> int:
        """Equal keys give equal pseudonyms."""
        ...


@functools.lru_cache(maxsize=8)  # a cohort of a million ids is digested once, not once a study
def profile_digest(profile: Profile, cohort: Cohort, keys: PatientKeys) -> str:
    """16 hex characters over every threshold and every cohort option.

    Patient identifiers enter as keyed pseudonyms only, so that nobody can test a guess against the digest.
    """
    options = {field.name: getattr(cohort, field.name) for field in fields(cohort)}
    for name in ("cohort_ids", "opt_out_ids"):
        ids = options[name]
        options[name] = None if ids is None else sorted(str(keys.patient_key(item, None)) for item in ids)
    for name in ("body_parts", "descriptions", "stations"):
        if not options[name]:  # so that decisions from before these options existed stand
            del options[name]
    for name in ("since", "until"):
        options[name] = options[name] and options[name].isoformat()
    text = json.dumps({"profile": asdict(profile), "cohort": options}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
