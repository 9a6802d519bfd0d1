"""The keeper of a link, on a virtual clock, with a scripted connector: one attempt at a time, and none too many."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from sessiond.core.errors import (
    AnswerLost,
    AuthDenied,
    HostDown,
    HostKeyRefused,
    LinkError,
    NeedsLogin,
)
from sessiond.core.link import LinkState
from sessiond.runtime.link import UNWANTED_AFTER_S, LinkKeeper
from sessiond.runtime.linked import Linked
from tests.runtime.conftest import Sleepy, VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.link_house import DAY, FRONTIER, HOUR, LS, PASSWORD, WHERE, Person, home
from tests.runtime.scripted import Http

pytestmark = pytest.mark.anyio


async def test_it_connects_when_it_is_wanted_and_only_then(virtual: VirtualClock) -> None:
    """A day without sessions costs nothing; the first one, one attempt."""
    async with home(virtual, ScriptedConnector(), wanted=False) as here:
        await anyio.sleep(DAY)
        assert [] == here.connector.at
        here.wanted = True
        await here.reaches(LinkState.UP)
        assert 1 == here.keeper.link.attempts == len(here.connector.at)
        assert [LinkState.CONNECTING, LinkState.UP] == [link.state for link in here.seen]
        assert [] == here.logs


async def test_work_asks_for_it_and_many_share_one_attempt(virtual: VirtualClock) -> None:
    """Fifty commands at once wait for one connection."""
    async with home(virtual, ScriptedConnector(takes_s=5.0), wanted=False) as here:
        answers: list[bytes] = []

        async def work() -> None:
            answers.append((await here.linked.run(LS)).stdout)

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(work)
        assert ([b"0"] * 50, 1) == (answers, len(here.connector.at))
        assert (b"text", 4) == (await here.linked.read("f", 0, 9), await here.linked.size("f"))


async def test_it_goes_when_nobody_wants_it(virtual: VirtualClock) -> None:
    """After ten minutes without sessions, commands and open streams; and comes back for the next command."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        here.wanted = False
        here.connector.made[0].streams = 1
        await anyio.sleep(2 * UNWANTED_AFTER_S)
        assert LinkState.UP is here.keeper.link.state
        here.connector.made[0].streams = 0
        await anyio.sleep(UNWANTED_AFTER_S - 30)
        await here.linked.run(LS)
        await anyio.sleep(UNWANTED_AFTER_S - 30)
        assert LinkState.UP is here.keeper.link.state
        await anyio.sleep(60)
        assert (LinkState.IDLE, True) == (here.keeper.link.state, here.connector.made[0].closed)
        assert b"1" == (await here.linked.run(LS)).stdout


async def test_a_loss_after_a_while_is_made_good_at_once(virtual: VirtualClock) -> None:
    """Said once when it is lost and once when it is back."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        await anyio.sleep(HOUR)
        here.connector.made[0].die()
        await anyio.sleep(0.5)
        assert (LinkState.UP, 2) == (here.keeper.link.state, len(here.connector.at))
        assert ["a cluster cannot be reached", "a cluster can be reached again"] == here.told()


async def test_a_day_without_network(virtual: VirtualClock) -> None:
    """About one attempt in five minutes, two lines in the log, and up within the back-off afterwards."""
    async with home(virtual, ScriptedConnector(trouble=HostDown("no route to host"))) as here:
        await anyio.sleep(DAY)
        assert 240 <= len(here.connector.at) <= 400
        assert ["a cluster cannot be reached"] == here.told()
        assert len(here.connector.at) == here.keeper.link.attempts
        here.connector.trouble = None
        await here.reaches(LinkState.UP, 400)
        assert ["a cluster cannot be reached", "a cluster can be reached again"] == here.told()


async def test_connections_that_die_young_are_not_hammered(virtual: VirtualClock) -> None:
    """A host that drops everybody after a second gets fewer and fewer calls."""
    async with home(virtual, ScriptedConnector()) as here:
        until = anyio.current_time() + HOUR
        while anyio.current_time() < until:
            await here.reaches(LinkState.UP, 400)
            await anyio.sleep(1)
            here.connector.made[-1].die()
            await anyio.sleep(0.1)
        assert 10 <= len(here.connector.at) <= 30


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        (NeedsLogin("it asks for a password"), LinkState.NEEDS_LOGIN),
        (AuthDenied("no key was accepted"), LinkState.NEEDS_LOGIN),
        (HostKeyRefused("its host key has changed"), LinkState.BLOCKED),
    ],
    ids=lambda x: type(x).__name__,
)
async def test_what_needs_a_person_is_tried_once(virtual: VirtualClock, trouble: LinkError, state: LinkState) -> None:
    """A day of sessions that want it, of commands and of naps of the machine: one attempt, one line, one reason."""
    async with home(virtual, ScriptedConnector(trouble=trouble)) as here:
        await here.reaches(state)
        for _ in range(24):
            await anyio.sleep(HOUR)
            here.keeper.network_changed()
            before = anyio.current_time()
            with pytest.raises(type(trouble)) as caught:
                await here.linked.run(LS)
            with pytest.raises(type(trouble)):
                await here.linked.connect(WHERE)
            assert before == anyio.current_time()
        assert (1, ["the link to a cluster needs a person"]) == (len(here.connector.at), here.told())
        assert trouble.message in caught.value.message
        assert "sessionctl login frontier" in caught.value.hint


async def test_attended_means_no_attempt_at_all(virtual: VirtualClock) -> None:
    """The mere attempt might ring a phone."""
    async with home(virtual, ScriptedConnector(asks=(PASSWORD,), right=("x",)), attended=True) as here:
        await here.reaches(LinkState.NEEDS_LOGIN)
        await anyio.sleep(DAY)
        assert (0, []) == (here.keeper.link.attempts, here.connector.at)
        await here.keeper.login(Person("x"))
        assert (LinkState.UP, [True]) == (here.keeper.link.state, here.connector.attended)
        await anyio.sleep(HOUR)
        here.connector.made[0].die()
        await here.reaches(LinkState.NEEDS_LOGIN)
        await anyio.sleep(DAY)
        assert [True] == here.connector.attended


async def test_another_configuration(virtual: VirtualClock) -> None:
    """What was made the old way is closed, also in the middle of an attempt; a login under way has to begin anew."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        slow = ScriptedConnector(takes_s=50.0)
        here.keeper.reconfigure(slow)
        await anyio.sleep(1)
        assert (LinkState.CONNECTING, True) == (here.keeper.link.state, here.connector.made[0].closed)
        other = ScriptedConnector(asks=(PASSWORD,), right=("x",))
        here.keeper.reconfigure(other)
        await here.reaches(LinkState.NEEDS_LOGIN)
        assert ([], 0) == (slow.made, slow.at_once)
        async with anyio.create_task_group() as tasks:

            async def log_in() -> None:
                with pytest.raises(NeedsLogin, match="was changed during the login"):
                    await here.keeper.login(Person())

            tasks.start_soon(log_in)
            await here.reaches(LinkState.AUTHENTICATING)
            here.keeper.reconfigure(here.connector)
        await here.reaches(LinkState.UP)


