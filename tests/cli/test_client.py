"""The client library against answers of every shape, whole and broken."""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import json
import socket
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sessiond.api.wire import Event
from sessiond.client import Client, ClientError, Events, NoDaemon
from sessiond.client_http import Answer
from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import CLUSTERS, SERVICES
from tests.cli.conftest import Ctl

OK = b"HTTP/1.1 200 OK\r\n"


@contextlib.contextmanager
def answering(*pieces: bytes) -> Iterator[Client]:
    """A client of something that reads a request, sends these pieces one by one, and hangs up."""
    with tempfile.TemporaryDirectory(prefix="sd-cli-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(folder) / "s")
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(ConnectionError):
                peer.recv(65536)
                for piece in pieces:
                    peer.sendall(piece)

        thread = threading.Thread(target=answer)
        thread.start()
        yield Client(path, timeout_s=10)
        thread.join()


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (OK + b"Content-Length: 2\r\n\r\n[]",),
        (OK + b"content-length:2\r\n\r\n", b"[", b"]"),
        (OK + b"Content-Length: 2\r\n\r\n[]and more",),
        (OK + b"\r\n[]",),
        (OK + CHUNKED + b"1\r\n[\r\n1;ext=1\r\n]\r\n0\r\n\r\n",),
        tuple(bytes([byte]) for byte in OK + CHUNKED + b"2\r\n[]\r\n0\r\n"),
    ],
)
def test_framings(pieces: tuple[bytes, ...]) -> None:
    """A length, chunks or the connection's end delimit an answer, in whatever pieces it comes."""
    with answering(*pieces) as client:
        assert client.services() == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "no-daemon"),
        (b"HTTP/1.1 2", "no-daemon"),
        (OK + b"Content-Length: 10\r\n\r\n[]", "no-daemon"),
        (OK + CHUNKED + b"2\r\n[]\r\n", "no-daemon"),
        (OK + CHUNKED + b"-2\r\n[]\r\n", "bad-answer"),
        (OK + CHUNKED + b"ffffffffffff\r\n[]\r\n", "bad-answer"),
        (OK + CHUNKED + b"x" * 100, "bad-answer"),
        (OK + b"Content-Length: -1\r\n\r\n[]", "bad-answer"),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n[]", "bad-answer"),
        (OK + b"X: " + b"x" * 70000, "bad-answer"),
        (OK + b"Content-Length: 2\r\n\r\n{}", "bad-answer"),
        (OK + b"Content-Length: 4\r\n\r\n[{}]", "bad-answer"),
        (OK + b"Content-Length: 1\r\n\r\n[", "bad-answer"),
        (OK + b"\r\n" + b"[" * 100_000, "bad-answer"),
        (b"HTTP/1.1 500 Oops\r\n\r\n<html>", "failed"),
        (b"HTTP/1.1 409 No\r\n\r\n" + b'{"error": {"code": "conflict", "message": "m", "hint": null}}', "conflict"),
    ],
)
def test_broken_answers(answer: bytes, code: str) -> None:
    """Every broken answer is a ClientError with a sentence; none is taken for a whole one."""
    with answering(answer) as client, pytest.raises(ClientError) as caught:
        client.services()
    assert (caught.value.code, caught.value.message.count("\n")) == (code, 0)


def test_what_is_not_utf_8_is_not_sent() -> None:
    """Python has such bytes of a command line as lone surrogates, which no JSON can say. They may be of a password."""
    with pytest.raises(ClientError, match="UTF-8") as caught:
        Client("/nowhere").start({"service": "web", "set": {"password": "caf\udce9"}})
    assert ("bad-request", True) == (caught.value.code, bool(caught.value.hint))
    assert "caf" not in f"{caught.value.message} {caught.value.__cause__}"


def test_an_answer_of_another_version_says_so() -> None:
    """A field that is missing is named: it is an upgrade that has not been restarted."""
    with answering(OK + b'\r\n{"changed": []}') as client, pytest.raises(ClientError, match="lacks restart: it is of"):
        client.reload()


def test_nobody_there(ctl: Ctl) -> None:
    """Without a socket, or with a stale one, there is no daemon."""
    client = Client(ctl.socket)
    with pytest.raises(NoDaemon, match="not running"):
        client.status()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(ctl.socket))
    with pytest.raises(NoDaemon, match="not running"):
        client.status()
    assert not client.answers()


def test_one_who_never_answers(ctl: Ctl) -> None:
    """A daemon that accepts nothing is busy, not absent: also when its backlog is full."""
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting:
        listener.bind(str(ctl.socket))
        listener.listen(0)
        client = Client(ctl.socket, timeout_s=0.1)
        with pytest.raises(ClientError, match=r"did not answer within 0\.1 s"):
            client.status()
        full = False
        while not full:
            one = waiting.enter_context(socket.socket(socket.AF_UNIX))
            one.setblocking(False)
            try:
                one.connect(str(ctl.socket))
            except BlockingIOError:
                full = True
        with pytest.raises(ClientError, match=r"did not answer within 0\.1 s"):
            client.status()
        assert client.answers()


