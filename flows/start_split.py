"""What the model that a training begins from has seen: its patients keep their parts, so that none is tested on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from models.registry import describe_model
from models.split_file import EARLIER, TRAINING, VALIDATION, SplitRow, has_split, read_split

LEARNED_FROM = (TRAINING, VALIDATION, EARLIER)


@dataclass(frozen=True)
class StartSplit:
    """The patients of a start; none for random and public weights, and for models of simulated scans by seed."""

    part_of: Mapping[str, str] = field(default_factory=dict)  # patient → part of the new split
    learned_from: tuple[SplitRow, ...] = ()
    words: str = ""  # what cannot be shown; empty where everything is known

    def earlier(self, rows: Iterable[SplitRow]) -> list[SplitRow]:
        """Scans that the start learned from, of patients who are not among the new training's own `rows`."""
        own = {row.patient_key for row in rows}
        return [replace(row, split=EARLIER) for row in self.learned_from if row.patient_key not in own]


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
    part_of = {row.patient_key: TRAINING if row.split == EARLIER else row.split for row in split.rows}
    learned_from = tuple(row for row in split.rows if row.split in LEARNED_FROM)
    return StartSplit(part_of, learned_from, split.facts.start)
