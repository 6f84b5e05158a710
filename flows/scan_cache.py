"""Simulated and made scans kept in a folder, one file each, so that a training that resumes draws nothing twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np

from flows.phantom_scans import DrawRequest, PhantomScan, draw_scan
from flows.process_pool import BACKGROUND, map_in_order, process_pool
from models.dataset import DenseTruth, SequenceScan, TrainingScan

POOL_CHUNK = 4
# Of the extractor's scans: how many its first step may use, and how many more each step. A step on one core of a
# processor with bf16 takes about a second, a scan a seventh.
FIRST_SCANS, SCANS_PER_STEP = 2000, 1.0
_OF_SEQUENCE = ("images_nhw", "tile_index", "top_row_mm")
_FACTS = tuple(name for name in PhantomScan.__dataclass_fields__ if name not in ("sequence", "training"))


def draw_scans_once(
    wanted: Sequence[DrawRequest], folder: Path, workers: int, on_scan: Callable[[int], None] | None = None
) -> Iterator[PhantomScan]:
    """The scans of the requests, in order; those that lie in `folder` are read, the others drawn and left there."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [request for request in wanted if not _path(folder, request).exists()]
    draw = partial(_draw_into, folder=folder)
    if len(missing) < POOL_CHUNK:
        workers = 1
    for done, _ in enumerate(map_in_order(draw, missing, workers, chunksize=POOL_CHUNK), 1):
        if on_scan is not None:
            on_scan(len(wanted) - len(missing) + done)
    yield from (read_scan(_path(folder, request)) for request in wanted)


def _draw_into(request: DrawRequest, folder: Path) -> None:
    path = _path(folder, request)
    if not path.exists():  # another process may have drawn it meanwhile
        write_scan(path, draw_scan(request))


def _path(folder: Path, request: DrawRequest) -> Path:
    kind = "extractor" if request.is_for_extractor else "sequence"
    label = "fractured" if request.has_fracture else "sound"
    return folder / f"{request.view.name}-{kind}-{request.family}-{label}-{request.seed}.npz"


def write_scan(path: Path, scan: PhantomScan) -> None:
    """Keep one scan; a file that is there is whole."""
    arrays: dict[str, Any] = {}
    facts: dict[str, Any] = {name: getattr(scan, name) for name in _FACTS}
    if scan.sequence is not None:
        arrays |= {f"sequence_{name}": getattr(scan.sequence, name) for name in _OF_SEQUENCE}
    if scan.training is not None:
        _pack(scan.training, arrays, facts)
    write_parts(path, facts, arrays)


def write_parts(path: Path, facts: dict[str, Any], arrays: dict[str, Any], *, is_small: bool = False) -> None:
    """Keep arrays and what JSON can say of them in one file, whole or not at all; `is_small` takes time for space."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save = np.savez_compressed if is_small else np.savez
    with temporary.open("wb") as file:
        save(file, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
    os.replace(temporary, path)


def read_parts(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts and arrays that `write_parts` kept."""
    with np.load(path, allow_pickle=False) as kept:
        facts: dict[str, Any] = json.loads(kept["facts"].tobytes())
        return facts, {name: kept[name] for name in kept.files if name != "facts"}


def _pack(training: TrainingScan, arrays: dict[str, Any], facts: dict[str, Any]) -> None:
    arrays |= {"images": training.images, "centre_cols": training.centre_cols}
    facts["is_real"] = training.is_real
    if training.truth is not None:
        truth = training.truth
        arrays |= {"labels": truth.labels, "bodies": truth.bodies}
        facts |= {"fractured_spans": truth.fractured_spans, "low_spans": truth.low_spans}


def read_scan(path: Path) -> PhantomScan:
    """The scan that `write_scan` kept."""
    facts, kept = read_parts(path)
    patient, is_positive = facts["patient"], facts["is_positive"]
    sequence, training = None, None
    if f"sequence_{_OF_SEQUENCE[0]}" in kept:
        images, tiles, tops = (kept[f"sequence_{name}"] for name in _OF_SEQUENCE)
        sequence = SequenceScan(patient, is_positive, images, tiles, tops, facts["largest_loss"])
    if "images" in kept:
        training = TrainingScan(patient, is_positive, kept["images"], kept["centre_cols"])
        if "labels" in kept:
            spans = [tuple(map(tuple, facts[name])) for name in ("fractured_spans", "low_spans")]
            truth = DenseTruth(kept["labels"], kept["bodies"], spans[0], spans[1])
            training = replace(training, truth=truth, is_real=facts["is_real"])
    return PhantomScan(**{name: facts[name] for name in _FACTS}, sequence=sequence, training=training)


class DrawnScans(Sequence[TrainingScan]):
    """Scans for the extractor that are drawn in the background while training goes on, or when they are asked for.

    `kinds` says (made of a real scan, fractured) of all of them, drawn or not. A step may use the first
    `usable(step)` of them only: the same ones whenever it runs, so that a resumed training repeats an undisturbed one.
    """

    def __init__(self, wanted: Sequence[DrawRequest], folder: Path, workers: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.wanted = folder, wanted
        self.kinds = [(False, request.has_fracture) for request in wanted]
        self._read: dict[int, TrainingScan] = {}
        self._pool = process_pool(workers, BACKGROUND)
        self._drawn = {
            index: self._pool.submit(_draw_into, request, folder)
            for index, request in enumerate(wanted)
            if not _path(folder, request).exists()
        }

    def __len__(self) -> int:
        return len(self.wanted)

    def usable(self, step: int) -> int:
        """How many of the scans this step may use, of the first ones."""
        return min(len(self.wanted), FIRST_SCANS + round(SCANS_PER_STEP * step))

    @overload
    def __getitem__(self, index: int) -> TrainingScan: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrainingScan]: ...
    def __getitem__(self, index: int | slice) -> TrainingScan | list[TrainingScan]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index not in self._read:
            if index in self._drawn:
                self._wait_for(index)
            training = read_scan(_path(self.folder, self.wanted[index])).training
            assert training is not None, "a scan for the extractor has its images"
            self._read[index] = training
        return self._read[index]

    def _wait_for(self, index: int) -> None:
        """Draws a scan here that is not there yet: on a busy machine the pool, which is nice, may never come to it."""
        drawn = self._drawn.pop(index)
        if drawn.done() and not drawn.cancelled():
            drawn.result()
        else:
            drawn.cancel()
            _draw_into(self.wanted[index], self.folder)

    def close(self) -> None:
        """Draw no more; what is being drawn ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class MixedScans(Sequence[TrainingScan]):
    """Scans made of real ones before those that are drawn beside the training.

    `steps_before`: how many steps an earlier stage has made on the drawn ones.
    """

    def __init__(self, first: Sequence[TrainingScan], drawn: DrawnScans, steps_before: int = 0) -> None:
        self.first, self.drawn, self.steps_before = first, drawn, steps_before
        self.kinds = [(scan.is_real, scan.is_positive) for scan in first] + drawn.kinds

    def __len__(self) -> int:
        return len(self.first) + len(self.drawn)

    def usable(self, step: int) -> int:
        """The first ones, and as many of the others as a step may use."""
        return len(self.first) + self.drawn.usable(self.steps_before + step)

    @overload
    def __getitem__(self, index: int) -> TrainingScan: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrainingScan]: ...
    def __getitem__(self, index: int | slice) -> TrainingScan | list[TrainingScan]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.first[index] if index < len(self.first) else self.drawn[index - len(self.first)]
