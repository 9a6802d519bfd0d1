"""Connecting to a login node, through as many jump hosts as the configuration names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import anyio
import anyio.to_thread
import asyncssh

from sessiond.core.errors import LinkError, NotSent
from sessiond.remote.ssh import kerberos
from sessiond.remote.ssh.client import Client
from sessiond.remote.ssh.connection import SshConnection, close_all
from sessiond.remote.ssh.keys import Opened
from sessiond.remote.ssh.opening import Through
from sessiond.remote.ssh.packets import quicken
from sessiond.remote.ssh.refusals import never_unattended, refusal, timed_out, unanswered
from sessiond.remote.ssh.settings import Hop, SshSettings, Target, jump_targets, login_target, resolve
from sessiond.remote.ssh.stale import Stale
from sessiond.remote.ssh.wire import Wire
from sessiond.remote.transport import Ask

MOST_HOPS = 8


class SshConnector:
    """Makes connections to one cluster's login node (`sessiond.remote.transport.Connector`).

    ``learned`` is told which route to the compute nodes works, ``earlier`` is the one that did last time. ``stale``
    knows the server processes of connections that were lost.
    """

    def __init__(
        self,
        settings: SshSettings,
        *,
        learned: Callable[[str], None] = lambda _route: None,
        earlier: str = "",
        stale: Stale | None = None,
    ) -> None:
        self._settings = settings
        self._learned = learned
        self._earlier = earlier
        self._stale = stale or Stale()
        # It writes a line for every channel, and at its finest levels whole packets.
        asyncssh.set_log_level(logging.WARNING)

    async def open(self, ask: Ask | None) -> SshConnection:
        """Connect and be let in.

        Each host on the way has ``connect_s`` to answer, and a person ``login_s`` from its first question on. With
        ``ask`` None nothing is answered, and no way of proving who we are is begun that would ask somebody something.
        Raises HostDown, HostRefused, AuthDenied, NeedsLogin, HostKeyRefused, or LinkError with the code "ssh-config".
        """
        settings = self._settings
        if ask is None and settings.attended:
            raise never_unattended(settings.host, settings.cluster)
        opened = Opened()
        chain: list[tuple[asyncssh.SSHClientConnection, Client]] = []
        whole = False
        try:
            await self._reach(login_target(settings), None, ask, opened, chain, 0)
            whole = True
        finally:
            if not whole:
                await close_all([connection for connection, _ in chain])
        return SshConnection(
            settings, chain, opened, learned=self._learned_route, earlier=self._earlier, stale=self._stale
        )

    def _learned_route(self, route: str) -> None:
        self._earlier = route
        self._learned(route)

    async def _reach(
        self,
        target: Target,
        through: asyncssh.SSHClientConnection | None,
        ask: Ask | None,
        opened: Opened,
        chain: list[tuple[asyncssh.SSHClientConnection, Client]],
        depth: int,
    ) -> asyncssh.SSHClientConnection:
        """Connect to ``target``, first to what it is reached through; every connection is added to ``chain``."""
        settings = self._settings
        if depth > MOST_HOPS:
            raise LinkError(
                f"your ssh configuration goes through more than {MOST_HOPS} hosts to reach {settings.host}",
                hint="Is a jump host reached through itself? Give it `ProxyJump none`.",
                code="ssh-config",
            )
        scope = anyio.CancelScope()
        asked = False

        def question() -> None:
            nonlocal asked
            if not asked:
                asked = True
                scope.deadline = anyio.current_time() + settings.login_s

        client = Client(f"{target.user}@{target.host}" if target.user else target.host, ask, question, opened)
        hop = await anyio.to_thread.run_sync(partial(resolve, settings, target, client, opened), abandon_on_cancel=True)
        if through is None and hop.jump:
            for jump in jump_targets(hop.jump):
                through = await self._reach(jump, through, ask, opened, chain, depth + 1)
        client.kerberos = await kerberos.prepare(hop.options)
        scope.deadline = anyio.current_time() + settings.connect_s
        connection: asyncssh.SSHClientConnection | None = None
        try:
            with scope:
                connection = await asyncssh.connect(
                    target.host,
                    hop.options.port,
                    options=hop.options,
                    tunnel=_way(hop, through),
                )
        except (asyncssh.Error, OSError, ValueError, NotSent) as error:
            raise refusal(error, hop, client, settings.cluster) from error
        if connection is None:
            if asked:
                raise unanswered(hop, settings.cluster, settings.login_s)
            raise timed_out(hop, client, settings.cluster, settings.connect_s)
        quicken(connection)
        chain.append((connection, client))
        return connection


def _way(hop: Hop, through: asyncssh.SSHClientConnection | None) -> Through | Wire | None:
    """How to get to ``hop``: through another host, straight, or (None) by the ProxyCommand of its options."""
    if through is not None:
        return Through(through)
    options = hop.options
    return None if options.proxy_command else Wire(family=options.family, local_addr=options.local_addr)
