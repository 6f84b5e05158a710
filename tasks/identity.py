"""Pseudonyms: keyed digests of what names a patient, study, series or archive. No I/O but the key file.

HMAC-SHA256 under a key that lies outside the warehouse: without the key a pseudonym can neither be turned back nor
guessed from a list of known PatientIDs. The same identifier always gives the same pseudonym under one key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

KEY_BYTES = 32  # as long as the digest: RFC 2104, section 3
KEY_ID_CHARACTERS = 12
PSEUDONYM_CHARACTERS = 32  # 128 bits: no two alike among all studies of the world
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(Exception):
    """The key file cannot be used; the message says why and what to do."""

    def __init__(self, file_name: str, finding: str) -> None:
        super().__init__(file_name, finding)
        self.file_name, self.finding = file_name, finding

    def __str__(self) -> str:
        return f"pseudonymisation key {self.file_name}: {self.finding}"


@dataclass(frozen=True, slots=True)
class Pseudonymizer:
    """Makes the pseudonyms of one site under one key. Picklable; its repr does not show the key."""

    key: bytes
    site: str

    def __repr__(self) -> str:
        return f"Pseudonymizer(key_id={key_id_of(self.key)!r})"

    def patient_key(self, patient_id: str | None, issuer: str | None) -> str | None:
        """Pseudonym of a patient at this site; None without PatientID. Padding spaces do not count."""
        name = (patient_id or "").strip()
        return self._digest("patient", self.site, (issuer or "").strip(), name) if name else None

    def study_key(self, study_instance_uid: str) -> str:
        """Pseudonym of a StudyInstanceUID, the same at every site."""
        return self._digest("study", study_instance_uid)

    def series_key(self, series_instance_uid: str, split_label: str | None = None) -> str:
        """Pseudonym of a SeriesInstanceUID, or of one part of it when it was split."""
        return self._digest("series", series_instance_uid, split_label or "")

    def archive_key(self, uri: str) -> str:
        """Pseudonym of an archive's location."""
        return self._digest("archive", uri)

    def report_key(self, *content: str) -> str:
        """Pseudonym of a report's content, the same at every site: accession number, patient, date, status, text."""
        return self._digest("report", *content)

    def object_uid(self, *parts: str) -> str:
        """UID of a DICOM object of our own: under 2.25 (PS3.5 B.2), a UUID of version 8 made of a keyed digest."""
        number = int(self._digest("object", *parts), 16)
        number = number & ~(0xF << 76) | 8 << 76  # RFC 9562, section 5.8: version, then variant
        return f"2.25.{number & ~(0b11 << 62) | 0b10 << 62}"

    def _digest(self, kind: str, *parts: str) -> str:
        """Parts are preceded by their length, so that no two lists of parts give the same text."""
        text = b"".join(b"%d:%s" % (len(part), part) for part in _encoded((kind, *parts)))
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()[:PSEUDONYM_CHARACTERS]


def key_id_of(key: bytes) -> str:
    """Short public name of a key: says which key was used and nothing about it."""
    return hashlib.sha256(b"key id" + key).hexdigest()[:KEY_ID_CHARACTERS]


def load_or_create_key(path: Path) -> bytes:
    """Load the key, or make a new one (owner-only) where there is no file.

    Raises KeyFileError when others can read it, when it is damaged, or when it is not a plain file.
    """
    if not path.exists():
        _create(path)
    return load_key(path)


def load_key(path: Path) -> bytes:
    """Load an existing key. Raises KeyFileError."""
    try:
        status = path.stat()
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(path.name, f"cannot be read ({error.strerror})") from error
    if status.st_mode & _OPEN_TO_OTHERS:
        raise KeyFileError(path.name, f"others can open it: run `chmod 600 {path}`, then try again")
    try:
        described = json.loads(content)
        key = bytes.fromhex(described["key"])
        expected_id = described["key_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise KeyFileError(path.name, "is damaged: put its backup back") from error
    if len(key) != KEY_BYTES or key_id_of(key) != expected_id:
        raise KeyFileError(path.name, "is damaged: put its backup back")
    return key


def _create(path: Path) -> None:
    """Write a new key whole or not at all; when another process was faster, its key stays."""
    key = secrets.token_bytes(KEY_BYTES)
    content = json.dumps({"key_id": key_id_of(key), "key": key.hex()}, indent=1).encode()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)


def _encoded(parts: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(part.encode("utf-8", "surrogateescape") for part in parts)
