"""Sends objects by C-STORE (PS3.4, annex B), with pynetdicom. One association, opened again when it is lost."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE
from pynetdicom.association import Association

from tasks.targets.base import NO_ANSWER, REFUSED, STORED, UNREACHABLE, Answer

# Its messages hold names of application entities and what they sent.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
_SUCCESS = 0x0000
# PS3.4 table B.2-1: coercion of elements, elements discarded, data set does not match: stored all the same.
_STORED_WITH_WARNING = frozenset({0xB000, 0xB006, 0xB007})


@dataclass(slots=True)
class StoreTarget:
    """A PACS that listens for associations."""

    address: str  # dimse://CALLED@HOST:PORT
    host: str
    port: int
    called: str
    calling: str
    tls: ssl.SSLContext | None = None
    timeout_s: float = 60.0
    _association: Association | None = field(default=None, repr=False)

    def send(self, objects: Sequence[Dataset]) -> list[Answer]:
        """One after the other; after one that had no answer the rest is not sent."""
        answers: list[Answer] = []
        for each in objects:
            is_lost = bool(answers) and answers[-1].reason in (NO_ANSWER, UNREACHABLE)
            answers.append(Answer(False, UNREACHABLE) if is_lost else self._store(each))
        return answers

    def close(self) -> None:
        """Release the association."""
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.release()

    def _store(self, each: Dataset) -> Answer:
        association = self._open()
        if association is None:
            return Answer(False, UNREACHABLE)
        if each.SOPClassUID not in {context.abstract_syntax for context in association.accepted_contexts}:
            return Answer(False, REFUSED, "0122")  # SOP class not supported, as a C-STORE would say
        try:
            status = association.send_c_store(each).get("Status")
        except (RuntimeError, ValueError):  # the association went while it was sending
            return Answer(False, NO_ANSWER)
        if status is None:
            return Answer(False, NO_ANSWER)
        is_stored = status == _SUCCESS or status in _STORED_WITH_WARNING
        return STORED if is_stored else Answer(False, REFUSED, f"{status:04X}")

    def _open(self) -> Association | None:
        if self._association is not None and self._association.is_established:
            return self._association
        entity = AE(ae_title=self.calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self.timeout_s
        entity.connection_timeout = self.timeout_s
        for sop_class in (
            ComprehensiveSRStorage,
            SecondaryCaptureImageStorage,
            KeyObjectSelectionDocumentStorage,
        ):
            entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        tls = None if self.tls is None else (self.tls, self.host)
        self._association = entity.associate(self.host, self.port, ae_title=self.called, tls_args=tls)
        return self._association if self._association.is_established else None
