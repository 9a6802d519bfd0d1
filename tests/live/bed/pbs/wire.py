"""How commands and tests talk to the server: a line of JSON each way over a Unix socket; who asks, the kernel tells."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from .errors import Code, Refused

Message = dict[str, Any]
Ask = Callable[[Message], Message]
"""One question to the server. Raises Refused where it says no, Down where it is not there."""


class Down(Exception):
    """No server listens, or it ended without an answer."""


def ask(path: str, question: Message, limit_s: float | None = None) -> Message:
    """Ask the server behind a socket. Raises Refused, Down and, after ``limit_s``, TimeoutError."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(limit_s)
        try:
            line.connect(path)
            line.sendall(json.dumps(question).encode() + b"\n")
            text = _line(line)
        except (ConnectionError, FileNotFoundError):
            raise Down from None
    if not text:
        raise Down
    return answer(json.loads(text))


def answer(message: Message) -> Message:
    """What was said. Raises Refused."""
    if "refused" in message:
        code, said = message["refused"]
        raise Refused(Code(code), said)
    return message


def refusal(error: Refused) -> Message:
    """A no, to be sent."""
    return {"refused": [int(error.code), error.said]}


def _line(line: socket.socket) -> bytes:
    pieces: list[bytes] = []
    while piece := line.recv(1 << 16):
        pieces.append(piece)
        if piece.endswith(b"\n"):
            break
    return b"".join(pieces)
