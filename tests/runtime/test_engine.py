"""The whole runtime on a scripted cluster and a virtual clock: lives, faults, full disks, restarts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from sessiond.core.errors import AnswerLost, Conflict, NotFound, NotSent, StateFull
from sessiond.core.events import CancelSent, StopRequested
from sessiond.core.ids import ActionId, SessionId
from sessiond.core.session import Endpoint, Outcome, Phase, State
from sessiond.runtime.letters import Answer, Create, Remove, Reply, Standing
from sessiond.runtime.listener import bind
from tests.runtime.conftest import VirtualClock
from tests.runtime.memory import Memory
from tests.runtime.scripted import World, a_session, world

pytestmark = pytest.mark.anyio

UP = [State.RENDER, State.SUBMIT, State.WAIT_FOR_NODE, State.START, State.TUNNEL, State.RUNNING]


def descriptors() -> set[str]:
    """What this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def stop(here: World, *sessions: SessionId) -> None:
    """Stop sessions and wait for their end."""
    for session in sessions:
        await here.engine.ask(session, StopRequested())
    await here.reaches(State.ENDED, sessions)


async def test_a_life(virtual: VirtualClock, tmp_path: Path) -> None:
    """Up, stopped, over; everything done once, nothing left open in the journal, the port free again."""
    history = Memory()
    before = descriptors()
    async with world(virtual, tmp_path, history=history) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session], 10)
        assert UP == history.states(session)
        port = here.of(session).open_port
        with pytest.raises(NotSent):
            await bind(port)
        await stop(here, session)
        assert [*UP, State.KILL, State.ENDED] == history.states(session)
        assert Outcome.CANCELLED is here.of(session).outcome
        await here.standing.closed(session)
        (await bind(port)).close()
        await anyio.sleep(60)
        assert {} == history.open
        assert [1, 1, 1, 1] == [here.cluster.ran[v, session] for v in ("stage", "submit", "cancel", "cleanup")]
        assert list(range(1, len(here.heard) + 1)) == [p.seq for p in here.heard]
        await here.engine.remove(session)
        with pytest.raises(NotFound):
            here.of(session)
    assert before == descriptors()


async def test_what_is_no_longer_wanted_is_withdrawn(virtual: VirtualClock, tmp_path: Path) -> None:
    """A stop while the service is being installed does not wait for it, and its answer is not missed."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        begun = virtual.now()
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(stage=500.0))
        await anyio.sleep(5)
        await stop(here, session)
        await anyio.sleep(1)
        assert virtual.now() - begun < 10
        assert ["stage"] == here.cluster.cancelled
        assert [State.RENDER, State.ENDED] == history.states(session)


async def test_an_answer_that_nobody_waits_for_changes_nothing(virtual: VirtualClock, tmp_path: Path) -> None:
    """Of a withdrawn action, of a stranger, of a session that is gone; nor does standing work that comes late."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        before = here.of(session)
        for known, action in ((session, f"{session}.0"), (session, "x.1"), (SessionId("gone"), "gone.1")):
            await here.engine.tell(Answer(session=known, answers=ActionId(action), event=CancelSent()))
            await here.engine.tell(Standing(session=known, event=CancelSent()))
        await anyio.sleep(1)
        assert before == here.of(session)


async def test_a_stop_never_cancels_a_submission(virtual: VirtualClock, tmp_path: Path) -> None:
    """It is waited for, and the job it brought is ended."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(submit=30.0))
        await here.reaches(State.SUBMIT, [session])
        await anyio.sleep(5)
        await stop(here, session)
        assert [] == here.cluster.cancelled
        assert (1, Phase.ENDED) == (here.cluster.submitted[session], here.cluster.jobs[session].phase)
        assert [State.RENDER, State.SUBMIT, State.ABANDON, State.KILL, State.ENDED] == history.states(session)
        assert 0 == here.cluster.ran["find", session]
        assert {} == {a: k for a, k in history.open.items() if k != "Cleanup"}


async def test_a_session_that_nobody_waits_for_is_not_begun(virtual: VirtualClock, tmp_path: Path) -> None:
    """Whoever asked has given up before the engine came to it, and may ask again."""
    async with world(virtual, tmp_path) as here:
        late = Create(session=a_session(virtual.now(), 1, 50001), reply=Reply())
        with anyio.move_on_after(60):
            await late.reply.wait()
        await here.engine.tell(late)
        session = await here.begin(2)
        assert [session] == [one.id for one in here.engine.live()]


async def test_a_session_that_nobody_waits_for_is_not_forgotten(virtual: VirtualClock, tmp_path: Path) -> None:
    """Whoever asked would not remove its folders any more."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin()
        await stop(here, session)
        late = Remove(session=session, reply=Reply())
        with anyio.move_on_after(60):
            await late.reply.wait()
        await here.engine.tell(late)
        await here.begin(2)
        assert session in here.engine.sessions


