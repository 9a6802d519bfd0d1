"""The control socket: whose it is, who may connect, and what is found in its place."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.api.socket import check_length, control_socket, peer_uid
from sessiond.core.errors import Conflict, Refused, StateError
from tests.api.conftest import House

NOBODY = 65534
ASK = """
import os, socket, sys
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b"GET /v1/status HTTP/1.1\\r\\nHost: sessiond\\r\\nConnection: close\\r\\n\\r\\n")
data = b""
while chunk := s.recv(65536): data += chunk
print(data.decode())
"""


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: a socket's path has a limit that tmp_path can be near."""
    with tempfile.TemporaryDirectory(prefix="sd-") as folder:
        yield Path(folder)


def test_the_socket_is_its_owners_alone(short: Path) -> None:
    """0600 in 0700, and gone afterwards."""
    path = short / "run" / "api.sock"
    with control_socket(path):
        assert (0o600, 0o700) == (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))
    assert not path.exists()


def test_a_socket_that_nobody_answers_behind_is_replaced(short: Path) -> None:
    """A daemon that was killed left it."""
    path = short / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with control_socket(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_that_somebody_answers_behind_is_left_alone(short: Path) -> None:
    """Two daemons would fight; a plain file is somebody's, too."""
    path = short / "api.sock"
    with control_socket(path):
        with pytest.raises(Conflict, match="another sessiond"), control_socket(path):
            pass
        assert path.is_socket()
    path.write_text("precious")
    with pytest.raises(Conflict, match="not a socket"), control_socket(path):
        pass
    assert "precious" == path.read_text()


def test_a_successors_socket_is_not_removed(short: Path) -> None:
    """It was put in place while we ended."""
    path = short / "api.sock"
    with socket.socket(socket.AF_UNIX) as successor:
        with control_socket(path):
            path.rename(short / "old")
            successor.bind(str(path))
        assert path.exists()


def test_impossible_places_are_refused_in_words(short: Path) -> None:
    """Too long for a Unix socket; below a file."""
    with pytest.raises(Refused, match="too long"):
        check_length(Path("/" + "x" * 107))
    check_length(Path("/" + "x" * 106))
    (short / "file").touch()
    with pytest.raises(StateError, match="cannot be made"), control_socket(short / "file" / "api.sock"):
        pass


def test_the_peer_is_who_it_is() -> None:
    """The kernel says so."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert os.geteuid() == peer_uid(ours)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused(house: House) -> None:
    """Even one who got past the permissions of the socket."""
    before = house.root.stat().st_mode
    house.root.chmod(0o711)
    house.socket.chmod(0o666)
    try:
        ask = [sys.executable, "-c", ASK.format(uid=NOBODY), str(house.socket)]
        other = subprocess.run(ask, capture_output=True, text=True, check=True, cwd="/")
        own = subprocess.run([*ask[:2], ASK.format(uid=0), ask[3]], capture_output=True, text=True, check=True)
    finally:
        house.root.chmod(stat.S_IMODE(before))
        house.socket.chmod(0o600)
    assert "this sessiond belongs to another user" in other.stdout
    assert ("422", "200") == (other.stdout.split()[1], own.stdout.split()[1])
    assert "version" not in other.stdout.rpartition("\r\n\r\n")[2]
