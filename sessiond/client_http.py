"""One HTTP/1.1 answer, read by hand: its status, its head, its body in pieces. Standard library only.

``http.client`` brings ``email`` and ``ssl`` along: a bare interpreter takes 8 ms here, with ``http.client`` 31 ms, with
``socket`` and ``json`` 17 ms (Python 3.11.7, medians of 25 interleaved runs). sessionctl pays that for every press of
the Tab key.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Final

# The longest head and chunk that are read, in bytes.
_HEAD_LIMIT: Final = 65536
BODY_LIMIT: Final = 256 << 20
_PIECE: Final = 65536
_TURN_S: Final = 0.5


class ClientError(Exception):
    """Why something was not done: a stable ``code``, one sentence, and a ``hint`` that may be empty. ``unanswered``:
    it was sent, and may have been done all the same."""

    unanswered = False

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class NoDaemon(ClientError):
    """Nothing listens on the socket, or what listened went away in the middle of its answer."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("no-daemon", message, hint)


class Body:
    """Takes the framing off a body, whatever pieces it arrives in. ``done`` once its end has been seen."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length", "")
        if length and not (length.isascii() and length.isdigit() and len(length) < 20):
            raise garbled()
        self._left = int(length) if length and not self._chunked else None
        self._raw = bytearray()
        self.until_close = not self._chunked and self._left is None
        self.done = self._left == 0

    def feed(self, data: bytes) -> bytes:
        """What of ``data`` belongs to the body."""
        if self._chunked:
            return self._unchunk(data)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
            self.done = self._left == 0
        return data

    def _unchunk(self, data: bytes) -> bytes:
        self._raw += data
        found = bytearray()
        while not self.done:
            head = self._raw.find(b"\r\n", 0, 64)
            if head < 0:
                if len(self._raw) >= 64:
                    raise garbled()
                break
            try:
                size = int(self._raw[:head].partition(b";")[0], 16)
            except ValueError:
                raise garbled() from None
            if not 0 <= size <= BODY_LIMIT:
                raise garbled()
            # What follows the last chunk is of no interest: the connection is closed after every answer.
            self.done = size == 0
            end = head + 2 + size
            if self.done or len(self._raw) < end + 2:
                break
            found += self._raw[head + 2 : end]
            del self._raw[: end + 2]
        return bytes(found)


class Answer:
    """One answer: its status, then its body in pieces as they come."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.close = sock.close
        self.fileno = sock.fileno
        head = bytearray()
        while (end := head.find(b"\r\n\r\n")) < 0:
            if len(head) > _HEAD_LIMIT:
                raise garbled()
            piece = self._receive()
            if not piece:
                raise NoDaemon("sessiond went away before it answered", "try again; `sessionctl status` shows it")
            head += piece
        first, *lines = head[:end].decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise garbled()
        self.status = int(rest[:3])
        fields = (line.partition(":") for line in lines)
        self._body = Body({name.strip().lower(): value.strip() for name, _, value in fields})
        self._body.done |= self.status == 204
        self._ready = self._body.feed(bytes(head[end + 4 :]))

    def piece(self, timeout_s: float | None = None) -> bytes | None:
        """The next bytes of the body; None at its end, ``b""`` where nothing came within ``timeout_s``.

        Raises NoDaemon where the connection ends before the body does.
        """
        while True:
            if self._ready:
                ready, self._ready = self._ready, b""
                return ready
            if self._body.done:
                return None
            if timeout_s is not None and not _comes(self._sock, timeout_s):
                return b""
            try:
                data = self._receive()
            except ConnectionError:
                data = b""
            if not data:
                if self._body.until_close:
                    return None
                raise NoDaemon("sessiond went away in the middle of its answer", "try again")
            self._ready = self._body.feed(data)

    def _receive(self) -> bytes:
        """The next bytes, empty at the end. Raises TimeoutError once the socket has waited as long as it may."""
        if not _comes(self._sock, self._sock.gettimeout()):
            raise TimeoutError
        return self._sock.recv(_PIECE)

    def stream(self) -> None:
        """From here on wait for as long as it takes."""
        self._sock.settimeout(None)

    def stream_socket(self) -> socket.socket:
        """The connection itself, once it carries something else than HTTP. Raises ClientError where it does not."""
        if self.status != 101:
            raise garbled()
        self.stream()
        return self._sock


def _comes(sock: socket.socket, timeout_s: float | None) -> bool:
    """Wait for bytes, or the end; whether they came within ``timeout_s`` seconds (None: however long it takes).

    In short turns: a Ctrl-C that comes between the interpreter's last look for signals and the system call interrupts
    nothing (seen, Python 3.11.2), and is heeded at the next turn.
    """
    until = None if timeout_s is None else time.monotonic() + timeout_s
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while True:
        left_s = _TURN_S if until is None else max(0.0, until - time.monotonic())
        if poll.poll(min(_TURN_S, left_s) * 1000):
            return True
        if left_s == 0.0:
            return False


def garbled() -> ClientError:
    return ClientError(
        "bad-answer",
        "what listens on the socket does not answer as sessiond does",
        "`sessionctl version` shows both versions; SESSIOND_SOCKET may point to something else",
    )
