"""A PACS over DIMSE: C-FIND, then C-GET; C-MOVE to a receiver of our own where C-GET is refused.

pynetdicom does the protocol. Each presentation context offers one transfer syntax, so that the PACS can send every
object as it is stored (PS3.8 section 9.3.2). An association that ended well is kept for the next question.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tasks.checks import SOP_CLASSES
from tasks.dicom.values import TAG_OF
from tasks.sources.answers import Answer, answer_of, merged, token, value
from tasks.sources.pacs_client import Broken, Found, Keep, Login, NoAnswer, Refused, Span

SUCCESS, PENDING, WARNING = 0x0000, (0xFF00, 0xFF01), 0xB000
NOT_AUTHORIZED = 0x0124
MOST_REPEATED = 10_000  # answers of a C-FIND that were given before: then it turns in circles
# Native, then what archives compress with, each in a context of its own.
SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
# A series of modality CT may hold screen captures (secondary capture, and its multi-frame forms). They are let in
# where a PACS does not tell classes, so that it can be seen what they are.
CAPTURES = tuple(f"1.2.840.10008.5.1.4.1.1.7{part}" for part in ("", ".2", ".3", ".4"))
_STUDY = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyDescription",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
_SERIES = (
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "BodyPartExamined",
    "ProtocolName",
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
    "PatientPosition",
    "NumberOfSeriesRelatedInstances",
)
# All that an `Instance` holds; a PACS that does not know a key leaves it out. The padding is signed or not by another
# element, which no answer can be relied on to have (Orthanc fails over it); it is read from the file.
_IMAGE = tuple(
    sorted(
        set(TAG_OF)
        - {"SpecificCharacterSet", "StudyInstanceUID", "SeriesInstanceUID"}
        - {"PixelPaddingValue", "PixelPaddingRangeLimit"}
    )
)
_CONTENT = ("InstanceCreationDate", "InstanceCreationTime")


@dataclass(frozen=True, slots=True)
class DimseAddress:
    """Where a PACS listens, who it is, and who we are to it."""

    host: str
    port: int
    called: str
    calling: str
    receiver_host: str = ""  # where our own receiver listens, for C-MOVE; "" is every address
    receiver_port: int | None = None  # None: C-MOVE is not used
    is_secure: bool = False


@dataclass(slots=True, eq=False)
class _Line:
    """One association, and where it puts what it receives."""

    association: Association | None = None
    socket: Any = None
    keep: Keep | None = None
    failure: BaseException | None = None
    stored_at: float = 0.0

    def store(self, event: evt.Event) -> int:
        """The handler of C-STORE requests that come in over this association."""
        if self.keep is None:
            return NOT_AUTHORIZED
        try:
            self.keep(event.encoded_dataset())
        except Exception as error:  # a full disk, say: raised again by the one who asked
            self.failure = error
            return 0xA700
        self.stored_at = time.monotonic()
        return SUCCESS


@dataclass(slots=True)
class DimsePacs:
    """See the module's text. `timeout_s`: the longest silence within a conversation."""

    address: DimseAddress
    login: Login
    timeout_s: float = 60.0
    kind: str = "dimse"
    _idle: list[_Line] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _moves: threading.Lock = field(default_factory=threading.Lock)
    _receiver: Any = None
    _moved: _Line = field(default_factory=_Line)
    _is_get_refused: bool = False

    def __post_init__(self) -> None:
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its messages hold identifiers

    # ---- asking

    def echo(self) -> None:
        line = self._take()
        assert line.association is not None
        self._check(line, line.association.send_c_echo())
        self._give_back(line)

    def studies(self, span: Span, modality: str | None, study_uid: str | None = None) -> Found:
        keys: dict[str, str] = dict.fromkeys(_STUDY, "")
        keys |= {"StudyInstanceUID": study_uid or "", "ModalitiesInStudy": modality or ""}
        keys |= {"StudyDate": span.dates or "", "StudyTime": span.times or ""}
        return self._find("STUDY", keys)

    def series(self, study: Answer) -> list[Answer]:
        study_uid = value(study, "0020000D") or ""
        keys = dict.fromkeys(_SERIES, "") | {"StudyInstanceUID": study_uid, "SeriesInstanceUID": ""}
        found = self._whole("SERIES", keys)
        return [merged(study, each) for each in found]

    def instances(self, study_uid: str, series_uid: str, *, in_full: bool) -> list[Answer]:
        keys = dict.fromkeys((*_IMAGE, *_CONTENT) if in_full else ("SOPInstanceUID", "SOPClassUID"), "")
        keys |= {"InstanceNumber": "", "StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        return self._whole("IMAGE", keys)

    def _whole(self, level: str, keys: dict[str, str]) -> list[Answer]:
        """All answers within one study. Raises Broken when the PACS cuts even these short."""
        found = self._find(level, keys)
        if found.is_cut:
            raise Broken("answer_cut")
        return found.answers

    def _find(self, level: str, keys: dict[str, str]) -> Found:
        line = self._take()
        assert line.association is not None
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        identifier.SpecificCharacterSet = "ISO_IR 192"
        for keyword, wanted in keys.items():
            setattr(identifier, keyword, wanted or None)
        answers: list[Answer] = []
        distinct: set[int] = set()
        try:
            responses = line.association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind)
            for status, answer in responses:
                if getattr(status, "Status", None) in PENDING and answer is not None:
                    answers.append(answer_of(answer))
                    distinct.add(token(answers[-1]))
                    if len(answers) - len(distinct) > MOST_REPEATED:
                        raise Broken("no_progress")  # 0xFF00 without end (T48)
                    continue
                is_cut = self._is_cut(line, status)
        except Broken:
            self._drop(line)
            raise
        except (ValueError, RuntimeError, OSError) as error:
            self._drop(line)
            raise Broken(type(error).__name__) from None
        self._give_back(line)
        return Found(answers, is_cut)

    def _is_cut(self, line: _Line, status: Dataset) -> bool:
        """Whether the last word of a C-FIND means that there is more: out of resources, or cancelled."""
        if getattr(status, "Status", None) in (0xA700, 0xFE00):
            return True
        self._check(line, status)
        return False

    # ---- fetching

    def fetch(self, study_uid: str, series_uid: str, keep: Keep) -> None:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "SERIES"
        identifier.StudyInstanceUID, identifier.SeriesInstanceUID = study_uid, series_uid
        if not self._is_get_refused:
            try:
                self._get(identifier, keep)
                return
            except Refused:
                if self.address.receiver_port is None:
                    raise
                self._is_get_refused = True
        with self._moves:  # one at a time: what comes in must be what was asked for
            self._move(identifier, keep)

    def _get(self, identifier: Dataset, keep: Keep) -> None:
        line = self._take()
        assert line.association is not None
        model = StudyRootQueryRetrieveInformationModelGet
        if not any(each.abstract_syntax == model for each in line.association.accepted_contexts):
            self._give_back(line)
            raise Refused("no_c_get")
        self._retrieve(line, line, line.association.send_c_get(identifier, model), keep)

    def _move(self, identifier: Dataset, keep: Keep) -> None:
        self._listen()
        line = self._take()
        assert line.association is not None
        model = StudyRootQueryRetrieveInformationModelMove
        if not any(each.abstract_syntax == model for each in line.association.accepted_contexts):
            self._give_back(line)
            raise Refused("no_c_move")
        responses = line.association.send_c_move(identifier, self.address.calling, model)
        self._retrieve(line, self._moved, responses, keep)

    def _retrieve(self, line: _Line, receiving: _Line, responses: Iterator[Any], keep: Keep) -> None:
        """Follow a retrieval to its end. The counts that the PACS reports are not believed: the files are counted."""
        receiving.keep, receiving.failure, receiving.stored_at = keep, None, time.monotonic()
        status = Dataset()
        try:
            for status, _ in responses:  # noqa: B007 - the last one counts
                if time.monotonic() - receiving.stored_at > self.timeout_s:
                    raise Broken("no_progress")  # 0xFF00 without end (T48)
        except (ValueError, RuntimeError, OSError) as error:
            self._drop(line)
            raise Broken(type(error).__name__) from None
        except Broken:
            self._drop(line)
            raise
        finally:
            receiving.keep = None
        failure: BaseException | None = receiving.failure  # set by the handler, in another thread
        if failure is not None:
            self._drop(line)
            raise failure
        if getattr(status, "Status", None) != WARNING:  # some sub-operations failed: the count will show it
            self._check(line, status)
        self._give_back(line)

    # ---- associations

    def _take(self) -> _Line:
        """An association that is open. Raises NoAnswer, Refused."""
        with self._lock:
            while self._idle:
                line = self._idle.pop()
                if line.association is not None and line.association.is_established:
                    return line
                self._drop(line)
        line = _Line()
        association = self._entity().associate(
            self.address.host,
            self.address.port,
            contexts=_contexts(),
            ae_title=self.address.called,
            ext_neg=[build_role(uid, scp_role=True) for uid in (*sorted(SOP_CLASSES), *CAPTURES)],
            evt_handlers=[(evt.EVT_C_STORE, line.store)],
            tls_args=(tls_of(self.login), self.address.host) if self.address.is_secure else None,
        )
        if association.is_rejected:
            raise _rejection(association)
        if not association.is_established:
            raise NoAnswer("no_association")
        line.association, line.socket = association, association.dul.socket.socket  # type: ignore[union-attr]
        return line

    def _give_back(self, line: _Line) -> None:
        with self._lock:
            self._idle.append(line)

    def _drop(self, line: _Line) -> None:
        if line.association is not None and line.association.is_alive():
            line.association.abort()
        if line.socket is not None:
            line.socket.close()  # pynetdicom leaves it open when its peer has gone before

    def _check(self, line: _Line, status: Dataset) -> None:
        """Raises Broken, Refused by the status of a last response; none came after a time-out or an abort."""
        code = getattr(status, "Status", None)
        if code == SUCCESS:
            return
        self._drop(line)
        if code is None:
            raise Broken("no_response")
        if code in (
            0x0122,
            NOT_AUTHORIZED,
            0xA900,
            0xA801,
        ):  # no such service, not authorized, wrong question
            raise Refused(f"status_{code:04x}")
        raise Broken(f"status_{code:04x}")

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            if line.association is not None and line.association.is_established:
                line.association.release()
            self._drop(line)
        if self._receiver is not None:
            self._receiver.shutdown()
            self._receiver = None

    def _entity(self) -> AE:
        entity = AE(ae_title=self.address.calling)
        entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = self.timeout_s
        entity.network_timeout = self.timeout_s
        return entity

    def _listen(self) -> None:
        """Start our receiver, for C-MOVE, if it does not run yet."""
        if self._receiver is not None:
            return
        entity = self._entity()
        entity.require_called_aet = True
        entity.supported_contexts = [
            build_context(uid, list(SYNTAXES)) for uid in (*sorted(SOP_CLASSES), *CAPTURES, Verification)
        ]
        try:
            self._receiver = entity.start_server(
                (self.address.receiver_host, self.address.receiver_port or 0),
                block=False,
                evt_handlers=[(evt.EVT_C_STORE, self._moved.store)],
            )
        except OSError as error:
            raise Refused(f"receiver_{error.errno}") from None


