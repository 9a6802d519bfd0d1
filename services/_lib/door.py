"""What the Tornado servers of services share: who may come in, and where they listen.

They serve root-relative paths with relative links only, on a Unix socket or a port, and only to who knows the session's
token: once in the URL, from then on in a cookie of the session's public path. A server finds this file at ``lib/`` of
the session's folder, beside ``service/``.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.web

PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+){0,8}/?")


class TokenRequired(tornado.web.RequestHandler):  # type: ignore[misc]  # Tornado is in services' environments only
    """A request that must bring the token, in its cookie or its URL.

    The application's settings say the rest: ``token``, ``cookie_name``, ``policy`` (of the pages' content), and the
    text of a ``refusal``.
    """

    def prepare(self) -> None:
        """Refuse the request with 403 unless it has the token."""
        given = self.get_query_argument("token", "") or self.get_cookie(self.settings["cookie_name"], "")
        if not hmac.compare_digest(given.encode(), self.settings["token"].encode()):
            self.set_status(403)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(self.settings["refusal"])

    def set_default_headers(self) -> None:
        """Headers of every answer: nothing from elsewhere is loaded, nothing is told to elsewhere, nothing is kept."""
        self.set_header("Content-Security-Policy", self.settings["policy"])
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-cache")

    def keep_token(self) -> None:
        """Put the token of the URL into a cookie, so that it need be in no history and no bookmark."""
        prefix = self.request.headers.get("X-Forwarded-Prefix", "")
        self.set_cookie(
            self.settings["cookie_name"],
            self.settings["token"],
            path=(prefix if PREFIX.fullmatch(prefix) else "").rstrip("/") + "/",
            httponly=True,
            samesite="Lax",
        )

    def go_on(self, location: str) -> None:
        """Redirect to ``location``, which is relative to the request's."""
        self.set_status(302)
        self.set_header("Location", location)
        self.finish()


class Health(tornado.web.RequestHandler):  # type: ignore[misc]  # see TokenRequired
    """Whether the server answers: the only thing it tells to anybody."""

    def get(self) -> None:
        """Answer "ok"."""
        self.finish("ok\n")


def settings(options: argparse.Namespace, kind: str, token: str, **more: Any) -> dict[str, Any]:
    """An application's settings; the cookie is named after the ``kind`` of service and the session."""
    return {
        "token": token,
        "cookie_name": f"{kind}-{options.name}",
        # The log would show the tokens that requests bring.
        "log_function": lambda _handler: None,
        "websocket_ping_interval": 20,
        "websocket_ping_timeout": 20,
        **more,
    }


def arguments(description: str) -> argparse.ArgumentParser:
    """A command line that says where to listen, and the session's name."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bind", default="127.0.0.1", help="the address of the port")
    parser.add_argument("--socket", default="", help="the path of a Unix socket to listen on instead")
    parser.add_argument("--name", required=True, help="tells the cookie from those of other sessions")
    return parser


async def serve(application: tornado.web.Application, options: argparse.Namespace, what: str) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP. Raises OSError where it cannot listen."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if options.socket:
        sockets = [tornado.netutil.bind_unix_socket(options.socket, mode=0o600)]
    else:
        sockets = tornado.netutil.bind_sockets(options.port, options.bind)
    server = tornado.httpserver.HTTPServer(application)
    server.add_sockets(sockets)
    print(f"{what} listens on {_place(options)}", flush=True)  # noqa: T201
    await stop.wait()
    server.stop()


def run(
    what: str,
    variable: str,
    options: argparse.Namespace,
    serving: Callable[[argparse.Namespace, str], Coroutine[Any, Any, None]],
) -> int:
    """Take the token out of the environment ``variable``, run ``serving``, and return the exit status."""
    title = what[0].upper() + what[1:]
    token = os.environ.pop(variable, "")
    if len(token) < 16:
        print(f"{title} needs a token of at least 16 characters in {variable}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        asyncio.run(serving(options, token))
    except OSError as failure:
        print(f"{title} cannot listen on {_place(options)}: {failure}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _place(options: argparse.Namespace) -> str:
    return options.socket or f"{options.bind}:{options.port}"
