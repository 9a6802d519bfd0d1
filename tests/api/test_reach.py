"""A session's node is reached through the daemon: streams, more walltime, and the words for what cannot be."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from sessiond.api.durations import duration_s
from sessiond.config.model import ClusterConfig, Ssh
from sessiond.core.errors import AnswerLost, NeedsLogin, NotSent, SpecError
from sessiond.core.session import State
from sessiond.core.spec import Mode
from tests.api.reach_house import FRONTIER, LOCAL, House, house

pytestmark = pytest.mark.anyio


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder whose path is short: it must hold a socket."""
    with tempfile.TemporaryDirectory(prefix="sdr-") as made:
        yield Path(made)


@pytest.fixture
async def here(root: Path) -> AsyncIterator[House]:
    """A house with one session on the node n042."""
    async with house(root) as made:
        made.add("sim")
        yield made


@asynccontextmanager
async def server(talk: Callable[[SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """A server on this machine; its port."""

    async def handle(peer: SocketStream) -> None:
        async with peer:
            await talk(peer)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def everything(peer: SocketStream) -> bytes:
    """What a peer sends to its end."""
    return b"".join([piece async for piece in peer])


def ask(path: Path, name: str, port: int, *, upgrade: str = "tcp") -> tuple[socket.socket, bytes]:
    """A request for a stream: the connection, and the answer's head."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(str(path))
    head = f"GET /v1/sessions/{name}/proxy?port={port} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n" if upgrade else "\r\n"
    sock.sendall(head.encode())
    seen = b""
    while not seen.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        assert piece, seen
        seen += piece
    return sock, seen


async def test_bytes_go_both_ways_and_each_half_ends_by_itself(here: House) -> None:
    """What the client says arrives, and so does what comes back after it has ended its own half."""

    async def talk(peer: SocketStream) -> None:
        await peer.send(b"hello ")
        said = await everything(peer)
        await peer.send(said.upper())

    async with server(talk) as port:

        def visit(said: bytes) -> bytes:
            sock, head = ask(here.socket, "sim", port)
            with sock:
                assert head.startswith(b"HTTP/1.1 101 ")
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
                found = b""
                while piece := sock.recv(65536):
                    found += piece
                return found

        for said in (b"", b"a word", b"x" * 1_000_000):
            assert b"hello " + said.upper() == await anyio.to_thread.run_sync(visit, said)
    assert {("n042", port, ())} == {(one.host, one.port, one.host_keys) for one in here.network.reached}


async def test_sessionctl_carries_standard_streams(here: House) -> None:
    """`sessionctl proxy` sends its input, then the end of it, and prints what comes; status 0."""

    async def talk(peer: SocketStream) -> None:
        said = await everything(peer)
        await peer.send(said[::-1])

    data = bytes(range(256)) * 4096
    async with server(talk) as port:
        done = await here.ctl("proxy", "sim", str(port), stdin=data)
    assert (0, data[::-1], b"") == (done.returncode, done.stdout, done.stderr)


async def test_a_reader_that_takes_nothing_stops_the_writer(here: House) -> None:
    """No more is held than the buffers of kernel and stream: never what a fast end could send."""

    def pour(port: int) -> int:
        sock, _ = ask(here.socket, "sim", port)
        sock.settimeout(2)
        sent = 0
        with sock, suppress(TimeoutError):
            while sent < 64 << 20:
                sent += sock.send(b"x" * 65536)
        return sent

    # The kernel accepts for it; nobody ever reads.
    with socket.create_server(("127.0.0.1", 0)) as idle:
        assert await anyio.to_thread.run_sync(pour, idle.getsockname()[1]) < 32 << 20


@pytest.mark.parametrize("half_first", [False, True])
async def test_nothing_is_left_when_the_client_vanishes(here: House, *, half_first: bool) -> None:
    """A node's silent server sees its connection end soon after the client's end is gone, half-closed before or not."""
    began, over = anyio.Event(), anyio.Event()

    async def talk(peer: SocketStream) -> None:
        began.set()
        await everything(peer)
        # A half-close was passed on: only a write can tell that nobody is there any more.
        with anyio.fail_after(20):
            try:
                while True:
                    await peer.send(b"x")
                    await anyio.sleep(0.05)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                over.set()

    async with server(talk) as port:

        def visit() -> socket.socket:
            return ask(here.socket, "sim", port)[0]

        sock = await anyio.to_thread.run_sync(visit)
        await began.wait()
        if half_first:
            sock.shutdown(socket.SHUT_WR)
        sock.close()
        with anyio.fail_after(20):
            await over.wait()


async def test_where_a_stream_leads(here: House) -> None:
    """A session in a job to its first node; on a login node, and here, to that very machine."""
    here.add("login", mode=Mode.CONTROLLER, nodes=("frontier-login3",))
    here.add("own", cluster=LOCAL, mode=Mode.LOCAL, nodes=("here",))
    here.add("wide", nodes=("n7", "n8"))

    async def talk(peer: SocketStream) -> None:
        await peer.send(b"yes")

    async with server(talk) as port:
        for name in ("login", "own", "wide"):
            done = await here.ctl("proxy", name, str(port))
            assert (0, b"yes") == (done.returncode, done.stdout)
    assert ["127.0.0.1", "n7"] == [one.host for one in here.network.reached]


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (("proxy", "queued"), 6, "queued waits for a node"),
        (("proxy", "old"), 6, "old has ended"),
        (("proxy", "nobody"), 3, "no session called nobody"),
        (("proxy", "sim", "0"), 2, "0 is not in the range"),
        (("proxy", "sim", "1"), 1, "connection refused"),
        (("ssh", "queued"), 6, "queued waits for a node"),
        (("ssh", "old"), 6, "old has ended"),
        (("extend", "sim", "soon"), 2, "is no length of time"),
        (("extend", "sim", "+0m"), 2, "is not between"),
        (("extend", "early", "+1h"), 6, "has no job yet"),
        (("extend", "old", "+1h"), 6, "old has ended"),
        (("extend", "own", "+1h"), 6, "runs without a scheduler"),
        (("extend", "sim"), 2, "missing argument"),
        (("doctor", "mars"), 3, "no cluster called mars"),
    ],
)
async def test_what_cannot_be_is_one_sentence(here: House, args: tuple[str, ...], status: int, words: str) -> None:
    """With its exit status and a hint; nothing is on standard output."""
    here.add("queued", state=State.WAIT_FOR_NODE, nodes=())
    here.add("early", state=State.SUBMIT, nodes=(), job=False)
    here.add("old", state=State.ENDED)
    here.add("own", cluster=LOCAL, mode=Mode.LOCAL, nodes=("here",))
    done = await here.ctl(*args)
    said = done.stderr.decode()
    assert (status, b"", True) == (done.returncode, done.stdout, words in said), said
    assert 2 == len(said.splitlines()) or words == "connection refused", said


@pytest.mark.parametrize("upgrade", ["", "websocket", "h2c"])
async def test_a_stream_must_be_asked_for(here: House, upgrade: str) -> None:
    """Without the right Upgrade there is an ordinary refusal, and nobody is connected to."""

    def status() -> bytes:
        sock, head = ask(here.socket, "sim", 22, upgrade=upgrade)
        sock.close()
        return head.split(b" ", 2)[1]

    assert b"400" == await anyio.to_thread.run_sync(status)
    assert [] == here.network.reached


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (NotSent("frontier does not answer", hint="wait"), 1, "frontier does not answer"),
        (AnswerLost("the connection was lost"), 1, "whether it was done is not known"),
        (NeedsLogin("frontier asks for a code", hint="sessionctl login frontier"), 4, "sessionctl login frontier"),
    ],
)
@pytest.mark.parametrize("args", [("proxy", "sim"), ("extend", "sim", "+1h")])
async def test_a_cluster_out_of_reach(
    here: House, args: tuple[str, ...], error: Exception, status: int, words: str
) -> None:
    """Its reason is told, and a login that is needed has its own exit status."""

    def fail() -> None:
        raise error

    here.network.trouble = fail
    done = await here.ctl(*args)
    assert (status, True) == (done.returncode, words in done.stderr.decode()), done.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+30m", 1800),
        ("2h", 7200),
        ("+1h30m", 5400),
        ("+01:00:00", 3600),
        ("+1:30", 5400),
        ("+90s", 90),
        ("1d", 86400),
        ("+100:00:00", 360_000),
    ],
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    """As people write them, with or without the plus."""
    assert seconds == duration_s(text)


@pytest.mark.parametrize(
    "text",
    ["", "+", "-1h", "+-1h", "1", "90", "1h 30m", "1:2:3", "01:60:00", "++1h", "0s", "9999d", "1h\n", "１h", "m"],
)
def test_what_is_no_length_of_time(text: str) -> None:
    """Is refused, whatever it is."""
    with pytest.raises(SpecError):
        duration_s(text)


async def test_more_walltime(here: House) -> None:
    """The scheduler's own words are told, granted or refused."""
    done = await here.ctl("extend", "sim", "+01:30:00")
    assert (0, b"sim: it may run half an hour longer\n") == (done.returncode, done.stdout)
    assert [5400] == here.network.asked
    here.network.refusal = "Requested time limit is invalid (missing or exceeds some limit)"
    done = await here.ctl("extend", "sim", "+1h", "--json")
    assert 6 == done.returncode
    assert {"code": "refused", "message": here.network.refusal, "hint": ""} == json.loads(done.stdout)["error"]


async def test_after_more_walltime_the_cluster_is_looked_at(here: House) -> None:
    """So that its new end is known soon."""
    poller = here.desk.clusters.by_name[FRONTIER].pollers[Mode.SLURM]
    assert not poller._poked.is_set()
    await here.ctl("extend", "sim", "+1h")
    assert poller._poked.is_set()


async def test_a_fresh_list_waits_for_a_look(here: House) -> None:
    """Each cluster with live sessions is looked at after the question, and its sessions are as of then."""
    poller = here.desk.clusters.by_name[FRONTIER].pollers[Mode.SLURM]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(poller.run)
        for looks in (1, 2, 3):
            (one,) = await anyio.to_thread.run_sync(lambda: here.client.sessions(fresh=True))
            assert one["observed_age_s"] is not None
            assert one["observed_age_s"] < 5
            assert looks <= poller.looks
        tasks.cancel_scope.cancel()


async def test_a_fresh_list_does_not_wait_for_ever(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that nobody can look at is listed as it was last seen."""
    monkeypatch.setattr("sessiond.api.sessions._FRESH_S", 0.3)
    (one,) = await anyio.to_thread.run_sync(lambda: here.client.sessions(fresh=True))
    assert ("sim", None) == (one["name"], one["observed_age_s"])


async def test_a_checkup_through_the_api(here: House) -> None:
    """What is found on a cluster, each thing with its grade; status 0 where nothing is bad."""
    done = await here.ctl("doctor", "frontier", "--json")
    found = json.loads(done.stdout)
    assert ["reach", "forwarding", "slots", "shell", "clock"] == [one["check"] for one in found][:5]
    assert (0, set()) == (done.returncode, {one["check"] for one in found if one["state"] == "wrong"})
    assert [("127.0.0.1", 22)] == [(one.host, one.port) for one in here.network.reached]


async def test_what_ssh_needs(here: House) -> None:
    """The configuration's words, the node, and its host keys; nothing but the folder for a session on this machine."""
    here.settings[FRONTIER] = ClusterConfig(
        name=FRONTIER,
        transport=Ssh(host="fl", user="alice", port=2222, identity_files=("/k",), known_hosts="/kh"),
    )
    node = here.add("keyed", host_keys=("ssh-ed25519 AAAA",))
    found = await anyio.to_thread.run_sync(here.client.ssh, "keyed")
    assert {
        "id": node.id,
        "name": "keyed",
        "cluster": "frontier",
        "mode": "slurm",
        "host": "fl",
        "port": 2222,
        "user": "alice",
        "node": "n042",
        "identity_files": ["/k"],
        "known_hosts": "/kh",
        "host_keys": ["ssh-ed25519 AAAA"],
        "folder": str(here.root),
    } == found
    here.add("own", cluster=LOCAL, mode=Mode.LOCAL, nodes=("here",))
    own = await anyio.to_thread.run_sync(here.client.ssh, "own")
    assert (None, None, None, str(here.root)) == (own["host"], own["node"], own["user"], own["folder"])


async def test_a_session_on_this_machine_has_a_shell_in_its_folder(here: House) -> None:
    """`sessionctl ssh` runs the user's own shell there, with a command as ssh would give it, and its exit status."""
    here.add("own", cluster=LOCAL, mode=Mode.LOCAL, nodes=("here",))
    done = await here.ctl("ssh", "own", "pwd;", "exit", "7")
    assert (7, f"{here.root.resolve()}\n".encode()) == (done.returncode, done.stdout)


async def test_a_cluster_that_left_the_configuration_has_no_shell_here(here: House) -> None:
    """Its session is never taken for one of this machine."""
    here.desk.clusters.by_name = {LOCAL: here.desk.clusters.by_name[LOCAL]}
    done = await here.ctl("ssh", "sim", "true")
    assert (1, True) == (done.returncode, b"not in the configuration any more" in done.stderr)
