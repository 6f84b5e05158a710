"""The split of every model that scores here, kept beside the warehouse: found though the model's folder moved.

A model known by its scores alone could otherwise be tested on patients whom it was trained on. Pseudonyms only, and
none of a patient who was forgotten here.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from models.registry import MANIFEST_FILE, describe_model
from models.split_file import Split, has_split, read_split, write_split
from warehouse.lock import writer_lock
from warehouse.paths import WarehousePaths, private_files
from warehouse.store import Store


def keep_split(store: Store, model: str | Path) -> None:
    """Keep the split of a model that has one. Raises ModelError, SplitError when it was altered."""
    found = describe_model(model)
    if has_split(found.directory):
        split, manifest = read_split(found.directory), found.directory / MANIFEST_FILE
        _keep(store, split, manifest, store.paths.splits / found.digest)


def kept_split(paths: WarehousePaths, model_digest: str) -> Split | None:
    """The split kept for a model; None where there is none. Raises SplitError when it was altered."""
    directory = paths.splits / model_digest
    return read_split(directory) if directory.is_dir() else None


def forget_in_splits(store: Store) -> None:
    """Take forgotten patients out of every split that is kept here. A model's own folder is not touched."""
    for directory in sorted(store.paths.splits.glob("*/")):
        if directory.name.startswith("."):  # left by a process that was killed while it kept one
            shutil.rmtree(directory)
            continue
        _keep(store, read_split(directory), directory / MANIFEST_FILE, directory)


def _keep(store: Store, split: Split, manifest: Path, target: Path) -> None:
    """Replace `target` by the split without the forgotten, under the lock that a backup takes."""
    forgotten: Collection[str] = store.forgotten().patients
    rows = [row for row in split.rows if row.patient_key not in forgotten]
    fresh = target.with_name(f".{target.name}.fresh")
    with private_files(), writer_lock(store.paths.lock, wait_s=store.wait_s):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        shutil.copyfile(manifest, fresh / MANIFEST_FILE)
        write_split(fresh, rows, split.facts)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
