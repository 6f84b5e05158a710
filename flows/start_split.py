"""What the model that a training begins from has seen: its patients keep their parts, so that none is tested on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flows.cohort import CohortScan
from models.registry import describe_model
from models.split_file import (
    CALIBRATION,
    EARLIER,
    TEST,
    TRAINING,
    VALIDATION,
    SplitRow,
    has_split,
    read_split,
)

LEARNED_FROM = (TRAINING, VALIDATION, EARLIER)
# Of a patient who was two to the start, the part that saw most counts.
_SEEN_MOST_FIRST = (TRAINING, VALIDATION, CALIBRATION, TEST)


@dataclass(frozen=True)
class StartSplit:
    """The scans of a start; none for random and public weights, and for models of simulated scans by seed.

    Patients are known by their studies too: a pseudonym is another one once a PatientID was corrected.
    """

    rows: tuple[SplitRow, ...] = ()
    words: str = ""  # what cannot be shown; empty where everything is known

    def part_of(self, scans: Iterable[CohortScan]) -> dict[str, str]:
        """Patient → part of the new split, for those of `scans` whom the start knows."""
        by_patient = _parts((row.patient_key, row.split) for row in self.rows)
        by_study = {row.study_key: row.split for row in self.rows}
        return _parts(
            (scan.patient_key, part)
            for scan in scans
            for part in (by_patient.get(scan.patient_key), by_study.get(scan.study_key))
            if part is not None
        )

    def earlier(self, rows: Sequence[SplitRow]) -> list[SplitRow]:
        """Scans that the start learned from, and that neither are nor are of a patient among the training's `rows`."""
        patients, studies = {row.patient_key for row in rows}, {row.study_key for row in rows}
        return [
            replace(row, split=EARLIER)
            for row in self.rows
            if row.split in LEARNED_FROM and row.patient_key not in patients and row.study_key not in studies
        ]


def start_split(start: str, key_id: str) -> StartSplit:
    """`start`: id or folder of a model; `key_id`: of this warehouse's pseudonyms. Raises ModelError, SplitError."""
    found = describe_model(start)
    if not has_split(found.directory):
        unknown = f"whether {found.model_id}, which it began from, was trained on them cannot be shown"
        return StartSplit(words="" if found.is_simulated_only else unknown)
    split = read_split(found.directory)
    if split.facts.key_id != key_id:
        return StartSplit(
            words=f"{found.model_id}, which it began from, was trained on patients under another key"
        )
    return StartSplit(split.rows, split.facts.start)


def _parts(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Patient → the part that saw most of those they were found in; what an earlier start learned from is training."""
    parts: dict[str, str] = {}
    for patient, split in found:
        part = TRAINING if split == EARLIER else split
        parts[patient] = min(part, parts.get(patient, part), key=_SEEN_MOST_FIRST.index)
    return parts
