"""Starting a session, and a client that leaves in the middle of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest

from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.service import Desk
from sessiond.api.starter import Starter
from sessiond.config.catalogue import Catalogue
from sessiond.core.session import Session
from sessiond.core.spec import Mode
from sessiond.remote.local import Local
from sessiond.runtime.clock import SystemClock
from sessiond.runtime.cluster import Clusters
from sessiond.runtime.folders import Folders
from sessiond.runtime.launch import Place, Request
from sessiond.runtime.listener import bind
from sessiond.store.store import Store
from tests.runtime.scripted import LOCAL, World, world

pytestmark = pytest.mark.anyio
REQUEST = Request(service="tiny", name="lab")
LIB = {"notify.sh": b""}


@asynccontextmanager
async def starting(root: Path) -> AsyncIterator[tuple[World, Starter]]:
    """A runtime, and who starts its sessions."""
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
            yield (
                here,
                Starter(desk, store, here.standing, Local(), LIB, (50000, 55500), lambda: {LOCAL: place}, folders),
            )


async def test_a_client_that_leaves_as_its_session_begins_does_not_take_the_door_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun has its port for life, though nobody is told of it any more."""
    async with starting(tmp_path) as (here, starter):
        create = here.engine.create

        async def answered_too_late(session: Session) -> Session:
            await create(session)
            while here.standing.port_of(session.id) is None:  # noqa: ASYNC110 - nothing tells that a door is open
                await anyio.sleep(0.01)
            client.cancel()
            await anyio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(here.engine, "create", answered_too_late)
        with anyio.fail_after(20), anyio.CancelScope() as client:
            await starter.start(REQUEST)
        (session,) = here.engine.live()
        await (await anyio.connect_tcp("127.0.0.1", session.open_port)).aclose()
        assert [] == [line["event"] for line in here.logs if line["log_level"] == "error"]


async def test_a_client_that_leaves_before_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No session, and the port is free again."""
    async with starting(tmp_path) as (here, starter):
        asked: list[Session] = []

        async def never_answered(session: Session) -> Session:
            asked.append(session)
            client.cancel()
            await anyio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(here.engine, "create", never_answered)
        with anyio.fail_after(20), anyio.CancelScope() as client:
            await starter.start(REQUEST)
        assert [] == here.engine.live()
        (await bind(asked[0].open_port)).close()
