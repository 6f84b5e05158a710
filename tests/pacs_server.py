"""A real PACS for tests: `scripts/local_pacs.py` in a test's own folder.

    with orthanc(tmp_path, AuthenticationEnabled=True, RegisteredUsers={"ovf": "secret"}) as pacs:
        pacs.fill(hospital / "archive")

Skips the test, loudly, where Orthanc or its DICOMweb plugin is not installed. Nothing outlives the `with`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from local_pacs import AET, CALLING_AET, Pacs, is_orthanc_there

__all__ = ["AET", "CALLING_AET", "Pacs", "orthanc", "require_orthanc"]


def require_orthanc() -> None:
    """Skip the test where there is no Orthanc to start."""
    if not is_orthanc_there():
        pytest.skip("no PACS to test against: apt-get install orthanc orthanc-dicomweb")


@contextlib.contextmanager
def orthanc(folder: Path, **options: Any) -> Iterator[Pacs]:
    """A running, empty PACS with its store in `folder`; ended when the block is left."""
    require_orthanc()
    pacs = Pacs(folder, options)
    try:
        pacs.start()
        yield pacs
    finally:
        pacs.kill()  # its store goes with the test's folder
