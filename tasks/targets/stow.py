"""Sends objects by STOW-RS (PS3.18, section 10.5), with dicomweb-client."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset
from urllib3.exceptions import NewConnectionError

from tasks.targets.base import NO_ANSWER, REFUSED, STORED, UNREACHABLE, Answer

# Its messages hold UIDs of studies.
logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class StowTarget:
    """A DICOMweb server. The session carries credentials and certificates."""

    address: str  # dicomweb+http(s)://HOST:PORT/PATH
    session: requests.Session
    timeout_s: float = 60.0

    def send(self, objects: Sequence[Dataset]) -> list[Answer]:
        """All objects in one request; the answer is read object by object."""
        url = self.address.removeprefix("dicomweb+")
        client = DICOMwebClient(url, session=self.session, timeout=self.timeout_s)
        client.set_http_retry_params(retry=False)
        try:
            said = client.store_instances(objects)
        except requests.exceptions.HTTPError as error:
            answer = (
                Answer(False, NO_ANSWER)
                if error.response is None
                else _from_status(error.response.status_code)
            )
        except requests.exceptions.ConnectionError as error:
            answer = Answer(False, UNREACHABLE if _never_connected(error) else NO_ANSWER)
        except (requests.exceptions.RequestException, ValueError, KeyError):  # an answer that cannot be read
            answer = Answer(False, NO_ANSWER)
        else:
            return [_answer_for(str(each.SOPInstanceUID), said) for each in objects]
        return [answer] * len(objects)

    def close(self) -> None:
        """Close the connection."""
        self.session.close()


def _from_status(status: int) -> Answer:
    """4xx: the server has none of it (409: it refused every object). 5xx says nothing about what it kept."""
    return Answer(False, REFUSED if status < 500 else NO_ANSWER, str(status))


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    """No connection came about, so nothing was sent: name, route, port or TLS."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, NewConnectionError)


def _answer_for(uid: str, said: Dataset) -> Answer:
    """PS3.18 table 10.5.3-2: an object is stored when the answer refers to it, refused when it names a reason."""
    for item in said.get("FailedSOPSequence", ()):
        if item.get("ReferencedSOPInstanceUID") == uid:
            return Answer(False, REFUSED, str(item.get("FailureReason", "")) or None)
    stored = {item.get("ReferencedSOPInstanceUID") for item in said.get("ReferencedSOPSequence", ())}
    return STORED if uid in stored else Answer(False, NO_ANSWER)
