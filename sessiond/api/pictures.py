"""A picture as an answer."""

from __future__ import annotations

from aiohttp import web

from sessiond.core.errors import NotFound, printable


def picture_answer(found: bytes | None, of: str) -> web.Response:
    """A PNG that nothing takes for anything else. Raises NotFound where there is none."""
    if found is None:
        raise NotFound(f"{printable(of)} has no picture")
    return web.Response(body=found, content_type="image/png", headers={"X-Content-Type-Options": "nosniff"})
