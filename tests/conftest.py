"""Fixtures that every kind of test shares."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests say `from factory import make_ct_series`

REAL_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real CT samples beside the project; tests that need them are skipped, loudly, without."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real CT samples are absent: no folder {REAL_DATA.name} beside the project")
    return REAL_DATA
