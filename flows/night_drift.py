"""Compares tonight's studies with the baseline's: which signals were judged, and which of them are alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from estimates.night_signals import (
    MIN_BASELINE,
    MIN_NIGHT,
    CusumState,
    Signal,
    cusum_signals,
    distribution_signal,
    share_signal,
)
from flows.night_rows import NightStudy

_GROUPS: tuple[tuple[str, Callable[[NightStudy], str]], ...] = (
    ("all", lambda study: "all"),
    ("scanner", lambda study: f"scanner {study.scanner}"),
    ("kernel", lambda study: f"kernel {study.kernel}"),
)


def judge_night(studies: Sequence[NightStudy], before: CusumState) -> tuple[list[Signal], CusumState | None]:
    """Everything that could be judged tonight, alerts first, and where the CUSUM stands."""
    tonight = [study for study in studies if study.is_tonight]
    baseline = [study for study in studies if not study.is_tonight]
    scored = [study for study in baseline if study.is_scored]
    flags = [bool(study.is_flagged) for study in tonight if study.is_scored_tonight]
    usual = (sum(bool(study.is_flagged) for study in scored), len(scored))
    cusum, state = cusum_signals(flags, usual, before)
    shares = _flag_rates(tonight, scored) + _exclusions(tonight, baseline)
    n_judged = max(1, len([share for share in shares if _is_judged(share)]))
    judged = [share_signal(*share, n_judged=n_judged) for share in shares]
    judged.append(
        distribution_signal(
            "score_distribution",
            "all",
            "logits",
            _one_a_patient(scored, _logit),
            _one_a_patient((study for study in tonight if study.is_scored_tonight), _logit),
        )
    )
    judged.append(
        distribution_signal(
            "domain_distance",
            "all",
            "distances from what the model has seen",
            _one_a_patient(baseline, _distance),
            _one_a_patient(tonight, _distance),
        )
    )
    found = [*cusum, *(signal for signal in judged if signal is not None)]
    return sorted(found, key=lambda signal: not signal.is_alert), state


def new_groups(studies: Sequence[NightStudy]) -> list[str]:
    """Scanners and kernels of tonight that the baseline hardly knows: what they bring is not judged yet."""
    told = []
    for name, group_of in _GROUPS[1:]:
        known = Counter(group_of(study) for study in studies if not study.is_tonight)
        tonight = Counter(group_of(study) for study in studies if study.is_tonight)
        told += [
            f"{group}: {n} {'study' if n == 1 else 'studies'} tonight, {known[group]} in the baseline"
            for group, n in sorted(tonight.items())
            if known[group] < MIN_BASELINE and name and n
        ]
    return told


_Share = tuple[str, str, str, tuple[int, int], tuple[int, int]]


def _is_judged(share: _Share) -> bool:
    return share[3][1] >= MIN_NIGHT and share[4][1] >= MIN_BASELINE


def _flag_rates(tonight: Sequence[NightStudy], scored: Sequence[NightStudy]) -> list[_Share]:
    found: list[_Share] = []
    scored_tonight = [study for study in tonight if study.is_scored_tonight]
    for _, group_of in _GROUPS:
        now, before = (_by_group(part, group_of) for part in (scored_tonight, scored))
        for group, studies in sorted(now.items()):
            k, k0 = (sum(bool(s.is_flagged) for s in part) for part in (studies, before.get(group, [])))
            counts = (k, len(studies)), (k0, len(before.get(group, [])))
            found.append(("flag_rate", group, "scored studies flagged", *counts))
    return found


def _exclusions(tonight: Sequence[NightStudy], baseline: Sequence[NightStudy]) -> list[_Share]:
    found: list[_Share] = []
    for _, group_of in _GROUPS:
        now, before = (_by_group(part, group_of) for part in (tonight, baseline))
        for group, studies in sorted(now.items()):
            old = before.get(group, [])
            reasons, usual = _reasons(studies), _reasons(old)
            for reason in sorted(reasons.keys() | usual.keys()):
                subject = f"{group}, {reason}"
                counts = (reasons[reason], len(studies)), (usual[reason], len(old))
                found.append(("exclusions", subject, f"studies not scored for {reason}", *counts))
    return found


def _reasons(studies: Iterable[NightStudy]) -> Counter[str]:
    return Counter(study.reason for study in studies if study.outcome != "scored" and study.reason)


def _by_group(
    studies: Iterable[NightStudy], group_of: Callable[[NightStudy], str]
) -> dict[str, list[NightStudy]]:
    found: dict[str, list[NightStudy]] = {}
    for study in studies:
        found.setdefault(group_of(study), []).append(study)
    return found


def _logit(study: NightStudy) -> float | None:
    return study.logit


def _distance(study: NightStudy) -> float | None:
    return study.domain_distance


def _one_a_patient(
    studies: Iterable[NightStudy], value_of: Callable[[NightStudy], float | None]
) -> list[float]:
    """The first value of each patient: scans of one patient are not independent."""
    first: dict[str, float] = {}
    for study in studies:
        value = value_of(study)
        if value is not None:
            first.setdefault(study.patient_key or study.study_key, value)
    return list(first.values())
