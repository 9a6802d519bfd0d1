"""Having a port of an SSH server's loopback address listened on, and taking what connects there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import anyio
import asyncssh
import structlog
from anyio.abc import ByteStream
from asyncssh.constants import OPEN_RESOURCE_SHORTAGE

from sessiond.core.command import Command, Completed
from sessiond.core.errors import AnswerLost, NotSent, PortTaken, printable
from sessiond.remote.ssh.channel import Exchange, ExecChannel, ExecRefused, SlotRefused, Unheard, opened
from sessiond.remote.ssh.opening import OPEN_TIMEOUT_S, CannotOpen, Why, open_tcp
from sessiond.remote.ssh.stale import Run, Stale
from sessiond.remote.ssh.stream import ChannelStream
from sessiond.remote.ssh.words import command_line

LOOPBACK = "127.0.0.1"
WAITING = 64
"""How many connections may wait to be accepted; further ones are refused."""
CLOSE_S = 2.0

_BESIDE = "127.0.0.2"
"""Loopback too, on Linux, and another address: what listens on 127.0.0.1 alone refuses it, what listens on all of the
host's addresses does not."""
_KNOCK_S = 5.0
_FREED_WITHIN_S = 3.0
_FREED_STEP_S = 0.1
_OUTPUT_LIMIT = 65536
_ROOTS = 1024
_FORBIDDEN = (
    "Ask its administrator to allow it for you: AllowTcpForwarding yes, and no PermitListen that forbids it, in its "
    "sshd_config."
)
_EXPOSED = "Ask its administrator for GatewayPorts no in its sshd_config; so long the port stays closed."

_log = structlog.get_logger()


