"""TLS to services that speak https."""

from __future__ import annotations

import ssl
from functools import cache

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream


@cache
def unverified() -> ssl.SSLContext:
    """TLS without a check of the certificate.

    It could prove nothing: a session's service makes one for itself, for a name that is not the one it is reached by.
    Who it is that answers is known otherwise: the way there is this machine's loopback, where the listener's owner is
    asked of the kernel, or the cluster's SSH connection.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class NotTls(Exception):
    """The other end does not speak TLS."""


async def over(stream: ByteStream) -> ByteStream:
    """TLS over ``stream``, which closes with it. Raises NotTls, with ``stream`` as open as it was."""
    try:
        return await TLSStream.wrap(stream, server_side=False, ssl_context=unverified(), standard_compatible=False)
    except (ssl.SSLError, anyio.EndOfStream) as error:
        raise NotTls from error
