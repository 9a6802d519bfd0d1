"""Looking at a cluster for everything that can be wrong with it: what a person would try by hand, all of it."""

from __future__ import annotations

from collections.abc import Collection

import anyio

from sessiond.core.command import Command
from sessiond.core.errors import AnswerLost, LinkError, NotSent, RemoteError, Unreadable
from sessiond.core.session import Endpoint
from sessiond.remote.transport import Transport
from sessiond.runtime.clock import Clock
from sessiond.runtime.pump import close_both
from sessiond.schedulers.check import Finding, Grade, look, read_look

AT_ONCE = 4
"""How many commands the runtime has in flight on a connection at most."""
SLOW_S = 1.0
_TRIES = 3
_TRIVIAL = Command(argv=("true",), timeout_s=30.0)


class Checkup:
    """One look at one cluster. ``ssh_port`` is the login node's own; None: it is this machine.

    ``ours`` are the tags of all sessions that are known, ``proved_shared`` whether a compute node has ever written
    to a session's folder there.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        scheduler: str,
        workdir: str,
        setup: str,
        ssh_port: int | None,
        ours: Collection[str],
        proved_shared: bool,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._scheduler = scheduler
        self._workdir = workdir
        self._setup = setup
        self._ssh_port = ssh_port
        self._ours = ours
        self._proved_shared = proved_shared

    async def run(self) -> list[Finding]:
        """Everything that was found; where the cluster is not reached, that alone."""
        found = [await self._reach()]
        if found[0].grade is Grade.BAD:
            return found
        if self._ssh_port is not None:
            found += [await self._forwarding(self._ssh_port), await self._slots()]
        return found + await self._look()

    async def _reach(self) -> Finding:
        took: list[float] = []
        for _ in range(_TRIES):
            began = anyio.current_time()
            try:
                await self._transport.run(_TRIVIAL)
            except RemoteError as error:
                return _out_of_reach(error)
            took.append(anyio.current_time() - began)
        if self._ssh_port is None:
            return Finding(what="reach", grade=Grade.OK, text="this machine")
        best_s = min(took)
        text = f"reached; a command takes {best_s * 1000:.0f} ms"
        if best_s <= SLOW_S:
            return Finding(what="reach", grade=Grade.OK, text=text)
        remedy = "if `ssh` by hand is as slow, its start-up files or the network are; nothing has to be done"
        return Finding(what="reach", grade=Grade.WARN, text=text, remedy=remedy)

    async def _forwarding(self, port: int) -> Finding:
        """Streams are how sessions are reached: to its own SSH server is one that nearly always is accepted."""
        try:
            stream = await self._transport.connect(Endpoint(run="", host="127.0.0.1", port=port))
        except RemoteError as error:
            if "prohibited" not in error.message.lower():
                # Its server tried and found nobody listening: so it does forward.
                return Finding(what="forwarding", grade=Grade.OK, text="streams are forwarded")
            return Finding(
                what="forwarding",
                grade=Grade.BAD,
                text=f"its SSH server forwards no streams: {error.message}",
                remedy=error.hint
                or "ask its administrators for AllowTcpForwarding in sshd_config, or use another login node",
            )
        await close_both(stream)
        return Finding(what="forwarding", grade=Grade.OK, text="streams are forwarded")

    async def _slots(self) -> Finding:
        refused: list[str] = []

        async def one() -> None:
            try:
                await self._transport.run(_TRIVIAL)
            except NotSent as error:
                refused.append(error.message)
            except RemoteError:
                return

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(one)
        if not refused:
            return Finding(what="slots", grade=Grade.OK, text=f"{AT_ONCE} commands at once are accepted")
        return Finding(
            what="slots",
            grade=Grade.WARN,
            text=f"of {AT_ONCE} commands at once {len(refused)} were refused: {refused[0]}",
            remedy="set `max_sessions` in config.toml to what its sshd allows (MaxSessions)",
        )

    async def _look(self) -> list[Finding]:
        asked_at = self._clock.now()
        try:
            done = await self._transport.run(look(self._workdir, self._scheduler, self._setup))
            return read_look(
                done,
                scheduler=self._scheduler,
                ours=self._ours,
                asked_at=asked_at,
                answered_at=self._clock.now(),
                proved_shared=self._proved_shared,
            )
        except RemoteError as error:
            return [_unanswered(error)]


def _out_of_reach(error: RemoteError) -> Finding:
    if isinstance(error, LinkError | NotSent):
        return Finding(what="reach", grade=Grade.BAD, text=error.message, remedy=error.hint)
    return _unanswered(error)


def _unanswered(error: RemoteError) -> Finding:
    match error:
        case Unreadable():
            remedy = error.hint or "look what a login there prints: `ssh HOST sh -c true` must print nothing"
        case AnswerLost():
            remedy = error.hint or "try again; a login node that is this slow may be overloaded"
        case _:
            remedy = error.hint
    return Finding(what="commands", grade=Grade.BAD, text=error.message, remedy=remedy)
