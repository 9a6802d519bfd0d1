"""One socket's owner, asked of the kernel."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from sessiond.remote import sockdiag
from sessiond.remote.peer import owner_of_listener, owner_of_peer

pytestmark = pytest.mark.anyio
LOOPBACK = IPv4Address("127.0.0.1")


async def test_a_listener_and_a_peer_of_ours() -> None:
    """Both are found without reading a table; once gone they are nobody's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            with accepted:
                theirs = LOOPBACK, client.getsockname()[1]
                assert os.geteuid() == sockdiag.uid_of((LOOPBACK, port), None)
                assert os.geteuid() == sockdiag.uid_of(theirs, (LOOPBACK, port))
                assert os.geteuid() == await owner_of_peer(accepted.getsockname(), accepted.getpeername())
                assert sockdiag.uid_of((LOOPBACK, 1), (LOOPBACK, port)) is None
                client.close()
                assert await owner_of_peer(accepted.getsockname(), accepted.getpeername()) is None
    assert sockdiag.uid_of((LOOPBACK, port), None) is None
    assert await owner_of_listener("127.0.0.1", port) is None


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
async def test_a_wildcard_listener_answers_for_loopback(bound: str) -> None:
    """As the kernel would hand the connection to it."""
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with socket.create_server((bound, 0), family=family, dualstack_ipv6=family == socket.AF_INET6) as listener:
        assert os.geteuid() == sockdiag.uid_of((LOOPBACK, listener.getsockname()[1]), None)


def test_a_port_that_is_connected_but_not_listened_on_has_no_listener() -> None:
    """An established connection's port is not a listener's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        assert sockdiag.uid_of((LOOPBACK, client.getsockname()[1]), None) is None


@pytest.mark.parametrize("answer", [b"", b"\0" * 16, b"\xff" * 72, b"\0" * 200])
def test_an_answer_that_is_none(answer: bytes) -> None:
    """Too short, or of another kind."""
    assert sockdiag._read(answer, listening=True) is None


def test_a_kernel_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No such family of sockets: unknown, and the tables are asked instead."""

    def refuse(*_: object) -> socket.socket:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    host: IPv4Address | IPv6Address = ip_address("::1")
    assert sockdiag.uid_of((host, 80), None) is None
