"""From an address and the settings to a PACS that can be swept. The only place that reads how it lets us in."""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
import ssl
import stat
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from flows.errors import SettingsError
from flows.pem import load_pem
from flows.settings import Settings
from tasks.sources.base import ArchiveUnreachable
from tasks.sources.courtesy import Courtesy, Manners, Window
from tasks.sources.pacs import PacsSource, Scope
from tasks.sources.pacs_client import Login, PacsClient, PacsError, Refused, Span

WEB_SCHEMES = ("dicomweb+http", "dicomweb+https")
DIMSE_SCHEMES = ("dimse", "dimse+tls")
DICOM_PORT = 104
ECHO_TRIES, ECHO_PAUSE_S = 3, 2.0
AE_TITLE = re.compile(r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}$")  # PS3.5 table 6.2-1, AE


def is_pacs(archive: str) -> bool:
    """Whether an archive is the address of a PACS."""
    return "://" in archive


def archive_name(archive: str) -> str:
    """What an archive's key is made from: the address in one spelling, or the folder's real path."""
    if not is_pacs(archive):
        return str(Path(archive).resolve())
    parts = urlsplit(archive)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    at = f"{parts.username}@" if parts.username and parts.scheme in DIMSE_SCHEMES else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{at}{host}{port}{parts.path.rstrip('/')}"


def open_pacs(archive: str, settings: Settings) -> PacsSource:
    """The PACS at an address, asked once whether it is there. Raises SettingsError, ArchiveUnreachable."""
    client = pacs_client(archive, settings)
    courtesy = Courtesy(read_manners(settings), say=_say)
    courtesy.wait_for_window()
    _echo(client)
    modality = settings.pacs_modality.upper()
    scope = Scope(
        span=Span(*settings.days()),
        modality=None if modality == "ANY" else modality,
        recheck_days=settings.pacs_recheck_days,
        most_answers=settings.pacs_most_answers,
    )
    return PacsSource(client, courtesy, scope, today=dt.date.today(), salt=secrets.token_hex(8))


def _say(text: str) -> None:
    print(f"ovf: {text}", file=sys.stderr, flush=True)


def pacs_client(archive: str, settings: Settings) -> PacsClient:
    """The client for an address; nothing is sent yet. Raises SettingsError."""
    parts = urlsplit(archive)
    login = read_login(settings)
    try:
        port = parts.port
    except ValueError:
        raise SettingsError("the PACS's port is not a number") from None
    if not parts.hostname:
        raise SettingsError("the PACS's address names no host: see docs/pacs.md")
    if parts.scheme in WEB_SCHEMES:
        if parts.username or parts.password:
            raise SettingsError("no user or password in an address: use --credentials FILE (docs/pacs.md)")
        from tasks.sources.dicomweb import DicomwebPacs

        url = archive.removeprefix("dicomweb+").rstrip("/")
        return DicomwebPacs(url, login, settings.pacs_timeout_s)
    if parts.scheme in DIMSE_SCHEMES:
        from tasks.sources.dimse import DimseAddress, DimsePacs

        if (
            parts.password
            or not AE_TITLE.match(parts.username or "")
            or not AE_TITLE.match(settings.pacs_calling)
        ):
            raise SettingsError(
                "a DIMSE address is dimse://CALLED@HOST:PORT, with --calling for our own title"
            )
        receiver_host, receiver_port = _receiver(settings.pacs_receiver)
        address = DimseAddress(
            host=parts.hostname,
            port=port or DICOM_PORT,
            called=parts.username or "",
            calling=settings.pacs_calling,
            receiver_host=receiver_host,
            receiver_port=receiver_port,
            is_secure=parts.scheme == "dimse+tls",
        )
        return DimsePacs(address, login, settings.pacs_timeout_s)
    known = ", ".join((*WEB_SCHEMES, *DIMSE_SCHEMES))
    raise SettingsError(f"an archive's address begins with one of {known}, not {parts.scheme}")


def read_login(settings: Settings) -> Login:
    """How the PACS lets us in: a file (--credentials), else the environment. Raises SettingsError."""
    user, password, token = (os.environ.get(f"OVF_PACS_{name}") for name in ("USER", "PASSWORD", "TOKEN"))
    if settings.pacs_credentials is not None:
        user, password, token = _credentials_of(settings.pacs_credentials)
    files = (settings.pacs_ca, settings.pacs_cert, settings.pacs_key)
    load_pem(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ("pacs_ca", "pacs_cert", "pacs_key"), *files)
    return Login(user, password, token, *files)


def _credentials_of(path: Path) -> tuple[str | None, str | None, str | None]:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsError(f"others can read the credentials: chmod 600 {path}")
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"credentials: {type(error).__name__} for {path}") from None
    if text.lower().startswith("bearer "):
        return None, None, text[7:].strip()
    user, colon, password = text.partition(":")
    if not colon or "\n" in text:
        raise SettingsError(f"credentials in {path}: one line, user:password or Bearer TOKEN")
    return user, password, None


def _receiver(text: str | None) -> tuple[str, int | None]:
    if text is None:
        return "", None
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise SettingsError("setting pacs_receiver: [HOST:]PORT")
    return host, int(port)


def read_manners(settings: Settings) -> Manners:
    """How the PACS is treated. Raises SettingsError."""
    try:
        window = Window.parse(settings.pacs_window) if settings.pacs_window else None
    except ValueError as error:
        raise SettingsError(f"setting pacs_window: {error}") from None
    return Manners(
        parallel=settings.pacs_parallel,
        rate_per_s=settings.pacs_rate,
        tries=settings.pacs_tries,
        patience_s=settings.pacs_patience_s,
        window=window,
    )


def _echo(client: PacsClient) -> None:
    """Raises ArchiveUnreachable with what to do when the PACS is not there, or does not let us in."""
    for left in reversed(range(ECHO_TRIES)):
        try:
            client.echo()
            return
        except Refused as error:
            raise ArchiveUnreachable(
                f"the PACS does not let us in ({error.code}): check address, titles, credentials and certificates"
            ) from None
        except PacsError as error:
            if not left:
                raise ArchiveUnreachable(
                    f"no PACS answers at this address ({error.code}): check host, port and network"
                ) from None
        time.sleep(ECHO_PAUSE_S)
