"""The dashboard's page: its files, and what a browser is told to allow it. There is nothing personal in them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath

from aiohttp import web

from sessiond.core.errors import NotFound

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"

# No inline script or style, nothing from elsewhere, no frame around it; and no text is ever made into markup: with
# trusted types a browser refuses innerHTML and the like altogether. Pictures are fetched, because a picture's own
# request would not carry what the page is known by.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


async def protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on every answer, data and errors included; to be called before it is sent."""
    response.headers.update(_HEADERS)


class PageRoutes:
    """The handlers of the page and its parts, which are read once."""

    def __init__(self) -> None:
        self._files = _read()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_get("/", self.index)
        router.add_get("/web/{name}", self.part)

    async def index(self, _request: web.Request) -> web.Response:
        """The page itself."""
        return self._file(_INDEX)

    async def part(self, request: web.Request) -> web.Response:
        """A module, the style, a picture."""
        return self._file(request.match_info["name"])

    def _file(self, name: str) -> web.Response:
        if name not in self._files:
            raise NotFound("the dashboard has no such part", hint="reload the page")
        kind = _TYPES[PurePosixPath(name).suffix]
        return web.Response(body=self._files[name], content_type=kind, charset="utf-8")


def _read() -> Mapping[str, bytes]:
    found = (one for one in files("sessiond").joinpath("web").iterdir() if PurePosixPath(one.name).suffix in _TYPES)
    return {one.name: one.read_bytes() for one in found}
