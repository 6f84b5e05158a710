"""How many studies the next shard may hold: full shards while there is much to do, smaller ones towards the end."""

from __future__ import annotations

# A smaller shard would spend more on being sent, staged and landed (0.1 s) than its balance saves.
LEAST_STUDIES = 4
# Of what is left, each worker's next shard takes half its share: the last ones are small, and all end together.
PARTS_A_WORKER = 2


def shard_limit(n_left: int, n_workers: int, most: int) -> int:
    """Studies of the next shard, from LEAST_STUDIES to `most`, when `n_left` are known to be left for `n_workers`.

    Guided self-scheduling (Polychronopoulos and Kuck 1987). One worker has nobody to wait for: full shards.
    """
    if n_workers == 1:
        return most
    share = -(-n_left // (PARTS_A_WORKER * n_workers))
    return min(most, max(LEAST_STUDIES, share))
