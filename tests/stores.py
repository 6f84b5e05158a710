"""A warehouse of a test of its own, as fast as files are copied: to make one takes half a second."""

from __future__ import annotations

import shutil
from pathlib import Path

from warehouse.store import Store


def copied(store: Store, folder: Path) -> Store:
    """The same warehouse in another folder, with all that lies beside it."""
    shutil.copytree(store.paths.directory, folder, dirs_exist_ok=True)
    return Store.open(folder / store.paths.warehouse.name, create=False, wait_s=store.wait_s)
