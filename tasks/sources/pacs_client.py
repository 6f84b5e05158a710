"""What a PACS is to the crawl and to the pull, whichever protocol it speaks; and the three ways in which it fails.

PacsError      base; `code` names the failure and nobody
├── NoAnswer   nothing could be reached: wait until it comes back, however often that takes
├── Broken     it answered and then failed, or was too slow: try again, a few times
└── Refused    it does not allow or know this: asking again gives the same
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from tasks.sources.answers import Answer


class PacsError(Exception):
    """A PACS did not do what it was asked. `code` is a word of the protocol, such as http_500 or status_a702."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NoAnswer(PacsError):
    """Nobody answers at the address, or it turns away new connections."""


class Broken(PacsError):
    """A conversation that began and did not end well. `wait_s`: how long the PACS asks to be left alone."""

    def __init__(self, code: str, wait_s: float = 0.0) -> None:
        super().__init__(code)
        self.wait_s = wait_s

    def __reduce__(self) -> tuple[type[Broken], tuple[str, float]]:
        return Broken, (self.code, self.wait_s)


class Refused(PacsError):
    """Not allowed, or not known there."""


class Found(NamedTuple):
    """What a query found. `is_cut`: the PACS says, or lets one guess, that there is more."""

    answers: list[Answer]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Studies of a range of days, and of a range of times where it is one day; None is open."""

    since: dt.date | None = None
    until: dt.date | None = None
    from_minute: int = 0  # of the day, inclusive
    to_minute: int = 24 * 60  # exclusive

    @property
    def dates(self) -> str | None:
        """The range as DICOM matches it (PS3.4 C.2.2.2.5); None: any day, and none."""
        if self.since is None and self.until is None:
            return None
        first, last = (f"{day:%Y%m%d}" if day else "" for day in (self.since, self.until))
        return first if first == last else f"{first}-{last}"

    @property
    def times(self) -> str | None:
        """The range of times; None: the whole day."""
        if (self.from_minute, self.to_minute) == (0, 24 * 60):
            return None
        last = self.to_minute - 1
        # To the end of the last second: times may have fractions (PS3.5 table 6.2-1, TM).
        return (
            f"{self.from_minute // 60:02}{self.from_minute % 60:02}00-{last // 60:02}{last % 60:02}59.999999"
        )


Keep = Callable[[bytes], None]  # takes one DICOM file, as the PACS sent it


class PacsClient(Protocol):
    """One PACS by one protocol. Called from several threads at once; every method may raise PacsError."""

    @property
    def kind(self) -> str: ...

    def echo(self) -> None:
        """Ask whether it is there and lets us in."""
        ...

    def studies(self, span: Span, modality: str | None, study_uid: str | None = None) -> Found:
        """The studies of a span that hold a modality, or the one with a UID."""
        ...

    def series(self, study: Answer) -> list[Answer]:
        """The series of a study that `studies` found, with the study's own values in each."""
        ...

    def instances(self, study_uid: str, series_uid: str, *, in_full: bool) -> list[Answer]:
        """The instances of a series; `in_full`: with every header value that the PACS gives."""
        ...

    def fetch(self, study_uid: str, series_uid: str, keep: Keep) -> None:
        """Have a whole series of CT images sent, as it is stored; each instance goes to `keep`, in any order."""
        ...

    def close(self) -> None:
        """End all conversations."""
        ...


@dataclass(frozen=True, slots=True)
class Login:
    """How to be let in. Never printed: it has no repr of its values."""

    user: str | None = None
    password: str | None = None
    token: str | None = None  # a bearer token
    ca_file: Path | None = None  # who may have signed the PACS's certificate
    client_certificate: Path | None = None
    client_key: Path | None = None

    def __repr__(self) -> str:
        return "Login(…)"