async def test_names_are_for_one_live_session(virtual: VirtualClock, tmp_path: Path) -> None:
    """And a live session is not forgotten; what is refused changes nothing."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin(1)
        with pytest.raises(Conflict, match="already a session called tiny-1"):
            await here.engine.create(a_session(virtual.now() + 1, 1, 50999))
        with pytest.raises(Conflict, match="not over"):
            await here.engine.remove(session)
        with pytest.raises(NotFound):
            await here.engine.ask(SessionId("nobody"), StopRequested())
        await stop(here, session)
        again = await here.begin(1)
        await here.reaches(State.RUNNING, [again])


# A full disk.


async def test_a_full_disk_refuses_people_at_once_and_goes_on_later(virtual: VirtualClock, tmp_path: Path) -> None:
    """With a reason; nothing was changed, and the same request works once there is room."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        history.full = True
        with anyio.fail_after(0.5), pytest.raises(StateFull, match="disk is full"):
            await here.engine.ask(session, StopRequested())
        with anyio.fail_after(0.5), pytest.raises(StateFull):
            await here.begin(2)
        assert "the disk is full" == here.engine.full
        assert State.RUNNING is here.of(session).state
        history.full = False
        await stop(here, session)
        assert None is here.engine.full


async def test_answers_wait_for_room_and_are_not_lost(virtual: VirtualClock, tmp_path: Path) -> None:
    """A submission whose answer meets a full disk is not made again, however long it lasts."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(submit=10.0))
        await here.reaches(State.SUBMIT, [session])
        await anyio.sleep(1)
        history.full = True
        await anyio.sleep(3600)
        assert (State.SUBMIT, 1) == (here.of(session).state, here.cluster.submitted[session])
        assert "the disk is full" == here.engine.full
        history.full = False
        await here.reaches(State.RUNNING, [session], 60)
        assert (1, 1) == (here.cluster.submitted[session], here.of(session).attempt)
        assert None is here.engine.full


async def test_nothing_is_done_that_could_not_be_journalled(virtual: VirtualClock, tmp_path: Path) -> None:
    """A full disk between the order and its start: the effect waits."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        here.bus.listen(lambda published: setattr(history, "full", published.session.state is State.SUBMIT))
        session = await here.begin()
        await here.reaches(State.SUBMIT, [session])
        await anyio.sleep(600)
        assert 0 == here.cluster.ran["submit", session]
        history.full = False
        await anyio.sleep(10)
        assert 1 == here.cluster.ran["submit", session]


async def test_people_are_refused_at_once_while_an_answer_waits(virtual: VirtualClock, tmp_path: Path) -> None:
    """However long the disk has been full already."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(stage=10.0))
        await anyio.sleep(1)
        history.full = True
        await anyio.sleep(60)
        with anyio.fail_after(5), pytest.raises(StateFull):
            await here.engine.ask(session, StopRequested())


async def test_a_deadline_that_meets_a_full_disk_is_not_forgotten(virtual: VirtualClock, tmp_path: Path) -> None:
    """It is due once there is room."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(stage=1e6))
        await anyio.sleep(880)
        history.full = True
        await anyio.sleep(120)
        history.full = False
        await here.reaches(State.ENDED, [session], 60)


# Faults.


async def test_an_impossible_event_is_contained_and_counted(virtual: VirtualClock, tmp_path: Path) -> None:
    """The session is left as it was, the others never notice, and a person can still end it."""
    async with world(virtual, tmp_path, strict=False) as here:
        bad = await here.begin(0, lambda known: here.cluster.script(known).answers.update(stage=CancelSent()))
        good = await here.begin(1)
        await here.reaches(State.RUNNING, [good])
        assert (1, State.RENDER) == (here.engine.faults, here.of(bad).state)
        await stop(here, bad, good)


async def test_an_impossible_event_is_loud_where_it_should_be(virtual: VirtualClock, tmp_path: Path) -> None:
    """In tests."""
    with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="CancelSent cannot happen in render")):
        async with world(virtual, tmp_path) as here:
            await here.begin(0, lambda known: here.cluster.script(known).answers.update(stage=CancelSent()))
            await anyio.sleep(5)


