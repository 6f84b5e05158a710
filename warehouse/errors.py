"""Everything the warehouse raises on purpose. Each survives pickling: its arguments are its `args`.

WarehouseError
├── WarehouseLocked      retriable; another process holds the file        (exit 12)
├── ArchiveBusy          another sweep of the same archive runs           (exit 12)
├── WrongSchema          older or newer than this program                 (exit 12)
├── WarehouseMissing     no warehouse where one was expected              (exit 10)
│   └── IdentityMissing  no identity file beside it                       (exit 10)
├── WrongKey             pseudonyms of another key                        (exit 10)
├── WarehouseDamaged     committed rows are gone, or an older file lies there  (exit 1)
└── UnknownPatient       nothing to forget                                (exit 2)
"""

from __future__ import annotations

from pathlib import Path


class WarehouseError(Exception):
    """Base of all errors of the warehouse; `str()` says what to do."""


class WarehouseLocked(WarehouseError):
    """Another process holds the warehouse, and did not let go within the waiting time. Staged results are safe."""

    def __init__(self, file_name: str, pid: int | None, host: str | None, waited_s: float) -> None:
        super().__init__(file_name, pid, host, waited_s)
        self.file_name, self.pid, self.host, self.waited_s = file_name, pid, host, waited_s

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid is not None else "another process"
        where = f" on {self.host}" if self.host else ""
        return (
            f"{self.file_name} is held by {who}{where} (waited {self.waited_s:.0f} s): close it and run again; "
            "results already staged are kept and land with the next run"
        )


class ArchiveBusy(WarehouseError):
    """Another sweep of the same archive is running."""

    def __init__(self, pid: int, host: str, started_at: str) -> None:
        super().__init__(pid, host, started_at)
        self.pid, self.host, self.started_at = pid, host, started_at

    def __str__(self) -> str:
        return (
            f"this archive is being swept by process {self.pid} on {self.host} since {self.started_at}: "
            "wait for it, or stop it first"
        )


class WrongSchema(WarehouseError):
    """The file's schema is older or newer than this program's."""

    def __init__(self, found: int, needed: int, name: str = "warehouse") -> None:
        super().__init__(found, needed, name)
        self.found, self.needed, self.name = found, needed, name

    def __str__(self) -> str:
        if self.found < self.needed:
            return (
                f"{self.name} is at schema {self.found}, this version needs {self.needed}: run `ovf migrate`"
            )
        return f"{self.name} is at schema {self.found}, this version knows {self.needed}: use a newer version of ovf"


class WarehouseMissing(WarehouseError):
    """There is no warehouse where one was expected."""

    def __init__(self, file_name: str) -> None:
        super().__init__(file_name)
        self.file_name = file_name

    def __str__(self) -> str:
        if Path(self.file_name).is_dir():
            return f"{self.file_name} is a folder: name the warehouse's DuckDB file with --warehouse"
        return f"there is no warehouse {self.file_name}: run `ovf sweep` first, or name it with --warehouse"


class IdentityMissing(WarehouseMissing):
    """The identity file is not beside its warehouse."""

    def __str__(self) -> str:
        return f"the identity file {self.file_name} is not beside the warehouse: put it back"


class WrongKey(WarehouseError):
    """The warehouse was filled with pseudonyms of another key."""

    def __init__(self, found_key_id: str, given_key_id: str) -> None:
        super().__init__(found_key_id, given_key_id)
        self.found_key_id, self.given_key_id = found_key_id, given_key_id

    def __str__(self) -> str:
        return (
            f"the warehouse was filled with pseudonymisation key {self.found_key_id}, the key file holds "
            f"{self.given_key_id}: put the right key file back, or start a new warehouse"
        )


class WarehouseDamaged(WarehouseError):
    """The file does not hold what was committed to it: a torn log, a flipped bit, or an older file put in its place."""

    def __init__(self, finding: str) -> None:
        super().__init__(finding)
        self.finding = finding

    def __str__(self) -> str:
        return (
            f"the warehouse is not what was last written: {self.finding}. Nothing is published from it. "
            "Restore the last backup, then sweep again: what is missing is found and scored again"
        )


class UnknownPatient(WarehouseError):
    """No row of this patient, and nothing to put a tombstone on."""

    def __str__(self) -> str:
        return "no such patient in the identity file; give --patient-key to opt a patient out in advance"
