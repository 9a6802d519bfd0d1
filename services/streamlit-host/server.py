"""A Streamlit script, on a Unix socket or a port, for who knows the session's token.

Streamlit itself asks nobody who they are. Its app is put behind `Guard`, which takes the token from the environment
variable ``STREAMLIT_SESSION_TOKEN``: once in the URL, from then on in a cookie.
"""

from __future__ import annotations

import argparse
import hmac
import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from starlette.middleware import Middleware
from streamlit.starlette import App
from streamlit.web.bootstrap import load_config_options

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEALTH = "/_stcore/health"
NOT_ALLOWED = b"This page is private. Open it with the address that `sessionctl url` prints.\n"
LARGEST_MESSAGE = 200 << 20
"""As Streamlit has it by default, in bytes."""


class Guard:
    """Lets through to ``app`` what has the ``token`` and comes from no other site's page, and the question of health.

    ``public`` is the path that the browser sees it at, without a slash at the end.
    """

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]], token: str, public: str) -> None:
        self._app = app
        self._token = token
        self._public = public
        self._cookie = "streamlit" + public.replace("/", "-")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or have it answered."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if changes and "origin" in headers and headers["origin"].partition("://")[2] != headers.get("host"):
            await self._refuse(scope, receive, send)
        elif scope["type"] == "http" and any(name == "token" and self._is_token(value) for name, value in query):
            await self._remember(scope, [pair for pair in query if pair[0] != "token"], send)
        elif scope["path"] == self._public + HEALTH or self._is_token(self._kept(headers.get("cookie", ""))):
            await self._app(scope, receive, send)
        else:
            await self._refuse(scope, receive, send)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "surrogateescape"), self._token.encode())

    def _kept(self, header: str) -> str:
        try:
            found = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return ""
        return found.value if found else ""

    async def _remember(self, scope: Message, query: list[tuple[str, str]], send: Send) -> None:
        """Move the token into a cookie, so that it is in no history and no bookmark."""
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Lax; Path={self._public}/"
        path = scope.get("raw_path", b"").partition(b"?")[0] or scope["path"].encode()
        location = path + (b"?" + urlencode(query).encode() if query else b"")
        await _answer(send, 302, b"", (b"set-cookie", cookie.encode()), (b"location", b"/" + location.lstrip(b"/")))

    async def _refuse(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403})  # before it was accepted: a 403
        else:
            await _answer(send, 403, NOT_ALLOWED, (b"content-type", b"text/plain; charset=utf-8"))


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    usual = ((b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *usual]})
    await send({"type": "http.response.body", "body": body})


def listener(options: argparse.Namespace) -> socket.socket:
    """The socket to listen on. Raises OSError."""
    if options.socket:
        found = socket.socket(socket.AF_UNIX)
        os.umask(0o177)
        found.bind(options.socket)
        os.umask(0o077)
    else:
        found = socket.socket(socket.AF_INET6 if ":" in options.bind else socket.AF_INET)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((options.bind, options.port))
    return found


def main() -> int:
    """Read the command line, serve until SIGTERM or SIGINT, and return the exit status."""
    parser = argparse.ArgumentParser(description="A Streamlit script, for who knows the token.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bind", default="127.0.0.1", help="the address of the port")
    parser.add_argument("--socket", default="", help="the path of a Unix socket to listen on instead")
    parser.add_argument("--public", required=True, help="the path at which the browser sees it")
    parser.add_argument("script", help="the script, in the current folder")
    options = parser.parse_args()
    token = os.environ.pop("STREAMLIT_SESSION_TOKEN", "")
    if len(token) < 16:
        print("Streamlit needs a token of at least 16 characters in STREAMLIT_SESSION_TOKEN", file=sys.stderr)  # noqa: T201
        return 2
    # These precede what the user's own files say. Nothing is told to anybody.
    load_config_options(
        {
            "server.baseUrlPath": options.public,
            "server.headless": True,
            "server.enableCORS": True,
            "server.enableXsrfProtection": True,
            "browser.gatherUsageStats": False,
        }
    )
    # What lies beside the script can be imported, not what lies beside this file.
    sys.path[0] = str(Path.cwd())
    sys.argv = [options.script]
    app = App(Path.cwd() / options.script, middleware=[Middleware(Guard, token=token, public=options.public)])
    place = options.socket or f"{options.bind}:{options.port}"
    try:
        listening = listener(options)
    except OSError as failure:
        print(f"Streamlit cannot listen on {place}: {failure}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"Streamlit {options.script} listens on {place}", flush=True)  # noqa: T201
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        ws_max_size=LARGEST_MESSAGE,
        proxy_headers=False,
        server_header=False,
        # A page that is open would hold its connection for ever.
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
