"""Shards get smaller towards the end of an archive, so that no worker waits long for the last."""

from __future__ import annotations

import pytest

from flows.shard_size import LEAST_STUDIES, shard_limit

MOST = 32


def shards(n_studies: int, n_workers: int) -> list[int]:
    """Sizes of all shards of an archive, in order."""
    sizes, n_left = [], n_studies
    while n_left:
        sizes.append(min(n_left, shard_limit(n_left, n_workers, MOST)))
        n_left -= sizes[-1]
    return sizes


def seconds(sizes: list[int], n_workers: int) -> int:
    """When the last worker ends, each taking the next shard as it gets free, one second a study."""
    free_at = [0] * n_workers
    for size in sizes:
        next_free = free_at.index(min(free_at))
        free_at[next_free] += size
    return max(free_at)


@pytest.mark.parametrize("n_workers", [2, 3, 8, 16])
@pytest.mark.parametrize("n_studies", [1, 7, 24, 100, 220, 1000])
def test_workers_end_within_one_small_shard_of_each_other(n_studies: int, n_workers: int) -> None:
    least = -(-n_studies // n_workers)
    assert seconds(shards(n_studies, n_workers), n_workers) <= least + LEAST_STUDIES


def test_a_small_archive_uses_every_worker() -> None:
    assert len(shards(24, 2)) > 2
    assert shards(24, 1) == [24]


def test_shards_are_full_while_much_is_left_and_never_fuller() -> None:
    sizes = shards(1000, 4)
    assert sizes[0] == MOST
    assert sizes == sorted(sizes, reverse=True)
    assert shard_limit(0, 4, MOST) == LEAST_STUDIES
    assert shard_limit(10**6, 4, 2) == 2  # what the operator asked for is the most
