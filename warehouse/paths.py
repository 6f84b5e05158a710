"""Where everything of one warehouse lies: beside its file, owner-only. No I/O but making the folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PRIVATE_UMASK = 0o077


@dataclass(frozen=True, slots=True)
class WarehousePaths:
    """The paths of one warehouse, from the path of its DuckDB file."""

    warehouse: Path

    @property
    def directory(self) -> Path:
        """Folder of the warehouse."""
        return self.warehouse.parent

    @property
    def identity(self) -> Path:
        """Identity file: who the pseudonyms are."""
        return self.directory / "identity.duckdb"

    @property
    def key(self) -> Path:
        """Pseudonymisation key."""
        return self.directory / "identity.key"

    @property
    def staging(self) -> Path:
        """Results of workers that have not landed yet: RUN/SHARD.arrow."""
        return self.directory / "staging"

    @property
    def published_directory(self) -> Path:
        """Folder of the copies that readers open."""
        return self.directory / "published"

    @property
    def published(self) -> Path:
        """The copy that readers open."""
        return self.published_directory / "warehouse.duckdb"

    @property
    def previous(self) -> Path:
        """The copy before it."""
        return self.published_directory / "warehouse.previous.duckdb"

    @property
    def index(self) -> Path:
        """The crawl's index of instances."""
        return self.directory / "index"

    @property
    def leases(self) -> Path:
        """Who is sweeping which archive."""
        return self.directory / "leases"

    @property
    def splits(self) -> Path:
        """Which patients the models that scored here were trained on: MODEL_DIGEST/split.csv."""
        return self.directory / "splits"

    @property
    def ledger(self) -> Path:
        """Row counts after the last commit, kept outside the database."""
        return self.warehouse.with_suffix(".ledger.json")

    @property
    def lock(self) -> Path:
        """The file that writers lock."""
        return self.warehouse.with_suffix(".lock")

    def make_folders(self) -> None:
        """Create the folders, owner-only. A warehouse folder that exists keeps its mode."""
        with private_files():
            for folder in (self.directory, self.staging, self.published_directory, self.index, self.leases):
                folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def private_files() -> Iterator[None]:
    """Files made inside are owner-only (DuckDB makes them 0644 otherwise). The umask is the whole process's."""
    before = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(before)


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file so that a crash leaves the old one or the new one: temporary name, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with private_files(), temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
