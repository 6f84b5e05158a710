"""Runs every check over one stack, in the order in which the first failure gives the reason. Pure.

The order: whose study it is; whether its files could be read; what kind of object it is; whether it has a place and
readable pixels; whether it is whole; at last whether it is thin and long enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tasks import checks, pixel_checks, stack_checks
from tasks.decoders import LOSSY_SYNTAXES
from tasks.facts import Check, Facts, StudyFacts
from tasks.profile import Cohort, Profile
from tasks.series import Stack
from tasks.stack_checks import KeptRun
from warehouse.reasons import FLAGS, message_for, reason_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks said of one stack."""

    stack: Stack
    facts: Facts | None  # None: the series is known by broken files only
    run: KeptRun | None  # the slices to use; None without geometry
    checks: tuple[Check, ...]
    flags: tuple[str, ...]

    @property
    def failed(self) -> Check | None:
        """The first check that failed; it gives the reason."""
        return next((check for check in self.checks if not check.is_passed), None)

    @property
    def is_eligible(self) -> bool:
        """Whether every check passed."""
        return self.failed is None

    @property
    def outcome(self) -> str:
        """eligible, or the outcome of the reason."""
        failed = self.failed
        return "eligible" if failed is None else reason_of(failed.reason or "").outcome.value

    @property
    def message(self) -> str | None:
        """The reason's fixed message with the measured numbers."""
        failed = self.failed
        if failed is None or failed.reason is None:
            return None
        numbers = {"measured": failed.measured, "limit": failed.limit}
        known = {name: value for name, value in numbers.items() if isinstance(value, int | float)}
        return message_for(failed.reason, **known)

    @property
    def checks_json(self) -> str:
        """The checks as the warehouse keeps them."""
        return json.dumps(
            [
                {
                    "check": check.name,
                    "passed": check.is_passed,
                    "measured": check.measured,
                    "limit": check.limit,
                    "unit": check.unit,
                }
                for check in self.checks
            ],
            separators=(",", ":"),
            allow_nan=False,
        )


def judge_stack(stack: Stack, study: StudyFacts, *, profile: Profile, cohort: Cohort) -> Verdict:
    """Every check that can be measured on one stack, in order."""
    first = [*checks.study_checks(study, cohort), stack_checks.check_readable(stack)]
    if not stack.slices:
        broken = stack_checks.check_broken(stack, None, profile)
        return Verdict(stack, None, None, _measured([*first, broken]), _study_flags(study))
    facts = Facts.of(stack)
    run = stack_checks.keep_main_run(stack, profile)
    found = _measured(
        [
            *first,
            *_kind_checks(facts, profile),
            checks.check_asked_for(facts, cohort),
            stack_checks.check_conflicts(stack),
            stack_checks.check_geometry(facts),
            stack_checks.check_pixel_spacing(facts),
            *_place_checks(run, profile),
            *_pixel_checks(facts),
            *_whole_checks(stack, run, profile),
            *_size_checks(facts, run, profile),
        ]
    )
    return Verdict(stack, facts, run, found, _flags_of(facts, run, study))


def _measured(found: Iterable[Check | None]) -> tuple[Check, ...]:
    return tuple(check for check in found if check is not None)


def _kind_checks(facts: Facts, profile: Profile) -> list[Check]:
    return [
        checks.check_modality(facts),
        checks.check_sop_class(facts),
        checks.check_frames(facts),
        checks.check_localizer(facts),
        checks.check_capture(facts),
        checks.check_projection(facts),
        checks.check_bone_removed(facts),
        checks.check_material(facts),
        checks.check_monoenergetic(facts, profile),
        checks.check_calculated(facts),
        checks.check_bolus(facts),
        checks.check_attenuation(facts),
        checks.check_radiotherapy(facts),
        checks.check_interventional(facts),
        checks.check_derivation(facts, profile),
        checks.check_body_part(facts),
    ]


def _place_checks(run: KeptRun | None, profile: Profile) -> list[Check | None]:
    if run is None:
        return []
    return [
        stack_checks.check_tilt(run.geometry, profile),
        stack_checks.check_plane(run.geometry),
        stack_checks.check_obliquity(run.geometry),
    ]


