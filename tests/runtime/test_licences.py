"""Licence ports are opened where sessions' states want them, opened again when they are lost, and closed after them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream
from structlog.testing import capture_logs
from structlog.typing import EventDict

from sessiond.core.errors import HostDown, NotSent, PortTaken
from sessiond.core.ids import ClusterName, session_id
from sessiond.core.licence import Forward
from sessiond.core.link import LinkState
from sessiond.core.session import Endpoint, Session, State
from sessiond.core.spec import Licence, Mode
from sessiond.remote.transport import Accepting
from sessiond.runtime.licences import Licences
from sessiond.runtime.link import LinkKeeper
from sessiond.runtime.linked import Linked
from sessiond.runtime.tunnel import Peer
from tests.core.builders import NOW, a_spec
from tests.core.builders import a_session as built
from tests.runtime.conftest import VirtualClock
from tests.runtime.connector import ScriptedConnection, ScriptedConnector, ScriptedPort
from tests.runtime.scripted import Http

pytestmark = pytest.mark.anyio

FRONTIER = ClusterName("frontier")
MATLAB = Licence(variable="MLM_LICENSE_FILE", ports=(27010, 1711))


def licensed(
    number: int, mode: Mode = Mode.CONTROLLER, *, host: str = "", node: str = "", state: State = State.RUNNING
) -> Session:
    """A session that uses licences; with ``node`` its job runs there."""
    return replace(
        built(state, endpoint=Endpoint(run="1.0", host=node) if node else None),
        id=session_id(NOW, number),
        name=f"s{number}",
        created=NOW + number,
        spec=a_spec(licence=replace(MATLAB, host=host), mode=mode, cluster=FRONTIER),
    )


@dataclass
class Site:
    """Licences at work over a link to one cluster, and the licence servers behind them."""

    keeper: LinkKeeper
    connector: ScriptedConnector
    licences: Licences
    logs: list[EventDict]
    sessions: list[Session] = field(default_factory=list)
    down: dict[tuple[str, int], str] = field(default_factory=dict)
    dialled: list[tuple[str, int]] = field(default_factory=list)

    def have(self, *sessions: Session) -> None:
        """These sessions live from now on."""
        self.sessions[:] = sessions
        self.licences.follow()

    @property
    def connection(self) -> ScriptedConnection:
        """The newest connection."""
        return self.connector.made[-1]

    def open_ports(self) -> list[tuple[str, int]]:
        """What is open now, by host and number."""
        living = (one for one in self.connector.made if not one.closed)
        return sorted(where for one in living for where, port in one.ports.items() if not port.closed)

    async def until_open(self, *ports: tuple[str, int], within_s: float = 60.0) -> None:
        """Wait until exactly these are."""
        with anyio.fail_after(within_s):
            while sorted(ports) != self.open_ports():  # noqa: ASYNC110
                await anyio.sleep(0.05)

    async def until_wrong(self, session: Session, words: str, within_s: float = 120.0) -> None:
        """Wait until something is wrong with a session's licences; no words: nothing any more."""
        with anyio.fail_after(within_s):
            while words not in self.said(session) or bool(words) != bool(self.said(session)):  # noqa: ASYNC110
                await anyio.sleep(0.05)

    def said(self, session: Session) -> str:
        """What is wrong."""
        problem = self.licences.problem(session)
        return problem.message if problem is not None else ""

    async def dial(self, host: str, port: int) -> ByteStream:
        """A licence server that answers, or does not."""
        await anyio.lowlevel.checkpoint()
        self.dialled.append((host, port))
        if (host, port) in self.down:
            raise NotSent(self.down[host, port])
        return Http(f"licence of {host}:{port}".encode())


async def _anybody(_peer: Peer) -> bool:
    return True


@asynccontextmanager
async def site(clock: VirtualClock) -> AsyncIterator[Site]:
    """Until the block ends."""
    connector = ScriptedConnector()
    with capture_logs() as logs:
        async with anyio.create_task_group() as group:
            keeper = LinkKeeper(FRONTIER, connector, clock, lambda: bool(here.sessions), salt="x")

            async def opened(forward: Forward) -> Accepting:
                return await Linked(keeper).listen(forward.at, forward.spot.port)

            def living() -> Iterable[Session]:
                return here.sessions

            async def dialled(host: str, port: int) -> ByteStream:
                return await here.dial(host, port)

            licences = Licences(group, clock, living, opened, dialled, _anybody, lambda _cluster: keeper.up)
            here = Site(keeper, connector, licences, logs)
            keeper.listen(lambda _link: licences.revisit(FRONTIER))
            group.start_soon(keeper.run)
            try:
                yield here
            finally:
                group.cancel_scope.cancel()


class Program(ByteStream):
    """Somebody who connects to a licence port, says nothing, and hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.over = anyio.Event()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await self.over.wait()
        raise anyio.EndOfStream

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        self.heard += item

    async def send_eof(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.over.set()

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.over.set()


async def asked(port: ScriptedPort) -> str:
    """What somebody hears who connects to a port."""
    program = Program()
    await port.comes(program)
    with anyio.fail_after(60):
        await program.over.wait()
    return program.heard.decode()


LOGIN = (("127.0.0.1", 1711), ("127.0.0.1", 27010))


def on(node: str) -> tuple[tuple[str, int], ...]:
    """Both ports of a node."""
    return ((node, 1711), (node, 27010))


async def test_a_port_leads_to_the_licence_server(virtual: VirtualClock) -> None:
    """To the workspace's own, or that of the host that was named; open as soon as the link is up, closed at the end."""
    async with site(virtual) as here:
        own, named = licensed(1), licensed(2, Mode.SLURM, host="license.example", node="n1")
        assert not here.licences.are_open(own)
        here.have(own, named)
        await here.until_open(*LOGIN, *on("n1"))
        assert here.licences.are_open(own)
        assert here.licences.are_open(named)
        assert "licence of 127.0.0.1:27010" == await asked(here.connection.ports["127.0.0.1", 27010])
        assert "licence of license.example:1711" == await asked(here.connection.ports["n1", 1711])
        here.have(own)
        await here.until_open(*LOGIN)
        assert not here.licences.are_open(named)
        here.have()
        await here.until_open()