async def test_what_a_lost_connection_does_to_its_commands(virtual: VirtualClock) -> None:
    """One under way may have run; one that comes after the loss was certainly not sent."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        here.connector.made[0].takes_s = 50.0
        here.connector.trouble = HostDown("no route to host")
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                with pytest.raises(AnswerLost):
                    await here.linked.run(LS)

            tasks.start_soon(work)
            await anyio.sleep(5)
            here.connector.made[0].die()
        await here.reaches(LinkState.BACKOFF)
        await anyio.sleep(1)
        with pytest.raises(HostDown, match="frontier is unreachable: no route to host"):
            await here.linked.run(LS)


async def test_how_long_work_waits_for_the_link(virtual: VirtualClock) -> None:
    """Commands 20 s for an attempt, streams 5 s; not at all for a person."""
    async with home(virtual, ScriptedConnector(takes_s=55.0), wanted=False) as here:
        for work, expected in ((here.linked.run(LS), 20.0), (here.linked.connect(WHERE), 5.0)):
            before = anyio.current_time()
            with pytest.raises(LinkError, match="still being connected to"):
                await work
            assert expected == pytest.approx(anyio.current_time() - before)
        await here.reaches(LinkState.UP)
        assert isinstance(await here.linked.connect(WHERE), Http)


async def test_an_attempt_that_hangs_is_given_up(virtual: VirtualClock) -> None:
    """A connector that never comes back costs a minute, not the link."""
    async with home(virtual, ScriptedConnector(takes_s=1e9)) as here:
        await here.reaches(LinkState.BACKOFF, 61)
        here.connector.takes_s = 0.1
        await here.reaches(LinkState.UP)


async def test_a_defect_in_an_attempt_is_a_failure_like_others(virtual: VirtualClock) -> None:
    """It is logged with its traceback, and tried again."""
    async with home(virtual, ScriptedConnector(trouble=ZeroDivisionError("oh"))) as here:
        await here.reaches(LinkState.BACKOFF)
        assert "bug" == (here.keeper.link.problem.code if here.keeper.link.problem else "")
        here.connector.trouble = None
        await here.reaches(LinkState.UP)


async def test_waking_up_tries_at_once(virtual: VirtualClock) -> None:
    """Eight hours of sleep end the back-off within seconds."""
    clock = Sleepy()
    async with home(clock, ScriptedConnector(trouble=HostDown("no route to host"))) as here:
        await anyio.sleep(HOUR)
        await here.reaches(LinkState.BACKOFF)
        here.connector.trouble = None
        clock.slept_s = 8 * HOUR
        await here.reaches(LinkState.UP, 6)


@pytest.mark.parametrize("answers", [True, False])
async def test_waking_up_asks_the_connection(virtual: VirtualClock, answers: bool) -> None:
    """One that the other end forgot is given up after ten seconds, not after a minute of keep-alives."""
    clock = Sleepy()
    async with home(clock, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        await anyio.sleep(HOUR)
        here.connector.made[0].answers = answers
        clock.slept_s = 8 * HOUR
        await anyio.sleep(16)
        assert (LinkState.UP, 1 if answers else 2) == (here.keeper.link.state, len(here.connector.made))
        assert ["true"] == [command.argv[0] for command in here.connector.made[0].ran]


async def test_a_link_that_nobody_keeps(virtual: VirtualClock) -> None:
    """Before its keeper runs and after it ended, nothing can be sent, and nobody can log in."""
    keeper = LinkKeeper(FRONTIER, ScriptedConnector(), virtual, lambda: True)
    with pytest.raises(LinkError, match="frontier is not connected"):
        await Linked(keeper).run(LS)
    with pytest.raises(LinkError, match="frontier is not connected"):
        await keeper.login(Person())
