"""What a PACS that takes our objects is to the flow: it is given objects, and answers for each. Nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset

UNREACHABLE = "unreachable"  # nothing of the object left this machine
NO_ANSWER = "no_answer"  # it was sent, or a part of it; the receiver may have it
REFUSED = "refused"  # the receiver says that it does not have it


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one object. `message`: the receiver's status as a number, never its words."""

    is_stored: bool
    reason: str | None = None
    message: str | None = None


STORED = Answer(True)


class Target(Protocol):
    """A PACS that takes objects: STOW-RS, C-STORE."""

    @property
    def address(self) -> str:
        """Names the PACS in the warehouse; holds no credentials."""
        ...

    def send(self, objects: Sequence[Dataset]) -> list[Answer]:
        """Send objects of one study; one answer each, in order. What the network does is an answer, never an error."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...
