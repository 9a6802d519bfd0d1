"""A program that serves on a Unix socket and asks nobody who they are, behind a door that does.

``doorman.py (--socket PATH | --bind ADDRESS --port PORT) --to PATH --name NAME [--open PATH] -- PROGRAM ARGUMENT...``
listens on a Unix socket or a port and starts PROGRAM, which has to serve at the socket of ``--to``. What comes with the
token in the environment variable ``DOOR_TOKEN`` is let through: once in the URL, from then on in a cookie. What is
asked of the path ``--open`` is let through, too. It ends when PROGRAM does, with its status; TERM goes to PROGRAM.

Each connection carries one request, and is closed after it.
It runs with whatever Python the host has, from 3.7 on, and needs nothing beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import re
import signal
import socket
import sys
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

HEAD_LIMIT = 64 * 1024
PATIENCE_S = 20
PIECE = 64 * 1024
READS_ONLY = ("GET", "HEAD", "OPTIONS")
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+){0,8}/?")
PER_CONNECTION = ("connection", "keep-alive", "proxy-connection")
NOT_ALLOWED = "This is private. Open it with the address that `sessionctl url` prints.\n"


class Request(NamedTuple):
    """The head of a request."""

    method: str
    target: str
    headers: list[tuple[str, str]]

    def value(self, name: str) -> str | None:
        """A header's value; None if it is not there."""
        return next((value for found, value in self.headers if found.lower() == name), None)

    @property
    def is_upgrade(self) -> bool:
        """Whether it asks for a WebSocket."""
        return (self.value("upgrade") or "").lower() == "websocket"

    @property
    def body(self) -> int | None:
        """How many bytes follow it; None where it says itself where they end. Raises ValueError."""
        lengths = {value for name, value in self.headers if name.lower() == "content-length"}
        if self.is_upgrade or self.value("transfer-encoding") is not None:
            if lengths:
                raise ValueError("two lengths")
            return None
        if len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", value) for value in lengths):
            raise ValueError("no length")
        return int(lengths.pop()) if lengths else 0

    @property
    def is_foreign(self) -> bool:
        """Whether a page of another site sends what can change something."""
        origin = self.value("origin")
        harmless = self.method in READS_ONLY and not self.is_upgrade
        return not harmless and origin is not None and origin.partition("://")[2] != self.value("host")


