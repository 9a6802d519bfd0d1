"""Doing what the machine orders: an action becomes a command there, and its answer an event."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from sessiond.core.actions import CancelJob, Cleanup, FetchHistory, FindJob, Stage, Submit
from sessiond.core.command import Command, Completed
from sessiond.core.errors import Answered, Bug, NotSent, RemoteError, SpecError, printable
from sessiond.core.events import Event, StageFailed
from sessiond.core.lane import Ordered
from sessiond.core.report import Evidence
from sessiond.core.session import Session
from sessiond.core.spec import Mode
from sessiond.remote.retry import quick
from sessiond.remote.transport import Transport
from sessiond.render.bundle import bundle
from sessiond.runtime.folders import Folders
from sessiond.runtime.guard import problem_from
from sessiond.schedulers.dialect import Dialect

LOG_TAIL_BYTES = 256 * 1024
STAGING_AT_ONCE = 2
SUBMITTING_AT_ONCE = 1
"""A cluster is not flooded: uploads leave room for looks and cancellations, submissions reach a scheduler singly."""


class Performer:
    """Performs the actions of one cluster's sessions. ``dialects`` are by the sessions' modes, ``lib`` are the files of
    ``services/_lib`` by name."""

    def __init__(
        self,
        dialects: Mapping[Mode, Dialect],
        transport: Transport,
        folders: Folders,
        lib: Mapping[str, bytes],
        *,
        staging_at_once: int = STAGING_AT_ONCE,
    ) -> None:
        self._dialects = dialects
        self._transport = transport
        self._folders = folders
        self._lib = lib
        self._staging = anyio.Semaphore(staging_at_once)
        self._submitting = anyio.Semaphore(SUBMITTING_AT_ONCE)
        self.commands = 0

    def dialect(self, session: Session) -> Dialect:
        """How the session's scheduler is spoken to. Raises NotSent where the configuration no longer has one for it."""
        found = self._dialects.get(session.spec.mode)
        if found is None:
            raise NotSent(
                f"{session.spec.cluster} is configured without sessions of mode {session.spec.mode} now",
                hint="put its scheduler back into config.toml and run sessionctl reload",
            )
        return found

    async def perform(self, session: Session, order: Ordered) -> Event | None:
        """Do what was ordered and return its answer. Raises RemoteError where there is none."""
        dialect = self.dialect(session)
        match order.action:
            case Stage():
                return await self._stage(session)
            case Submit(attempt=attempt):
                # The one command that is never repeated, not even where it was certainly not sent: the session
                # machine does that, with a new attempt.
                async with self._submitting:
                    return dialect.read_submit(session, await self._run(dialect.submit(session, attempt)))
            case FindJob(attempt=attempt):
                return dialect.read_find(session, await self._ask(dialect.find(session, attempt)))
            case CancelJob(force=force):
                return dialect.read_cancel(session, await self._ask(dialect.cancel(session, force=force)))
            case FetchHistory():
                return dialect.read_history(session, await self._ask(dialect.history(session)))
            case Cleanup():
                await self._clean_up(session)
                return None
            case _:
                raise Bug(f"nobody knows how to do {type(order.action).__name__}")

    async def extend(self, session: Session, by_s: int) -> str:
        """Ask for ``by_s`` seconds more of walltime; what was granted, in a sentence. Raises Refused with the
        scheduler's own words, RemoteError."""
        dialect = self.dialect(session)
        return dialect.read_extend(session, await self._ask(dialect.extend(session, by_s)))

    async def rehearse(self, session: Session) -> str:
        """What the scheduler would say to the session's submission, in a sentence; empty where there is none to ask.

        Raises Refused where it would refuse, RemoteError where it cannot be asked.
        """
        dialect = self.dialect(session)
        command = dialect.rehearse(session)
        return dialect.read_rehearse(session, await self._ask(command)) if command is not None else ""

    async def evidence(self, session: Session) -> Evidence:
        """All that may tell why the session's job ended, or what it does. Raises RemoteError."""
        dialect = self.dialect(session)
        return dialect.read_evidence(session, await self._ask(dialect.evidence(session)))

    async def log_end(self, session: Session) -> bytes:
        """The end of the session's log as it is there now. Raises RemoteError."""
        return await self._transport.read(f"{session.spec.jobdir}/logs.out", -LOG_TAIL_BYTES, LOG_TAIL_BYTES)

    async def forget(self, session: Session) -> None:
        """Remove the session's folder on the execution host. Raises Answered where something of it is left."""
        _insist(await self._ask(self.dialect(session).forget(session)), "the session's folder could not be removed")

    async def _run(self, command: Command) -> Completed:
        self.commands += 1
        return await self._transport.run(command)

    async def _ask(self, command: Command) -> Completed:
        """Run a command that may be repeated: what was certainly not sent is sent again, a few times."""
        return await quick(lambda: self._run(command))

    async def _stage(self, session: Session) -> Event:
        dialect = self.dialect(session)
        try:
            files = bundle(session, self._lib)
            kept, command = dialect.files(session, files), dialect.stage(session, files)
        except SpecError as error:
            return StageFailed(problem=problem_from(error))
        self._folders.keep(session.id, kept)
        async with self._staging:
            return dialect.read_stage(session, await self._ask(command))

    async def _clean_up(self, session: Session) -> None:
        """Leave nothing there but the log, and keep its end here. The end is fetched twice because cleaning up
        may run the service's kill script, which writes to it."""
        await self._keep_log(session)
        _insist(await self._ask(self.dialect(session).cleanup(session)), "something of the session is left")
        await self._keep_log(session)

    async def _keep_log(self, session: Session) -> None:
        try:
            tail = await self.log_end(session)
        except RemoteError:
            return
        if tail:
            self._folders.write(session.id, "logs.out", tail)


def _insist(done: Completed, otherwise: str) -> None:
    """Raise Answered where a command that must leave nothing did not succeed; a clean-up is then tried again."""
    if done.rc != 0:
        said = done.stdout.decode(errors="replace") or done.stderr.decode(errors="replace")
        raise Answered(f"{otherwise}: {printable(said, 300)}")
