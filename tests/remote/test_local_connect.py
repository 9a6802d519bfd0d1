"""Streams to services on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from sessiond.core.errors import NotSent
from sessiond.core.session import Endpoint
from sessiond.remote.local import Local
from tests.ports import free_port

from .conftest import open_fds
from .test_peer import listening, nobody_listening

pytestmark = pytest.mark.anyio


def at(port: int, host: str = "127.0.0.1") -> Endpoint:
    """An endpoint."""
    return Endpoint(run="r", host=host, port=port)


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


@contextmanager
def listening_on(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """A listener of ours on a Unix socket."""
    with socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind(str(path))
        if kind is socket.SOCK_STREAM:
            listener.listen()
        yield listener


def on(path: Path | str) -> Endpoint:
    """An endpoint on a Unix socket; its port means nothing."""
    return Endpoint(run="r", host="127.0.0.1", port=0, path=str(path))


async def failing_on(path: Path | str) -> str:
    """What a connection to a socket says that cannot be made."""
    with pytest.raises(NotSent) as caught:
        await Local().connect(on(path))
    return caught.value.message


async def test_a_stream_to_our_own_socket(tmp_path: Path) -> None:
    """What our own user listens on is connected to, bytes cross, and an end is seen."""
    with listening_on(tmp_path / "s.sock") as listener:
        async with await Local().connect(on(tmp_path / "s.sock")) as stream:
            service, _ = listener.accept()
            with service:
                await stream.send(b"hello")
                assert b"hello" == service.recv(100)
                service.sendall(b"world")
                assert b"world" == await stream.receive()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


async def test_sockets_that_are_none(tmp_path: Path) -> None:
    """Each has its own words, and nothing leaks."""
    await failing_on(tmp_path / "absent")
    before = open_fds()
    (tmp_path / "file").touch()
    with listening_on(tmp_path / "left"):
        pass
    assert f"{tmp_path}/absent: there is no such socket" == await failing_on(tmp_path / "absent")
    assert f"{tmp_path}/file/s: there is no such socket" == await failing_on(tmp_path / "file" / "s")
    assert f"{tmp_path}/file: nothing listens on it" == await failing_on(tmp_path / "file")
    assert f"{tmp_path}/left: nothing listens on it" == await failing_on(tmp_path / "left")
    with listening_on(tmp_path / "letters", socket.SOCK_DGRAM):
        assert f"{tmp_path}/letters: not a stream socket" == await failing_on(tmp_path / "letters")
    assert before == open_fds()


async def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    """A service that is slow to accept is waited for, without keeping the processor busy meanwhile."""
    path = tmp_path / "s.sock"
    with listening_on(path) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.listen(0)
        first.connect(str(path))
        before = time.process_time()
        with anyio.move_on_after(0.5) as scope:
            await Local().connect(on(path))
        assert scope.cancelled_caught
        assert time.process_time() - before < 0.2
        listener.accept()[0].close()
        async with await Local().connect(on(path)):
            listener.accept()[0].close()


async def test_a_queue_that_stays_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no answer, and nothing leaks."""
    monkeypatch.setattr("sessiond.remote.local.CONNECT_TIMEOUT_S", 0.1)
    path = tmp_path / "s.sock"
    with listening_on(path) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.listen(0)
        first.connect(str(path))
        before = open_fds()
        assert f"{path} did not answer within 0.1 s" == await failing_on(path)
        assert before == open_fds()


@pytest.mark.parametrize("path", ["s.sock", "../s.sock", "~/s.sock", "\0abstract", "/\0", "/" + "x" * 200, "/\ud800"])
async def test_what_is_no_path_is_not_connected_to(path: str) -> None:
    """A published path is hostile: relative, abstract, too long or no text at all, it becomes words."""
    assert path[:8] in await failing_on(path)


@contextmanager
def nobody_listening_on(path: Path) -> Iterator[None]:
    """A listener of the user nobody."""
    script = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.setgid(65534);"
        "os.setuid(65534); s.listen(); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-I", "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate(timeout=20)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_another_users_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in /tmp that another user took is not handed over, whoever owns the file."""
    path = tmp_path / "s.sock"
    with nobody_listening_on(path):
        before = open_fds()
        assert f"the socket {path} is held by another user's process" == await failing_on(path)
        assert before == open_fds()
    path.unlink()
    with listening_on(path) as listener:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        async with await Local().connect(on(path)):
            listener.accept()[0].close()  # root's listener is trusted by every user
