"""A connection that is worn gives way to a fresh one, on a virtual clock; what goes over it is not cut."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from sessiond.core.errors import (
    AuthDenied,
    HostDown,
    LinkError,
    NeedsLogin,
)
from sessiond.core.link import LinkState
from sessiond.runtime.link import RETIRED_S
from tests.runtime.conftest import VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.link_house import DAY, LS, PASSWORD, Person, home

pytestmark = pytest.mark.anyio


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
