"""The split of every model that scores here, kept beside the warehouse: an evaluation finds it though the folder moved.

A model known by its scores alone could otherwise be tested on patients whom it was trained on. Pseudonyms only.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from models.registry import MANIFEST_FILE, describe_model
from models.split_file import SPLIT_FACTS_FILE, SPLIT_FILE, Split, has_split, read_split
from warehouse.paths import WarehousePaths, private_files


def keep_split(paths: WarehousePaths, model: str | Path) -> None:
    """Copy the split of a model that has one. Raises ModelError, SplitError when it was altered."""
    found = describe_model(model)
    if not has_split(found.directory):
        return
    read_split(found.directory)
    with private_files():
        target = paths.splits / found.digest
        target.mkdir(parents=True, exist_ok=True)
        for name in (SPLIT_FILE, SPLIT_FACTS_FILE, MANIFEST_FILE):
            shutil.copyfile(found.directory / name, target / name)


def kept_split(paths: WarehousePaths, model_digest: str) -> Split | None:
    """The split kept for a model; None where there is none. Raises SplitError when it was altered."""
    directory = paths.splits / model_digest
    return read_split(directory) if directory.is_dir() else None
