"""The keeper of a link, on a virtual clock, with a scripted connector: one attempt at a time, and none too many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from structlog.testing import capture_logs
from structlog.typing import EventDict

from sessiond.core.command import Command
from sessiond.core.errors import (
    AnswerLost,
    AuthDenied,
    Conflict,
    HostDown,
    HostKeyRefused,
    LinkError,
    NeedsLogin,
    NotFound,
    SpecError,
)
from sessiond.core.ids import ClusterName
from sessiond.core.link import Link, LinkState
from sessiond.core.prompts import Prompt, Question
from sessiond.core.session import Endpoint
from sessiond.runtime.link import RETIRED_S, UNWANTED_AFTER_S, LinkKeeper
from sessiond.runtime.linked import Linked
from sessiond.runtime.login import LOGIN_S, Asked, LoggedIn, Login, LoginFailed, Logins, Said
from tests.runtime.conftest import VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.scripted import Http

pytestmark = pytest.mark.anyio

FRONTIER = ClusterName("frontier")
HOUR = 3600.0
DAY = 24 * HOUR
PASSWORD = Prompt(title="frontier", questions=(Question(text="Password: "),))
CODE = Prompt(questions=(Question(text="Code: ", echo=True),))
WHERE = Endpoint(run="1.0", host="n1", port=6001)
LS = Command(argv=("ls",))


@dataclass
class Home:
    """A keeper at work."""

    group: TaskGroup
    connector: ScriptedConnector
    keeper: LinkKeeper
    seen: list[Link]
    logs: list[EventDict]
    wanted: bool = True
    changed: anyio.Event = field(default_factory=anyio.Event)

    def hears(self, link: Link) -> None:
        """The link changed."""
        self.seen.append(link)
        self.changed.set()

    @property
    def linked(self) -> Linked:
        """The cluster through it."""
        return Linked(self.keeper)

    async def reaches(self, state: LinkState, within_s: float = 60.0) -> None:
        """Wait for a state."""
        with anyio.fail_after(within_s):
            while self.keeper.link.state is not state:
                self.changed = anyio.Event()
                await self.changed.wait()

    def told(self) -> list[str]:
        """What was logged."""
        return [line["event"] for line in self.logs]


@asynccontextmanager
async def home(
    clock: VirtualClock, connector: ScriptedConnector, *, wanted: bool = True, attended: bool = False
) -> AsyncIterator[Home]:
    """A keeper that runs until the block ends."""
    with capture_logs() as logs:
        async with anyio.create_task_group() as group:
            keeper = LinkKeeper(
                FRONTIER,
                connector,
                clock,
                lambda: here.wanted,
                lambda link: here.hears(link),
                attended=attended,
                salt="x",
            )
            here = Home(group, connector, keeper, [], logs, wanted)
            group.start_soon(keeper.run)
            await anyio.sleep(0.001)  # it has begun
            yield here
            group.cancel_scope.cancel()
    assert all(connection.closed for connection in connector.made)
    assert connector.most_at_once <= 1
    assert keeper.link.state in (LinkState.IDLE, LinkState.NEEDS_LOGIN, LinkState.BLOCKED)


class Person:
    """Answers rounds of questions, or waits for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> Sequence[str]:
        """As `Ask`."""
        self.asked.append(prompt)
        if not self.answers:
            await anyio.sleep_forever()
        return [self.answers.pop(0)]


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


async def test_a_login_in_two_rounds(virtual: VirtualClock) -> None:
    """Both are put to the person, in order; afterwards commands run."""
    async with home(virtual, ScriptedConnector(asks=(PASSWORD, CODE), right=("secret", "42"))) as here:
        await here.reaches(LinkState.NEEDS_LOGIN)
        person = Person("secret", "42")
        await here.keeper.login(person)
        assert [PASSWORD, CODE] == person.asked
        assert b"0" == (await here.linked.run(LS)).stdout
        assert "secret" not in f"{here.logs}{here.seen}"
        await here.keeper.login(person)
        assert 2 == here.keeper.link.attempts


