"""A folder holds one training: its checkpoints must not be taken for those of another."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from flows.errors import SettingsError
from warehouse.paths import replace_file

CLAIM_FILE = "checkpoints/claim.json"
OTHER_TRAINING = (
    "holds checkpoints of another training (other scans, labels, recipe, start or seed), or of another version of ovf: "
    "name another --out, or delete that folder"
)


def digest_of(*told: object) -> str:
    """One digest of all that decides a training."""
    return hashlib.sha256("\n".join(map(repr, told)).encode()).hexdigest()


def claim_folder(out: Path, fingerprint: str) -> None:
    """Claim `out` for the training of that fingerprint.

    Raises SettingsError where another has claimed it, and for checkpoints that nobody has claimed.
    """
    claim = out / CLAIM_FILE
    claim.parent.mkdir(parents=True, exist_ok=True)
    if claim.is_file():
        is_other = json.loads(claim.read_text()).get("training") != fingerprint
    else:
        is_other = any(claim.parent.glob("*.safetensors"))
    if is_other:
        raise SettingsError(f"{out.name} {OTHER_TRAINING}")
    replace_file(claim, json.dumps({"training": fingerprint}).encode())
