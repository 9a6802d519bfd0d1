"""What a request says in its body."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.web import RequestPayloadError

from sessiond.core.errors import SpecError

T = TypeVar("T")


async def body_of(request: web.Request, kind: type[T], *, empty: T | None = None) -> T:
    """The request's body as a ``kind``; ``empty``, if given, is what no body at all means. Raises SpecError."""
    try:
        raw = await request.read()
    except RequestPayloadError as error:
        raise SpecError("the request's body cannot be read", hint="send it whole, and not compressed") from error
    if empty is not None and not raw:
        return empty
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise SpecError(f"the request's body is not right: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # msgspec lets Python say what is wrong with a text that is not UTF-8.
        raise SpecError(f"the request's body is not JSON: {error}") from error
