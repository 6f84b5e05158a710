"""From an address and the settings to a PACS that takes objects. Credentials as for a PACS that is swept."""

from __future__ import annotations

from urllib.parse import urlsplit

from flows.errors import SettingsError
from flows.pacs import AE_TITLE, DICOM_PORT, DIMSE_SCHEMES, WEB_SCHEMES, archive_name, read_login
from flows.settings import Settings
from tasks.targets.base import Target


def open_target(address: str, settings: Settings) -> Target:
    """The PACS at `dicomweb+http(s)://HOST:PORT/PATH` or `dimse(+tls)://CALLED@HOST:PORT`; nothing is sent yet.

    Raises SettingsError.
    """
    parts, login = urlsplit(address), read_login(settings)
    if not parts.hostname or parts.password:
        raise SettingsError(
            "--to is dicomweb+https://HOST/PATH or dimse://CALLED@HOST:PORT, and holds no password"
        )
    if parts.scheme in WEB_SCHEMES:
        from tasks.sources.dicomweb import session_of
        from tasks.targets.stow import StowTarget

        if parts.username:
            raise SettingsError("no user or password in an address: use --credentials FILE (docs/pacs.md)")
        return StowTarget(archive_name(address), session_of(login), settings.pacs_timeout_s)
    if parts.scheme in DIMSE_SCHEMES:
        from tasks.sources.dimse import tls_of
        from tasks.targets.c_store import StoreTarget

        if not AE_TITLE.match(parts.username or "") or not AE_TITLE.match(settings.pacs_calling):
            raise SettingsError(
                "a DIMSE address is dimse://CALLED@HOST:PORT, with --calling for our own title"
            )
        return StoreTarget(
            archive_name(address),
            parts.hostname,
            parts.port or DICOM_PORT,
            parts.username or "",
            settings.pacs_calling,
            tls_of(login) if parts.scheme == "dimse+tls" else None,
            settings.pacs_timeout_s,
        )
    known = ", ".join((*WEB_SCHEMES, *DIMSE_SCHEMES))
    raise SettingsError(f"an address to publish to begins with one of {known}")
