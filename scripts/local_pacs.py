"""A PACS on loopback: Debian's Orthanc, on free ports, in a folder of its own.

    pacs = Pacs(folder, {"AuthenticationEnabled": True, "RegisteredUsers": {"ovf": "secret"}})
    pacs.start()
    pacs.fill(hospital / "archive")     # every DICOM file below it, members of zips too
    pacs.dicomweb                       # dicomweb+http://127.0.0.1:PORT/dicom-web
    pacs.dimse                          # dimse://ORTHANC@127.0.0.1:PORT
    pacs.kill(); pacs.start()           # same ports, same contents
    pacs.stop()

It ends with the process that started it, too.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from flows.prefect_server import free_port
from tasks.parent import die_with_parent

BINARY = Path("/usr/sbin/Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AET = "ORTHANC"
CALLING_AET = "OVF"  # the one application entity that this PACS knows, at `receiver_port`
STARTS_WITHIN_S = 30
STOPS_WITHIN_S = 20


def is_orthanc_there() -> bool:
    """Whether this machine has Orthanc and its DICOMweb plugin."""
    return BINARY.exists() and PLUGIN.exists()


@dataclass
class Pacs:
    """One Orthanc. `options` go into its configuration file over the defaults here, at every start."""

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    receiver_port: int = field(default_factory=free_port)  # where it sends what a C-MOVE asks for
    process: subprocess.Popen[bytes] | None = None

    @property
    def is_secure(self) -> bool:
        return bool(self.options.get("SslEnabled"))

    @property
    def url(self) -> str:
        """Its REST API (https needs `verify` of the caller)."""
        return f"{'https' if self.is_secure else 'http'}://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        """Its address as `ovf sweep` takes it."""
        return f"dicomweb+{self.url}/dicom-web"

    @property
    def dimse(self) -> str:
        """The same over DIMSE."""
        return f"dimse://{AET}@127.0.0.1:{self.dicom_port}"

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return (self.folder / "orthanc.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it answers. From the main thread: it ends with the thread that started it.

        RuntimeError with the end of its log when it ends or does not answer in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self._configuration()))
        with (self.folder / "orthanc.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(BINARY), str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Orthanc ended, or does not answer: {self.log[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It holds its connections and answers nothing until `resume`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def client(self) -> httpx.Client:
        """A client of its REST API; the first registered user's, where it asks for one."""
        users = self.options.get("RegisteredUsers", {})
        auth = next(iter(users.items()), None)
        # A connection each: Orthanc closes one that waits for a second, as it may on a busy machine, between two files.
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(
            base_url=self.url, auth=auth, verify=False, timeout=60, trust_env=False, limits=limits
        )

    def fill(self, folder: Path) -> int:
        """Send every DICOM file below a folder, members of zips too; returns how many it holds now."""
        with self.client() as client:
            for content in dicom_files(folder):
                client.post("/instances", content=content)  # what it refuses is no part of the PACS
            return int(client.get("/statistics").json()["CountInstances"])

    def find(self, level: str, **query: str) -> list[str]:
        """Its own ids of what matches, such as find("Study", StudyInstanceUID=uid)."""
        with self.client() as client:
            found = client.post("/tools/find", json={"Level": level, "Query": query})
            found.raise_for_status()
            return list(found.json())

    def delete(self, level: str, **query: str) -> int:
        """Delete what matches; returns how many that were."""
        collection = {"Study": "studies", "Series": "series", "Instance": "instances"}[level]
        found = self.find(level, **query)
        with self.client() as client:
            for identifier in found:
                client.delete(f"/{collection}/{identifier}").raise_for_status()
        return len(found)

    def _configuration(self) -> dict[str, Any]:
        store = str(self.folder / "store")
        defaults: dict[str, Any] = {
            "Name": "loopback",
            "StorageDirectory": store,
            "IndexDirectory": store,
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": AET,
            "DefaultEncoding": "Utf8",  # of what it answers: Latin1 would lose half of a hospital's descriptions
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "OverwriteInstances": True,  # a corrected instance replaces the one with its UID
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "DicomModalities": {"ovf": [CALLING_AET, "127.0.0.1", self.receiver_port]},
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        return defaults | self.options

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError), self.client() as client:
            return client.get("/system").status_code == 200
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)  # a paused one hears nothing but a kill
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def dicom_files(folder: Path) -> Iterator[bytes]:
    """The contents of every file below a folder that says it is DICOM, in sorted order; members of zips too."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                members = (packed.read(name) for name in sorted(packed.namelist()))
                yield from (content for content in members if content[128:132] == b"DICM")
        elif (content := path.read_bytes())[128:132] == b"DICM":
            yield content
