"""Streams to services on a cluster: on its login node, and on its compute nodes by the route that works."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import asyncssh
import structlog
from anyio.abc import ByteStream

from sessiond.core.command import Command, Completed
from sessiond.core.errors import NotSent, RemoteError, printable
from sessiond.core.session import Endpoint
from sessiond.remote.ssh.node_words import NodeRefused, in_one_sentence, where
from sessiond.remote.ssh.opening import CannotOpen, Through, Why, open_tcp, open_unix
from sessiond.remote.ssh.packets import quicken
from sessiond.remote.ssh.ports import Opener, RemotePort, run_on
from sessiond.remote.ssh.route import Route, lesson, on_login_node, order
from sessiond.remote.ssh.stale import Stale
from sessiond.remote.ssh.stream import ChannelStream

IDLE_S = 300.0
"""How long a connection to a node is kept without streams."""
BARRED_S = 60.0
"""How long a node that did not let us in is left alone."""
NODE_TIMEOUT_S = 20.0
"""How long an SSH connection to a node may take, in all."""
KEYS_TIMEOUT_S = 15.0
CLOSE_S = 2.0

NodeOptions = Callable[[str], Awaitable[asyncssh.SSHClientConnectionOptions]]
"""How to connect to a node of this name: user, port, keys and agent, the workspace's known_hosts. Asks nobody."""
Run = Callable[[Command], Awaitable[Completed]]

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_KEY_LINE = re.compile(
    r"(?:(@cert-authority|@revoked)[ \t]+)?(\S+)[ \t]+([a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+=*)(?:\s.*)?"
)
_PUBLISHED = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+=*")
# The files that ssh on the login node itself would look into.
_LOOK_UP = b"""\
for file in /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2 "$HOME/.ssh/known_hosts" "$HOME/.ssh/known_hosts2"; do
    [ -r "$file" ] || continue
    for name; do ssh-keygen -F "$name" -f "$file" 2>/dev/null; done
done
exit 0
"""
_SSH_PORT = 22

_log = structlog.get_logger()


@dataclass(slots=True)
class _Node:
    """What is known of one compute node."""

    host: str
    users: int = 0
    connection: asyncssh.SSHClientConnection | None = None
    failure: NodeRefused | None = None
    failed_at: float = 0.0
    idle: asyncio.TimerHandle | None = None
    opening: anyio.Lock = field(default_factory=anyio.Lock)

    def refusal(self) -> NodeRefused | None:
        """Why it is barred, while it is."""
        return self.failure if anyio.current_time() - self.failed_at < BARRED_S else None

    def keep(self) -> None:
        """One more stream or port needs its connection."""
        self.users += 1
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None

    def drop(self) -> None:
        """Let go of its connection."""
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trust:
    """The host keys a node may show, as lines of a known_hosts file (None: the workspace's own), and who vouches."""

    lines: bytes | None
    source: str


