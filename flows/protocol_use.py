"""One use of a frozen test set: logged beside the model before it happens, its scores kept as they come.

A test that was stopped goes on where it was and stays one use, as long as model, operating point and code are the same.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.model_files import PROTOCOL_PART_FILE, PROTOCOL_USES_FILE
from flows.version import code_version
from phantom import protocol
from warehouse.paths import replace_file

FROZEN_FILES = ("operating_point.json", "domain.json")  # threshold and calibration; limit of the domain


class ProtocolUse:
    """`rows`: what an interrupted test has left, in order of its studies; empty for a new use, which is logged."""

    def __init__(self, directory: Path, model_digest: str, which: Mapping[str, int]) -> None:
        self._path = directory / PROTOCOL_PART_FILE
        use = _told(directory, model_digest, which)
        before = [*_lines(self._path)]
        is_same = before[:1] == [use]
        self.rows = before[1:] if is_same else []
        if not is_same:  # a test set is worth what it was not looked at
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            _append(directory / PROTOCOL_USES_FILE, [{"at": at, **use}])
        replace_file(self._path, _written([use, *self.rows]).encode())  # its last line may be torn

    def keep(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write down the scores of the next studies."""
        _append(self._path, rows)

    def end(self) -> None:
        """All studies are scored, and their scores lie beside the model."""
        self._path.unlink()


def _told(directory: Path, model_digest: str, which: Mapping[str, int]) -> dict[str, Any]:
    frozen = {
        name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
        for name in FROZEN_FILES
        if (directory / name).exists()
    }
    return {
        "model_digest": model_digest,
        "protocol_digest": protocol.protocol_of(which["protocol"]).digest,
        **which,
        "code": code_version(),
        "sha256": frozen,
    }


def _append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(_written(rows))


def _written(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file up to the first that a kill has torn; none where there is no file."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