def tls_of(login: Login) -> ssl.SSLContext:
    """TLS towards a PACS that knows us by our certificate, if we have one; also for what is sent to one."""
    context = ssl.create_default_context(cafile=str(login.ca_file) if login.ca_file else None)
    if login.client_certificate is not None:
        context.load_cert_chain(login.client_certificate, login.client_key)
    return context


def _contexts() -> list[Any]:
    models = (
        Verification,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
        StudyRootQueryRetrieveInformationModelMove,
    )
    storage = [build_context(uid, syntax) for uid in sorted(SOP_CLASSES) for syntax in SYNTAXES]
    storage += [build_context(uid, syntax) for uid in CAPTURES for syntax in SYNTAXES[:3]]
    # Explicit first: implicit answers leave some value representations to be guessed.
    asking = [build_context(model, syntax) for model in models for syntax in SYNTAXES[:2]]
    return [*asking, *storage]


def _rejection(association: Association) -> NoAnswer | Refused:
    """A rejection that passes (the PACS is busy), or one that stays (PS3.8 section 9.3.4)."""
    answer = association.acceptor.primitive
    is_transient = getattr(answer, "result", None) == 2
    code = f"rejected_{getattr(answer, 'result_source', 0)}_{getattr(answer, 'diagnostic', 0)}"
    return NoAnswer(code) if is_transient else Refused(code)
