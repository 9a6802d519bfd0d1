"""One open SSH connection to a login node: commands that never leak a session slot, files, streams."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import PurePosixPath

import anyio
import anyio.to_thread
import asyncssh
import structlog
from anyio.abc import ByteStream

from sessiond.core.command import Command, Completed
from sessiond.core.errors import AnswerLost, NotSent, Unreadable, printable
from sessiond.core.session import Endpoint
from sessiond.remote.ssh import files, kerberos
from sessiond.remote.ssh.channel import Exchange, ExecChannel, ExecRefused, SlotRefused, Unheard, opened
from sessiond.remote.ssh.client import Client
from sessiond.remote.ssh.keys import Opened
from sessiond.remote.ssh.nodes import Nodes
from sessiond.remote.ssh.refusals import ending
from sessiond.remote.ssh.settings import KEEPALIVE_COUNT, KEEPALIVE_S, SshSettings, Target, resolve
from sessiond.remote.ssh.slots import Slots
from sessiond.remote.ssh.stale import Stale
from sessiond.remote.ssh.words import command_line
from sessiond.remote.transport import Accepting

OUTPUT_LIMIT = 4 * 1024 * 1024
"""The most bytes a command may write to either of its outputs; more is no answer to anything we ask."""
KILL_AFTER_S = 5
"""How long after its deadline a command is killed at the other side that does not heed SIGTERM."""
SLACK_S = 3.0
"""How much longer we wait than the other side takes to end a command by itself, for the way back."""
SLOT_WAIT_S = 120.0
"""How long a command waits for those before it."""
WORN_AT = 2
"""So many channels that will not close make a connection worn."""
CLOSE_S = 3.0

_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""How long the server is given to free a slot, from one refusal to the next."""
_TIMED_OUT = frozenset({124, 137, -9, -15})
"""How `timeout` ends: GNU and busybox say 124, or die of the signal that they send."""
_ASK_TIMEOUT = ("sh", "-c", "timeout -k 1 9 true 2>/dev/null && echo sessiond-timeout=yes || echo sessiond-timeout=no")
_HINT_SHELL = "Your login shell there must run commands that ssh hands it, as `ssh HOST true` does."

_log = structlog.get_logger()


