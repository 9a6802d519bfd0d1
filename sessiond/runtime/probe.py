"""Asking a service whether it answers, once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

import anyio
from anyio.abc import ByteStream

from sessiond.core.errors import RemoteError
from sessiond.core.session import Problem
from sessiond.core.spec import Probe, Scheme
from sessiond.runtime import tls
from sessiond.runtime.pump import BROKEN, close_both

_LINE_LIMIT = 4096
_PATH_SAFE = "/?&=%:@!$'()*+,;~"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_HOST_HEADER = re.compile(r"[A-Za-z0-9._:\[\]-]+")


@dataclass(frozen=True, slots=True)
class Up:
    """The service answers."""


@dataclass(frozen=True, slots=True)
class Down:
    """The service does not answer, or badly. The problem's ``at`` is for whoever has a clock to set."""

    problem: Problem


Answer = Up | Down


async def probe(
    dial: Callable[[], Awaitable[ByteStream]],
    probe: Probe,
    path: str,
    host_header: str,
    timeout_s: float,
    scheme: Scheme = Scheme.HTTP,
) -> Answer:
    """Ask the service behind ``dial`` whether it answers, within ``timeout_s`` in all; never raises for its sake.

    For ``probe.kind`` "tcp" an accepted connection is a yes. Else ``path``, from the server's root, is asked for with
    HTTP/1.1 (over TLS where ``scheme`` is https), and every status below 500 is a yes: a service that wants a password
    is up. Of the answer only the status line is read, 4096 bytes at most.
    """
    stream: ByteStream | None = None
    try:
        with anyio.fail_after(timeout_s):
            stream = await dial()
            if probe.kind == "tcp":
                return Up()
            if scheme is Scheme.HTTPS:
                stream = await tls.over(stream)
            await stream.send(_request(path, host_header))
            return _judge(await _first_line(stream))
    except TimeoutError:
        doing = "did not accept a connection" if stream is None else "accepted the connection but said nothing"
        return _down("no-answer", f"{doing} for {timeout_s:g} s")
    except RemoteError as error:
        return Down(Problem(code=error.code, message=error.message, hint=error.hint))
    except tls.NotTls:
        return _down("bad-answer", "answered with something that is not TLS")
    except BROKEN:
        return _down("no-answer", "closed the connection without an answer")
    finally:
        if stream is not None:
            await close_both(stream)


def _request(path: str, host_header: str) -> bytes:
    """A GET request; nothing in ``path`` or ``host_header`` can add a line to it."""
    target = quote("/" + path.lstrip("/"), safe=_PATH_SAFE)
    host = host_header if _HOST_HEADER.fullmatch(host_header) else "localhost"
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: sessiond",
        "Accept: */*",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


async def _first_line(stream: ByteStream) -> bytes:
    seen = b""
    while b"\n" not in seen and len(seen) < _LINE_LIMIT:
        try:
            seen += await stream.receive(_LINE_LIMIT - len(seen))
        except anyio.EndOfStream:
            break
    return seen


def _judge(seen: bytes) -> Answer:
    if not seen:
        return _down("no-answer", "closed the connection without an answer")
    found = _STATUS_LINE.match(seen)
    if found is None:
        return _down("bad-answer", "answered with something that is not HTTP")
    status = int(found[1])
    return Up() if status < 500 else _down("bad-answer", f"answered {status}")


def _down(code: str, message: str) -> Down:
    return Down(Problem(code=code, message=message))
