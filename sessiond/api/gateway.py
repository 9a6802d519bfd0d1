"""The browser's door: one loopback port behind which ``/me/<openPort>/X`` is the ``/X`` of a session's service.

``/sme/<openPort>/`` is the same for services that speak https, whose ``/me/`` leads there. ``<name>.localhost`` is an
origin of one session's own: the same paths for it alone, and all others too where its service sees no prefix.

A request passes, in this order, the checks of whose program sends it, its Host, its path, its token or cookie and its
Origin; then it is carried, or told in words why it cannot be yet.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from aiohttp import web

from sessiond.api import gateway_relay as relay
from sessiond.api.doorkeeper import (
    SAFE_METHODS,
    Doorkeeper,
    cookie_name,
    is_own_origin,
    own_host,
    set_cookie,
    split_cookies,
    split_tokens,
)
from sessiond.api.gateway_door import Door, Doors
from sessiond.api.gateway_headers import RawHeaders, wants_websocket
from sessiond.api.gateway_relay import Lines, Route, Unintelligible, Unreachable, open_lines
from sessiond.api.gateway_socket import UPGRADE, join
from sessiond.api.gateway_target import Target, on_this_host, parse
from sessiond.api.peers import Allow, Peers, port_of
from sessiond.api.requestlog import request_log
from sessiond.api.waiting import POLL_HEADER, Notice, answer, poll_answer
from sessiond.core.spec import Prefix, Scheme

__all__ = ["Door", "Doors", "make_gateway", "serve_gateway"]

SHUTDOWN_S = 1.0
"""How long requests under way may take when the gateway closes. Sessions go on without it, browsers come back."""


def make_gateway(doors: Doors, doorkeeper: Doorkeeper, allow: Allow) -> web.Application:
    """The gateway as an aiohttp application; to be served with `serve_gateway`, which knows the settings it needs.

    ``allow`` says whether a connection may speak here at all. The application takes every path, but routes of other,
    longer paths may be added to it.
    """
    app = web.Application()
    gateway = _Gateway(doors=doors, doorkeeper=doorkeeper, peers=Peers(allow))
    app.cleanup_ctx.append(_with_lines)
    app.on_response_prepare.append(relay.unadorned)
    app.router.add_route("*", r"/{path:[\s\S]*}", gateway.serve, expect_handler=_later)
    return app


@asynccontextmanager
async def serve_gateway(app: web.Application, sock: socket.socket) -> AsyncIterator[None]:
    """Serve the gateway on a bound socket while the context lasts; it listens from the first moment in it."""
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=request_log("gateway"),
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_S,
        read_bufsize=relay.READ_BYTES,
        max_line_size=relay.LINE_LIMIT,
        max_field_size=relay.LINE_LIMIT,
        max_headers=relay.HEADER_COUNT_LIMIT,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, sock).start()
        yield
    finally:
        await runner.cleanup()


_LINES = web.AppKey("lines", Lines)


async def _with_lines(app: web.Application) -> AsyncIterator[None]:
    """Keep the connections to services while the application runs."""
    async with open_lines() as lines:
        app[_LINES] = lines
        yield


async def _later(_: web.Request) -> None:
    """Do not ask the client for its body yet: that is done once the service takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """A request that was let in, and the cookies to give with its answer."""

    request: web.Request
    door: Door
    target: Target
    html: bool
    cookies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gateway:
    doors: Doors
    doorkeeper: Doorkeeper
    peers: Peers

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        html = "text/html" in request.headers.get("Accept", "")
        if not await self.peers.welcome(request):
            return answer(_ANOTHER_USER, html=html)
        name = own_host(request.headers.getall("Host", ()), port_of(request))
        if name is None:
            return answer(_FOREIGN_HOST, html=html)
        raw, tokens = split_tokens(request.raw_path)
        place = self._at_own_origin(name, raw) if name else self._at_path(raw)
        if isinstance(place, Notice):
            return answer(place, html=html)
        target, door = place
        if target.root and (target.bare or target.root != door.scheme.root):
            rest = target.rest_of(request.raw_path)
            return _elsewhere(307, f"{target.on(door.scheme.root)}{'' if rest.startswith('/') else '/'}{rest}")
        came_with_token = self.doorkeeper.has_token(door.session_id, tokens)
        if not came_with_token and not self._has_cookie(request, door):
            return answer(_locked(door), html=html)
        upgrade = wants_websocket(request.method, request.headers)
        if (upgrade or request.method not in SAFE_METHODS) and not is_own_origin(
            request.headers.getall("Origin", ()), request.host
        ):
            return answer(_foreign_page(door), html=html)
        cookies = self._cookies(door, "/" if name else f"{target.public}/") if came_with_token else ()
        if came_with_token and request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate":
            return _elsewhere(303, on_this_host(target.public + target.rest), cookies)
        visit = _Visit(request=request, door=door, target=target, html=html, cookies=cookies)
        if POLL_HEADER in request.headers:
            return poll_answer(_state_of(door))
        notice = _state_of(door)
        if notice is not None or door.upstream is None:
            return _say(visit, notice or _silent(door))
        route = Route(target=target, prefix=door.prefix, scheme=door.scheme, upstream=door.upstream)
        return await self._carry(visit, route, upgrade=upgrade)

    def _at_path(self, raw: str) -> tuple[Target, Door] | Notice:
        """Whose door a request target names."""
        target = parse(raw)
        if target is None:
            return _NOBODY
        door = self.doors.at(target.open_port)
        if door is None or (target.root == "sme" and door.scheme is Scheme.HTTP):
            return _no_session(target.open_port)
        return target, door

    def _at_own_origin(self, name: str, raw: str) -> tuple[Target, Door] | Notice:
        """The same at the origin of the session ``name``, where there is no other session."""
        door = self.doors.named(name)
        if door is None:
            return _no_name(name)
        found = self._at_path(raw)
        if not isinstance(found, Notice):
            return found if found[1].session_id == door.session_id else _not_here(door)
        if parse(raw) is None and door.prefix is Prefix.STRIP and raw.startswith("/"):
            return Target(root="", open_port=door.open_port, rest=raw), door
        if raw.partition("?")[0] == "/":
            return Target(root=door.scheme.root, open_port=door.open_port, rest=raw[1:]), door
        return _not_here(door)

    async def _carry(self, visit: _Visit, route: Route, *, upgrade: bool) -> web.StreamResponse:
        """Carry a request to its service, or say why that failed."""
        port, request = visit.door.open_port, visit.request
        sent = partial(_sent, self.doors, port)
        received = partial(_received, self.doors, port)
        sent(_size(request.raw_headers) + len(request.raw_path))
        try:
            async with relay.asked(request, route, request.app[_LINES], sent, UPGRADE if upgrade else None) as got:
                received(_size(got.raw_headers))
                response = relay.head(got, route, visit.cookies)
                if got.status == 101 and upgrade:
                    await join(request, got, response, sent=sent, received=received)
                elif got.status == 101:
                    return _say(visit, _not_http(visit.door))
                else:
                    await relay.carry(request, got, response, received)
                return response
        except Unreachable as problem:
            self.doors.failed(port)
            return _say(visit, _perhaps_done(visit.door) if problem.perhaps_done else _silent(visit.door))
        except Unintelligible:
            self.doors.failed(port)
            return _say(visit, _not_http(visit.door))

    def _has_cookie(self, request: web.Request, door: Door) -> bool:
        name = cookie_name(door.open_port)
        offered = [
            value for header in request.headers.getall("Cookie", ()) for value in split_cookies(header)[1].get(name, ())
        ]
        return self.doorkeeper.has_cookie(door.session_id, offered)

    def _cookies(self, door: Door, path: str) -> tuple[str, ...]:
        return (set_cookie(door.open_port, self.doorkeeper.cookie(door.session_id), path),)