async def test_a_wrong_answer_is_the_end_of_that_login(virtual: VirtualClock) -> None:
    """Nothing is tried again by itself."""
    async with home(virtual, ScriptedConnector(asks=(PASSWORD,), right=("secret",))) as here:
        await here.reaches(LinkState.NEEDS_LOGIN)
        with pytest.raises(AuthDenied):
            await here.keeper.login(Person("wrong"))
        await anyio.sleep(DAY)
        assert (LinkState.NEEDS_LOGIN, [False, True]) == (here.keeper.link.state, here.connector.attended)


async def test_whoever_goes_away_abandons_the_login(virtual: VirtualClock) -> None:
    """The attempt is ended, and nothing follows it."""
    async with home(virtual, ScriptedConnector(asks=(PASSWORD,), right=("secret",))) as here:
        await here.reaches(LinkState.NEEDS_LOGIN)
        with anyio.move_on_after(30):
            await here.keeper.login(Person())
        await anyio.sleep(DAY)
        assert (LinkState.NEEDS_LOGIN, 0) == (here.keeper.link.state, here.connector.at_once)
        assert "the login was not finished" == (here.keeper.link.problem.message if here.keeper.link.problem else "")
        assert [False, True] == here.connector.attended


async def test_one_login_at_a_time(virtual: VirtualClock) -> None:
    """The second is refused, and the first goes on."""
    async with home(virtual, ScriptedConnector(asks=(PASSWORD,), right=("secret",))) as here:
        await here.reaches(LinkState.NEEDS_LOGIN)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.keeper.login, Person())
            await here.reaches(LinkState.AUTHENTICATING)
            with pytest.raises(Conflict):
                await here.keeper.login(Person("secret"))
            with pytest.raises(NeedsLogin, match="somebody is logging in"):
                await here.linked.run(LS)
            tasks.cancel_scope.cancel()


async def test_a_login_takes_the_place_of_an_attempt(virtual: VirtualClock) -> None:
    """Never two attempts at once, and while the host is down the trying goes on afterwards."""
    async with home(virtual, ScriptedConnector(trouble=HostDown("no answer"), takes_s=30.0)) as here:
        await here.reaches(LinkState.CONNECTING)
        await anyio.sleep(1)
        with pytest.raises(HostDown, match="no answer"):
            await here.keeper.login(Person())
        assert LinkState.BACKOFF is here.keeper.link.state
        here.connector.trouble = None
        await here.reaches(LinkState.UP)


async def test_a_logout_lasts_until_a_login(virtual: VirtualClock) -> None:
    """Sessions that want the link do not bring it back."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        here.keeper.logout()
        await anyio.sleep(DAY)
        assert (LinkState.NEEDS_LOGIN, True, 1) == (
            here.keeper.link.state,
            here.connector.made[0].closed,
            len(here.connector.at),
        )
        await here.keeper.login(Person())
        assert LinkState.UP is here.keeper.link.state


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


class Sleepy(VirtualClock):
    """A machine that can be suspended: its clock goes on, nothing else does."""

    slept_s = 0.0

    def now(self) -> float:
        """The time, that of its sleep included."""
        return super().now() + self.slept_s


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


async def test_a_worn_connection_gives_way(virtual: VirtualClock) -> None:
    """New commands go to a fresh one at once; the old one stays until nothing is open on it."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        old = here.connector.made[0]
        old.worn, old.streams, old.takes_s = True, 1, 100.0
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                assert b"0" == (await here.linked.run(LS)).stdout

            tasks.start_soon(work)
            await anyio.sleep(10)
            assert (b"1", False) == ((await here.linked.run(LS)).stdout, old.closed)
            old.streams = 0
            await anyio.sleep(60)
            assert not old.closed
        await anyio.sleep(10)
        assert old.closed
        assert ([], LinkState.UP) == (here.logs, here.keeper.link.state)
        assert 2 == here.keeper.link.attempts


