"""Clients that leave in the middle of what they asked for: it is done whole, or not at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp.test_utils import make_mocked_request

from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.service import Desk
from sessiond.api.sessions import SessionRoutes
from sessiond.api.starter import Starter
from sessiond.config.catalogue import Catalogue
from sessiond.core.events import StopRequested
from sessiond.core.ids import SessionId
from sessiond.core.session import Session, State
from sessiond.core.spec import Mode
from sessiond.remote.local import Local
from sessiond.runtime.clock import SystemClock
from sessiond.runtime.cluster import Clusters
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.runtime.launch import Place, Request
from sessiond.runtime.listener import bind
from sessiond.runtime.postmortem import PostMortems
from sessiond.store.store import Store
from tests.ports import OWN
from tests.runtime.scripted import LOCAL, World, world

pytestmark = pytest.mark.anyio
REQUEST = Request(service="tiny", name="lab")
LIB = {"notify.sh": b""}


@dataclass(frozen=True, slots=True)
class House:
    """A runtime, and those of the API's parts that change its sessions."""

    world: World
    starter: Starter
    routes: SessionRoutes
    folders: Folders

    @property
    def engine(self) -> Engine:
        """The runtime's engine."""
        return self.world.engine


@asynccontextmanager
async def house(root: Path) -> AsyncIterator[House]:
    """A house for a moment."""
    (root / "services" / "tiny").mkdir(parents=True)
    (root / "services" / "tiny" / "start-template.sh").write_text("sleep 1\n")
    clock = SystemClock()
    with closing(Store.open(root / "state")) as store:
        async with world(clock, root / "sessions", history=store) as here:
            desk = Desk(
                engine=here.engine,
                clusters=Clusters({LOCAL: here.local}),
                clock=clock,
                catalogue=lambda: Catalogue.read([root / "services"]),
                doorkeeper=Doorkeeper(b"secret"),
                gateway=None,
                started=clock.now(),
            )
            place = Place(name=LOCAL, modes=(Mode.LOCAL,), workdir=str(root), setup="", defaults={}, user="alice")
            folders = Folders(root / "sessions")
            ports = (OWN.start, OWN.stop - 1)
            starter = Starter(desk, store, here.standing, Local(), LIB, ports, lambda: {LOCAL: place}, folders)
            postmortems = PostMortems(here.group, clock, desk.clusters, folders, lambda _session: "")
            routes = SessionRoutes(desk, starter, store, folders, here.lanes.settled, postmortems)
            yield House(here, starter, routes, folders)


async def test_a_client_that_leaves_as_its_session_begins_does_not_take_the_door_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun has its port for life, though nobody is told of it any more."""
    async with house(tmp_path) as at:
        create = at.engine.create

        async def answered_too_late(session: Session) -> Session:
            await create(session)
            while at.world.standing.port_of(session.id) is None:  # noqa: ASYNC110 - nothing tells that a door is open
                await anyio.sleep(0.01)
            client.cancel()
            await anyio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(at.engine, "create", answered_too_late)
        with anyio.fail_after(20), anyio.CancelScope() as client:
            await at.starter.start(REQUEST)
        (session,) = at.engine.live()
        await (await anyio.connect_tcp("127.0.0.1", session.open_port)).aclose()
        assert [] == [line["event"] for line in at.world.logs if line["log_level"] == "error"]


async def test_a_client_that_leaves_before_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No session, and the port is free again."""
    async with house(tmp_path) as at:
        asked: list[Session] = []

        async def never_answered(session: Session) -> Session:
            asked.append(session)
            client.cancel()
            await anyio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(at.engine, "create", never_answered)
        with anyio.fail_after(20), anyio.CancelScope() as client:
            await at.starter.start(REQUEST)
        assert [] == at.engine.live()
        (await bind(asked[0].open_port)).close()


@pytest.mark.parametrize("done", [True, False], ids=["after", "before"])
async def test_a_client_that_leaves_as_its_session_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Either all of it is gone, or nothing that cannot be forgotten anew."""
    async with house(tmp_path) as at:
        session = await at.starter.start(REQUEST)
        await at.engine.ask(session.id, StopRequested())
        await at.world.reaches(State.ENDED, [session.id])
        remove, asked = at.engine.remove, anyio.Event()

        async def answered_too_late(session_id: SessionId) -> Session:
            if done:
                await remove(session_id)
            asked.set()
            await anyio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(at.engine, "remove", answered_too_late)
        request = make_mocked_request("DELETE", "/v1/sessions/lab", match_info={"name": "lab"})
        client = asyncio.create_task(at.routes.remove(request))
        with anyio.fail_after(20):
            await asked.wait()
        client.cancel()  # as aiohttp does when the connection is lost
        with pytest.raises(asyncio.CancelledError):
            await client
        assert (session.id in at.engine.sessions) is (not done)
        assert at.folders.of(session.id).exists() is (not done)


async def test_a_client_that_leaves_while_a_folder_waits_to_be_removed(tmp_path: Path) -> None:
    """It is removed all the same, once a thread has time for it."""
    async with house(tmp_path) as at:
        session = await at.starter.start(REQUEST)
        await at.engine.ask(session.id, StopRequested())
        await at.world.reaches(State.ENDED, [session.id])
        busy, asked = threading.Event(), anyio.Event()

        class Pool(ThreadPoolExecutor):
            def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
                if fn != busy.wait:
                    asked.set()
                return super().submit(fn, *args, **kwargs)

        with Pool(1) as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            pool.submit(busy.wait)
            request = make_mocked_request("DELETE", "/v1/sessions/lab", match_info={"name": "lab"})
            client = asyncio.create_task(at.routes.remove(request))
            with anyio.fail_after(20):
                await asked.wait()
            client.cancel()
            with pytest.raises(asyncio.CancelledError):
                await client
            busy.set()
        assert not at.folders.of(session.id).exists()
