"""The dashboard: a page on a port of its own, beside the gateway's, and the API's handlers behind it.

Its port makes it another origin than that of the sessions' pages, which are whatever a service sends: they can neither
read it, nor act in it, nor put a service worker in front of it. What the page is known by is a header that it must add
itself, no cookie: cookies go to every port of a host, other people's included, and with requests that other pages make.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from sessiond.api import wire_daemon
from sessiond.api.app import LARGEST_BODY, Handler, Routes, error_response, named, served, told
from sessiond.api.bodies import body_of
from sessiond.api.dashboard_keys import LINK_S, Keys
from sessiond.api.dashboard_page import PageRoutes, protect
from sessiond.api.doorkeeper import is_own_host, is_own_origin
from sessiond.api.gatewayport import Facts, gateway_socket
from sessiond.api.peers import Allow, Peers, port_of
from sessiond.config.model import Gateway
from sessiond.core.errors import Refused, SessiondError

_BEARER = "Bearer "
_SHUTDOWN_S = 1.0
_LAST_PORT = 65535
_OTHER_SITE = "requests of other pages are refused here"
_AGAIN = "`sessionctl dashboard` opens it again"


class KeyBody(msgspec.Struct, forbid_unknown_fields=True):
    """`wire_daemon.DashboardKey`, checked. The key is in no repr."""

    key: str

    def __repr__(self) -> str:
        return "KeyBody()"


class LinkRoutes:
    """The handler that gives out links, on the control socket. ``address`` is the page's, None where there is none."""

    def __init__(self, keys: Keys, address: str | None) -> None:
        self._keys = keys
        self._address = address

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the route."""
        router.add_post("/v1/dashboard", self.link)

    async def link(self, _request: web.Request) -> web.Response:
        """An address that opens the dashboard once. What follows # stays in the browser: in no request, in no log."""
        if self._address is None:
            raise Refused("the gateway is off, and the dashboard with it", hint="set gateway in config.toml")
        url = f"http://{self._address}/#key={self._keys.link()}"
        answer: wire_daemon.DashboardLink = {"url": url, "expires_in_s": LINK_S}
        return web.json_response(answer)


class EntryRoutes:
    """The handlers of coming in and leaving, on the page's own port."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_post("/v1/dashboard/enter", self.enter)
        router.add_post("/v1/dashboard/leave", self.leave)

    async def enter(self, request: web.Request) -> web.Response:
        """What the page is known by, for a link's key; the key is worth nothing afterwards."""
        body = await body_of(request, KeyBody)
        token = self._keys.enter(body.key)
        if token is None:
            raise Refused("this link was used before, or is too old", hint=_AGAIN)
        answer: wire_daemon.DashboardToken = {"token": token}
        return web.json_response(answer)

    async def leave(self, request: web.Request) -> web.Response:
        """Forget this page. 204."""
        self._keys.leave(_token(request))
        return web.Response(status=204)


class _Guard:
    """Who may ask: this user's programs, the page itself, and with a token for everything but the page's files.

    ``free`` are the handlers of those. ``way_in`` needs no token; all others do, however a path is spelled.
    """

    def __init__(self, keys: Keys, allow: Allow, free: Collection[Handler], way_in: Handler) -> None:
        self._keys = keys
        self._peers = Peers(allow)
        self._free = free
        self._way_in = way_in

    async def refusal(self, request: web.Request) -> web.Response | None:
        """Why a request is not done; None where it may be."""
        if not await self._peers.welcome(request):
            return _refused("this dashboard belongs to another user", "start your own sessiond", 403)
        if not is_own_host(request.headers.getall("Host", ()), port_of(request)):
            return _refused("the dashboard answers only to the names of this machine", _AGAIN, 421)
        handler = request.match_info.handler
        if handler in self._free:
            return None
        origins, site = request.headers.getall("Origin", ()), request.headers.get("Sec-Fetch-Site", "same-origin")
        if site != "same-origin" or not is_own_origin(origins, request.host):
            return _refused(_OTHER_SITE, "use the dashboard itself", 403)
        if handler != self._way_in and not self._keys.opens(_token(request)):
            return _refused("this page is not known to sessiond, or no longer", _AGAIN, 403)
        return None


def _token(request: web.Request) -> str:
    said = request.headers.get("Authorization", "")
    return said.removeprefix(_BEARER) if said.startswith(_BEARER) else ""


def _refused(message: str, hint: str, status: int) -> web.Response:
    return error_response(SessiondError(message, hint=hint, code="refused"), status)


def make_dashboard(routes: Sequence[Routes], keys: Keys, allow: Allow) -> web.Application:
    """The dashboard as an aiohttp application: the page, the way in, and ``routes`` behind it.

    ``allow`` says whether a connection may speak here at all.
    """
    page, entry = PageRoutes(), EntryRoutes(keys)
    guard = _Guard(keys, allow, (page.index, page.part), entry.enter)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = await guard.refusal(request)
        return named(refusal if refusal is not None else await told(request, handler))

    app = web.Application(middlewares=[guarded], client_max_size=LARGEST_BODY)
    app.on_response_prepare.append(protect)
    every: list[Routes] = [page, entry, *routes]
    for part in every:
        part.add_to(app.router)
    return app


@asynccontextmanager
async def serve_dashboard(
    gateway: Gateway | None,
    facts: Facts,
    routes: Sequence[Routes],
    allow: Allow,
    now: Callable[[], float],
) -> AsyncIterator[tuple[LinkRoutes, tuple[str, ...]]]:
    """Serve the dashboard while the context lasts, at the port after the gateway's if it can be had.

    Yields what gives out links, and what to know about the port. Without a gateway there is no dashboard either.
    """
    keys = Keys(now)
    if gateway is None:
        yield LinkRoutes(keys, None), ()
        return
    port = gateway.port + 1 if 0 < gateway.port < _LAST_PORT else 0
    with gateway_socket(gateway.host, port, facts, "dashboard") as door:
        async with served(make_dashboard(routes, keys, allow), door.socket, "dashboard", _SHUTDOWN_S):
            yield LinkRoutes(keys, door.address), door.warnings
