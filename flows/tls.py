"""Certificates for a Dask scheduler that speaks TLS, and a look at its port before Dask knocks.

Dask tries again for half a minute and then says "timed out", whatever was wrong. Everything that can be known before
is known here at once: a file that is missing, a key of another certificate, a port that speaks no TLS, or TLS with
certificates of another authority. As in Dask itself a certificate's names do not count, its authority does: use an
authority made for this cluster alone.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from socket import MSG_PEEK, create_connection, socket
from urllib.parse import urlsplit

import dask
from distributed.security import Security

from flows.errors import PreflightError, SettingsError
from flows.pem import load_pem, reason_of_tls

PROBE_TIMEOUT_S = 30.0  # a busy scheduler leaves newcomers waiting: 12 s seen on an overloaded machine
# A plain scheduler greets at once, one that speaks TLS waits for us to begin. Begun TLS is garbage to a plain one, and
# fills its log: so we listen first.
GREETING_TIMEOUT_S = 3.0
HUSH_TIMEOUT_S = 0.5
DEFAULT_PORT = 8786  # Dask's own

# Where Dask's own configuration names the same files (https://distributed.dask.org/en/stable/tls.html).
_DASK_KEYS = {
    "tls_ca": "distributed.comm.tls.ca-file",
    "tls_cert": "distributed.comm.tls.client.cert",
    "tls_key": "distributed.comm.tls.client.key",
}


@dataclass(frozen=True, slots=True)
class Certificates:
    """Three PEM files: the authority that signed everybody's certificates, our certificate, its key."""

    ca: Path
    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """A client's context that trusts this authority alone. Raises SettingsError naming the wrong file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # as Dask: see above
        load_pem(context, ("tls_ca", "tls_cert", "tls_key"), self.ca, self.cert, self.key)
        return context

    def security(self) -> Security:
        """The same for Dask, which will then talk to nobody in the clear."""
        return Security(
            require_encryption=True,
            tls_ca_file=str(self.ca),
            tls_client_cert=str(self.cert),
            tls_client_key=str(self.key),
        )


def certificates_for(
    scheduler: str, tls_ca: Path | None, tls_cert: Path | None, tls_key: Path | None
) -> Certificates | None:
    """What to show a scheduler: None for `tcp://`. What is not given is taken from Dask's own configuration.

    Raises SettingsError when a certificate is missing for `tls://`, or given for `tcp://`.
    """
    given = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
    if not scheduler.startswith("tls://"):
        unused = [name for name, path in given.items() if path is not None]
        if unused:
            raise SettingsError(
                f"setting {unused[0]}: {scheduler} would not be encrypted: write --scheduler tls://HOST:PORT"
            )
        return None
    found = {name: path or _from_dask(name) for name, path in given.items()}
    found["tls_key"] = found["tls_key"] or found["tls_cert"]  # a key may stand in the certificate's file
    ca, cert, key = (found[name] for name in given)
    if ca is None or cert is None or key is None:
        missing = next(name for name in given if found[name] is None)
        raise SettingsError(
            f"setting {missing} is missing: {scheduler} needs --tls-ca, --tls-cert and --tls-key (docs/cluster.md)"
        )
    return Certificates(ca.absolute(), cert.absolute(), key.absolute())


def knock(scheduler: str, certificates: Certificates | None) -> None:
    """See that a scheduler of this kind listens. Raises PreflightError saying what does not fit, SettingsError."""
    context = certificates.context() if certificates is not None else None
    parts = urlsplit(scheduler)
    try:
        connection = create_connection((parts.hostname or "", parts.port or DEFAULT_PORT), PROBE_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise PreflightError(
            f"no Dask scheduler answers at {scheduler} ({error}): start `dask scheduler` there, or check the address"
        ) from None
    with connection:
        if context is None:
            if not _greets(connection, GREETING_TIMEOUT_S) and _speaks_tls(connection):
                raise PreflightError(
                    f"the scheduler at {scheduler} speaks TLS: write tls:// (docs/cluster.md)"
                )
        elif _greets(connection, HUSH_TIMEOUT_S):
            how = "start it with --tls-ca-file, --tls-cert and --tls-key (docs/cluster.md)"
            raise PreflightError(f"the scheduler at {scheduler} speaks no TLS: {how}")
        else:
            _shake_hands(scheduler, connection, context)


def _greets(connection: socket, timeout_s: float) -> bool:
    """Whether the other side speaks first, as a plain Dask scheduler does."""
    connection.settimeout(timeout_s)
    try:
        return bool(connection.recv(1, MSG_PEEK))
    except OSError:
        return False


def _speaks_tls(connection: socket) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = (
        False,
        ssl.CERT_NONE,
    )  # nothing is sent: we only want to know
    try:
        context.wrap_socket(connection).close()
    except ssl.SSLError:  # an alert, which only TLS has
        return True
    except OSError:  # as silent as before: a plain scheduler that is busy
        return False
    return True


def _shake_hands(scheduler: str, connection: socket, context: ssl.SSLContext) -> None:
    connection.settimeout(PROBE_TIMEOUT_S)
    try:
        # Since TLS 1.3 a server judges our certificate after the handshake: its first byte tells.
        with context.wrap_socket(connection) as wrapped, contextlib.suppress(TimeoutError):
            wrapped.recv(1)
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate does not pass ({error.verify_message}): is --tls-ca the authority that signed it?"
    except ssl.SSLError as error:
        why = f"it refuses our certificate ({reason_of_tls(error)}): was --tls-cert signed by its authority?"
    except OSError as error:
        why = f"it ended the handshake ({error}): does it speak TLS?"
    else:
        return
    raise PreflightError(f"the scheduler at {scheduler} cannot be talked to: {why}")


def _from_dask(name: str) -> Path | None:
    value = dask.config.get(_DASK_KEYS[name], None)
    return Path(value) if value else None
