"""Which partitions or queues a cluster has: asked when somebody wants to know, remembered for an hour, waited for only
by those who say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import anyio

from sessiond.core.command import Command, Completed
from sessiond.core.errors import RemoteError, SessiondError
from sessiond.core.ids import ClusterName
from sessiond.core.partitions import Partition
from sessiond.core.session import Problem
from sessiond.core.spec import Mode
from sessiond.remote.retry import quick
from sessiond.remote.transport import Transport
from sessiond.runtime import guard
from sessiond.runtime.clock import Clock
from sessiond.runtime.guard import problem_from
from sessiond.schedulers.dialect import Dialect

FRESH_S: Final = 3600.0
"""How long an answer is good: partitions change with the site's configuration, not with its load."""
AGAIN_S: Final = 60.0
"""How long after a question that failed the next may come by itself."""

_WORDS: Final = {Mode.SLURM: "partition", Mode.PBS: "queue"}
_UNFORESEEN: Final = Problem(
    code="bug",
    message="sessiond met an unforeseen error while it asked",
    hint="the log of sessiond has the details; please report it",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known now. ``partitions`` is None until the cluster has told; ``problem`` is why it did not, the last
    time, or why it cannot be asked. What is too old stays until there is something newer."""

    partitions: tuple[Partition, ...] | None
    asking: bool
    at: float | None
    problem: Problem | None


class Choices:
    """One cluster's partitions or queues. ``dialects`` are by mode, ``mode`` is the cluster's usual one, ``setup`` its
    shell lines; ``unreachable`` says why there is no way to it now, None where there is one.

    Nothing that it learns or does not learn changes anything about a session.
    """

    def __init__(
        self,
        name: ClusterName,
        dialects: Mapping[Mode, Dialect],
        transport: Transport,
        clock: Clock,
        unreachable: Callable[[], SessiondError | None],
        *,
        mode: Mode,
        setup: str = "",
    ) -> None:
        self._name = name
        self._dialects = dialects
        self._transport = transport
        self._clock = clock
        self._unreachable = unreachable
        self._mode = mode
        self._setup = setup
        self._partitions: tuple[Partition, ...] | None = None
        self._at: float | None = None
        self._problem: Problem | None = None
        self._failed_at: float | None = None
        self._running = False
        self._asking = False
        self._wake = anyio.Event()
        self._answered = anyio.Event()
        self._question: anyio.CancelScope | None = None
        self.asked = 0
        """How often the cluster was asked."""

    @property
    def kind(self) -> str:
        """What they are called there: ``partition`` or ``queue``; empty where there are none."""
        return _WORDS.get(self._mode, "") if self._mode in self._dialects else ""

    def walltime_s(self, text: str) -> int | None:
        """Seconds of a walltime as the scheduler's own directives have it; None for what is none."""
        return self._dialects[self._mode].walltime_s(text) if self.kind else None

    def configure(self, mode: Mode, setup: str) -> None:
        """The cluster's configuration was changed: nothing that is known holds, and no answer that is under way."""
        self._mode, self._setup = mode, setup
        self._partitions = self._at = self._problem = self._failed_at = None
        if self._question is not None:
            self._question.cancel()

    def look(self) -> Known:
        """What is known now. The cluster is asked meanwhile, if that is due and there is a way to it; none is made."""
        problem = self._problem
        if self.kind and not self._asking and self._is_due():
            unreachable = self._unreachable()
            if unreachable is None:
                self._begin()
            else:
                problem = problem_from(unreachable)
        return Known(partitions=self._partitions, asking=self._asking, at=self._at, problem=problem)

    async def ask(self) -> Known:
        """What is known once the cluster was asked, which it is unless it was within the hour. The way to it is made if
        there is none, as for any other order of a person's, but for a login."""
        # A question that was withdrawn is put again, to the cluster as it is configured now.
        while self.kind and self._running and not self._is_fresh():
            if not self._asking:
                self._begin()
            await self._answered.wait()
            if self._failed_at is not None:
                break
        return self.look()

    async def run(self) -> None:
        """Ask whenever that is wanted, for ever."""
        self._running = True
        try:
            while True:
                await self._wake.wait()
                await self._put()
                self._end()
        finally:
            self._running = False
            self._end()

    def _begin(self) -> None:
        self._asking = True
        self._answered = anyio.Event()
        self._wake.set()

    def _end(self) -> None:
        self._asking = False
        self._wake = anyio.Event()
        self._answered.set()

    async def _put(self) -> None:
        """Put the question, and remember what comes of it."""
        found: list[tuple[Partition, ...] | Problem] = []

        async def work() -> None:
            found.append(await self._told())

        with anyio.CancelScope() as self._question:
            await guard.isolated(f"asking {self._name} what there is to choose from", work)
        withdrawn, self._question = self._question.cancel_called, None
        if withdrawn:
            return
        what = found[0] if found else _UNFORESEEN
        if isinstance(what, Problem):
            self._problem, self._failed_at = what, self._clock.now()
        else:
            self._partitions, self._at = what, self._clock.now()
            self._problem = self._failed_at = None

    async def _told(self) -> tuple[Partition, ...] | Problem:
        dialect = self._dialects[self._mode]
        command = dialect.partitions(self._setup)
        if command is None:
            return ()
        try:
            return dialect.read_partitions(await quick(lambda: self._run(command)))
        except RemoteError as error:
            return problem_from(error)

    async def _run(self, command: Command) -> Completed:
        self.asked += 1
        return await self._transport.run(command)

    def _is_fresh(self) -> bool:
        return _within(FRESH_S, self._at, self._clock.now())

    def _is_due(self) -> bool:
        return not self._is_fresh() and not _within(AGAIN_S, self._failed_at, self._clock.now())


def _within(seconds: float, since: float | None, now: float) -> bool:
    """Whether ``since`` is that near; a clock that was set back says nothing."""
    return since is not None and 0 <= now - since < seconds