class _Incoming(ChannelStream):
    """A connection to the port."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        on_open: Callable[[ChannelStream], None],
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__(connection, on_closed)
        self._on_open = on_open

    def connection_made(self, chan: object) -> None:
        """The channel is open."""
        super().connection_made(chan)
        self._on_open(self)


class RemotePort:
    """A port that an SSH server listens on for us (`sessiond.remote.transport.Accepting`). Made by `open_port`.

    ``opens`` and ``closes`` are called for each connection that comes, ``released`` once, when the port is closed.
    """

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        port: int,
        opens: Callable[[], None],
        closes: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._opens = opens
        self._closes = closes
        self._listener: asyncssh.SSHListener | None = None
        self._come: deque[ChannelStream] = deque()
        self._coming = 0
        self._closing = False
        self._more = anyio.Event()
        self.released: Callable[[], None] = lambda: None
        self.port = port
        """Its number."""

    async def accept(self) -> ByteStream:
        """The next connection; never returns where none will come any more. Not to be called twice at a time."""
        while not self._come:
            self._more = anyio.Event()
            await self._more.wait()
        self._coming -= 1
        return self._come.popleft()

    async def lost(self) -> str:
        """Wait until the connection that carries it is no more; why, in words."""
        await self._connection.wait_closed()
        return Why.LOST.value

    def close(self) -> None:
        """Begin to free the port. Connections that were accepted go on. May be called twice."""
        if self._listener is not None and not self._closing:
            self._closing = True
            self._listener.close()
            self.released()

    async def aclose(self) -> None:
        """Free the port, and wait for that. May be called twice."""
        self.close()
        with anyio.move_on_after(CLOSE_S, shield=True):
            while self._come:
                await self._come.popleft().aclose()
            if self._listener is not None:
                await self._listener.wait_closed()

    # For `open_port`.

    async def listen(self) -> bool:
        """Have the server listen; whether it does."""
        try:
            # A request cannot be taken back: where nobody waited for the answer, the port would stay open.
            with anyio.CancelScope(shield=True), anyio.fail_after(OPEN_TIMEOUT_S):
                self._listener = await self._connection.create_server(self._take, LOOPBACK, self.port)
        except asyncssh.ChannelListenError:
            return False
        except TimeoutError:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await self._connection.close_client_tcp_listener(LOOPBACK, self.port)
            raise NotSent(f"its SSH server does not say whether it opens port {self.port}") from None
        except (asyncssh.Error, OSError) as error:
            raise _lost(self.port) from error
        return True

    def _take(self, _host: str, _port: int) -> ChannelStream:
        if self._closing or self._coming >= WAITING:
            raise asyncssh.ChannelOpenError(OPEN_RESOURCE_SHORTAGE, "too many connections wait")
        self._coming += 1
        self._opens()
        return _Incoming(self._connection, self._arrived, self._closes)

    def _arrived(self, stream: ChannelStream) -> None:
        self._come.append(stream)
        self._more.set()


async def open_port(
    connection: asyncssh.SSHClientConnection,
    port: int,
    *,
    opens: Callable[[], None] = lambda: None,
    closes: Callable[[], None] = lambda: None,
) -> RemotePort:
    """Have ``port`` of the server's loopback address listened on, and of no other address of its host.

    Raises PortTaken where somebody else listens there, CannotOpen where the connection is lost, NotSent where the
    server does not allow it.
    """
    if not 0 < port < 65536:
        raise NotSent(f"{port}: not a port")
    made = RemotePort(connection, port, opens, closes)
    if not await made.listen():
        if connection.is_closed():
            raise _lost(port)
        if await _is_answered(connection, LOOPBACK, port):
            raise PortTaken(f"port {port} is taken: another program listens on it")
        # Whoever had it may have gone between the two questions: only a second no is one of principle.
        if not await made.listen():
            own = "Ports below 1024 are root's. " if port < _ROOTS else ""
            raise NotSent(f"its SSH server does not open port {port}", hint=own + _FORBIDDEN)
    safe = False
    try:
        if await _is_answered(connection, _BESIDE, port):
            raise NotSent(f"its SSH server opens port {port} to everybody on its network", hint=_EXPOSED)
        safe = True
    finally:
        if not safe:
            await made.aclose()
    return made


def _lost(port: int) -> CannotOpen:
    return CannotOpen(f"port {port}: {Why.LOST.value}", Why.LOST)


async def _is_answered(connection: asyncssh.SSHClientConnection, host: str, port: int) -> bool:
    """Whether something listens on ``host``:``port``, as the server finds; False where that cannot be known."""
    try:
        with anyio.fail_after(_KNOCK_S):
            stream = await open_tcp(connection, host, port)
    except (CannotOpen, TimeoutError):
        return False
    with anyio.move_on_after(CLOSE_S, shield=True):
        await stream.aclose()
    return True


class Opener:
    """Opens ports over the connections to one cluster's hosts; what ports stale processes hold it takes back."""

    def __init__(self, stale: Stale) -> None:
        self._stale = stale
        self._noted: set[asyncssh.SSHClientConnection] = set()
        self._asking = anyio.Lock()

    async def open(
        self,
        connection: asyncssh.SSHClientConnection,
        run: Run,
        port: int,
        *,
        opens: Callable[[], None],
        closes: Callable[[], None],
    ) -> RemotePort:
        """As `open_port`; ``run`` runs commands over ``connection``."""
        async with self._asking:
            if connection not in self._noted:
                self._noted = {one for one in self._noted if not one.is_closed()}
                await self._stale.note(run, lambda: not connection.is_closed())
                self._noted.add(connection)
        tried = partial(open_port, connection, port, opens=opens, closes=closes)
        try:
            return await tried()
        except PortTaken:
            if not await self._stale.end(run):
                raise
            _log.info("a lost connection's server process was ended, which held a port", port=port)
        give_up = anyio.current_time() + _FREED_WITHIN_S
        while True:
            try:
                return await tried()
            except PortTaken:
                if anyio.current_time() > give_up:
                    raise
            await anyio.sleep(_FREED_STEP_S)


async def run_on(connection: asyncssh.SSHClientConnection, command: Command) -> Completed:
    """Run a short command over a connection to a node, which nothing else runs commands over. Raises RemoteError."""
    exchange = Exchange(_OUTPUT_LIMIT)
    stuck: list[ExecChannel] = []
    try:
        with anyio.fail_after(command.timeout_s):
            async with opened(connection, stuck) as channel:
                await channel.start(exchange, command_line(command.argv))
                if not channel.is_closing():
                    channel.write(command.stdin)
                    channel.write_eof()
                await channel.finish(exchange)
                rc = channel.get_returncode()
    except (SlotRefused, ExecRefused, Unheard) as error:
        raise NotSent(f"no command was started: {printable(str(error))}") from error
    except TimeoutError:
        raise AnswerLost(f"no answer within {command.timeout_s:g} s") from None
    if rc is None:
        raise AnswerLost("its exit status was lost")
    return Completed(rc=rc, stdout=bytes(exchange.stdout), stderr=bytes(exchange.stderr))
