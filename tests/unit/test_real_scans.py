"""Training on twins of real scans: what is known of them, and how a model is judged by them."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
from twin_cases import LEVELS, block_series, column

from flows.real_scans import RealSource, draw_twins
from flows.scan_cache import MixedScans
from flows.twin_evaluation import TwinResult, summarise
from models.config import TILES_VIEW
from models.dataset import FRACTURED, LOSSES, SOUND, STATUS, UNKNOWN
from models.registry import OperatingPoint
from phantom.vertebrae.spine import LABEL_OF

SOURCE = RealSource("real-0000000a", block_series(column(), noise_hu=10), column())


def test_only_the_lowered_body_of_a_twin_has_known_heights(tmp_path: Path) -> None:
    scans = draw_twins(SOURCE, 3, 5, TILES_VIEW, tmp_path, is_for_extractor=True)
    again = draw_twins(SOURCE, 3, 5, TILES_VIEW, tmp_path, is_for_extractor=True)
    labels = [LABEL_OF[level] for level in LEVELS]
    for scan, read in zip(scans, again, strict=True):
        assert scan.training is not None
        assert read.training is not None
        assert np.array_equal(scan.training.images, read.training.images)
        truth = scan.training.truth
        assert truth is not None
        assert scan.training.is_real
        known = [label for label in labels if truth.bodies[label, LOSSES].min() >= 0]
        assert len(known) == 1
        is_fractured = scan.largest_loss >= 0.2
        assert truth.bodies[known[0], STATUS] == (FRACTURED if is_fractured else SOUND)
        assert abs(truth.bodies[known[0], LOSSES].max() - scan.largest_loss) < 0.02
        assert (truth.bodies[0] == (SOUND, UNKNOWN, UNKNOWN, UNKNOWN)).all()
        assert len(truth.fractured_spans) + len(truth.low_spans) == 1  # what the crops are drawn around
    assert [scan.largest_loss > 0 for scan in scans] == [True, False] * 3


def test_a_twin_counts_when_it_rises_above_every_sham_of_its_scan() -> None:
    def pair(scan: str, loss: float, logit: float, sham: float) -> TwinResult:
        return TwinResult(scan, 1.0, "L1", "wedge", loss, logit, sham, logit, sham)

    results = [
        pair("a", 0.3, 2.0, 0.0),  # its sham lies at the threshold: from it on a scan is flagged
        pair("a", 0.4, 0.5, -1.0),  # above its own sham, below another one of its scan
        pair("a", 0.12, 3.0, 1.0),
        pair("b", 0.5, 0.5, -2.0),
    ]
    report = summarise(results, OperatingPoint(0.5, "a rule", "some scans"))
    above, own = (report["all"][f"clear twins above {what}"] for what in ("every sham", "their own sham"))
    assert (above["n"], round(above["value"] * above["n"])) == (3, 2)
    assert own["value"] == 1.0
    assert report["all"]["low twins flagged"]["value"] == 1.0
    assert report["all"]["shams flagged"]["value"] == 0.5
    assert report["scan b"]["clear twins above every sham"]["value"] == 1.0
    calibrated = OperatingPoint(0.5, "a rule", "some scans", calibration_intercept=-2.5)
    flagged = summarise(results, calibrated)["all"]
    assert (flagged["clear twins flagged"]["value"], flagged["low twins flagged"]["value"]) == (0.0, 1.0)


def test_a_step_waits_for_no_scan_that_it_may_not_use() -> None:
    class Drawn(Sequence[int]):
        kinds: ClassVar = [(False, index % 2 == 0) for index in range(5000)]

        def __len__(self) -> int:
            return len(self.kinds)

        def __getitem__(self, index):
            return index

        def usable(self, step: int) -> int:
            return min(len(self), 2000 + step)

    twins = [SimpleNamespace(is_real=True, is_positive=k % 2 == 0) for k in range(10)]
    scans = MixedScans(twins, Drawn(), steps_before=100)
    assert len(scans) == 5010
    assert scans.usable(0) == 10 + 2100
    assert scans.usable(7) == 10 + 2107
    assert scans[9] is twins[9]
    assert scans[10] == 0
    assert scans.kinds[:11] == [(True, k % 2 == 0) for k in range(10)] + [(False, True)]
