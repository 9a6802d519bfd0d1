"""noVNC in the browser: its files, and a WebSocket that is the desktop's VNC.

Both are only for who knows the session's token; see ``lib/door.py``. A WebSocket is the desktop's on whatever path it
is asked for: where noVNC looks for it depends on its version and on the page's address.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import tornado.ioloop
import tornado.iostream
import tornado.routing
import tornado.web
import tornado.websocket

# An isolated interpreter looks there as little as beside this file.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))

import door

PIECE = 1 << 16
POLICY = (
    # The page of noVNC 1.6 has its first script inline; all versions draw from images of their own making.
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; object-src 'none'"
)
REFUSAL = "This desktop is private. Open it with the address that `sessionctl url` prints.\n"


class Files(door.TokenRequired, tornado.web.StaticFileHandler):  # type: ignore[misc]  # see door.TokenRequired
    """noVNC's files. A token in the URL moves into the cookie; the desktop's password, if it has one, into the page."""

    async def get(self, path: str, include_body: bool = True) -> None:
        """Answer with the file, or where the URL has the token with a redirection to the same without it."""
        query = parse_qsl(self.request.query, keep_blank_values=True)
        if not any(name == "token" for name, _ in query):
            await super().get(path, include_body)
            return
        self.keep_token()
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # Only the page itself ever sees what follows a #: no server, no log.
        password = self.settings["vnc_password"]
        self.go_on(f"./{path.rpartition('/')[2]}?{rest}" + (f"#password={password}" if password else ""))


class IsWebSocket(tornado.routing.Matcher):  # type: ignore[misc]  # see door.TokenRequired
    """Whether a request wants to become a WebSocket, wherever it goes."""

    def match(self, request: object) -> dict[str, object] | None:
        """No arguments, or no match."""
        return {} if request.headers.get("Upgrade", "").lower() == "websocket" else None  # type: ignore[attr-defined]


class Desktop(door.TokenRequired, tornado.websocket.WebSocketHandler):  # type: ignore[misc]  # see door.TokenRequired
    """A tab's connection to the desktop. Neither side is read while the other does not take what came before."""

    vnc: tornado.iostream.IOStream | None = None

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The one noVNC 1.1 and older ask for."""
        return "binary" if "binary" in subprotocols else None

    async def open(self, *_: str) -> None:
        """Connect the tab to the VNC server."""
        where = self.settings["vnc"]
        self.set_nodelay(True)
        kind = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        self.vnc = tornado.iostream.IOStream(socket.socket(kind, socket.SOCK_STREAM))
        try:
            await self.vnc.connect(where)
        except (OSError, tornado.iostream.StreamClosedError):
            self.close(1011, "the desktop does not answer")
            return
        tornado.ioloop.IOLoop.current().add_callback(self.pass_on, self.vnc)

    async def pass_on(self, vnc: tornado.iostream.IOStream) -> None:
        """Send what the VNC server says, until either has gone."""
        try:
            while True:
                await self.write_message(bytes(await vnc.read_bytes(PIECE, partial=True)), binary=True)
        except tornado.iostream.StreamClosedError:
            self.close(1000, "the desktop has ended this connection")
        except tornado.websocket.WebSocketClosedError:
            vnc.close()

    async def on_message(self, message: str | bytes) -> None:
        """Tell the VNC server what the tab says; text is nothing that VNC knows."""
        if isinstance(message, str) or self.vnc is None:
            self.close(1003, "not VNC")
            return
        try:
            await self.vnc.write(message)
        except tornado.iostream.StreamClosedError:
            self.close(1000, "the desktop has ended this connection")

    def on_close(self) -> None:
        """Leave the desktop, which goes on."""
        if self.vnc is not None:
            self.vnc.close()


def make_application(options: argparse.Namespace, token: str) -> tornado.web.Application:
    """The paths of the server."""
    host, _, port = options.vnc.rpartition(":")
    return tornado.web.Application(
        [
            (r"/healthz", door.Health),
            (IsWebSocket(), Desktop),
            (r"/(.*)", Files, {"path": str(options.novnc), "default_filename": "vnc.html"}),
        ],
        **door.settings(
            options,
            "turbovnc",
            token,
            policy=POLICY,
            refusal=REFUSAL,
            vnc=options.vnc if options.vnc.startswith("/") else (host, int(port)),
            vnc_password=os.environ.pop("TURBOVNC_PASSWORD", ""),
            # What is pasted travels as one message.
            websocket_max_message_size=32 << 20,
        ),
    )


async def serve(options: argparse.Namespace, token: str) -> None:
    """Serve until told to end. Raises OSError where it cannot listen."""
    await door.serve(make_application(options, token), options, "noVNC")


def main() -> int:
    """Read the command line, serve, and return the exit status."""
    parser = door.arguments("noVNC in the browser.")
    parser.add_argument("--novnc", type=Path, required=True, help="the folder of noVNC's vnc.html")
    parser.add_argument("--vnc", required=True, help="the VNC server: the path of its Unix socket, or HOST:PORT")
    return door.run("noVNC", "TURBOVNC_TOKEN", parser.parse_args(), serve)


if __name__ == "__main__":
    sys.exit(main())
