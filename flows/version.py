"""Which code this is: the version, and a digest of every source file that can change a result."""

from __future__ import annotations

import functools
import hashlib
from importlib.metadata import version
from pathlib import Path

_ROOMS = ("flows", "tasks", "models", "warehouse", "estimates", "reports", "phantom")


@functools.lru_cache(maxsize=1)
def code_digest() -> str:
    """Digest over all .py and .sql files of the rooms; equal on two machines that run the same code."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix in {".py", ".sql"}:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def code_version() -> str:
    """Release and code digest, as they stand in every score."""
    return f"{version('ovf')}+{code_digest()}"
