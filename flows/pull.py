"""Keeps a bounded number of studies on their way from the PACS, in threads of the driver."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tasks.pull import Pull, Pulled, Select, Spool, pull_study
from tasks.sources.courtesy import Stopped
from tasks.sources.pacs import PacsSource

STUDIES_PER_THREAD = 8  # known, and waiting to be fetched


@dataclass(slots=True)
class Puller:
    """Give it studies with `put`, take them back from `finished`; call `close` at the end."""

    source: PacsSource
    spool: Spool
    select: Select
    at_work: dict[str, Pull] = field(default_factory=dict)  # with a worker, by study key
    n_open: int = 0  # given, and not yet taken back
    _threads: ThreadPoolExecutor = field(init=False)
    _done: queue.SimpleQueue[Pulled | BaseException] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(self._n_threads, thread_name_prefix="pull")

    @property
    def _n_threads(self) -> int:
        return self.source.courtesy.manners.parallel

    @property
    def is_full(self) -> bool:
        """Whether enough studies wait already."""
        return self.n_open >= STUDIES_PER_THREAD * self._n_threads

    @property
    def is_stuck(self) -> bool:
        """Whether a fetch waits for room in the spool: what lies there must be worked on first."""
        return self.spool.n_waiting > 0

    def put(self, pull: Pull) -> None:
        """Have a study fetched."""
        self.n_open += 1
        self._threads.submit(self._pull, pull)

    def finished(self, timeout_s: float) -> Iterator[Pulled]:
        """Studies that are there; waits for one at most so long."""
        while self.n_open:
            try:
                done = self._done.get(timeout=timeout_s) if timeout_s else self._done.get_nowait()
            except queue.Empty:
                return
            timeout_s = 0.0
            self.n_open -= 1
            if isinstance(done, BaseException):
                raise done
            yield done

    def close(self) -> None:
        """End the threads and empty the spool."""
        self.source.courtesy.stop("pacs_window")
        self._threads.shutdown(cancel_futures=True)
        self.spool.clear()

    def _pull(self, pull: Pull) -> None:
        try:
            self._done.put(pull_study(pull, self.source, self.spool, self.select))
        except Stopped:
            self._done.put(Pulled(pull, pull.selection, is_left=True))
        except BaseException as error:  # handed to the driver, who raises it
            self._done.put(error)
