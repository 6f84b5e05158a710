"""Hands steps to the Dask workers of a sweep and waits for them, but never for ever.

A scheduler that went away takes every future with it, and Dask tells only some of those who wait; work for a resource
that no worker has any more waits in silence. So whoever waits here looks at the scheduler now and then: another
scheduler under the same address (its id differs) gets the work once more, and what has been away for longer than the
sweep's patience ends the sweep with its name.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distributed import Client, Future

from flows.errors import PreflightError
from flows.preflight import GPU, Expected, check_workers, declares_gpu, guarded, workers_of
from tasks.workers import ClusterLost, Step

WATCH_EVERY_S = 2.0
ASK_TIMEOUT_S = 30.0  # on an overloaded machine a scheduler was silent for 12 s
FETCH_TIMEOUT_S = 60.0  # a result that is ready: a few hundred kilobytes at most
KNOCK_EVERY_S = 1.0
CLOSE_TIMEOUT_S = 5.0
MOST_SENDS = 20  # of one piece of work, when its scheduler goes away again and again


class _Lost(Exception):
    """The scheduler that a future belonged to is gone, or knows it no more."""


@dataclass(slots=True)
class PoolWork:
    """Steps on their way; they are sent again when their scheduler was restarted (`tasks.workers.Work`)."""

    pool: Pool
    steps: tuple[Step, ...]
    _generation: int = 0  # of the connection that they went over
    _future: Future[Any] | None = None

    def send(self) -> None:
        """Send, or send again over a new connection. Raises ClusterLost."""
        client, self._generation = self.pool.connection()
        future: Any = None
        for step in self.steps:
            future = self._submit(client, step, step.arguments or (future,))
        self._future = future

    def result(self) -> Any:
        """See `tasks.workers.Work`."""
        for _ in range(MOST_SENDS):
            with contextlib.suppress(_Lost):
                return self._wait()
            self.pool.lose(self._generation)
            self.send()
        raise ClusterLost("the Dask scheduler went away again and again: see its log, then sweep again")

    def _wait(self) -> Any:
        """The result. Raises what a step raised, ClusterLost, and _Lost when the scheduler knows nothing of us."""
        future = self._future
        while future is not None and self.pool.is_sound(self._generation):
            self.pool.must_have({step.worker for step in self.steps if step.worker is not None})
            is_done = future.done()
            try:
                return future.result(timeout=FETCH_TIMEOUT_S if is_done else WATCH_EVERY_S)
            except Exception as error:
                if future.status == "error":
                    raise self.pool.judged(error) from None
                if is_done or not isinstance(error, TimeoutError):
                    break  # cancelled, or the way to the result is broken
        raise _Lost

    def _submit(self, client: Client, step: Step, arguments: tuple[Any, ...]) -> Future[Any]:
        where: dict[str, Any] = {}
        if step.is_scoring:
            where["resources"] = self.pool.score_resources
        if step.worker is not None:
            where["workers"] = [step.worker]
        elif not step.is_scoring and (others := self.pool.workers_without_gpu):
            where |= {"workers": others, "allow_other_workers": True}
        return client.submit(
            guarded, self.pool.expected, step.function, *arguments, key=step.key, pure=False, **where
        )


@dataclass(slots=True)
class Pool:
    """The workers behind one scheduler. `connect` gives a new client of it; None: it cannot be had twice."""

    client: Client
    expected: Expected
    gpu: str
    patience_s: float
    say: Callable[[str], None]
    connect: Callable[[], Client] | None = None
    workers: list[str] = field(default_factory=list)  # their addresses, as last seen
    score_resources: dict[str, float] | None = None
    scorers: list[str] = field(default_factory=list)
    workers_without_gpu: list[str] = field(default_factory=list)  # where some have one; else empty
    _scheduler_id: str = ""
    _generation: int = 1
    _is_lost: bool = False
    _watched_at: float = 0.0
    _missing_since: dict[str, float] = field(default_factory=dict)
    _end: ClusterLost | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def check(self) -> None:
        """The preflight. Raises PreflightError with a list."""
        self.score_resources = check_workers(self.client, self.expected, self.gpu)
        self._remember(self.client.scheduler_info(n_workers=-1))

    @property
    def n_workers(self) -> int:
        """Workers there are, at least one: who counts on them waits for the next."""
        return max(1, len(self.workers))

    def must_have(self, addresses: set[str]) -> None:
        """Raises ClusterLost when one of these workers has ended: what is meant for it alone would wait for ever."""
        if gone := addresses - set(self.workers):
            raise self._over(f"the worker {min(gone)} ended while it was asked: run the same command again")

    def start(self, *steps: Step) -> PoolWork:
        """See `tasks.workers.Workers`."""
        work = PoolWork(self, steps)
        work.send()
        return work

    def connection(self) -> tuple[Client, int]:
        """The client to send with, and its number. Raises ClusterLost."""
        with self._lock:
            self._raise_if_over()
            if self._is_lost:
                self._renew()
            return self.client, self._generation

    def lose(self, generation: int) -> None:
        """Futures of this client are gone: whoever sends next gets another one, unless it is there already."""
        with self._lock:
            self._is_lost = self._is_lost or generation == self._generation

    def is_sound(self, generation: int) -> bool:
        """Whether waiting makes sense. Looks at the scheduler, at most every two seconds. Raises ClusterLost."""
        with self._lock:
            self._raise_if_over()
            if generation != self._generation:
                return False
            if time.monotonic() - self._watched_at >= WATCH_EVERY_S:
                self._watch()
                self._watched_at = time.monotonic()
            return not self._is_lost

    def judged(self, error: Exception) -> Exception:
        """What to raise for what a step raised: a worker that is not fit ends the sweep."""
        if isinstance(error, PreflightError):
            return self._over(str(error))
        return error

    def _watch(self) -> None:
        identity = self._identity()
        self._note("Dask scheduler", is_there=identity is not None)
        if identity is None:
            self._is_lost = self.client.status in {"closing", "closed"}
        elif identity["id"] != self._scheduler_id:
            self._is_lost = True
        else:
            self._remember(identity)

    def _identity(self) -> Mapping[str, Any] | None:
        """The scheduler's own answer; None when there is none. (`Client.scheduler_info` gives an old one then.)"""
        scheduler: Any = self.client.scheduler
        try:
            identity: Mapping[str, Any] = self.client.sync(
                scheduler.identity, n_workers=-1, callback_timeout=ASK_TIMEOUT_S
            )
        except Exception:  # closed, refused, timed out: Dask has a class for each
            return None
        return identity

    def _remember(self, identity: Mapping[str, Any]) -> None:
        workers = identity["workers"]
        with_gpu = {address for address, info in workers.items() if declares_gpu(info)}
        self._scheduler_id = identity["id"]
        self.workers = sorted(workers)
        self.workers_without_gpu = sorted(set(workers) - with_gpu) if self.score_resources else []
        self.scorers = sorted(with_gpu) if self.score_resources else self.workers
        self._note("worker", is_there=bool(workers))
        if self.score_resources is not None:
            self._note(f"worker with {GPU}=1", is_there=bool(with_gpu) or not workers)

    def _note(self, what: str, *, is_there: bool) -> None:
        """Start or stop the clock of something that is missing; at the end of patience, end the sweep."""
        if is_there:
            if self._missing_since.pop(what, None) is not None:
                self.say(f"a {what} is back")
            return
        if what not in self._missing_since:
            self._missing_since[what] = time.monotonic()
            self.say(f"no {what} answers: waiting for at most {self.patience_s:.0f} s")
        if time.monotonic() - self._missing_since[what] >= self.patience_s:
            raise self._over(
                f"no {what} for {self.patience_s:.0f} s (OVF_WORKER_WAIT_S): start one, then run the same "
                "command again; what is finished is kept"
            )

    def _renew(self) -> None:
        """Another client, as soon as the scheduler and a worker are there again, and the preflight once more."""
        if self.connect is None:
            raise self._over(
                "the local workers have ended: run the same command again; what is finished is kept"
            )
        with contextlib.suppress(Exception):
            self.client.close(timeout=CLOSE_TIMEOUT_S)
        while True:
            try:
                self.client = self.connect()
                break
            except (OSError, TimeoutError):
                self._note("Dask scheduler", is_there=False)
                time.sleep(KNOCK_EVERY_S)
        self._note("Dask scheduler", is_there=True)
        while not workers_of(self.client):
            self._note("worker", is_there=False)
            time.sleep(KNOCK_EVERY_S)
        try:
            check_workers(self.client, self.expected, "label" if self.gpu == "label" else "auto")
        except PreflightError as error:
            raise self._over(str(error)) from None
        self._remember(self.client.scheduler_info(n_workers=-1))
        self._generation += 1
        self._is_lost = False
        self.say(f"connected again to {len(self.workers)} workers: what was at work is sent once more")

    def _over(self, why: str) -> ClusterLost:
        self._end = self._end or ClusterLost(why)
        return self._end

    def _raise_if_over(self) -> None:
        if self._end is not None:
            raise ClusterLost(str(self._end))
