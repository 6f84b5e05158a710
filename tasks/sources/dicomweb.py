"""A PACS over DICOMweb: QIDO-RS says what there is, WADO-RS gives headers (/metadata) and whole series, streamed.

dicomweb-client does the protocol; retries, limits and the circuit breaker are ours (`tasks.sources.courtesy`), the same
for both protocols.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import requests
from dicomweb_client.web import DICOMwebClient, _Transaction

from tasks.sources.answers import Answer, merged, value
from tasks.sources.pacs_client import Broken, Found, Keep, Login, NoAnswer, Refused, Span

PAGE = 500  # studies asked for at a time: well below the limits that servers are configured with
MOST_PAGES = 200
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
# Asked for beside what QIDO gives by itself.
_STUDY_FIELDS = ["00081030", "00201206", "00201208", "00101010", "00100021", "00080061"]
_SERIES_FIELDS = [
    "0008103E",
    "00180015",
    "00081010",
    "00181030",
    "00080070",
    "00081090",
    "00201209",
    "00080021",
]


class _Client(DICOMwebClient):
    """dicomweb-client, which parses what it retrieves; here every part stays as the PACS sent it."""

    def iter_series_files(self, study_uid: str, series_uid: str) -> Iterator[bytes]:
        """The instances of a series as DICOM files, one after the other, while they arrive."""
        url = self._get_series_url(_Transaction.RETRIEVE, study_uid, series_uid)
        response = self._http_get(url, headers={"Accept": _AS_STORED}, stream=True)
        if response.headers.get("Content-Type", "").lower().startswith("application/dicom"):
            return iter([response.content])  # a single instance, not wrapped
        return self._to_its_end(response)

    def _to_its_end(self, response: requests.Response) -> Iterator[bytes]:
        """The parts of a response. Raises ValueError when it ends before its closing boundary.

        Orthanc sends no length and no chunks: a connection that is cut looks like the end, and half an image like one.
        """
        tail = b""
        chunks = response.iter_content

        def noted(chunk_size: int) -> Iterator[bytes]:
            nonlocal tail
            for chunk in chunks(chunk_size=chunk_size):
                tail = (tail + chunk)[-1024:]
                yield chunk

        response.iter_content = noted  # type: ignore[method-assign, assignment]
        yield from self._decode_multipart_message(response, stream=True)
        boundary = _BOUNDARY.search(response.headers.get("Content-Type", ""))
        if boundary is None or not tail.rstrip().endswith(f"--{boundary[1]}--".encode()):
            raise ValueError("no closing boundary")


@dataclass(slots=True)
class DicomwebPacs:
    """The service at `url`, such as https://pacs/dicom-web. `timeout_s`: the longest silence."""

    url: str
    login: Login
    timeout_s: float = 60.0
    page: int = PAGE
    kind: str = "dicomweb"
    _threads: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        for name in ("dicomweb_client", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # their messages hold addresses with UIDs

    def echo(self) -> None:
        self._ask(lambda client: client.search_for_studies(limit=1))

    def studies(self, span: Span, modality: str | None, study_uid: str | None = None) -> Found:
        filters = {
            "StudyDate": span.dates,
            "StudyTime": span.times,
            "ModalitiesInStudy": modality,
            "StudyInstanceUID": study_uid,
        }
        wanted = {name: each for name, each in filters.items() if each}
        return self._paged("0020000D", partial(_page_of_studies, wanted))

    def _paged(self, uid_tag: str, question: Callable[[int, int, _Client], list[Answer]]) -> Found:
        """All answers to a question of (number of answers, number before them), each UID once."""
        found: dict[str, Answer] = {}
        is_warned = False
        for number in range(MOST_PAGES):
            page = self._ask(partial(question, self.page, number * self.page))
            is_warned |= bool(getattr(self._threads, "warning", None))
            new = {uid: each for each in page if (uid := value(each, uid_tag)) and uid not in found}
            found |= new
            # More than were asked for: it knows no limit, so this is all.
            if len(page) != self.page and not (is_warned and new):
                return Found(list(found.values()), is_cut=False)
            if not new:  # it does not page: the same again, or nothing more although it warned
                return Found(list(found.values()), is_cut=bool(page) or is_warned)
        return Found(list(found.values()), is_cut=True)

    def series(self, study: Answer) -> list[Answer]:
        study_uid = value(study, "0020000D") or ""

        def question(size: int, before: int, client: _Client) -> list[Answer]:
            return list(client.search_for_series(study_uid, fields=_SERIES_FIELDS, limit=size, offset=before))

        return [merged(study, each) for each in _whole(self._paged("0020000E", question))]

    def instances(self, study_uid: str, series_uid: str, *, in_full: bool) -> list[Answer]:
        if in_full:
            return self._ask(lambda client: client.retrieve_series_metadata(study_uid, series_uid))

        def question(size: int, before: int, client: _Client) -> list[Answer]:
            return list(client.search_for_instances(study_uid, series_uid, limit=size, offset=before))

        return _whole(self._paged("00080018", question))

    def fetch(self, study_uid: str, series_uid: str, keep: Keep) -> None:
        def all_of(client: _Client) -> list[Answer]:
            for content in client.iter_series_files(study_uid, series_uid):
                keep(bytes(content))
            return []

        self._ask(all_of)

    def close(self) -> None:
        client = getattr(self._threads, "client", None)
        if client is not None:
            client._session.close()

    # ---- inside

    def _ask(self, question: Callable[[_Client], list[Any]]) -> list[Any]:
        self._threads.warning = None
        try:
            return question(self._client())
        except requests.exceptions.HTTPError as error:
            raise _error_of(error.response) from None
        except requests.exceptions.SSLError:
            raise Refused("tls") from None
        except requests.exceptions.ConnectTimeout:
            raise NoAnswer("connect_timeout") from None
        except requests.exceptions.ConnectionError as error:
            raise _connection_error(error) from None
        except requests.exceptions.RequestException as error:
            raise Broken(type(error).__name__) from None
        except (ValueError, KeyError, TypeError) as error:  # no JSON, no multipart, no boundary
            raise Broken(f"answer_{type(error).__name__}") from None

    def _client(self) -> _Client:
        """The client of this thread: sessions of requests are not made to be shared."""
        client = getattr(self._threads, "client", None)
        if client is None:
            client = _Client(self.url, session=self._session(), permissive_uid=True, timeout=self.timeout_s)
            client.set_http_retry_params(retry=False)
            self._threads.client = client
        return client

    def _session(self) -> requests.Session:
        session = session_of(self.login)
        session.hooks["response"] = [self._note_warning]
        return session

    def _note_warning(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """QIDO says in a header that it cut its answer short (PS3.18 section 8.3.4.4)."""
        self._threads.warning = response.headers.get("Warning")


def session_of(login: Login) -> requests.Session:
    """A session that a PACS lets in; also for what is sent to one (`tasks.targets.stow`)."""
    session = requests.Session()
    session.trust_env = False  # no .netrc and no proxy: a PACS is in the house
    session.verify = str(login.ca_file) if login.ca_file else True
    if login.client_certificate is not None:
        key = login.client_key or login.client_certificate
        session.cert = (str(login.client_certificate), str(key))
    if login.token:
        session.headers["Authorization"] = f"Bearer {login.token}"
    elif login.user:
        session.auth = (login.user, login.password or "")
    return session


def _page_of_studies(wanted: dict[str, Any], size: int, before: int, client: _Client) -> list[Answer]:
    return list(
        client.search_for_studies(limit=size, offset=before, fields=_STUDY_FIELDS, search_filters=wanted)
    )


def _whole(found: Found) -> list[Answer]:
    """Raises Broken for an answer within one study that the PACS cuts short."""
    if found.is_cut:
        raise Broken("answer_cut")
    return found.answers


def _error_of(response: requests.Response | None) -> Broken | Refused:
    status = response.status_code if response is not None else 0
    if status in (408, 429) or status >= 500:
        wait_s = 0.0
        with contextlib.suppress(ValueError, AttributeError):
            wait_s = float(response.headers.get("Retry-After", 0))  # type: ignore[union-attr]
        return Broken(f"http_{status}", wait_s)
    return Refused(f"http_{status}")


def _connection_error(error: requests.exceptions.ConnectionError) -> NoAnswer | Broken:
    """Refused and unreachable are no answer; a connection that was cut in use is a broken one."""
    text = repr(error)
    if any(word in text for word in ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError")):
        return NoAnswer("no_connection")
    return Broken("connection_cut")
