"""Takes a model from elsewhere into the installed ones: known files only, hashes checked, the network built once."""

from __future__ import annotations

import filecmp
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from flows.model_files import BESIDE_WEIGHTS
from models.domain import read_domain
from models.registry import (
    CARD_FILE,
    CONFIG_FILE,
    MANIFEST_FILE,
    OPERATING_POINT_FILE,
    SHIPPED,
    WEIGHTS_FILE,
    ModelError,
    ModelListing,
    describe_model,
    read_operating_point,
)
from models.split_file import has_split, read_split

NEEDED = (WEIGHTS_FILE, CONFIG_FILE, MANIFEST_FILE, CARD_FILE, OPERATING_POINT_FILE)
MOST_BYTES = 2 << 30  # of all files together; the shipped model has 43 MB


def import_model(source: Path, into: Path = SHIPPED, *, is_replacing: bool = False) -> ModelListing:
    """Copy a model's folder or zip below `into`, under its own id. The same model twice changes nothing.

    The same weights with another threshold, domain or card beside them are refused, unless `is_replacing`. Raises
    ModelError: that, files missing, altered or pickled weights, another network, or an id that another model has.
    """
    with tempfile.TemporaryDirectory(prefix="ovf-model-") as folder:
        place = Path(folder) / "model"
        place.mkdir()
        _collect(source, place)
        _verify(place)
        found = describe_model(place)
        return _install(place, found, into, is_replacing=is_replacing)


def _collect(source: Path, place: Path) -> None:
    if source.is_dir():
        files = {path.name: path for path in source.iterdir() if path.is_file()}
        _refuse_missing(set(files))
        if sum(files[name].stat().st_size for name in files if name in NEEDED + BESIDE_WEIGHTS) > MOST_BYTES:
            raise ModelError("the model is larger than 2 GB: that is none of ours")
        for name in (*NEEDED, *BESIDE_WEIGHTS):
            if name in files:
                shutil.copyfile(files[name], place / name)
        return
    try:
        with zipfile.ZipFile(source) as packed:
            _unpack(packed, place)
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ModelError("neither the folder of a model nor a zip of one") from error


def _unpack(packed: zipfile.ZipFile, place: Path) -> None:
    """Known names only, whatever folder they lie in: no path of the zip is followed."""
    members = {Path(info.filename).name: info for info in packed.infolist() if not info.is_dir()}
    _refuse_missing(set(members))
    if sum(members[name].file_size for name in members if name in NEEDED + BESIDE_WEIGHTS) > MOST_BYTES:
        raise ModelError("the model is larger than 2 GB: that is none of ours")
    for name in (*NEEDED, *BESIDE_WEIGHTS):
        if name in members:
            with packed.open(members[name]) as read, (place / name).open("wb") as write:
                shutil.copyfileobj(read, write)


def _refuse_missing(names: set[str]) -> None:
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise ModelError(
            f"no model: {', '.join(missing)} missing; only safetensors with their manifest are read"
        )


def _verify(place: Path) -> None:
    from models.loading import load_model

    load_model(place)  # hashes, format, and that the weights fit the network
    read_operating_point(place)
    read_domain(place)
    if has_split(place):
        read_split(place)  # not altered, and no patient in two parts


def _install(place: Path, found: ModelListing, into: Path, *, is_replacing: bool) -> ModelListing:
    if Path(found.model_id).name != found.model_id or found.model_id.startswith("."):
        raise ModelError("the model's id is no plain name")
    target = into / found.model_id
    if target.exists() and not _is_changed(place, found, target, is_replacing=is_replacing):
        return describe_model(target)
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=into) as folder:
            fresh = Path(folder) / "model"
            shutil.copytree(place, fresh)
            if into.stat().st_mode & 0o055:  # where others may read models, they may read this one
                fresh.chmod(0o755)
                for path in fresh.iterdir():
                    path.chmod(0o644)
            if target.exists():
                target.rename(Path(folder) / "before")
            fresh.rename(target)
    except OSError as error:
        raise ModelError(f"cannot write there: {error.strerror}; say --into FOLDER") from error
    return describe_model(target)


def _is_changed(place: Path, found: ModelListing, target: Path, *, is_replacing: bool) -> bool:
    """Whether files beside the installed weights are to be replaced. Raises ModelError where that was not asked for."""
    if not (target / MANIFEST_FILE).is_file() or describe_model(target).digest != found.digest:
        raise ModelError(
            f"something else is installed as {found.model_id}: remove {target}, or import elsewhere (--into)"
        )
    brought = [path.name for path in place.iterdir()]
    same, *_ = filecmp.cmpfiles(place, target, brought, shallow=False)
    changed = sorted(set(brought) - set(same))
    if changed and not is_replacing:
        raise ModelError(
            f"{found.model_id} is installed with another {', '.join(changed)}: --replace takes those of the import"
        )
    return bool(changed)
