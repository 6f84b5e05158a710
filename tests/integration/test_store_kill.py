"""Killed in a landing at any moment, the next run ends with the same tables as an undisturbed one."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warehouse_rows as rows

from warehouse.checks import run_checks
from warehouse.compare import differences
from warehouse.landing import LandingBatch, write_staging
from warehouse.store import Store

N_SHARDS = 12
N_KILLS = 5
# A landing takes 0.1 to 0.4 s on a busy machine, so kills spread over several of them.
LATEST_KILL_S = 0.8
LAND_ALL = """
import sys
from pathlib import Path
from warehouse.store import Store
store = Store.open(Path(sys.argv[1]))
print("ready", flush=True)
for path in sorted(store.paths.staging.rglob("*.arrow")):
    store.land_staging([path])
store.publish()
print("done", flush=True)
"""


def shard(number: int) -> LandingBatch:
    """Three studies, one of which failed, was decided since, or comes a second time."""
    batch = LandingBatch(runs=[rows.run()])
    for place in range(3):
        batch.extend(rows.one_scored_study(f"{number}-{place}"))
    batch.rejections.append(rows.rejection(f"series-{number}-0-0", "worker_died"))
    batch.rejections.append(rows.rejection(f"series-{number}-1-1", "decode"))
    if number:
        batch.extend(rows.one_scored_study(f"{number - 1}-0"))
    return batch


def filled(folder: Path) -> Store:
    store = Store.open(folder / "warehouse.duckdb")
    for number in range(N_SHARDS):
        write_staging(store.paths.staging / "run" / f"{number:02}.arrow", shard(number))
    return store


def start(store: Store) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LAND_ALL, str(store.paths.warehouse)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.slow
def test_T41_killed_landings_end_as_undisturbed_ones(tmp_path: Path) -> None:
    calm, chaotic = filled(tmp_path / "calm"), filled(tmp_path / "chaos")
    calm.land_staging()
    calm.publish()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(N_KILLS):
        with start(chaotic) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, LATEST_KILL_S))
            process.kill()
    with start(chaotic) as process:
        output, _ = process.communicate(timeout=120)
    assert output == "ready\ndone\n"
    assert not list(chaotic.paths.staging.rglob("*.arrow"))
    for path in ("warehouse", "published"):
        assert differences(getattr(calm.paths, path), getattr(chaotic.paths, path)) == []
    with calm.read_identified() as one, one.cursor() as cursor:
        expected = cursor.execute("SELECT * FROM identity.series_identity ORDER BY ALL").fetchall()
    with chaotic.read_identified() as one, one.cursor() as cursor:
        assert cursor.execute("SELECT * FROM identity.series_identity ORDER BY ALL").fetchall() == expected
    with chaotic.read_live() as connection:
        broken = [result.name for result in run_checks(connection) if not result.passed]
    assert broken == []