def _pixel_checks(facts: Facts) -> list[Check | None]:
    return [
        pixel_checks.check_photometric(facts),
        pixel_checks.check_bits(facts),
        pixel_checks.check_image_size(facts),
        pixel_checks.check_rescale(facts),
        pixel_checks.check_rescale_type(facts),
        pixel_checks.check_decoder(facts),
    ]


def _whole_checks(stack: Stack, run: KeptRun | None, profile: Profile) -> list[Check | None]:
    broken = stack_checks.check_broken(stack, run, profile)
    if run is None or stack.geometry is None:
        return [broken]
    return [
        stack_checks.check_count(run.geometry, profile),
        stack_checks.check_repeats(run.geometry),
        broken,
        stack_checks.check_line(run.geometry, profile),
        stack_checks.check_spacing(run.geometry, profile),
        stack_checks.check_gaps(run.geometry),
        stack_checks.missing_count(stack.geometry.gaps),
    ]


def _size_checks(facts: Facts, run: KeptRun | None, profile: Profile) -> list[Check | None]:
    if run is None:
        return []
    return [
        stack_checks.check_thickness(facts, run.geometry, profile),
        stack_checks.check_coverage(run.geometry, profile),
    ]


# --- flags ------------------------------------------------------------------------------------------------


def _study_flags(study: StudyFacts) -> tuple[str, ...]:
    return ("age_unknown",) if study.age_years is None else ()


def _flags_of(facts: Facts, run: KeptRun | None, study: StudyFacts) -> tuple[str, ...]:
    """Remarks on a stack, sorted."""
    stack, instances = facts.stack, facts.instances
    raised = {
        "dup_same": stack.n_duplicates > 0,
        "lossy": is_lossy(facts),
        "pet_ct": checks.is_pet_ct(facts),
        "monoenergetic": checks.is_monoenergetic(facts),
        "burned_in": any(instance.is_burned_in for instance in instances),
        "vanished": stack.n_vanished > 0,
    }
    flags = {flag for flag, is_raised in raised.items() if is_raised}
    flags |= {remark for instance in instances for remark in instance.remarks if remark in FLAGS}
    return tuple(sorted(flags | set(_study_flags(study)) | _geometry_flags(facts, run)))


def _geometry_flags(facts: Facts, run: KeptRun | None) -> set[str]:
    if run is None:
        return set()
    geometry, is_axial = run.geometry, run.geometry.plane == "axial"
    resolution_mm = stack_checks.resolution_mm(facts, geometry) or 0.0
    limit_mm = stack_checks.GRADE1_THICKNESS_MM + stack_checks.ROUNDING_MM
    flags = set()
    if is_axial and resolution_mm > limit_mm:
        flags.add("grade1_not_resolvable")
    if is_axial and geometry.tilt_deg >= stack_checks.TILT_FLAG_DEG:
        flags.add("tilt_resampled")
    if geometry.plane == "sagittal" and geometry.n_slices < stack_checks.FEW_SLICES:
        flags.add("few_slices")
    return flags | _missing_outside(facts.stack, run)


def _missing_outside(stack: Stack, run: KeptRun) -> set[str]:
    """Slices cut off behind a gap, with how many are missing and where; or broken files that left no gap."""
    if run.n_cut and stack.geometry is not None:
        gaps = stack.geometry.gaps
        n_missing = sum(gap.n_missing for gap in gaps)
        return {f"slices_missing_outside:{n_missing}@{gaps[0].from_mm:.1f}..{gaps[-1].to_mm:.1f}"}
    n_lost = stack_checks.n_lost(stack, run)
    return {f"slices_missing_outside:{n_lost}"} if n_lost and not run.geometry.gaps else set()


def is_lossy(facts: Facts) -> bool:
    """Lossy compressed at any time, by the header or by the transfer syntax (T30)."""
    known = {(i.is_lossy, i.transfer_syntax_uid) for i in facts.instances}
    return any(is_marked or uid in LOSSY_SYNTAXES for is_marked, uid in known)
