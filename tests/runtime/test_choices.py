"""A cluster's partitions: asked once, when somebody wants to know, and nobody but those who say so waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from sessiond.core.command import Command, Completed
from sessiond.core.errors import AnswerLost, LinkError, NeedsLogin, NotSent, Unreadable
from sessiond.core.ids import ClusterName
from sessiond.core.partitions import Partition
from sessiond.core.spec import Mode
from sessiond.runtime.choices import AGAIN_S, FRESH_S, Choices
from sessiond.schedulers.process import Process
from tests.runtime.conftest import VirtualClock
from tests.runtime.scripted import ScriptedCluster

pytestmark = pytest.mark.anyio

BED = ClusterName("bed")
TAKES_S = 5.0


class Teller(ScriptedCluster):
    """A cluster that tells the name of its setup as its one partition, after a while, or fares as ``trouble`` says."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[str] = []
        self.trouble: Callable[[], None] = lambda: None

    def partitions(self, setup: str) -> Command | None:
        return Command(argv=("partitions", setup))

    def read_partitions(self, done: Completed) -> tuple[Partition, ...]:
        return (Partition(name=done.stdout.decode()),)

    async def run(self, command: Command) -> Completed:
        self.questions.append(command.argv[1])
        await anyio.sleep(TAKES_S)
        self.trouble()
        return Completed(rc=0, stdout=command.argv[1].encode(), stderr=b"")


