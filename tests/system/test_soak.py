"""A long sweep stays as large as it was: memory and open files of every process, in the middle and at the end."""

from __future__ import annotations

import os
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from benchmarks.archives import write_archive

pytestmark = pytest.mark.slow

GROWTH = 1.05  # docs/faults.md, T59
SAMPLE_S = 1.0


@dataclass(frozen=True)
class Sample:
    """All processes of a sweep at one moment."""

    n_slabs: int
    resident_mb: float
    n_files: int


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_T59_memory_and_open_files_stay_flat(ovf, tmp_path: Path) -> None:
    """SOAK_STUDIES=... makes it longer or shorter."""
    n_studies = int(os.environ.get("SOAK_STUDIES", "100"))
    archive, warehouse = tmp_path / "archive", tmp_path / "w" / "w.duckdb"
    write_archive(archive, n_studies)
    samples: list[Sample] = []
    with ovf.started("sweep", archive, "--warehouse", warehouse, "--workers", 1, "--shard-size", 4) as sweep:
        while sweep.poll() is None:
            samples.append(_sample(sweep.pid, warehouse.parent / "slabs"))
            time.sleep(SAMPLE_S)
        assert sweep.returncode == 0
    middle = [s for s in samples if n_studies // 3 <= s.n_slabs < 2 * n_studies // 3]
    end = [s for s in samples if 2 * n_studies // 3 <= s.n_slabs < n_studies]
    assert len(middle) > 5
    assert len(end) > 5
    before, after = (statistics.median(s.resident_mb for s in part) for part in (middle, end))
    files = [statistics.median(s.n_files for s in part) for part in (middle, end)]
    print(f"{n_studies} studies: {before:.0f} MB, then {after:.0f} MB; open files {files}")
    assert after <= GROWTH * before
    assert files[1] <= files[0] + 2


def _sample(pid: int, slabs: Path) -> Sample:
    resident, n_files = 0, 0
    with suppress(psutil.NoSuchProcess):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # helpers come and go
                resident += process.memory_info().rss
                n_files += process.num_fds()
    return Sample(sum(1 for _ in slabs.rglob("*.jp2")), resident / 1e6, n_files)
