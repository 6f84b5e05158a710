"""What the stages see of the workers: somebody who takes steps and gives their result, or says that it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class ClusterLost(Exception):
    """The workers cannot go on with this sweep: nothing of it is lost, the same command goes on later.

    No fault of a file or a shard: whoever gives up a batch on an error must let this one through.
    """


@dataclass(frozen=True, slots=True)
class Step:
    """One function on a worker. `key` names the call: two calls with one key are the same call."""

    function: Callable[..., Any]
    key: str
    arguments: tuple[Any, ...] = ()  # empty: the result of the step before
    is_scoring: bool = False  # goes where a GPU is, if the cluster has any
    worker: str | None = None  # an address: only there; when that worker ends, ClusterLost


class Work(Protocol):
    """Steps on their way."""

    def result(self) -> Any:
        """What the last step returned; raises what a step raised, KilledWorker, or ClusterLost."""
        ...


class Workers(Protocol):
    """The workers of a sweep."""

    def start(self, *steps: Step) -> Work:
        """Send steps, each with the result of the one before it. Raises ClusterLost."""
        ...
