"""Connections from this machine to a port, wherever it is, and why there is none."""

from __future__ import annotations

import errno
from collections.abc import Mapping

import anyio
from anyio.abc import SocketStream

from sessiond.core.errors import NotSent

CONNECT_TIMEOUT_S = 10.0

_REASONS = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "no answer",
}


async def open_tcp(host: str, port: int) -> SocketStream:
    """A stream to ``host``:``port`` from here. Raises NotSent with the precise reason where nothing accepts it."""
    where = f"{host}:{port}"
    if not 0 < port < 65536:
        raise NotSent(f"{where}: not a port")
    try:
        with anyio.fail_after(CONNECT_TIMEOUT_S):
            return await anyio.connect_tcp(host, port)
    except TimeoutError:
        raise NotSent(f"{where} did not answer within {CONNECT_TIMEOUT_S:g} s") from None
    except (OSError, ValueError) as error:
        raise NotSent(f"{where}: {reason(error, _REASONS)}") from error


def reason(error: BaseException, words: Mapping[int, str]) -> str:
    """The kernel's or the resolver's own word for why nothing accepted: anyio keeps it in the cause."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    found = cause if isinstance(cause, OSError) else error
    if isinstance(found, OSError):
        return words.get(found.errno or 0) or found.strerror or str(found)
    return "not an address"