def test_every_endpoint(ctl: Ctl, canned: Canned) -> None:
    """Each method asks its path, and gives back what is there."""
    client = Client(ctl.socket)
    assert [one["name"] for one in client.sessions(all=True)] == list(canned.sessions)
    assert client.session("jl")["id"] == client.story("jl")["session"]["id"]
    assert client.start({"service": "slow", "name": "s"})["name"] == "s"
    assert client.plan({"service": "slow"})["submit"] == "setsid bash run.sh"
    assert client.stop("s", force=True)["state"] == "kill"
    client.remove("lost")
    assert b"".join(client.log("jl", offset=4)) == b"two\nthree\n"
    assert (client.services(), client.clusters()) == (SERVICES, CLUSTERS)
    assert (client.service("broken"), client.workflow("webshell/broken")["name"]) == (SERVICES[1], "webshell/broken")
    assert client.check_workflow("x.xml", b"<fine/>")["file"] == "x.xml"
    assert client.picture("/v1/services/broken/thumbnail") == b"\x89PNG..."
    assert (client.status()["pid"], client.reload()["restart"]) == (4711, ["daemon.gateway"])
    assert [(method, path) for method, path, _ in canned.requests] == [
        ("GET", "/v1/sessions?all=1"),
        ("GET", "/v1/sessions/jl"),
        ("GET", "/v1/sessions/jl/story"),
        ("POST", "/v1/sessions"),
        ("POST", "/v1/plan"),
        ("POST", "/v1/sessions/s/stop"),
        ("DELETE", "/v1/sessions/lost"),
        ("GET", "/v1/sessions/jl/log?follow=0&offset=4"),
        ("GET", "/v1/services"),
        ("GET", "/v1/clusters"),
        ("GET", "/v1/services/broken"),
        ("GET", "/v1/workflows/webshell/broken"),
        ("POST", "/v1/workflows/check"),
        ("GET", "/v1/services/broken/thumbnail"),
        ("GET", "/v1/status"),
        ("POST", "/v1/reload"),
    ]


def test_names_are_quoted(ctl: Ctl, canned: Canned) -> None:
    """A name is one segment of the path, whatever is in it; one that a path would swallow is nobody's."""
    client = Client(ctl.socket)
    for name in ("../status", "a b?all=1#x", "é\udcff"):
        with pytest.raises(ClientError) as caught:
            client.session(name)
        assert caught.value.code == "not-found"
    assert [path for _, path, _ in canned.requests] == [
        "/v1/sessions/..%2Fstatus",
        "/v1/sessions/a%20b%3Fall%3D1%23x",
        "/v1/sessions/%C3%A9%FF",
    ]
    for name in ("", ".", ".."):
        with pytest.raises(ClientError, match="no session is called"):
            client.session(name)


def test_events_are_polled_and_iterated(ctl: Ctl, canned: Canned) -> None:
    """A poll waits no longer than it may; iterating ends with the stream."""
    client = Client(ctl.socket)
    events = client.events()
    with canned.changed:
        assert canned.changed.wait_for(lambda: canned.listeners == 1, 30)
    assert events.poll(0.01) == []
    canned.tell(canned.sessions["jl"], "tunnel")
    assert [event["seq"] for event in events.poll(30) or []] == [1]
    with canned.changed:
        canned.closing = True
        canned.changed.notify_all()
    assert list(events) == []
    events.close()
    assert [event["to_state"] for event in client.events(0)] == ["running"]


def test_signs_of_life_and_parts_of_a_line_end_no_wait() -> None:
    """An empty line, alone or with the head of the answer, and half an event are not all that comes."""
    event = dict.fromkeys(Event.__required_keys__, "") | {"seq": 7}
    text = json.dumps(event).encode() + b"\n"
    for pieces in ((b"\n", b"", text), (b"", b"\n", text), (b"\n", text[:9], text[9:])):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + pieces[0])
            events = Events(Answer(ours), Event)
            rest = threading.Thread(target=say_slowly, args=(theirs, pieces[1:]))
            rest.start()
            assert [7] == [one["seq"] for one in events.poll(30) or []]
            rest.join()
            theirs.sendall(b"\n")
            assert [] == events.poll(0.01)


def say_slowly(line: socket.socket, pieces: Iterable[bytes]) -> None:
    """Send each piece only when those before it have been taken."""
    for piece in pieces:
        while struct.unpack("i", fcntl.ioctl(line, termios.TIOCOUTQ, bytes(4)))[0]:
            time.sleep(0.001)
        line.sendall(piece)


@pytest.mark.parametrize("come", [b"", OK + CHUNKED], ids=["before-the-answer", "in-the-stream"])
def test_a_ctrl_c_that_interrupts_nothing_is_heeded_soon(come: bytes) -> None:
    """One that comes just before the waiting begins leaves its mark alone, as here from a thread."""
    near, far = socket.socketpair()
    with contextlib.closing(near), contextlib.closing(far):
        far.sendall(come)
        near.settimeout(None if come else 30)
        patience = threading.Timer(20, far.shutdown, (socket.SHUT_RDWR,))
        threading.Timer(0.1, _thread.interrupt_main).start()
        patience.start()
        with pytest.raises(KeyboardInterrupt):
            Answer(near).piece()
        assert patience.is_alive()
        patience.cancel()
