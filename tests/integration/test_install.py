"""`pip install .`: the package carries its code and data, and works from an empty directory, offline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_NOT_PACKAGED = {".pyc", ".so"}


def rooms() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]]


def pip(*words: str, cwd: Path) -> None:
    """pip of this environment, without a network and deaf to the settings of this machine."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", *words],
        cwd=cwd,
        env=env | {"PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources: building leaves folders behind."""
    base = tmp_path_factory.mktemp("build")
    for name in rooms():
        shutil.copytree(ROOT / name, base / "ovf" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, base / "ovf" / name)
    pip("wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-w", "wheels", "./ovf", cwd=base)
    (built,) = (base / "wheels").glob("ovf-*.whl")
    return built


def test_the_wheel_carries_every_file_of_the_rooms(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for room in rooms()
        for path in ROOT.glob(f"{room}/**/*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in _NOT_PACKAGED
    }
    lost = sorted(expected - carried)
    assert not lost, f"add the ending to [tool.setuptools.package-data]: {lost}"
    assert {Path(name).parts[0] for name in carried if ".dist-info/" not in name} == set(rooms())
    assert any(name.endswith("/licenses/LICENSE") for name in carried)


def test_the_installed_command_works_from_an_empty_directory(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    pip("install", "-q", "--no-index", "--no-deps", "--target", str(site), str(wheel), cwd=empty)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "OVF_"))}
    program = "import sys; sys.argv[0] = 'ovf'; import flows.cli as c; print(c.__file__); c.main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "hospital", "--patients", "1", "--seed", "3"],
        cwd=empty,
        env=env | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site)), "the checkout was used, not the installed package"
    assert (empty / "hospital" / "truth.csv").stat().st_size > 0
