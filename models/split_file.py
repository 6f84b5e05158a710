"""Which patients a model learned from, kept beside its weights: pseudonyms only, bound to them by a digest.

`split.csv` holds one row a scan, `split.json` how it was drawn; the manifest of the model names the digest of both. A
later evaluation can show that no patient it counts was trained on. Imports no torch.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from models.registry import MANIFEST_FILE, ModelError, read_manifest, read_part

SPLIT_FILE, SPLIT_FACTS_FILE = "split.csv", "split.json"
MANIFEST_KEY = "split_sha256"
TRAINING, VALIDATION, CALIBRATION, TEST = "training", "validation", "calibration", "test"
# Of patients that the model it began from had learned from, and who are not among its own.
EARLIER = "earlier"


class SplitError(ModelError):
    """A split that leaks, or one that is not the one the model was trained with."""


@dataclass(frozen=True)
class SplitRow:
    """One scan and the part it was in."""

    split: str  # training | validation | calibration | test | earlier
    patient_key: str
    study_key: str
    series_key: str
    series_revision: str
    is_case: int  # 1 or 0
    grade: int | None = None
    height_loss: float | None = None


@dataclass(frozen=True)
class SplitFacts:
    """How the split was drawn."""

    seed: int
    shares: dict[str, float]
    key_id: str  # of the pseudonyms: another key gives other names
    label_source: str
    is_simulated: bool  # the patients are simulated
    left_out: dict[str, int]  # reason → studies
    start: str = ""  # what cannot be shown about the patients of the model that it began from
    label_origin: str = ""  # label file, reports; empty: drawn by a version that did not keep it


@dataclass(frozen=True)
class Split:
    """A split read back and checked."""

    rows: tuple[SplitRow, ...]
    facts: SplitFacts
    digest: str

    def of(self, name: str) -> list[SplitRow]:
        """The scans of one part."""
        return [row for row in self.rows if row.split == name]


def check_split(rows: Iterable[SplitRow]) -> None:
    """Raises SplitError when a patient is in two parts, or a study stands twice."""
    part_of: dict[str, str] = {}
    studies: set[str] = set()
    n_leaking: set[str] = set()
    for row in rows:
        if part_of.setdefault(row.patient_key, row.split) != row.split:
            n_leaking.add(row.patient_key)
        if row.study_key in studies:
            raise SplitError("a study stands twice in the split")
        studies.add(row.study_key)
    if n_leaking:
        raise SplitError(
            f"{len(n_leaking)} patients are in two parts of the split: what was trained on them would be tested on them"
        )


def write_split(directory: Path, rows: Sequence[SplitRow], facts: SplitFacts) -> str:
    """Write the split beside a saved model and name it in the manifest; returns its digest. Raises SplitError."""
    check_split(rows)
    names = [field.name for field in fields(SplitRow)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(astuple(row) for row in sorted(rows, key=lambda row: (row.split, row.study_key)))
    table = stream.getvalue().encode()
    facts_bytes = (json.dumps(asdict(facts), indent=2, sort_keys=True) + "\n").encode()
    (directory / SPLIT_FILE).write_bytes(table)
    (directory / SPLIT_FACTS_FILE).write_bytes(facts_bytes)
    manifest = read_manifest(directory) | {MANIFEST_KEY: _digest(table, facts_bytes)}
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")
    return str(manifest[MANIFEST_KEY])


def has_split(directory: Path) -> bool:
    """Whether the model has a split (those of simulated scans drawn by seed have none); one that got lost counts."""
    return (directory / SPLIT_FILE).is_file() or MANIFEST_KEY in read_manifest(directory)


def read_split(directory: Path) -> Split:
    """The split of a model. Raises SplitError when it was altered, leaks, or is not there."""
    if not has_split(directory):
        raise SplitError(f"the model has no {SPLIT_FILE}: it was not trained from a warehouse")
    table, facts_bytes = read_part(directory / SPLIT_FILE), read_part(directory / SPLIT_FACTS_FILE)
    digest = _digest(table, facts_bytes)
    if read_manifest(directory).get(MANIFEST_KEY) != digest:
        raise SplitError(f"{SPLIT_FILE} is not the one that {MANIFEST_FILE} names: it was altered")
    try:
        rows = tuple(_row(row) for row in csv.DictReader(io.StringIO(table.decode())))
        facts = SplitFacts(**json.loads(facts_bytes))
    except (TypeError, ValueError, KeyError) as error:
        raise SplitError(f"{SPLIT_FILE} is damaged or of another version") from error
    check_split(rows)
    return Split(rows, facts, digest)


def _row(row: dict[str, str]) -> SplitRow:
    grade, loss = row["grade"], row["height_loss"]
    return SplitRow(
        row["split"],
        row["patient_key"],
        row["study_key"],
        row["series_key"],
        row["series_revision"],
        int(row["is_case"]),
        int(grade) if grade else None,
        float(loss) if loss else None,
    )


def _digest(table: bytes, facts: bytes) -> str:
    return hashlib.sha256(hashlib.sha256(table).digest() + hashlib.sha256(facts).digest()).hexdigest()