class SshConnection:
    """An open connection (`sessiond.remote.transport.Connection`), made by `SshConnector`.

    Every command runs under `timeout` at the other side, so that it ends there although nothing can be said to it any
    more; and one that is given up here is killed and its channel closed. Alone neither frees the slot in every case:
    sshd refuses signals to root's commands and to forced ones.
    """

    def __init__(
        self,
        settings: SshSettings,
        chain: Sequence[tuple[asyncssh.SSHClientConnection, Client]],
        unlocked: Opened,
        *,
        learned: Callable[[str], None],
        earlier: str = "",
        stale: Stale | None = None,
        output_limit: int = OUTPUT_LIMIT,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._settings = settings
        self._chain = tuple(chain)
        self._login, self._client = self._chain[-1]
        self._unlocked = unlocked
        self._output_limit = output_limit
        self._slots = Slots(settings.max_sessions, clock)
        self._stuck: list[ExecChannel] = []
        self._asking = anyio.Lock()
        self._has_timeout: bool | None = None
        self._closed = False
        self._nodes = Nodes(
            self._login,
            options=self._node_options,
            run=self.run,
            policy=settings.route,
            learned=learned,
            earlier=earlier,
            stale=stale,
        )

    @property
    def streams(self) -> int:
        """How many streams that `connect` opened are still open."""
        return self._nodes.streams

    @property
    def worn(self) -> bool:
        """Whether two or more channels would not close, each of which holds a session slot."""
        self._stuck = [channel for channel in self._stuck if not channel.closed.is_set()]
        return len(self._stuck) >= WORN_AT

    @property
    def slots(self) -> Slots:
        """How many commands may be under way, and how many are."""
        return self._slots

    async def run(self, command: Command) -> Completed:
        """Run ``command`` in the home folder there and wait for it.

        Raises NotSent where it is proved that it did not start, AnswerLost where it may have run (its deadline passed,
        the connection ended, nobody knows its exit status), Unreadable where it wrote more than the limit.
        Cancellation ends it and passes through, at most two seconds later.
        """
        line = command_line(command.argv)
        name = printable(PurePosixPath(command.argv[0]).name)
        async with self._slot(name, urgent=command.urgent):
            if await self._timeout_there():
                seconds = max(1, math.ceil(command.timeout_s))
                line = command_line(("timeout", "-k", str(KILL_AFTER_S), str(seconds), *command.argv))
            return await self._run(line, name, command)

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        """Open a stream to ``endpoint``. Raises NotSent with the precise reason where nothing accepts it."""
        return await self._nodes.connect(endpoint)

    async def listen(self, at: Endpoint, port: int) -> Accepting:
        """Have ``port`` of the loopback address at the host of ``at`` listened on. Raises PortTaken, NotSent."""
        return await self._nodes.listen(at, port)

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """Up to ``limit`` bytes of the regular file at ``path`` (relative: to the home folder) from ``offset`` on.

        Raises NotSent where it exists but cannot be read, and like `run`.
        """
        most = max(self._output_limit - files.OVERHEAD, 0)
        return files.read_bytes(path, await self.run(files.reading(path, offset, min(limit, most))))

    async def size(self, path: str) -> int:
        """How many bytes the file at ``path`` has; 0 where it is absent. Raises like `read`."""
        return files.read_size(path, await self.run(files.sizing(path)))

    async def lost(self) -> str:
        """Wait until the connection is no more; returns the reason in words (empty after `aclose`)."""
        await self._login.wait_closed()
        if self._closed:
            return ""
        for _, client in self._chain[:-1]:
            if client.ended:
                return f"a jump host: {ending(client.end, KEEPALIVE_S * KEEPALIVE_COUNT)}"
        return ending(self._client.end, KEEPALIVE_S * KEEPALIVE_COUNT)

    async def aclose(self) -> None:
        """End it, and everything over it. May be called twice."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            await self._nodes.aclose()
            await close_all([connection for connection, _ in self._chain])

    async def _node_options(self, host: str) -> asyncssh.SSHClientConnectionOptions:
        """How to connect to a compute node; nobody is asked anything for it."""
        client = Client(host, None, lambda: None, self._unlocked)
        target = Target(host=host, user=self._settings.user, role="node")
        work = partial(resolve, self._settings, target, client, self._unlocked)
        options = (await anyio.to_thread.run_sync(work, abandon_on_cancel=True)).options
        await kerberos.prepare(options)
        return options

    @asynccontextmanager
    async def _slot(self, name: str, *, urgent: bool) -> AsyncIterator[None]:
        taken = self._slots.take(urgent=urgent)
        try:
            with anyio.fail_after(SLOT_WAIT_S):
                await taken.__aenter__()
        except TimeoutError:
            raise NotSent(f"{name} was not started: too many commands are under way there") from None
        try:
            yield
        finally:
            await taken.__aexit__(None, None, None)

    async def _timeout_there(self) -> bool:
        """Whether there is a `timeout` that works; asked once. Raises NotSent where no command runs at all."""
        async with self._asking:
            if self._has_timeout is None:
                try:
                    done = await self._run(command_line(_ASK_TIMEOUT), "sh", Command(argv=_ASK_TIMEOUT, timeout_s=20))
                except (AnswerLost, Unreadable) as error:
                    raise NotSent(f"nothing could be run there: {error.message}", hint=_HINT_SHELL) from error
                _, found, answer = done.stdout.rpartition(b"sessiond-timeout=")
                if not found:
                    said = printable((done.stderr or done.stdout).decode(errors="replace").strip(), 200)
                    raise NotSent(f"the login shell ran no command: {said or done.rc}", hint=_HINT_SHELL)
                self._has_timeout = answer.startswith(b"yes")
        return self._has_timeout

    async def _run(self, line: str, name: str, command: Command) -> Completed:
        """Run ``line``; the server is given some time to free a slot, since nothing ran where it refused one."""
        for pause_s in (*_PAUSES_S, None):
            try:
                return await self._attempt(line, name, command)
            except SlotRefused as error:
                if self._login.is_closed():
                    raise self._gone(name) from error
                self._slots.refused()
                _log.info("ssh.slot-refused", cluster=self._settings.cluster, ceiling=self._slots.ceiling)
                if pause_s is None:
                    said = printable(str(error))
                    raise NotSent(
                        f"{name} was not started: {self._settings.host} opens no more sessions ({said})",
                        hint="Set max_sessions of this cluster to the MaxSessions of its sshd.",
                    ) from error
                await anyio.sleep(pause_s)
        raise AssertionError

    async def _attempt(self, line: str, name: str, command: Command) -> Completed:
        if self._login.is_closed():
            raise self._gone(name)
        began = anyio.current_time()
        exchange = Exchange(self._output_limit)
        try:
            async with opened(self._login, self._stuck) as channel:
                await channel.start(exchange, line)
                with anyio.move_on_after(command.timeout_s + KILL_AFTER_S + SLACK_S):
                    if not channel.is_closing():
                        channel.write(command.stdin)
                        channel.write_eof()
                    await channel.finish(exchange)
                rc = channel.get_returncode()
        except ExecRefused as error:
            raise NotSent(f"{name} was not started: {self._settings.host} refuses to run commands") from error
        except Unheard as error:
            if self._login.is_closed():
                raise self._gone(name) from error
            raise NotSent(f"{name} was not started: {self._settings.host} does not answer") from error
        took_s = anyio.current_time() - began
        if exchange.too_much:
            raise Unreadable(f"{name} wrote more than {self._output_limit} bytes and was ended")
        late = took_s >= command.timeout_s
        if rc is None and self._login.is_closed():
            raise AnswerLost(f"the connection ended while {name} was running: {self._why()}")
        if late and (rc is None or rc in _TIMED_OUT):
            raise AnswerLost(f"{name} did not finish within {command.timeout_s:g} s and was ended")
        if rc is None:
            raise AnswerLost(f"the exit status of {name} was lost")
        return Completed(rc=rc, stdout=bytes(exchange.stdout), stderr=bytes(exchange.stderr), took_s=took_s)

    def _gone(self, name: str) -> NotSent:
        return NotSent(f"{name} was not started: the connection to {self._settings.host} has ended")

    def _why(self) -> str:
        return ending(self._client.end, KEEPALIVE_S * KEEPALIVE_COUNT)


async def close_all(connections: Sequence[asyncssh.SSHClientConnection]) -> None:
    """Close connections that go through each other, the innermost first."""
    with anyio.move_on_after(CLOSE_S, shield=True) as scope:
        for connection in reversed(connections):
            connection.close()
            await connection.wait_closed()
    if scope.cancelled_caught:
        for connection in connections:
            connection.abort()
