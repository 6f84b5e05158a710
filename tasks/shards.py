"""The Prefect task: one shard, on the driver. It hands two plain functions to the workers and waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from distributed import KilledWorker
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.shard_work import ShardJob, ShardSummary, give_up, make_slabs, score_slabs
from tasks.workers import Step, Workers


class ShardRun:
    """A job and where it runs. A plain class on purpose: Prefect walks through every slice of a dataclass."""

    def __init__(self, job: ShardJob, workers: Workers) -> None:
        self.job = job
        self.workers = workers


@task(name="shard", task_run_name="shard-{name}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def run_shard(name: str, run: ShardRun) -> list[ShardSummary]:
    """One shard from files to a staging file. `name` is a digest: no identifier reaches Prefect."""
    return _run(run.job, run)


def _run(job: ShardJob, run: ShardRun) -> list[ShardSummary]:
    try:
        return [_submit(job, run)]
    except (KilledWorker, MemoryError):
        # Something in this shard kills workers. Halves find the study that does, and only that one fails.
        if len(job.studies) == 1:
            return [give_up(job, "worker_died")]
        middle = len(job.studies) // 2
        return [
            summary
            for part, studies in enumerate((job.studies[:middle], job.studies[middle:]))
            for summary in _run(_part(job, part, studies), run)
        ]


def _part(job: ShardJob, part: int, studies: tuple[Any, ...]) -> ShardJob:
    name = f"{job.name}.{part}"
    return replace(job, name=name, studies=studies, staging_path=job.staging_path.with_name(f"{name}.arrow"))


def _submit(job: ShardJob, run: ShardRun) -> ShardSummary:
    run_id = job.provenance.run_id
    slabs = Step(make_slabs, f"slabs-{job.name}-{run_id}", (job,))
    score = Step(score_slabs, f"score-{job.name}-{run_id}", is_scoring=True)
    summary = run.workers.start(slabs, score).result()
    assert isinstance(summary, ShardSummary)
    return summary
