"""The API's application: routes, who may ask, and how errors are told."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
import structlog
from aiohttp import web

from sessiond import __version__
from sessiond.api import wire
from sessiond.api.checks import CheckRoutes
from sessiond.api.clusters import ClusterRoutes
from sessiond.api.events import EventRoutes
from sessiond.api.partitions import PartitionRoutes
from sessiond.api.reach import ReachRoutes
from sessiond.api.requestlog import request_log
from sessiond.api.services import ServiceRoutes
from sessiond.api.sessions import SessionRoutes
from sessiond.api.socket import peer_uid
from sessiond.api.status import StatusRoutes
from sessiond.api.workflows import WorkflowRoutes
from sessiond.core.errors import SessiondError, printable

log = structlog.get_logger(__name__)

_STATUS = {
    "bad-request": 400,
    "not-found": 404,
    "refused": 422,
    "conflict": 409,
    "too-many": 409,
    "config": 422,
    "bad-service": 422,
    "state-full": 503,
    "needs-login": 401,
    "auth-denied": 401,
    "host-key": 401,
    "unreachable": 502,
}
_SHUTDOWN_S = 2.0
LARGEST_BODY = 4 * 1024 * 1024
LARGEST_LINE = 1024 * 1024
"""The longest request line or header. A browser sends the dashboard the cookies of all servers of this host, as many as
180 of 4 KiB."""
MOST_HEADERS = 64
_HOSTS = frozenset({"", "sessiond", "localhost", "unix"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes(Protocol):
    """A part of the API."""

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register its routes."""


def error_response(error: SessiondError, status: int | None = None) -> web.Response:
    """An error as the API tells it, with the HTTP status of its code if it is not given one."""
    body: wire.ErrorBody = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    return web.json_response(body, status=status or _STATUS.get(error.code, 500))


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only this user's programs may ask: no other uid, no browser (they send an Origin, and any Host they like)."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    if connection is None or peer_uid(connection) != os.geteuid():
        return error_response(SessiondError("this sessiond belongs to another user", code="refused"))
    host = request.headers.get("Host", "").rsplit(":", 1)[0]
    if host not in _HOSTS or "Origin" in request.headers:
        return error_response(
            SessiondError("requests of web pages are refused here", hint="use sessionctl", code="refused")
        )
    return named(await told(request, handler))


def named(response: web.StreamResponse) -> web.StreamResponse:
    """The same answer, with whose it is."""
    if not response.prepared:
        response.headers["Sessiond-Version"] = __version__
    return response


async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, or what went wrong in the API's words."""
    try:
        return await handler(request)
    except SessiondError as error:
        return error_response(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = "not-found" if error.status == 404 else "bad-request"
        return error_response(
            SessiondError(f"{request.method} {printable(request.path)}: {error.reason}", code=code), error.status
        )
    except ConnectionError:
        raise
    except Exception:
        log.exception("a request met an unforeseen error", method=request.method, path=request.path)
        return error_response(
            SessiondError("sessiond met an unforeseen error", hint="its log has the details", code="bug")
        )


def api_routes(sessions: SessionRoutes, events: EventRoutes, status: StatusRoutes) -> tuple[Routes, ...]:
    """Everything that people can ask of the daemon, wherever they ask it."""
    return (
        sessions,
        events,
        status,
        ReachRoutes(sessions.desk),
        CheckRoutes(sessions.desk),
        ClusterRoutes(sessions.desk),
        PartitionRoutes(sessions.desk),
        ServiceRoutes(sessions.desk, sessions.memory),
        WorkflowRoutes(sessions.desk, sessions.memory),
    )


def make_api(*routes: Routes) -> web.Application:
    """The application of the control socket."""
    app = web.Application(middlewares=[_guarded], client_max_size=LARGEST_BODY)
    for part in routes:
        part.add_to(app.router)
    return app


@asynccontextmanager
async def served(
    app: web.Application, listening: socket.socket, name: str = "api", shutdown_s: float = _SHUTDOWN_S
) -> AsyncIterator[None]:
    """Serve ``app`` on a listening socket for as long as the context lasts."""
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=request_log(name),
        handler_cancellation=True,
        shutdown_timeout=shutdown_s,
        max_line_size=LARGEST_LINE,
        max_field_size=LARGEST_LINE,
        max_headers=MOST_HEADERS,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
