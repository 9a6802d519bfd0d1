"""A WebSocket carried through: the handshake as a request, and from then on bytes, both ways, as they come.

Frames are not taken apart, so whatever the two ends agreed on holds between them: subprotocol, extensions such as
compression, pings, close codes, messages of any size. What is held is bounded by the streams' buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import anyio
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from sessiond.api.gateway_relay import READ_BYTES, Unintelligible

UPGRADE = CIMultiDict({"Connection": "Upgrade", "Upgrade": "websocket"})
"""The headers that ask for, and grant, a WebSocket."""


class _Inlet:
    """What one peer sends after the handshake.

    aiohttp hands the bytes of an upgraded connection to whatever was given to its protocol's ``set_parser`` (both
    sides' protocols have it, aiohttp 3.14); this one keeps them in a stream that stops the peer when full.
    """

    __slots__ = ("stream",)

    def __init__(self, protocol: BaseProtocol) -> None:
        self.stream = aiohttp.StreamReader(protocol, READ_BYTES, loop=asyncio.get_running_loop())

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if not self.stream.is_eof():
            self.stream.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self.stream.feed_eof()


async def join(
    request: web.Request,
    answer: aiohttp.ClientResponse,
    response: web.StreamResponse,
    *,
    sent: Callable[[int], None],
    received: Callable[[int], None],
) -> None:
    """Grant the client its WebSocket and carry it until either end closes.

    ``answer`` is the service's 101 and ``response`` its beginning for the client; ``sent`` and ``received`` are told
    the bytes. Raises Unintelligible where the service has switched to something else, or to nothing.
    """
    line = answer.connection
    granted = answer.headers.get("Upgrade", "").strip().lower() == "websocket"
    if not granted or line is None or line.protocol is None or line.transport is None:
        raise Unintelligible
    if request.transport is None:
        return
    client, service = request.protocol, line.protocol
    response.headers.update(UPGRADE)
    await response.prepare(request)
    from_client, from_service = _Inlet(client), _Inlet(service)
    client.set_parser(from_client)  # type: ignore[arg-type]  # typed for aiohttp's own reader of frames
    service.set_parser(from_service, from_service.stream)
    to_client, to_service = request.transport, line.transport
    try:
        async with anyio.create_task_group() as both:

            async def pump(stream: aiohttp.StreamReader, protocol: BaseProtocol, count: Callable[[int], None]) -> None:
                writer = StreamWriter(protocol, asyncio.get_running_loop())
                with suppress(ConnectionError):
                    while chunk := await stream.readany():
                        count(len(chunk))
                        await writer.write(chunk)
                both.cancel_scope.cancel()

            both.start_soon(pump, from_client.stream, service, sent)
            both.start_soon(pump, from_service.stream, client, received)
    finally:
        # A peer that closes says why in its last bytes, which may have come together with the end.
        _rest(from_client.stream, to_service, sent)
        _rest(from_service.stream, to_client, received)
        response.force_close()


def _rest(stream: aiohttp.StreamReader, transport: asyncio.Transport, count: Callable[[int], None]) -> None:
    if not transport.is_closing():
        if rest := stream.read_nowait():
            count(len(rest))
            transport.write(rest)
        transport.close()