async def test_a_worn_connection_with_streams_is_closed_in_the_end(virtual: VirtualClock) -> None:
    """An hour is enough."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        here.connector.made[0].worn, here.connector.made[0].streams = True, 1
        await anyio.sleep(RETIRED_S - 60)
        assert not here.connector.made[0].closed
        await anyio.sleep(120)
        assert here.connector.made[0].closed


@pytest.mark.parametrize(
    ("trouble", "least", "most"),
    [(HostDown("no"), 200, 1000), (NeedsLogin("a code"), 1, 1), (AuthDenied("no"), 1, 1)],
    ids=lambda x: type(x).__name__,
)
async def test_a_worn_connection_that_cannot_be_replaced_stays(
    virtual: VirtualClock, trouble: LinkError, least: int, most: int
) -> None:
    """What still works is kept; who asks for a person is not called again."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        here.connector.made[0].worn = True
        here.connector.trouble = trouble
        await anyio.sleep(DAY)
        assert least <= len(here.connector.at) - 1 <= most
        assert (b"0", LinkState.UP, []) == ((await here.linked.run(LS)).stdout, here.keeper.link.state, here.logs)


async def test_nobody_replaces_what_a_person_made(virtual: VirtualClock) -> None:
    """A worn connection of a password login is kept."""
    async with home(virtual, ScriptedConnector(asks=(PASSWORD,), right=("x",))) as here:
        await here.reaches(LinkState.NEEDS_LOGIN)
        await here.keeper.login(Person("x"))
        here.connector.made[0].worn = True
        await anyio.sleep(DAY)
        assert [False, True] == here.connector.attended