class Door:
    """Answers connections. ``token`` opens it, ``name`` tells its cookie from those of other sessions."""

    def __init__(self, token: str, name: str, to: str, free: str) -> None:
        self._token = token
        self._cookie = f"door-{name}"
        self._to = to
        self._free = free

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            request = await self._read(reader)
            if request is not None:
                await self._decide(request, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # it was closed at the other end
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        """The head of a request; None for what is none."""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        except (asyncio.TimeoutError, asyncio.LimitOverrunError):  # noqa: UP041 - Python 3.10 and older tell them apart
            return None
        first, *lines = head.decode("latin-1")[:-4].split("\r\n")
        words = first.split(" ")
        pairs = [line.partition(":") for line in lines]
        if len(words) != 3 or not words[1].startswith("/") or not all(mark and name.strip() for name, mark, _ in pairs):
            return None
        return Request(words[0], words[1], [(name, value.strip()) for name, _, value in pairs])

    async def _decide(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path, _, query = request.target.partition("?")
        parts = [part for part in query.split("&") if part]
        others = [part for part in parts if not (part.startswith("token=") and self._is_token(unquote_plus(part[6:])))]
        if request.is_foreign:
            _say(writer, "403 Forbidden", NOT_ALLOWED)
        elif others != parts and request.method in READS_ONLY and not request.is_upgrade:
            # A path relative to the request's: the door does not know what the browser asked for.
            location = (path.rpartition("/")[2] or "./") + ("?" + "&".join(others) if others else "")
            _say(writer, "302 Found", "", {"Location": location, "Set-Cookie": self._set_cookie(request)})
        elif path == self._free or self._is_known(request):
            await self._let_through(request, reader, writer)
        else:
            _say(writer, "403 Forbidden", NOT_ALLOWED)
        await writer.drain()

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "surrogateescape"), self._token.encode())

    def _set_cookie(self, request: Request) -> str:
        prefix = request.value("x-forwarded-prefix") or ""
        path = (prefix if PREFIX.fullmatch(prefix) else "").rstrip("/") + "/"
        return f"{self._cookie}={self._token}; HttpOnly; SameSite=Lax; Path={path}"

    def _is_known(self, request: Request) -> bool:
        own, _ = self._cookies(request)
        return any(self._is_token(value) for value in own)

    def _cookies(self, request: Request) -> tuple[list[str], str]:
        """The values of our cookie, and the other cookies."""
        parts = [part.strip() for part in (request.value("cookie") or "").split(";")]
        mark = f"{self._cookie}="
        own = [part[len(mark) :] for part in parts if part.startswith(mark)]
        return own, "; ".join(part for part in parts if part and not part.startswith(mark))

    async def _let_through(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            body = request.body
        except ValueError:
            _say(writer, "400 Bad Request", "Nobody can tell where this request ends.\n")
            return
        try:
            from_program, to_program = await asyncio.open_unix_connection(self._to)
        except OSError:
            _say(writer, "502 Bad Gateway", "The program behind this does not answer yet.\n")
            return
        _, cookies = self._cookies(request)
        dropped = (*PER_CONNECTION, "cookie")
        lines = [f"{name}: {value}" for name, value in request.headers if name.lower() not in dropped]
        lines += [f"Cookie: {cookies}"] if cookies else []
        lines.append("Connection: Upgrade" if request.is_upgrade else "Connection: close")
        head = "\r\n".join([f"{request.method} {request.target} HTTP/1.1", *lines])
        try:
            to_program.write(f"{head}\r\n\r\n".encode("latin-1"))
            sending = asyncio.ensure_future(_carry(reader, to_program, body))
            try:
                await _carry(from_program, writer)
            finally:
                sending.cancel()
        finally:
            to_program.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None = None) -> None:
    """Carry bytes one way, up to ``limit``: what follows them is nobody's. Their end is passed on."""
    try:
        while True:
            piece = await reader.read(PIECE)
            if not piece:
                break
            if limit is not None:
                piece = piece[:limit]
                limit -= len(piece)
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        pass  # nobody is there any more


def _say(writer: asyncio.StreamWriter, status: str, text: str, more: dict[str, str] | None = None) -> None:
    body = text.encode()
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Connection": "close",
        **(more or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body)


async def serve(options: argparse.Namespace, token: str) -> int:
    """Serve until the program ends; its status. Raises OSError where nothing can listen or the program cannot start."""
    door = Door(token, options.name, options.to, options.open)
    if options.socket:
        listener = socket.socket(socket.AF_UNIX)
        os.umask(0o177)
        listener.bind(options.socket)
        os.umask(0o077)
        server: Any = await asyncio.start_unix_server(door.answer, sock=listener, limit=HEAD_LIMIT)
    else:
        server = await asyncio.start_server(door.answer, options.bind, options.port, limit=HEAD_LIMIT)
    print(f"a door stands at {place(options)}", flush=True)  # noqa: T201
    environment = {name: value for name, value in os.environ.items() if name != "DOOR_TOKEN"}
    program = await asyncio.create_subprocess_exec(*options.program, env=environment)

    def end() -> None:
        if program.returncode is None:
            program.terminate()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_event_loop().add_signal_handler(number, end)
    status = await program.wait()
    server.close()
    return status if status >= 0 else 128 - status


def place(options: argparse.Namespace) -> str:
    """Where the door is."""
    return str(options.socket or f"{options.bind}:{options.port}")


def main() -> int:
    """Read the command line, serve, and return the exit status."""
    parser = argparse.ArgumentParser(description="Start a program, and let in who knows the token.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bind", default="127.0.0.1", help="the address of the port")
    parser.add_argument("--socket", default="", help="the path of a Unix socket to listen on instead")
    parser.add_argument("--to", required=True, help="the Unix socket of the program")
    parser.add_argument("--name", required=True, help="tells the cookie from those of other sessions")
    parser.add_argument("--open", default="", help="a path that everybody may ask for")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    token = os.environ.get("DOOR_TOKEN", "")
    if len(token) < 16:
        print("A door needs a token of at least 16 characters in DOOR_TOKEN", file=sys.stderr)  # noqa: T201
        return 2
    try:
        return asyncio.run(serve(options, token))
    except OSError as failure:
        print(f"{options.program[0]} cannot be served at {place(options)}: {failure}", file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
