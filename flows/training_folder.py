"""A folder holds one training: its checkpoints must not be taken for those of another."""

from __future__ import annotations

import fcntl
import hashlib
import json
from pathlib import Path
from typing import IO

from flows.errors import SettingsError
from warehouse.paths import replace_file

CLAIM_FILE, LOCK_FILE = "checkpoints/claim.json", "checkpoints/lock"
OTHER_TRAINING = (
    "holds checkpoints of another training (other scans, labels, recipe, start or seed), or of another version of ovf: "
    "name another --out, or delete that folder"
)


_held: list[IO[bytes]] = []  # locks of this process, until it ends


def _lock(out: Path) -> None:
    """Hold the folder as long as this process lives: two at once would write into each other's checkpoints."""
    lock = (out / LOCK_FILE).open("wb")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise SettingsError(
            f"another process trains in {out.name}: wait for it, or name another --out"
        ) from error
    _held.append(lock)


def digest_of(*told: object) -> str:
    """One digest of all that decides a training."""
    return hashlib.sha256("\n".join(map(repr, told)).encode()).hexdigest()


def claim_folder(out: Path, fingerprint: str) -> None:
    """Claim `out` for the training of that fingerprint.

    Raises SettingsError where another has claimed it, for checkpoints that nobody has claimed, and while another
    process trains there.
    """
    claim = out / CLAIM_FILE
    claim.parent.mkdir(parents=True, exist_ok=True)
    _lock(out)
    if claim.is_file():
        is_other = json.loads(claim.read_text()).get("training") != fingerprint
    else:
        is_other = any(claim.parent.glob("*.safetensors"))
    if is_other:
        raise SettingsError(f"{out.name} {OTHER_TRAINING}")
    replace_file(claim, json.dumps({"training": fingerprint}).encode())