def _sent(doors: Doors, open_port: int, count: int) -> None:
    doors.carried(open_port, count, 0)


def _received(doors: Doors, open_port: int, count: int) -> None:
    doors.carried(open_port, 0, count)


def _size(headers: RawHeaders) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _elsewhere(status: int, location: str, cookies: tuple[str, ...] = ()) -> web.Response:
    response = web.Response(status=status, headers={"Location": location, "Cache-Control": "no-store"})
    for cookie in cookies:
        response.headers.add("Set-Cookie", cookie)
    return response


def _say(visit: _Visit, notice: Notice) -> web.Response:
    """Answer with a notice; only a page that was merely looked at may look again by itself."""
    again = notice.waits and visit.request.method in {"GET", "HEAD"}
    response = answer(replace(notice, waits=again), html=visit.html)
    for cookie in visit.cookies:
        response.headers.add("Set-Cookie", cookie)
    return response


_ANOTHER_USER = Notice(
    status=403,
    title="Not yours",
    phrase="This address belongs to another user of this machine than the program that asks here.",
    next="Your own sessions are where your own `sessionctl url NAME` says. A proxy must run as the sessions' user.",
    severity="error",
)
_FOREIGN_HOST = Notice(
    status=421,
    title="Not this address",
    phrase="sessiond answers only to the names of this machine: 127.0.0.1, localhost and names that end in .localhost.",
    next="Open the address that `sessionctl url NAME` prints.",
)
_NOBODY = Notice(
    status=404,
    title="Nothing here",
    phrase="Sessions are at /me/PORT/ of this address.",
    next="`sessionctl ls` shows them with their addresses, `sessionctl dashboard` opens the page of all of them.",
)


