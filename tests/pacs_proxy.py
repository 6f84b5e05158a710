"""A TCP proxy on loopback that stands between us and a PACS, and makes it slow, or cuts what it says.

with proxy(pacs.dicom_port) as between:
    between.delay_s = 0.2                    # before each stretch of an answer
    between.cut(after_bytes=100_000, times=1)    # the next so many conversations that carry so much end there
    between.poison = b"1.2.3"                # every conversation in which we say this is cut, whatever comes
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

STRETCH_BYTES = 1 << 16


@dataclass
class Proxy:
    """Where to connect is `port`. What it does may be changed at any time."""

    target_port: int
    port: int = 0
    delay_s: float = 0.0
    poison: bytes | None = None
    innocent: bytes = b"/metadata"  # a question with the poison in it that is let through
    tls: ssl.SSLContext | None = None  # speak TLS towards us, and none to the PACS
    n_connections: int = 0
    _cut_after_bytes: int = 0
    _cuts_left: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cut(self, *, after_bytes: int, times: int) -> None:
        """Cut the next `times` answers that are longer than so many bytes."""
        self._cut_after_bytes, self._cuts_left = after_bytes, times

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.n_connections += 1
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        try:
            client = self.tls.wrap_socket(client, server_side=True) if self.tls else client
            server = socket.create_connection(("127.0.0.1", self.target_port))
        except OSError:
            client.close()
            return
        talk = _Talk(client, server)
        asking = threading.Thread(target=self._pass_questions, args=(talk,), daemon=True)
        asking.start()
        self._pass_answers(talk)
        talk.end()

    def _pass_questions(self, talk: _Talk) -> None:
        while data := talk.receive(talk.client):
            if self.poison is not None and self.poison in data:
                talk.is_poisoned = self.innocent not in data
            talk.answered_bytes = 0
            talk.send(talk.server, data)
        talk.end()

    def _pass_answers(self, talk: _Talk) -> None:
        while data := talk.receive(talk.server):
            time.sleep(self.delay_s)
            talk.answered_bytes += len(data)
            if talk.is_poisoned or self._is_cut(talk.answered_bytes):
                talk.send(talk.client, data[: len(data) // 2])
                return
            talk.send(talk.client, data)

    def _is_cut(self, answered_bytes: int) -> bool:
        with self._lock:
            if not self._cuts_left or answered_bytes < self._cut_after_bytes:
                return False
            self._cuts_left -= 1
            return True


@dataclass
class _Talk:
    client: socket.socket
    server: socket.socket
    is_poisoned: bool = False
    answered_bytes: int = 0

    def receive(self, side: socket.socket) -> bytes:
        with contextlib.suppress(OSError):
            return side.recv(STRETCH_BYTES)
        return b""

    def send(self, side: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):
            side.sendall(data)

    def end(self) -> None:
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


@contextlib.contextmanager
def proxy(target_port: int, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A running proxy to a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        between = Proxy(target_port, listener.getsockname()[1], tls=tls)
        serving = threading.Thread(target=between.serve, args=(listener,), daemon=True)
        serving.start()
        yield between
        listener.shutdown(socket.SHUT_RDWR)
    serving.join(5)