async def test_two_sessions_share_a_port(virtual: VirtualClock) -> None:
    """It is opened once, and closed with the last of them."""
    async with site(virtual) as here:
        one, two = licensed(1), licensed(2)
        here.have(one)
        await here.until_open(*LOGIN)
        here.have(one, two)
        await anyio.sleep(5)
        here.have(two)
        await anyio.sleep(5)
        assert sorted(LOGIN) == sorted(here.connection.asked)
        assert here.licences.are_open(two)
        here.have()
        await here.until_open()


async def test_one_that_wants_another_server_has_to_wait(virtual: VirtualClock) -> None:
    """It is told whose the port is, and has it when that session is over: not before it was closed."""
    async with site(virtual) as here:
        one, two = licensed(1), licensed(2, host="license.example")
        here.have(one, two)
        await here.until_open(*LOGIN)
        assert "port 27010 there leads to the workspace for the session s1" in here.said(two)
        assert not here.licences.are_open(two)
        assert "" == here.said(one)
        first = here.connection.ports["127.0.0.1", 27010]
        here.have(two)
        with anyio.fail_after(60):
            while not here.licences.are_open(two):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        assert first.closed
        assert "licence of license.example:27010" == await asked(here.connection.ports["127.0.0.1", 27010])
        assert "" == here.said(two)


async def test_a_lost_link_is_not_the_licences_problem(virtual: VirtualClock) -> None:
    """While it is down nobody asks and nothing is said; when it is back the ports are, at once."""
    async with site(virtual) as here:
        one = licensed(1)
        here.have(one)
        await here.until_open(*LOGIN)
        here.connector.trouble = HostDown("no answer")
        lost = here.connection
        lost.die()
        await here.until_open()
        await anyio.sleep(24 * 3600)
        assert "" == here.said(one)
        assert not here.licences.are_open(one)
        assert 2 == len(lost.asked)
        here.connector.trouble = None
        here.keeper.network_changed()
        with anyio.fail_after(30):
            while here.keeper.link.state is not LinkState.UP:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        await here.until_open(*LOGIN, within_s=0.5)


async def test_a_job_that_moves_takes_its_ports_along(virtual: VirtualClock) -> None:
    """In the queue it has none; on its new node they are opened."""
    async with site(virtual) as here:
        here.have(licensed(1, Mode.SLURM, node="n1"))
        await here.until_open(*on("n1"))
        here.have(licensed(1, Mode.SLURM, state=State.WAIT_FOR_NODE))
        await here.until_open()
        here.have(licensed(1, Mode.SLURM, node="n2"))
        await here.until_open(*on("n2"))


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (NotSent("ssh to n1 failed: Permission denied", hint="put your key there"), "licences do not reach n1: ssh to"),
        (PortTaken("taken"), "another program listens on port 27010 there"),
    ],
)
async def test_what_cannot_be_opened_is_tried_again(virtual: VirtualClock, refusal: NotSent, words: str) -> None:
    """It is said once in the log, with the remedy in what people read, and over as soon as it works; the other port is
    not held up."""
    async with site(virtual) as here:
        one = licensed(1, Mode.SLURM, node="n1")
        here.connector.refusals["n1", 27010] = refusal
        here.have(one)
        await here.until_wrong(one, words)
        problem = here.licences.problem(one)
        assert problem is not None
        assert problem.hint
        await here.until_open(("n1", 1711))
        await anyio.sleep(3600)
        tried = here.connection.asked.count(("n1", 27010))
        assert 3600 / 30 - 2 <= tried <= 3600 / 30 + 10
        assert 1 == sum(line["log_level"] == "warning" for line in here.logs)
        assert not here.licences.are_open(one)
        del here.connector.refusals["n1", 27010]
        await here.until_wrong(one, "")
        await here.until_open(*on("n1"))


async def test_a_server_that_does_not_answer_is_said(virtual: VirtualClock) -> None:
    """Before any program asks; the port is open meanwhile, and all is well when the server is back."""
    async with site(virtual) as here:
        one = licensed(1)
        here.down["127.0.0.1", 1711] = "connection refused"
        here.have(one)
        await here.until_wrong(one, "does not answer (the workspace, port 1711): connection refused")
        assert "" == await asked(here.connection.ports["127.0.0.1", 1711])
        here.down.clear()
        await here.until_wrong(one, "")
        here.down["127.0.0.1", 27010] = "no answer"
        await anyio.sleep(3600)
        assert "" == here.said(one)  # nobody asked it
        assert "" == await asked(here.connection.ports["127.0.0.1", 27010])
        assert "port 27010): no answer" in here.said(one)
        here.down.clear()
        await here.until_wrong(one, "")


async def test_a_link_that_has_gone_for_good_leaves_nothing_behind(virtual: VirtualClock) -> None:
    """A session that ends while its cluster is out of reach: nobody goes on trying for it."""
    async with site(virtual) as here:
        here.have(licensed(1))
        await here.until_open(*LOGIN)
        here.connector.trouble = HostDown("no answer")
        here.connection.die()
        await here.until_open()
        here.have()
        here.connector.trouble = None
        here.keeper.network_changed()
        await anyio.sleep(3600)
        assert [] == here.open_ports()
        assert {} == here.licences._works == here.licences._closing
