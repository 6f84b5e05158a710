"""The canary with its real set, decoders and network: what a changed preprocessing does to it is seen."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest

from flows.canary import CanaryResult, check_canary
from flows.errors import CanaryChanged
from flows.settings import read_settings
from flows.sweep_context import SweepContext, make_context
from tasks.sources import open_source
from tasks.workers import Step
from warehouse.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "system"))
from ovf_command import save_untrained

pytestmark = pytest.mark.slow


@dataclass
class Done:
    """A future that has its answer."""

    answer: Any

    def result(self) -> Any:
        return self.answer


class OneWorker:
    """Stands for a Dask cluster of one worker, which is this process, and for its pool."""

    workers = scorers = ("here",)

    def pool(self) -> OneWorker:
        return self

    def start(self, step: Step) -> Done:
        return Done(step.function(*step.arguments))


@dataclass(frozen=True)
class Bench:
    """A canary, enrolled."""

    context: SweepContext
    folder: Path
    first: CanaryResult

    def again(self, **changes: object) -> CanaryResult:
        """Score the set as it lies there now. `changes`: of what was enrolled."""
        enrolled = [replace(row, **changes) for row in self.first.found]  # type: ignore[arg-type]
        return check_canary(self.context, OneWorker(), self.folder, enrolled)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("canary")
    (folder / "archive").mkdir()
    model = save_untrained(folder / "model", "untrained", seed=0)
    settings = read_settings(warehouse=folder / "w.duckdb", model=str(model), progress="none")
    store, archive = Store.open(settings.warehouse), str(folder / "archive")
    context = make_context(archive, settings, open_source(archive), store)
    first = check_canary(context, OneWorker(), folder / "canary", [])  # type: ignore[arg-type]
    assert first.is_enrolled_now
    assert {row.golden_case for row in first.found} == {
        "golden-native",
        "golden-jpeg2000",
        "golden-jpegls",
        "golden-jpeg",
    }
    return Bench(context, folder / "canary", first)


def test_T53_the_same_again_is_the_same_bit_by_bit(bench: Bench) -> None:
    again = bench.again()
    assert again.difference == 0.0
    assert not again.is_enrolled_now


def test_changed_files_of_the_set_are_told_from_a_changed_pipeline(bench: Bench) -> None:
    path = bench.folder / "golden" / "golden-native" / "IM0001"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"\1")
    with pytest.raises(CanaryChanged, match="files of the golden set"):
        bench.again()
    path.write_bytes(before)


def test_two_hounsfield_units_of_one_decoder_stop_the_night(bench: Bench) -> None:
    """As a decoder or a rescale that is a little off would: pixels of one syntax lie 2 HU higher."""
    files = sorted((bench.folder / "golden" / "golden-native").iterdir())
    kept = {path: path.read_bytes() for path in files}
    for path in files:
        dataset = pydicom.dcmread(path)
        dataset.RescaleIntercept = float(dataset.RescaleIntercept) + 2
        dataset.save_as(path)
    try:
        with pytest.raises(CanaryChanged) as caught:
            bench.again(golden_digest=_digest(bench))
        assert "golden-native: mean grey value" in str(caught.value)
        assert "golden-jpeg" not in str(caught.value)
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def test_a_decoder_that_fails_stops_the_night(bench: Bench) -> None:
    files = sorted((bench.folder / "golden" / "golden-jpegls").iterdir())
    kept = {path: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(kept[path][:-600] + bytes(600))
    try:
        with pytest.raises(
            CanaryChanged, match=r"golden-jpegls: (not scored any more|its files cannot be read)"
        ):
            bench.again(golden_digest=_digest(bench))
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def _digest(bench: Bench) -> str:
    from flows.golden_set import golden_set

    return golden_set(bench.folder / "golden")
