"""Packets that say nothing are not sent, where the cipher needs none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_IGNORE

from sessiond.remote.ssh.opening import open_tcp
from sessiond.remote.ssh.packets import quicken

from .tunnel_sshd import Sshd, echo, running_sshd, service

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all of them."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@pytest.mark.parametrize(
    ("cipher", "empty"),
    [("aes128-gcm@openssh.com", False), ("chacha20-poly1305@openssh.com", False), ("aes128-ctr", True)],
)
async def test_empty_packets(sshd: Sshd, cipher: str, empty: bool) -> None:
    """None with an authenticated cipher, whose data arrive all the same; with another, asyncssh does as it likes."""
    sent: Counter[int] = Counter()
    async with (
        asyncssh.connect(sshd.host, sshd.port, options=sshd.options(encryption_algs=[cipher])) as connection,
        service(echo) as port,
    ):
        send_packet = connection.send_packet

        def counted(pkttype: int, *args: bytes, **more: Any) -> None:
            sent[pkttype] += 1
            send_packet(pkttype, *args, **more)

        connection.send_packet = counted  # type: ignore[method-assign]
        quicken(connection)
        async with await open_tcp(connection, "127.0.0.1", port) as stream:
            await stream.send(b"a" * 100_000)
            got = 0
            while got < 100_000:
                got += len(await stream.receive())
    assert 1 == sent[MSG_CHANNEL_OPEN]
    assert empty is (sent[MSG_IGNORE] > 0)
