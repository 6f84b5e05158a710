"""Processes for work that needs no Dask: each begins anew (spawn) and ends with the command that started it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from tasks.parent import die_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")

# Niceness of what is drawn beside a training or a scoring: it takes what that leaves. At 5 it cost a third of the steps
# on two cores, at 0 three quarters of the scans scored: threads of torch wait for one another.
BACKGROUND = 19


def process_pool(workers: int, niceness: int = 0) -> ProcessPoolExecutor:
    """A pool of `workers` processes; `niceness`: how far they step back behind the command.

    An executor's processes wait for work for ever when the command is killed, so the kernel ends them: when the thread
    ends that first gave them work. Use a pool from the main thread, or from one that outlives it.
    """
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(), niceness)
    )


def map_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, *, chunksize: int, niceness: int = 0
) -> Iterator[Result]:
    """`work` on each item, in order, by `workers` processes; one is this process, whenever a result is asked for.

    `work` and the items must be picklable.
    """
    if workers <= 1:
        yield from map(work, items)
        return
    with process_pool(workers, niceness) as pool:
        yield from pool.map(work, items, chunksize=chunksize)


def _begin(parent_pid: int, niceness: int) -> None:
    die_with_parent(parent_pid)
    os.nice(niceness)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