class House:
    """Choices at work on a cluster of that kind; ``down`` is why there is no way to it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.teller = Teller()
        self.down: LinkError | None = None
        self.choices = Choices(
            BED, {Mode.SLURM: self.teller}, self.teller, clock, lambda: self.down, mode=Mode.SLURM, setup="one"
        )

    @property
    def names(self) -> list[str] | None:
        """What is known now."""
        found = self.choices.look().partitions
        return None if found is None else [one.name for one in found]


@pytest.fixture
def clock(virtual: VirtualClock) -> VirtualClock:
    """The clock that jumps."""
    return virtual


@asynccontextmanager
async def house(clock: VirtualClock) -> AsyncIterator[House]:
    """A house with its task running."""
    made = House(clock)
    async with anyio.create_task_group() as group:
        group.start_soon(made.choices.run)
        await anyio.wait_all_tasks_blocked()
        yield made
        group.cancel_scope.cancel()


async def test_nobody_waits_and_the_answer_is_remembered(clock: VirtualClock) -> None:
    """Who asks gets what is known; the cluster is asked once, however many want to know, and again after an hour."""
    async with house(clock) as made:
        await anyio.sleep(1000)
        assert [] == made.teller.questions, "nobody wanted to know"
        begun = anyio.current_time()
        for _ in range(5):
            known = made.choices.look()
            assert (None, True, None) == (known.partitions, known.asking, known.at)
            await checkpoint()
        assert begun == anyio.current_time()
        await anyio.sleep(TAKES_S + 1)
        assert ["one"] == made.names
        known = made.choices.look()
        assert (False, None, clock.now() - 1) == (known.asking, known.problem, known.at)
        await anyio.sleep(FRESH_S - 10)
        assert ["one"] == made.names
        assert ["one"] == made.teller.questions
        await anyio.sleep(20)
        # What is old is shown until there is something newer.
        assert (["one"], True) == (made.names, made.choices.look().asking)
        await anyio.sleep(TAKES_S + 1)
        assert ["one", "one"] == made.teller.questions
        assert 2 == made.choices.asked


@pytest.mark.parametrize("error", [AnswerLost("the link was lost"), Unreadable("nonsense")])
async def test_a_question_that_failed_waits_a_minute_and_for_somebody(clock: VirtualClock, error: Exception) -> None:
    """What went wrong is told meanwhile."""

    def fails() -> None:
        raise error

    async with house(clock) as made:
        made.teller.trouble = fails
        made.choices.look()
        await anyio.sleep(TAKES_S + 1)
        for _ in range(3):
            known = made.choices.look()
            assert known.problem is not None
            assert (None, False, str(error)) == (known.partitions, known.asking, known.problem.message)
            await anyio.sleep(10)
        await anyio.sleep(10 * AGAIN_S)
        assert 1 == len(made.teller.questions), "nobody wanted to know"
        made.teller.trouble = lambda: None
        assert made.choices.look().asking
        await anyio.sleep(TAKES_S + 1)
        assert (["one"], None) == (made.names, made.choices.look().problem)


async def test_what_was_not_sent_is_sent_again_at_once(clock: VirtualClock) -> None:
    """A refused slot is no failure, the first times."""
    left = [NotSent("no slot"), NotSent("no slot")]

    def fails() -> None:
        if left:
            raise left.pop()

    async with house(clock) as made:
        made.teller.trouble = fails
        known = await made.choices.ask()
        assert (Partition(name="one"),) == known.partitions
        assert 3 == made.choices.asked


async def test_without_a_way_nobody_is_asked_by_itself(clock: VirtualClock) -> None:
    """And why not is told; with the way there the next who wants to know has it asked."""
    async with house(clock) as made:
        made.down = NeedsLogin("bed needs a login", hint="sessionctl login bed")
        for _ in range(3):
            known = made.choices.look()
            assert known.problem is not None
            assert ("bed needs a login", "sessionctl login bed") == (known.problem.message, known.problem.hint)
            assert not known.asking
            await anyio.sleep(AGAIN_S)
        assert [] == made.teller.questions
        made.down = None
        assert made.choices.look().asking
        await anyio.sleep(TAKES_S + 1)
        made.down = LinkError("bed is unreachable")
        await anyio.sleep(2 * FRESH_S)
        assert ["one"] == made.names, "what was known stays"


async def test_a_person_s_own_question_waits_and_may_make_the_way(clock: VirtualClock) -> None:
    """It is put whatever the link is, once for all who wait, and again right after one that failed."""
    async with house(clock) as made:
        made.down = LinkError("bed is not connected")
        found = []

        async def one() -> None:
            found.append(await made.choices.ask())

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
        assert [(Partition(name="one"),)] * 3 == [known.partitions for known in found]
        assert ["one"] == made.teller.questions
        begun = anyio.current_time()
        assert (Partition(name="one"),) == (await made.choices.ask()).partitions
        assert begun == anyio.current_time(), "what is fresh is not asked again"

        def fails() -> None:
            raise Unreadable("sinfo does not answer")

        made.choices.configure(Mode.SLURM, "two")
        made.teller.trouble = fails
        for _ in range(2):
            known = await made.choices.ask()
            assert known.problem is not None
            assert (None, "sinfo does not answer") == (known.partitions, known.problem.message)
        assert ["one", "two", "two"] == made.teller.questions


async def test_another_configuration_is_asked_anew(clock: VirtualClock) -> None:
    """What was known is forgotten, an answer under way is not taken, and who waits for one gets the new one."""
    async with house(clock) as made:
        assert (Partition(name="one"),) == (await made.choices.ask()).partitions
        made.choices.configure(Mode.SLURM, "two")
        assert made.names is None
        found = []

        async def one() -> None:
            found.append(await made.choices.ask())

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            await anyio.sleep(TAKES_S / 2)
            made.choices.configure(Mode.SLURM, "three")
        assert [(Partition(name="three"),)] == [known.partitions for known in found]
        assert ["one", "two", "three"] == made.teller.questions


async def test_an_unforeseen_error_is_told_and_nobody_waits_for_ever(clock: VirtualClock) -> None:
    """It is ours, it is logged, and the next question is put."""

    def fails() -> None:
        raise ZeroDivisionError

    async with house(clock) as made:
        made.teller.trouble = fails
        with anyio.fail_after(60):
            known = await made.choices.ask()
        assert known.problem is not None
        assert "bug" == known.problem.code
        made.teller.trouble = lambda: None
        assert (Partition(name="one"),) == (await made.choices.ask()).partitions


async def test_a_cluster_that_goes_away_lets_those_go_who_wait(clock: VirtualClock) -> None:
    """Its task is cancelled when it is taken out of the configuration."""
    made = House(clock)
    async with anyio.create_task_group() as group:
        group.start_soon(made.choices.run)
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(made.choices.ask)
            await anyio.sleep(TAKES_S / 2)
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
    with anyio.fail_after(1):
        assert (await made.choices.ask()).partitions is None


async def test_where_there_is_no_scheduler_there_is_nothing_to_ask(clock: VirtualClock) -> None:
    """Neither on this machine nor on a login node alone; and no dialect is asked for its walltimes."""
    teller = Teller()
    choices = Choices(BED, {Mode.CONTROLLER: Process()}, teller, clock, lambda: None, mode=Mode.CONTROLLER)
    for known in (choices.look(), await choices.ask()):
        assert (None, False, None) == (known.partitions, known.asking, known.problem)
    assert ("", None, 0) == (choices.kind, choices.walltime_s("1:00"), choices.asked)