async def test_a_connection_that_comes_too_late_is_closed(virtual: VirtualClock) -> None:
    """An attempt that was withdrawn when it succeeded leaves nothing open, and the next one waits for its end."""
    async with home(virtual, ScriptedConnector(takes_s=10.0, stubborn=True)) as here:
        await here.reaches(LinkState.CONNECTING)
        await anyio.sleep(1)
        here.keeper.logout()
        with anyio.move_on_after(1):
            await here.keeper.login(Person())
        await anyio.sleep(60)
        assert LinkState.NEEDS_LOGIN is here.keeper.link.state
        assert [True] * len(here.connector.made) == [connection.closed for connection in here.connector.made]


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_loss_ends_the_replacing(virtual: VirtualClock, stubborn: bool) -> None:
    """One way or the other there is one connection afterwards, made by one attempt at a time."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        await anyio.sleep(120)
        here.connector.takes_s, here.connector.stubborn = 30.0, stubborn
        here.connector.made[0].worn = True
        await anyio.sleep(10)
        assert 2 == len(here.connector.at)
        here.connector.made[0].die()
        await anyio.sleep(1)
        assert LinkState.CONNECTING is here.keeper.link.state
        await here.reaches(LinkState.UP)
        await anyio.sleep(60)
        assert 1 == sum(not connection.closed for connection in here.connector.made)


async def test_an_old_connection_that_dies_is_no_loss(virtual: VirtualClock) -> None:
    """What replaced it goes on."""
    async with home(virtual, ScriptedConnector()) as here:
        await here.reaches(LinkState.UP)
        here.connector.made[0].worn, here.connector.made[0].streams = True, 1
        await anyio.sleep(10)
        here.connector.made[0].die()
        await anyio.sleep(10)
        assert (LinkState.UP, True, []) == (here.keeper.link.state, here.connector.made[0].closed, here.logs)


async def test_a_link_that_nobody_keeps(virtual: VirtualClock) -> None:
    """Before its keeper runs and after it ended, nothing can be sent, and nobody can log in."""
    keeper = LinkKeeper(FRONTIER, ScriptedConnector(), virtual, lambda: True)
    with pytest.raises(LinkError, match="frontier is not connected"):
        await Linked(keeper).run(LS)
    with pytest.raises(LinkError, match="frontier is not connected"):
        await keeper.login(Person())


# A login as an object.


class Screen:
    """What a login says, and a person who reacts to it."""

    def __init__(self, react: Callable[[Asked], None] = lambda _asked: None) -> None:
        self.said: list[Said] = []
        self._react = react

    async def __call__(self, said: Said) -> None:
        """As `Say`."""
        await anyio.lowlevel.checkpoint()
        self.said.append(said)
        if isinstance(said, Asked):
            self._react(said)


async def test_a_login_relays_rounds_and_answers(virtual: VirtualClock) -> None:
    """Each round has an id of its own; a wrong number of answers and a stale id are refused, and change nothing."""
    answers = ["secret", "42"]
    async with home(virtual, ScriptedConnector(asks=(PASSWORD, CODE), right=("secret", "42"))) as here:
        await here.reaches(LinkState.NEEDS_LOGIN)
        login = Login(FRONTIER)

        def react(asked: Asked) -> None:
            with pytest.raises(SpecError):
                login.answer(asked.id, ["one", "too many"])
            with pytest.raises(NotFound):
                login.answer("0" * 16, ["x"])
            login.answer(asked.id, [answers.pop(0)])
            with pytest.raises(NotFound):
                login.answer(asked.id, ["again"])
            assert "secret" not in repr(login._round)

        screen = Screen(react)
        await login.run(here.keeper, screen)
        kinds = [type(said) for said in screen.said]
        assert [Asked, Asked, LoggedIn] == kinds
        assert 2 == len({said.id for said in screen.said if isinstance(said, Asked)})


async def test_a_login_has_its_time(virtual: VirtualClock) -> None:
    """The rest is said with each round; two minutes after its beginning it is over."""
    async with home(virtual, ScriptedConnector(asks=(PASSWORD, CODE), right=("secret", "42"))) as here:
        await here.reaches(LinkState.NEEDS_LOGIN)
        login = Login(FRONTIER)

        async def later(asked: Asked) -> None:
            await anyio.sleep(50)
            login.answer(asked.id, ["secret"])

        def react(asked: Asked) -> None:
            if not answered:
                answered.append(True)
                here.group.start_soon(later, asked)

        answered: list[bool] = []
        screen = Screen(react)
        begun = anyio.current_time()
        await login.run(here.keeper, screen)
        assert LOGIN_S == pytest.approx(anyio.current_time() - begun)
        first, second, last = screen.said
        assert isinstance(first, Asked)
        assert isinstance(second, Asked)
        assert (119.9, 69.9) == (first.expires_in_s, second.expires_in_s)
        assert isinstance(last, LoginFailed)
        assert "longer than 120 s" in last.problem.message
        assert LinkState.NEEDS_LOGIN is here.keeper.link.state


async def test_a_login_says_why_it_failed(virtual: VirtualClock) -> None:
    """In the link's own words."""
    async with home(virtual, ScriptedConnector(trouble=HostDown("no route to host"))) as here:
        screen = Screen()
        await Login(FRONTIER).run(here.keeper, screen)
        (said,) = screen.said
        assert isinstance(said, LoginFailed)
        assert ("host-down", "frontier is unreachable: no route to host") == (said.problem.code, said.problem.message)


def test_logins_are_one_a_cluster() -> None:
    """And are found by those who answer."""
    logins = Logins()
    with logins.begin(FRONTIER) as login:
        assert login is logins.of(FRONTIER)
        with pytest.raises(Conflict), logins.begin(FRONTIER):
            pass
        with logins.begin(ClusterName("summit")) as other:
            assert other is not login
    with pytest.raises(NotFound):
        logins.of(FRONTIER)
