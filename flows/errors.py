"""What can stop a verb, and the exit code of each.

OvfError            base of what flows itself raises; the message says what to do next
├── SettingsError   10  a setting is wrong
├── PreflightError  10  the cluster cannot do the work
├── OutsideWindow   10  a night was started outside its window
└── CanaryChanged   14  the golden set is scored otherwise than when it was enrolled

warehouse.errors, models.registry and tasks.sources have their own; `exit_code_of` maps every class, and what the system
says of a file or folder that was named (10).
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from enum import IntEnum
from typing import TypeGuard

PATH_ERRNOS = frozenset(
    (
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENOSPC,
    )
)


class Exit(IntEnum):
    """Exit codes of the command `ovf`; a public contract."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SETTINGS = 10
    ARCHIVE = 11
    LOCKED = 12
    MODEL = 13
    CANARY = 14  # the golden set is scored otherwise: the night stopped before writing
    RETRIABLE = (
        20  # finished, but some series failed for infrastructure reasons: the next run tries them again
    )


class OvfError(Exception):
    """Base of the errors flows itself raises."""


class SettingsError(OvfError):
    """A setting is unknown, missing or out of its range."""


class PreflightError(OvfError):
    """The Dask workers cannot do this sweep; the message lists why, worker by worker."""


class OutsideWindow(OvfError):
    """A night was started outside its window; nothing was done."""


class CanaryChanged(OvfError):
    """The golden set is scored otherwise than when it was enrolled; the night stopped before writing."""

    def __init__(self, findings: Sequence[str], n_more: int = 0) -> None:
        self.findings, self.n_more = tuple(findings), n_more
        more = f"; and {n_more} more" if n_more > 0 else ""
        super().__init__(
            f"the canary differs, and nothing was written: {'; '.join(findings)}{more}. Find out what changed (model, "
            "decoders, libraries, code, GPU). If the change is meant, enrol anew: ovf nightly … --renew-canary"
        )

    def __reduce__(self) -> tuple[type[CanaryChanged], tuple[tuple[str, ...], int]]:
        return type(self), (self.findings, self.n_more)


def exit_code_of(error: BaseException) -> Exit:
    """The exit code that stands for an exception; UNEXPECTED where none was agreed."""
    from models.registry import ModelError
    from tasks.identity import KeyFileError
    from tasks.sources.base import ArchiveUnreachable
    from tasks.workers import ClusterLost
    from warehouse import errors as warehouse_errors

    codes: tuple[tuple[type[BaseException], Exit], ...] = (
        (SettingsError, Exit.SETTINGS),
        (PreflightError, Exit.SETTINGS),
        (OutsideWindow, Exit.SETTINGS),
        (CanaryChanged, Exit.CANARY),
        (ClusterLost, Exit.SETTINGS),
        (KeyFileError, Exit.SETTINGS),
        (ArchiveUnreachable, Exit.ARCHIVE),
        (warehouse_errors.WarehouseMissing, Exit.SETTINGS),
        (warehouse_errors.WrongKey, Exit.SETTINGS),
        (warehouse_errors.UnknownPatient, Exit.USAGE),
        (warehouse_errors.WarehouseDamaged, Exit.UNEXPECTED),
        (warehouse_errors.WarehouseError, Exit.LOCKED),  # busy, locked, wrong schema
        (ModelError, Exit.MODEL),
    )
    otherwise = Exit.SETTINGS if is_of_a_path(error) else Exit.UNEXPECTED
    return next((code for kind, code in codes if isinstance(error, kind)), otherwise)


def is_of_a_path(error: BaseException) -> TypeGuard[OSError]:
    """A file or folder that somebody named cannot be read or made: no fault of the program."""
    return isinstance(error, OSError) and error.errno in PATH_ERRNOS and bool(error.filename)
