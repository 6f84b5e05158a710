"""Models from elsewhere: installed once, and nothing that lies beside the weights is replaced unasked."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tiny_model import save_tiny_model

from flows.model_import import import_model
from models.registry import ModelError, OperatingPoint, read_operating_point, write_operating_point


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def test_other_numbers_beside_the_same_weights_need_a_word(saved: Path, tmp_path: Path) -> None:
    into, changed = tmp_path / "installed", tmp_path / "changed"
    found = import_model(saved, into)
    assert import_model(saved, into) == found  # twice is once
    shutil.copytree(saved, changed)
    write_operating_point(changed, OperatingPoint(0.11, "a rule", "12 scans"))
    with pytest.raises(ModelError, match=r"another operating_point\.json: --replace"):
        import_model(changed, into)
    assert read_operating_point(found.directory).threshold == 0.4
    import_model(changed, into, is_replacing=True)
    assert read_operating_point(found.directory).threshold == 0.11
    assert sorted(path.name for path in into.iterdir()) == ["tiny"]


def test_a_folder_that_is_no_model_is_left_alone(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "notes.txt").write_text("mine")
    for is_replacing in (False, True):
        with pytest.raises(ModelError, match="something else is installed as tiny"):
            import_model(saved, tmp_path, is_replacing=is_replacing)
    assert (tmp_path / "tiny" / "notes.txt").read_text() == "mine"


def test_where_others_may_read_models_they_may_read_an_imported_one(saved: Path, tmp_path: Path) -> None:
    into = tmp_path / "models"
    into.mkdir()
    into.chmod(0o755)
    before = os.umask(0o077)  # as the command has it
    try:
        found = import_model(saved, into).directory
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o004 for path in (found, *found.iterdir()))


def test_a_damaged_zip_is_no_model(saved: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "model"), "zip", saved))
    data = bytearray(packed.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    packed.write_bytes(data)
    with pytest.raises(ModelError, match="neither the folder of a model nor a zip of one"):
        import_model(packed, tmp_path / "installed")


def test_numbers_that_nothing_can_be_flagged_by_are_not_installed(saved: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(saved, changed)
    path = changed / "operating_point.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": 62}))
    with pytest.raises(ModelError, match="not an operating point"):
        import_model(changed, tmp_path / "installed")