Breaking = Callable[[World, SessionId, Exception], None]


def enough(here: World, session: SessionId) -> None:
    """From the fiftieth submission on they hang: a loop without a pause would stop the virtual clock."""
    if here.cluster.ran["submit", session] >= 50:
        here.cluster.script(session).trouble = None
        here.cluster.script(session).wait["submit"] = 1e9


def break_verb(verb: str) -> Breaking:
    """Its commands of one kind fail, always."""

    def breaking(here: World, session: SessionId, error: Exception) -> None:
        def trouble(asked: str) -> None:
            if asked == verb or (verb == "find" and asked == "submit"):
                enough(here, session)
                raise error

        here.cluster.script(session).trouble = trouble

    return breaking


def break_dial(here: World, session: SessionId, error: Exception) -> None:
    """Its service cannot be dialled."""

    def dial() -> None:
        raise error

    here.cluster.script(session).dial = dial  # type: ignore[assignment]  # it never returns


def break_endpoint(here: World, session: SessionId, error: Exception) -> None:
    """What its script published is nonsense, and dialling it raises whatever it raises."""
    run = f"job-{session}.0"
    here.cluster.script(session).endpoint = Endpoint(run=run, host="\0" * 300, port=-1, scheme=str(error))


def break_everything(here: World, session: SessionId, error: Exception) -> None:
    """All of it."""

    def trouble(_asked: str) -> None:
        raise error

    here.cluster.script(session).trouble = trouble


PLACES: dict[str, Breaking] = {
    **{verb: break_verb(verb) for verb in ("stage", "submit", "find", "cancel", "history", "cleanup")},
    "dial": break_dial,
    "endpoint": break_endpoint,
    "everything": break_everything,
}


@pytest.mark.parametrize(
    "error", [RuntimeError("?"), OSError("?"), NotSent("?"), AnswerLost("?")], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("place", PLACES)
async def test_one_that_fails_everywhere_does_not_disturb_the_others(
    virtual: VirtualClock, tmp_path: Path, place: str, error: Exception
) -> None:
    """Nine come up and are stopped in their usual time, whatever becomes of the tenth."""
    async with world(virtual, tmp_path) as here:
        bad = await here.begin(0, lambda known: PLACES[place](here, known, error))
        good = [await here.begin(number) for number in range(1, 10)]
        await here.reaches(State.RUNNING, good, 20)
        if here.of(bad).live:
            await here.engine.ask(bad, StopRequested())
        await anyio.sleep(30)
        assert {State.RUNNING} == {here.of(session).state for session in good}
        for session in good:
            await here.engine.ask(session, StopRequested())
        await here.reaches(State.ENDED, good, 20)
        assert 0 == here.engine.faults
        assert here.cluster.submitted[bad] <= 1


@pytest.mark.parametrize(
    "moment",
    [
        State.RUNNING,
        State.RENDER,
    ],
)
async def test_one_that_cannot_be_written_does_not_disturb_the_others(
    virtual: VirtualClock, tmp_path: Path, moment: State
) -> None:
    """Its transitions are refused by the store from some moment on; retries of the others go on all the same."""
    history = Memory()
    async with world(virtual, tmp_path, history=history, strict=False) as here:
        breaking = break_verb("stage") if moment is State.RENDER else break_verb("cleanup")
        bad = await here.begin(0, lambda known: breaking(here, known, AnswerLost("not now")))
        await here.reaches(moment, [bad])
        await anyio.sleep(0.5)  # in RENDER, its first retry is near
        history.broken.add(bad)
        left: dict[SessionId, int] = {}

        def faltering(known: SessionId) -> None:
            left[known] = 3

            def trouble(_verb: str) -> None:
                left[known] -= 1
                if left[known] > 0:
                    raise AnswerLost("not now")

            here.cluster.script(known).trouble = trouble

        good = [await here.begin(number, faltering) for number in range(1, 10)]
        await here.reaches(State.RUNNING, good, 60)


async def test_a_submission_that_always_fails_is_not_repeated_without_a_pause(
    virtual: VirtualClock, tmp_path: Path
) -> None:
    """Unknown, then proved absent, again and again: that must not become a loop at full speed."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin(0, lambda known: break_verb("submit")(here, known, AnswerLost("?")))
        await anyio.sleep(10)
        assert here.cluster.ran["submit", session] < 12
