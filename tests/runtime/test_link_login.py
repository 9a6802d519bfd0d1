"""Logging in to a cluster, on a virtual clock: rounds of questions, their time, and who may begin."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from sessiond.core.errors import (
    AuthDenied,
    Conflict,
    HostDown,
    NeedsLogin,
    NotFound,
    SpecError,
)
from sessiond.core.ids import ClusterName
from sessiond.core.link import LinkState
from sessiond.runtime.login import LOGIN_S, Asked, LoggedIn, Login, LoginFailed, Logins, Said
from tests.runtime.conftest import VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.link_house import CODE, DAY, FRONTIER, LS, PASSWORD, Person, home

pytestmark = pytest.mark.anyio


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
