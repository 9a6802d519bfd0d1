"""sessiond.systemd with real sockets: what is sent, what is taken, and that nothing of it is ever fatal."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessiond.systemd import Notifier, listen_sockets, watchdog_interval_s

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The manager's end of a notify socket, and its name as in NOTIFY_SOCKET."""
    name = str(tmp_path / "n") if request.param == "path" else f"@sessiond-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0") if name.startswith("@") else name)
        receiver.settimeout(10)
        yield name, receiver


def test_each_message(manager: tuple[str, socket.socket]) -> None:
    """Readiness, status, watchdog and stopping, on a socket with a path and on an abstract one."""
    name, receiver = manager
    env = {"NOTIFY_SOCKET": name, "OTHER": "1"}
    notifier = Notifier(env)
    assert {"OTHER": "1"} == env
    assert notifier
    messages: list[tuple[Callable[[], bool], bytes]] = [
        (lambda: notifier.ready("7 running"), b"READY=1\nSTATUS=7 running"),
        (lambda: notifier.status("1 waiting"), b"STATUS=1 waiting"),
        (notifier.watchdog, b"WATCHDOG=1"),
        (notifier.stopping, b"STOPPING=1"),
    ]
    for send, expected in messages:
        assert send()
        assert expected == receiver.recv(1000)


def test_reloading_carries_the_time(manager: tuple[str, socket.socket]) -> None:
    """MONOTONIC_USEC is CLOCK_MONOTONIC now, in microseconds."""
    name, receiver = manager
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert Notifier({"NOTIFY_SOCKET": name}).reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, _, value = receiver.recv(1000).decode().partition("\nMONOTONIC_USEC=")
    assert "RELOADING=1" == first
    assert before <= int(value) <= after


def test_a_status_cannot_carry_another_message(manager: tuple[str, socket.socket]) -> None:
    """A line feed would begin another assignment; what is not text or too long is tamed, too."""
    name, receiver = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.status("a\nMAINPID=1\r\n  b\udcff" + "x" * 9999)
    message = receiver.recv(100_000)
    assert b"STATUS=a MAINPID=1 b?xx" == message[:23]
    assert len("STATUS=") + 512 == len(message)


@pytest.mark.parametrize(
    "name", [None, "", "relative", "vsock:2:1", "/nowhere/at/all", "/" + "x" * 200, "/a\0b", "@dead"]
)
def test_nobody_to_tell_is_no_error(name: str | None) -> None:
    """Without a manager, with a dead one, or with nonsense in the variable, nothing is sent and nothing is raised."""
    notifier = Notifier({} if name is None else {"NOTIFY_SOCKET": name})
    assert not notifier.ready("x")
    assert not notifier.watchdog()


def test_a_manager_that_does_not_read_does_not_hold_us(manager: tuple[str, socket.socket]) -> None:
    """When its queue is full, a message is given up after a bounded time."""
    name, _ = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    begin = time.monotonic()
    sent = 0
    while notifier.watchdog():
        sent += 1
        assert sent < 100_000
    assert time.monotonic() - begin < 30
    assert sent > 0


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.25),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "\u0661"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
    ],
)
def test_watchdog_interval(env: dict[str, str], expected: float | None) -> None:
    """Half of what is allowed, if it is this process that is watched; the variables are gone afterwards."""
    assert expected == watchdog_interval_s(env)
    assert {} == env


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
        {"LISTEN_PID": "", "LISTEN_FDS": "1"},
    ],
)
def test_no_sockets_were_passed(env: dict[str, str]) -> None:
    """None, some for another process, or nonsense: an empty list, and the variables are gone."""
    assert [] == listen_sockets(env)
    assert {} == env


RECEIVER = """
import json, os, socket
from sessiond.systemd import listen_sockets
found = listen_sockets()
print(json.dumps({
    "names": [s.getsockname() for s in found],
    "stream": [s.type == socket.SOCK_STREAM for s in found],
    "inheritable": [os.get_inheritable(s.fileno()) for s in found],
    "variables": [v for v in os.environ if v.startswith("LISTEN_")],
}))
"""


def test_passed_sockets_are_taken(tmp_path: Path) -> None:
    """Descriptors 3 and on, in order, those that are no sockets left out, none inherited by children."""
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two, (tmp_path / "f").open("w") as file:
        for listener, name in ((one, "a"), (two, "b")):
            listener.bind(str(tmp_path / name))
            listener.listen()
        # well above the numbers they are to have
        high = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD_CLOEXEC, 50) for each in (one, file, two)]
        try:
            # the shell puts them in place and becomes the receiver, so that LISTEN_PID is right
            script = (
                'exec 3<&"$1" 4<&"$2" 5<&"$3"; export LISTEN_PID=$$ LISTEN_FDS=4 LISTEN_FDNAMES=a:b:c:d;'
                ' exec 6<&-; exec "$4" -c "$5"'
            )
            done = subprocess.run(
                ["bash", "-c", script, "bash", *map(str, high), sys.executable, RECEIVER],
                pass_fds=high,
                env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
        finally:
            for descriptor in high:
                os.close(descriptor)
    assert {
        "names": [str(tmp_path / "a"), str(tmp_path / "b")],
        "stream": [True, True],
        "inheritable": [False, False],
        "variables": [],
    } == json.loads(done.stdout)
