"""Writes and sweeps the fault archive, and compares a case with what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from factory import uid
from fault_archive import SEED_OF_REFERENCE, Case, write_archive
from fault_sweep import KEYS, Swept, sweep

from warehouse.checks import run_checks
from warehouse.store import Store

REFERENCE_UID = str(uid("study", SEED_OF_REFERENCE))
Outcome = tuple[str, str | None]


@dataclass(frozen=True)
class Run:
    """The archive and what became of it."""

    archive: Path
    swept: Swept
    studies: dict[str, Outcome]  # by study key
    series: dict[str, list[Outcome]]
    conservation: list[Any]
    failed_checks: list[str]
    child_peak_bytes: int


def run_archive(root: Path, cases: Sequence[Case]) -> Run:
    """Write the cases under `root`, sweep them, and ask the warehouse."""
    archive = root / "archive"
    write_archive(archive, cases)
    store = Store.open(root / "warehouse" / "warehouse.duckdb")
    swept = sweep(archive, store, root / "index", first=REFERENCE_UID)
    with store.read_live() as connection:
        studies = connection.execute("SELECT study_key, outcome, reason FROM study_outcome").fetchall()
        found = connection.execute("SELECT study_key, outcome, reason FROM series_outcome").fetchall()
        conservation = connection.execute("SELECT * FROM conservation").fetchall()
        failed_checks = [check.name for check in run_checks(connection) if check.n_rows]
    series: dict[str, list[Outcome]] = {}
    for key, outcome, reason in found:
        series.setdefault(key, []).append((outcome, reason))
    return Run(
        archive,
        swept,
        {key: (outcome, reason) for key, outcome, reason in studies},
        series,
        conservation,
        failed_checks,
        _peak_of_child(),
    )


def _peak_of_child() -> int:
    """Most memory that the decoding child ever held."""
    peaks = [0]
    for child in psutil.Process().children(recursive=True):
        if "tasks.sandbox" in child.cmdline():
            status = Path(f"/proc/{child.pid}/status").read_text()
            peaks.append(int(status.split("VmHWM:")[1].split()[0]) << 10)
    return max(peaks)


def check(case: Case, run: Run) -> None:
    """The study, its series, its loose files, its flags and what the model would read are as the case says."""
    key, swept = KEYS.study_key(case.uid), run.swept
    found = run.studies.get(key)
    assert (found and _shown(found, case)) == case.study
    assert Counter(_shown(each, case) for each in run.series.get(key, [])) == case.series_outcomes
    assert Counter(swept.issues[case.id.encode()]) == Counter(case.files)
    assert case.flags <= {flag.partition(":")[0] for flag in _flags(case, run)}
    assert swept.seconds.get(case.uid, 0.0) < case.most_s
    assert swept.read_s[case.id.encode()] < case.most_s
    if case.is_twin:
        np.testing.assert_array_equal(_images(swept, case.uid), _images(swept, REFERENCE_UID))


def _shown(outcome: Outcome, case: Case) -> Outcome:
    """Without the detail behind the colon, unless the case names one."""
    wanted = {reason for _, reason in [*case.series_outcomes] if reason}
    state, reason = outcome
    return (state, reason if reason is None or reason in wanted else reason.partition(":")[0])


def _flags(case: Case, run: Run) -> set[str]:
    study = run.swept.slabs.get(case.uid)
    if study is None:
        return set()
    flags = {flag for selection in study.selection.selections for flag in selection.flags}
    slab = study.slab.record if study.slab else None
    return flags | set(slab.flags if slab else [])


def _images(swept: Swept, study_uid: str) -> Any:
    slab = swept.slabs[study_uid].slab
    assert slab is not None
    assert slab.view is not None
    return slab.view.images_nhw
