"""Files of certificates and keys: what is wrong with them is said before anybody is talked to."""

from __future__ import annotations

import ssl
from pathlib import Path

from flows.errors import SettingsError


def load_pem(
    context: ssl.SSLContext, names: tuple[str, str, str], ca: Path | None, cert: Path | None, key: Path | None
) -> None:
    """Load an authority, and a certificate with its key, into a context; each where it is given.

    `names` are those of the settings. Raises SettingsError naming the wrong file.
    """
    for name, path in zip(names, (ca, cert, key), strict=True):
        if path is None:
            continue
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"setting {name}: {path} cannot be read ({error.strerror})") from None
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except ssl.SSLError:
            raise SettingsError(f"setting {names[0]}: {ca} holds no certificate in PEM form") from None
    if cert is None:
        if key is not None:
            raise SettingsError(f"setting {names[2]}: a key goes with a certificate ({names[1]})")
        return
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        why = f"{cert} and {key or cert} are no certificate and its key without a password"
        raise SettingsError(f"settings {names[1]}, {names[2]}: {why} ({reason_of_tls(error)})") from None


def reason_of_tls(error: Exception) -> str:
    """OpenSSL's word for what went wrong."""
    return str(getattr(error, "reason", None) or error).replace("_", " ").lower()


def _no_password() -> str:
    """OpenSSL would ask on the terminal, where perhaps nobody sits."""
    raise ValueError("the key has a password")