def _no_session(open_port: int) -> Notice:
    return Notice(
        status=404,
        title="No such session",
        phrase=f"There is no session at port {open_port}.",
        next="`sessionctl ls` shows those there are.",
    )


def _no_name(name: str) -> Notice:
    return Notice(
        status=404,
        title="No such session",
        phrase=f"There is no session called {name}.",
        next="`sessionctl ls` shows those there are.",
    )


def _not_here(door: Door) -> Notice:
    return Notice(
        status=404,
        title="Nothing here",
        phrase=f"This address is {door.name}'s alone, and it is at /{door.scheme.root}/{door.open_port}/.",
        next="`sessionctl ls` shows all sessions with their addresses.",
    )


def _locked(door: Door) -> Notice:
    return Notice(
        status=403,
        title="Locked",
        phrase="This session opens only for its owner, and the browser has shown no valid key to it.",
        next=f"Run `sessionctl open {door.name}`, or open the address that `sessionctl url {door.name}` prints.",
    )


def _foreign_page(door: Door) -> Notice:
    return Notice(
        status=403,
        title="Refused",
        phrase="A page of another site tried to act in this session.",
        next=f"If it was you, open the session itself with `sessionctl open {door.name}`.",
        severity="error",
    )


def _state_of(door: Door) -> Notice | None:
    """What to say instead of asking the service; None where it can be asked."""
    if door.ended:
        return Notice(status=410, title=door.name, phrase=door.phrase, next=door.next, severity=door.severity)
    if door.ready and door.upstream is not None:
        return None
    return Notice(status=503, title=door.name, phrase=door.phrase, next=door.next, severity=door.severity, waits=True)


def _silent(door: Door) -> Notice:
    return Notice(
        status=503,
        title=door.name,
        phrase="The service does not take connections just now.",
        next="sessiond is looking into it; try again in a moment.",
        waits=True,
    )


def _perhaps_done(door: Door) -> Notice:
    return Notice(
        status=502,
        title=door.name,
        phrase="The service broke the connection before it answered; whether it did what was asked is not known.",
        next="Look at the session before you try again.",
        severity="error",
    )


def _not_http(door: Door) -> Notice:
    return Notice(
        status=502,
        title=door.name,
        phrase="The service gave an answer that is not HTTP.",
        next=f"`sessionctl logs {door.name}` shows what it wrote.",
        severity="error",
    )
