"""Whose socket is it: the kernel's tables, and real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from sessiond.remote import peer
from sessiond.remote.peer import encode, find_connected, find_listener, listener_uid, peer_uid, rows

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the recorded tables are little-endian")

V4 = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:17EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1
   1: 0100007F:17EB 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 0 1
   2: 0100007F:C350 0100007F:17EB 01 00000000:00000000 00:00000000 00000000  1001        0 31339 1
   3: 0100007F:C351 0100007F:17EB 06 00000000:00000000 03:00000178 00000000     0        0 0 3 0000000000000000
   4: 00000000:17EC 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002        0 31340 1
   5: 0100007F:17ED 00000000:0000 0A 00000000:00000000 00:00000000 00000000  -3
   6: 0100007F:17ED
   7: nonsense 0100007F:17ED nonsense
"""
V6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:17EE 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1003        0 31341 1 0 100 0
   1: 0000000000000000FFFF00000100007F:C353 0000000000000000FFFF00000100007F:17EB 01 00000000:00000000 00:00000000 00000000  1004        0 31342 1 0 100 0
"""  # noqa: E501


def test_addresses_are_written_as_the_kernel_does() -> None:
    """Both families, each word in the machine's byte order."""
    assert "0100007F:17EB" == encode(ip_address("127.0.0.1"), 6123)
    assert "00000000000000000000000001000000:0016" == encode(ip_address("::1"), 22)


def test_a_listener_is_found_by_its_exact_address() -> None:
    """A listening socket's user is found; other states, other addresses and unreadable lines are passed over."""
    loopback = ip_address("127.0.0.1")
    assert 1000 == find_listener(V4, loopback, 0x17EB)
    assert 1002 == find_listener(V4, ip_address("0.0.0.0"), 0x17EC)
    assert 1003 == find_listener(V6, ip_address("::"), 0x17EE)
    for port in (0x17EC, 0x17ED, 0xC350, 1):
        assert find_listener(V4, loopback, port) is None


def test_a_connected_socket_is_found_by_both_addresses() -> None:
    """The user at the other end is found; a socket that no process holds has no user."""
    loopback = ip_address("127.0.0.1")
    assert 1001 == find_connected(V4, (loopback, 0xC350), (loopback, 0x17EB))
    assert find_connected(V4, (loopback, 0x17EB), (loopback, 0xC350)) is None
    assert find_connected(V4, (loopback, 0xC351), (loopback, 0x17EB)) is None


@pytest.mark.parametrize("table", ["", "\n\n", "\0\xff", V4[: len(V4) // 2], " 0100007F:17EB " * 20])
def test_hostile_tables_are_harmless(table: str) -> None:
    """Anything at all is read without an exception."""
    assert all(row.uid >= 0 for row in rows(table, "0100007F:17EB"))


def listening(family: socket.AddressFamily, host: str) -> socket.socket:
    """A listening socket of ours on any port."""
    listener = socket.socket(family)
    listener.bind((host, 0))
    listener.listen()
    return listener


@pytest.mark.parametrize(
    ("family", "bound", "asked"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
        (socket.AF_INET6, "::", "::1"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_our_own_listener(family: socket.AddressFamily, bound: str, asked: str) -> None:
    """A real listener of ours is ours, whichever way it is bound."""
    try:
        listener = listening(family, bound)
    except OSError as error:
        pytest.skip(f"no such address on this machine: {error}")
    with listener:
        port = listener.getsockname()[1]
        assert os.geteuid() == listener_uid(asked, port)
    assert listener_uid(asked, port) is None


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_our_own_peer(family: socket.AddressFamily) -> None:
    """A real client of ours is ours; once it has closed its socket it is nobody's."""
    host = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
    with listening(socket.AF_INET, "127.0.0.1") as listener, socket.socket(family) as client:
        try:
            client.connect((host, listener.getsockname()[1]))
        except OSError as error:
            pytest.skip(f"no such address on this machine: {error}")
        accepted, _ = listener.accept()
        with accepted:
            ends = accepted.getsockname(), accepted.getpeername()
            assert os.geteuid() == peer_uid(*ends)
            client.close()
            assert peer_uid(*ends) is None


def test_an_orphaned_client_is_not_taken_for_root() -> None:
    """A client that sent something and died is nobody, although the kernel lists its socket under uid 0."""
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        port = listener.getsockname()[1]
        script = f"import socket, os; s = socket.create_connection(('127.0.0.1', {port})); s.send(b'x'); os._exit(0)"
        subprocess.run([sys.executable, "-I", "-c", script], check=True, timeout=20)
        accepted, _ = listener.accept()
        with accepted:
            assert peer_uid(accepted.getsockname(), accepted.getpeername()) is None


@contextmanager
def nobody_listening() -> Iterator[int]:
    """A listener of the user nobody; its port."""
    script = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(); s.bind(('127.0.0.1', 0));"
        "s.listen(); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-I", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate(timeout=20)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_listener_of_another_user() -> None:
    """Another user's listener is told apart."""
    with nobody_listening() as port:
        assert 65534 == listener_uid("127.0.0.1", port)


def test_without_tables_nobody_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where /proc cannot be read nothing is found, so that whoever asks will refuse."""
    monkeypatch.setattr(peer, "_TABLES", {4: tmp_path / "tcp", 6: tmp_path / "tcp6"})
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        assert listener_uid("127.0.0.1", listener.getsockname()[1]) is None
