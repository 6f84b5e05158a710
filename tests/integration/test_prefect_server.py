"""The server that a sweep starts for itself, while what the sweep needs is imported."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from flows.prefect_server import prefect_api


@pytest.fixture(autouse=True)
def without_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


def test_a_module_is_there_and_the_server_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needed_by_a_sweep.py").write_text("import os\nAPI = os.environ['PREFECT_API_URL']\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(os.environ)
    with prefect_api(tmp_path / "prefect", importing="needed_by_a_sweep") as url:
        assert url == sys.modules.pop("needed_by_a_sweep").API
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            assert answer.status == 200
    assert dict(os.environ) == before


def test_where_the_import_fails_the_server_ends(tmp_path: Path) -> None:
    before, children = dict(os.environ), psutil.Process().children()
    with pytest.raises(ModuleNotFoundError), prefect_api(tmp_path, importing="no_such_module_of_ours"):
        raise AssertionError("never entered")
    assert dict(os.environ) == before
    assert psutil.Process().children() == children
