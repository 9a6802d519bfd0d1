"""A scripted connector: an edge fake where the runtime meets a login node."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from sessiond.core.command import Command, Completed
from sessiond.core.errors import AnswerLost, AuthDenied, NeedsLogin, NotSent
from sessiond.core.prompts import Prompt
from sessiond.core.session import Endpoint
from sessiond.remote.transport import Accepting, Ask, Transport
from tests.runtime.scripted import Http


class ScriptedPort:
    """A port that is listened on over there."""

    def __init__(self, port: int, connection: ScriptedConnection) -> None:
        self.port = port
        self.closed = False
        self._connection = connection
        self._send, self._come = anyio.create_memory_object_stream[ByteStream](16)

    async def comes(self, stream: ByteStream) -> None:
        """Somebody connects to it."""
        await self._send.send(stream)

    async def accept(self) -> ByteStream:
        """As `Accepting.accept`."""
        return await self._come.receive()

    async def lost(self) -> str:
        """As `Accepting.lost`."""
        return await self._connection.lost()

    def close(self) -> None:
        """As `Accepting.close`."""
        self.closed = True
        self._send.close()
        self._come.close()

    async def aclose(self) -> None:
        """As `Accepting.aclose`."""
        await anyio.lowlevel.checkpoint()
        self.close()


class ScriptedConnection:
    """A connection that does what the test says."""

    def __init__(
        self,
        number: int,
        behind: Transport | None = None,
        refusals: dict[tuple[str, int], NotSent] | None = None,
    ) -> None:
        self.number = number
        self._behind = behind
        self.streams = 0
        self.worn = False
        self.closed = False
        self.answers = True
        self.takes_s = 0.0
        self.ran: list[Command] = []
        self.asked: list[tuple[str, int]] = []
        self.ports: dict[tuple[str, int], ScriptedPort] = {}
        self.refusals: dict[tuple[str, int], NotSent] = {} if refusals is None else refusals
        self._gone = anyio.Event()
        self._reason = ""

    def die(self, reason: str = "connection reset") -> None:
        """The network takes it away."""
        self._reason = reason
        self._gone.set()

    async def lost(self) -> str:
        """As `Connection.lost`."""
        await self._gone.wait()
        return self._reason

    async def aclose(self) -> None:
        """As `Connection.aclose`."""
        await anyio.lowlevel.checkpoint()
        self.closed = True
        self._gone.set()

    async def run(self, command: Command) -> Completed:
        """Run it, or lose its answer with the connection."""
        if self._gone.is_set():
            raise NotSent("the connection is gone")
        self.ran.append(command)
        with anyio.move_on_after(self.takes_s if self.answers else command.timeout_s):
            await self._gone.wait()
            raise AnswerLost("the connection died")
        if not self.answers:
            raise AnswerLost("no answer in time")
        if self._behind is not None:
            return await self._behind.run(command)
        return Completed(rc=0, stdout=f"{self.number}".encode(), stderr=b"")

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        """A stream."""
        await anyio.lowlevel.checkpoint()
        return Http() if self._behind is None else await self._behind.connect(endpoint)

    async def listen(self, at: Endpoint, port: int) -> Accepting:
        """A port of the host of ``at``, or what ``refusals`` has for it. A test lets connections come to it."""
        await anyio.lowlevel.checkpoint()
        if self._gone.is_set():
            raise NotSent("the connection is gone")
        self.asked.append((at.host, port))
        if (refusal := self.refusals.get((at.host, port))) is not None:
            raise refusal
        made = self.ports[at.host, port] = ScriptedPort(port, self)
        return made

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """A file."""
        await anyio.lowlevel.checkpoint()
        return b"text"

    async def size(self, path: str) -> int:
        """Its size."""
        await anyio.lowlevel.checkpoint()
        return 4


@dataclass
class ScriptedConnector:
    """Makes connections, or does not: ``trouble`` is raised by every attempt while it is set, ``asks`` are the rounds
    of questions, and ``right`` the answers to them. What is run goes to ``behind``, where there is one. While it is
    ``stubborn`` an attempt ends in its own time, and with a connection, though nobody waits for it any more."""

    trouble: Exception | None = None
    asks: tuple[Prompt, ...] = ()
    right: tuple[str, ...] = ()
    takes_s: float = 0.1
    stubborn: bool = False
    behind: Transport | None = None
    refusals: dict[tuple[str, int], NotSent] = field(default_factory=dict)
    at: list[float] = field(default_factory=list)
    attended: list[bool] = field(default_factory=list)
    made: list[ScriptedConnection] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def open(self, ask: Ask | None) -> ScriptedConnection:
        """As `Connector.open`."""
        self.at.append(anyio.current_time())
        self.attended.append(ask is not None)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            with anyio.CancelScope(shield=self.stubborn):
                await anyio.sleep(self.takes_s)
            if self.trouble is not None:
                raise self.trouble
            said: list[str] = []
            for prompt in self.asks:
                if ask is None:
                    raise NeedsLogin("it asks for a password", hint="sessionctl login frontier")
                said += await ask(prompt)
            if tuple(said) != self.right:
                raise AuthDenied("the answer was not right")
        finally:
            self.at_once -= 1
        self.made.append(ScriptedConnection(len(self.made), self.behind, self.refusals))
        return self.made[-1]