class Nodes:
    """The services of one cluster, through one connection to its login node.

    ``options`` says how to connect to a node; ``run`` runs a command on the login node. ``policy`` is the configured
    route: "auto", "direct" or "jump". With "auto", ``earlier`` is the route that worked last ("" if none did), and
    ``learned`` is told when another one works. ``stale`` knows the server processes of earlier connections.
    """

    def __init__(
        self,
        login: asyncssh.SSHClientConnection,
        *,
        options: NodeOptions,
        run: Run,
        policy: str,
        learned: Callable[[str], None],
        earlier: str = "",
        idle_s: float = IDLE_S,
        stale: Stale | None = None,
    ) -> None:
        self._login = login
        self._options = options
        self._run = run
        self._policy = policy
        self._learned = learned
        self._route = earlier
        self._idle_s = idle_s
        self._opener = Opener(stale or Stale())
        self._nodes: dict[str, _Node] = {}
        self._closed = False
        self.streams = 0
        """How many streams that `connect` opened are still open."""

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        """Open a stream to ``endpoint``. Raises NotSent with the precise reason where nothing accepts it."""
        if not endpoint.path and not 0 < endpoint.port < 65536:
            raise NotSent(f"{endpoint.host}:{endpoint.port}: not a port")
        if self._closed:
            raise CannotOpen(f"{where(endpoint)}: {Why.LOST.value}", Why.LOST)
        if on_login_node(endpoint.host):
            return await self._open(self._login, endpoint.host or "127.0.0.1", endpoint, None)
        if not _HOST.fullmatch(endpoint.host):
            raise NotSent(f"{printable(endpoint.host)}: not the name of a node")
        return await self._by_route(endpoint)

    async def listen(self, at: Endpoint, port: int) -> RemotePort:
        """Have ``port`` listened on at the loopback address of the host of ``at``: of the login node, or through SSH to
        a node. Raises PortTaken where another program does, NotSent with the precise reason where it cannot be done."""
        if self._closed:
            raise CannotOpen(f"port {port}: {Why.LOST.value}", Why.LOST)
        if on_login_node(at.host):
            return await self._open_port(self._login, self._run, port, None)
        if not _HOST.fullmatch(at.host):
            raise NotSent(f"{printable(at.host)}: not the name of a node")
        node = self._nodes.setdefault(at.host, _Node(at.host))
        connection = await self._reach(node, at)
        node.keep()  # its connection is needed while the port is open, whether anybody connects to it or not
        made: RemotePort | None = None
        try:
            made = await self._open_port(connection, partial(run_on, connection), port, node)
            made.released = partial(self._released, node)
        finally:
            if made is None:
                self._released(node)
        return made

    async def _open_port(
        self, connection: asyncssh.SSHClientConnection, run: Run, port: int, node: _Node | None
    ) -> RemotePort:
        return await self._opener.open(
            connection,
            run,
            port,
            opens=partial(self._stream_opens, node),
            closes=partial(self._stream_closed, node),
        )

    async def aclose(self) -> None:
        """Close the connections to all nodes, and with them the streams over them. May be called twice."""
        self._closed = True
        connections = [node.connection for node in self._nodes.values() if node.connection is not None]
        for node in self._nodes.values():
            node.drop()
        with anyio.move_on_after(CLOSE_S, shield=True):
            for connection in connections:
                await connection.wait_closed()

    async def _by_route(self, endpoint: Endpoint) -> ByteStream:
        node = self._nodes.setdefault(endpoint.host, _Node(endpoint.host))
        barred = node.refusal()
        unix = bool(endpoint.path)
        refusals: dict[Route, RemoteError] = {} if barred is None else {Route.JUMP: barred}
        tried = order(self._policy, self._route, unix=unix, jump_barred=barred is not None)
        for route in tried:
            try:
                if route is Route.DIRECT:
                    stream = await self._open(self._login, endpoint.host, endpoint, None)
                else:
                    stream = await self._jump(node, endpoint)
            except RemoteError as error:
                if isinstance(error, CannotOpen) and error.why is Why.LOST:
                    raise
                refusals[route] = error
            else:
                self._learn(route, unix)
                return stream
        raise in_one_sentence(endpoint, refusals)

    def _learn(self, worked: Route, unix: bool) -> None:
        new = lesson(self._policy, self._route, worked, unix=unix)
        if new is not None:
            self._route = new
            self._learned(new)

    async def _jump(self, node: _Node, endpoint: Endpoint) -> ChannelStream:
        """A stream opened on the node itself: to its loopback address, or else to its own."""
        again = node.connection is not None
        while True:
            connection = await self._reach(node, endpoint)
            try:
                try:
                    return await self._open(connection, "127.0.0.1", endpoint, node)
                except CannotOpen as error:
                    if endpoint.path or error.why is not Why.REFUSED:
                        raise
                    return await self._open(connection, endpoint.host, endpoint, node)
            except CannotOpen as error:
                if error.why is not Why.LOST or not again:
                    raise
                again = False  # the connection was gone before it was known; one made anew tells
                if node.connection is connection:
                    node.drop()

    async def _open(
        self, connection: asyncssh.SSHClientConnection, host: str, endpoint: Endpoint, node: _Node | None
    ) -> ChannelStream:
        closed = partial(self._stream_closed, node)
        self._stream_opens(node)
        opened = False
        try:
            if endpoint.path:
                stream = await open_unix(connection, endpoint.path, on_closed=closed)
            else:
                stream = await open_tcp(connection, host, endpoint.port, on_closed=closed)
            opened = True
        finally:
            if not opened:
                closed()
        return stream

    def _stream_opens(self, node: _Node | None) -> None:
        self.streams += 1
        if node is not None:
            node.keep()

    def _stream_closed(self, node: _Node | None) -> None:
        self.streams -= 1
        if node is not None:
            self._released(node)

    def _released(self, node: _Node) -> None:
        node.users -= 1
        if node.users == 0 and node.connection is not None:
            node.idle = asyncio.get_running_loop().call_later(self._idle_s, node.drop)

    async def _reach(self, node: _Node, endpoint: Endpoint) -> asyncssh.SSHClientConnection:
        """The SSH connection to ``node``, made if need be; whoever asks meanwhile waits for the same one."""
        async with node.opening:
            if node.connection is not None and not node.connection.is_closed():
                return node.connection
            node.drop()
            refused = node.refusal()
            if refused is not None:
                raise refused
            try:
                node.connection = await self._let_in(node.host, endpoint)
            except NodeRefused as error:
                node.failure, node.failed_at = error, anyio.current_time()
                _log.info("node.refused", node=node.host, problem=error.message)
                raise
            if self._closed:
                node.drop()
                raise CannotOpen(f"{node.host}: {Why.LOST.value}", Why.LOST)
            return node.connection

    async def _let_in(self, host: str, endpoint: Endpoint) -> asyncssh.SSHClientConnection:
        source = ""
        try:
            with anyio.fail_after(NODE_TIMEOUT_S):
                options = await self._options(host)
                trust = await self._trust(host, options, endpoint)
                source = trust.source
                connection = await asyncssh.connect(
                    host,
                    options.port,
                    tunnel=Through(self._login),
                    options=options,
                    **({} if trust.lines is None else {"known_hosts": trust.lines}),
                )
                quicken(connection)
                return connection
        except TimeoutError:
            raise NodeRefused(f"ssh to {host} failed: no answer within {NODE_TIMEOUT_S:g} s") from None
        except CannotOpen as error:
            if error.why is Why.LOST:
                raise
            raise NodeRefused(f"ssh to {host} failed: {error.why.value}", hint=error.hint) from error
        except asyncssh.HostKeyNotVerifiable as error:
            raise NodeRefused(
                f"ssh to {host} failed: it shows another host key than {source} has for it",
                hint=f"If the node was installed anew, correct its key there; else ask who runs {host} before you do.",
            ) from error
        except asyncssh.PermissionDenied as error:
            raise NodeRefused(
                f"ssh to {host} failed: Permission denied",
                hint="Your key must be accepted on the node too: put it into ~/.ssh/authorized_keys on the cluster. "
                "Some sites let you in only where you have a running job.",
            ) from error
        except (asyncssh.Error, OSError) as error:
            if self._login.is_closed():
                raise CannotOpen(f"{host}: {Why.LOST.value}", Why.LOST) from error
            said = error.reason if isinstance(error, asyncssh.Error) else error.strerror or str(error)
            raise NodeRefused(f"ssh to {host} failed: {printable(said)}") from error

    async def _trust(self, host: str, options: asyncssh.SSHClientConnectionOptions, endpoint: Endpoint) -> _Trust:
        """Who vouches for the host keys of ``host``: the first that knows any, so that a changed key is refused."""
        if _known_here(host, options):
            return _Trust(lines=None, source="your known_hosts")
        name = "*"  # these lines are for this one connection
        found = await self._ask_login_node(host, options.port)
        if found:
            lines = [" ".join(filter(None, (marker, name, kind, key))) for marker, kind, key in found]
            return _Trust(lines=_file(lines), source="the login node's known_hosts")
        lines = [f"{name} {key}" for key in endpoint.host_keys if _PUBLISHED.fullmatch(key)]
        if lines:
            return _Trust(lines=_file(lines), source="the session's own script")
        raise NodeRefused(
            f"ssh to {host} failed: its host key is known neither here nor on the login node",
            hint=f"Run `ssh {host}` once on the login node and accept its key, or put it into your known_hosts here.",
        )

    async def _ask_login_node(self, host: str, port: int) -> list[tuple[str, str, str]]:
        """What the login node's own files have for ``host``: marker, type and key of each line."""
        names = (host,) if port == _SSH_PORT else (f"[{host}]:{port}", host)
        command = Command(argv=("sh", "-s", "--", *names), stdin=_LOOK_UP, timeout_s=KEYS_TIMEOUT_S)
        try:
            answer = await self._run(command)
        except RemoteError as error:
            raise NodeRefused(f"ssh to {host} failed: its host key could not be asked for: {error.message}") from error
        said = answer.stdout.decode("utf-8", "replace").splitlines()
        found = [_KEY_LINE.fullmatch(line.strip()) for line in said if not line.startswith("#")]
        return [(match[1] or "", match[3], match[4]) for match in found if match is not None]


def _file(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _known_here(host: str, options: asyncssh.SSHClientConnectionOptions) -> bool:
    """Whether the workspace's known_hosts say anything about ``host``."""
    known = options.known_hosts
    if known is None:
        raise NodeRefused(f"ssh to {host} failed: host keys are not checked here, and must be")
    if not known:
        usual = Path("~/.ssh/known_hosts").expanduser()
        if not usual.is_file():
            return False
        known = str(usual)
    port = None if options.port == _SSH_PORT else options.port
    return any(asyncssh.match_known_hosts(known, options.host_key_alias or options.host or host, "", port))
