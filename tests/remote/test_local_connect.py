"""Streams to services on this machine."""

from __future__ import annotations

import os
import socket

import anyio
import pytest

from sessiond.core.errors import NotSent
from sessiond.core.session import Endpoint
from sessiond.remote.local import Local

from .conftest import open_fds
from .test_peer import listening, nobody_listening

pytestmark = pytest.mark.anyio


def at(port: int, host: str = "127.0.0.1") -> Endpoint:
    """An endpoint."""
    return Endpoint(run="r", host=host, port=port)


def free_port() -> int:
    """A port on which nothing listens."""
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_stream_to_our_own_service(host: str) -> None:
    """What our own user listens on is connected to, and bytes cross."""
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        async with await Local().connect(at(listener.getsockname()[1], host)) as stream:
            service, _ = listener.accept()
            with service:
                await stream.send(b"hello")
                assert b"hello" == service.recv(100)
                service.sendall(b"world")
                assert b"world" == await stream.receive()


async def test_the_machines_own_name() -> None:
    """A service that listens on every address is reached by another address of this machine, and checked there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        try:
            route.connect(("192.0.2.1", 9))  # sends nothing; shows the address that would be used
        except OSError as error:
            pytest.skip(f"this machine has no address but loopback: {error}")
        host = route.getsockname()[0]
    with listening(socket.AF_INET, "0.0.0.0") as listener:
        async with await Local().connect(at(listener.getsockname()[1], host)):
            listener.accept()[0].close()


async def test_nothing_listens() -> None:
    """The reason is the kernel's, in words, and nothing leaks."""
    port = free_port()
    await failing(port)
    before = open_fds()
    assert f"127.0.0.1:{port}: connection refused" == await failing(port)
    assert f"localhost:{port}: connection refused" == await failing(port, "localhost")
    assert before == open_fds()


async def failing(port: int, host: str = "127.0.0.1") -> str:
    """What a connection that cannot be made says."""
    with pytest.raises(NotSent) as caught:
        await Local().connect(at(port, host))
    return caught.value.message


@pytest.mark.parametrize(
    ("host", "port"), [("no such host", 80), ("", 80), ("127.0.0.1", 70000), ("\0", 80), ("x" * 300, 80)]
)
async def test_what_is_no_address_is_not_connected_to(host: str, port: int) -> None:
    """A published endpoint is hostile: whatever it says becomes words."""
    with anyio.fail_after(20):
        assert "" != await failing(port, host)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_another_users_service_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that another user took after our service ended is not handed over."""
    with nobody_listening() as port:
        assert f"port {port} is now held by another user's process" == await failing(port)
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        async with await Local().connect(at(listener.getsockname()[1])):
            listener.accept()[0].close()  # root's listener is trusted by every user
