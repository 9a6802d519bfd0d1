"""`/v1/clusters` through a real socket: a person's login to a scripted login node, and what nobody may see of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from structlog.typing import EventDict

from sessiond.api.app import _guarded
from sessiond.api.clusters import AnswersBody, ClusterRoutes
from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.service import Desk
from sessiond.config.catalogue import Catalogue
from sessiond.core.errors import HostDown
from sessiond.core.ids import ClusterName
from sessiond.core.link import LinkState
from sessiond.core.pace import PollPolicy
from sessiond.core.prompts import Prompt, Question
from sessiond.core.spec import Mode
from sessiond.remote.transport import Transport
from sessiond.runtime.bus import Bus
from sessiond.runtime.clock import SystemClock
from sessiond.runtime.cluster import Cluster, Clusters, build
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.runtime.link import LinkKeeper
from sessiond.runtime.linked import Linked
from tests.api.conftest import Api
from tests.runtime.connector import ScriptedConnector
from tests.runtime.memory import Memory
from tests.runtime.scripted import ScriptedCluster

pytestmark = pytest.mark.anyio

LOCAL = ClusterName("local")
FRONTIER = ClusterName("frontier")
SECRET = "correct horse"
ROUNDS = (
    Prompt(title="frontier", instructions="two factors", questions=(Question(text="Password: "),)),
    Prompt(questions=(Question(text="Code: ", echo=True),)),
)


@dataclass
class Desks:
    """An API with two clusters: this machine, and one behind a link."""

    api: Api
    keeper: LinkKeeper
    connector: ScriptedConnector
    logs: list[EventDict] = field(default_factory=list)

    async def clusters(self) -> dict[str, Any]:
        """What the API says of them, by name."""
        status, found = await self.api.ask("GET", "/v1/clusters")
        assert 200 == status
        return {one["name"]: one for one in found}

    @asynccontextmanager
    async def login(self, name: str = "frontier") -> AsyncIterator[AsyncIterator[Any]]:
        """A login's stream."""
        async with self.api.http.post(f"http://sessiond/v1/clusters/{name}/login") as response:
            assert 200 == response.status
            yield (json.loads(line) async for line in response.content if line.strip())

    async def answer(self, prompt: Any, *answers: str) -> tuple[int, Any]:
        """Answer a round."""
        return await self.api.ask("POST", f"/v1/clusters/frontier/login/{prompt['id']}", {"answers": list(answers)})

    async def reaches(self, state: LinkState) -> None:
        """Wait for a state of the link."""
        with anyio.fail_after(20):
            while self.keeper.link.state is not state:
                changed = anyio.Event()
                self.keeper.listen(lambda _link, changed=changed: changed.set())  # type: ignore[misc]
                await changed.wait()


@asynccontextmanager
async def desks(folder: Path, connector: ScriptedConnector) -> AsyncIterator[Desks]:
    """The API on a socket, its keeper at work."""
    clock = SystemClock()
    engine = Engine(clock, Memory(), Bus(), strict=True)
    keeper = LinkKeeper(FRONTIER, connector, clock, lambda: False)
    scripted = ScriptedCluster()

    def cluster(name: ClusterName, transport: Transport, keeper: LinkKeeper | None) -> Cluster:
        return build(
            name,
            scheduler="slurm",
            host=f"{name}-login",
            dialects={Mode.LOCAL: scripted},
            transport=transport,
            policies={Mode.LOCAL: PollPolicy()},
            engine=engine,
            clock=clock,
            folders=Folders(folder),
            lib={},
            keeper=keeper,
        )

    known = {LOCAL: cluster(LOCAL, scripted, None), FRONTIER: cluster(FRONTIER, Linked(keeper), keeper)}
    desk = Desk(
        engine=engine,
        clusters=Clusters(known),
        clock=clock,
        catalogue=lambda: Catalogue.read([]),
        doorkeeper=Doorkeeper(b"x" * 32),
        gateway=None,
        started=clock.now(),
    )
    app = web.Application(middlewares=[_guarded])
    ClusterRoutes(desk).add_to(app.router)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    path = folder / "api.sock"
    await web.UnixSite(runner, str(path)).start()
    try:
        with capture_logs() as logs:
            async with anyio.create_task_group() as group:
                group.start_soon(keeper.run)
                timeout = aiohttp.ClientTimeout(total=30)
                unix = aiohttp.UnixConnector(str(path))
                async with aiohttp.ClientSession(connector=unix, timeout=timeout) as http:
                    yield Desks(Api(http), keeper, connector, logs)
                group.cancel_scope.cancel()
    finally:
        await runner.cleanup()


def asking() -> ScriptedConnector:
    """A login node with two rounds of questions."""
    return ScriptedConnector(asks=ROUNDS, right=(SECRET, "42"), takes_s=0.01)


async def test_clusters_say_how_it_stands_with_their_links(tmp_path: Path) -> None:
    """This machine is always up; a link says its state, its words, and how often the host was called."""
    async with desks(tmp_path, ScriptedConnector(trouble=HostDown("no route to host"), takes_s=0.0)) as here:
        found = await here.clusters()
        assert ("up", 0, "ok", None) == tuple(
            found["local"]["link"][k] for k in ("state", "attempts", "severity", "problem")
        )
        assert ("idle", "not connected") == (found["frontier"]["link"]["state"], found["frontier"]["link"]["phrase"])
        async with here.login() as stream:
            said = [line async for line in stream]
        assert ["failed"] == [line["kind"] for line in said]
        assert "frontier is unreachable: no route to host" == said[0]["problem"]["message"]
        frontier = (await here.clusters())["frontier"]
        link = frontier["link"]
        assert ("host-down", True) == (link["problem"]["code"], link["attempts"] >= 1)
        assert link["phrase"].startswith("unreachable for ")
        assert (0, 0, None) == (frontier["looks"], frontier["commands"], frontier["observed_age_s"])


async def test_a_login_in_two_rounds(tmp_path: Path) -> None:
    """Prompts come as they are asked, answers go in, and the stream ends with up; nothing remembers the answers."""
    async with desks(tmp_path, asking()) as here:
        async with here.login() as stream:
            first = await anext(stream)
            assert ("prompt", "frontier", "two factors", [{"text": "Password: ", "echo": False}]) == tuple(
                first[k] for k in ("kind", "title", "instructions", "questions")
            )
            assert 100 < first["expires_in_s"] <= 120
            assert "authenticating" == (await here.clusters())["frontier"]["link"]["state"]
            assert (204, None) == await here.answer(first, SECRET)
            second = await anext(stream)
            assert [{"text": "Code: ", "echo": True}] == second["questions"]
            assert (404, "not-found") == (
                await here.api.error("POST", f"/v1/clusters/frontier/login/{first['id']}", {"answers": ["x"]})
            )[:2]
            assert (204, None) == await here.answer(second, "42")
            assert [{"kind": "up"}] == [line async for line in stream]
        everything = f"{here.logs}{await here.clusters()}{here.keeper.link}"
        assert SECRET not in everything
        async with here.login() as stream:
            assert [{"kind": "up"}] == [line async for line in stream]
        assert 1 == (await here.clusters())["frontier"]["link"]["attempts"]


async def test_answers_that_are_none(tmp_path: Path) -> None:
    """Too many, not text, not JSON, for nobody: refused without being repeated; the login goes on."""
    async with desks(tmp_path, asking()) as here:
        assert 404 == (await here.answer({"id": "x"}, SECRET))[0]
        async with here.login() as stream:
            prompt = await anext(stream)
            path = f"/v1/clusters/frontier/login/{prompt['id']}"
            for body in ({"answers": [SECRET, SECRET]}, {"answers": [7]}, {"answer": SECRET}, {}):
                status, code, message = await here.api.error("POST", path, body)
                assert (400, "bad-request", False) == (status, code, SECRET in message)
            status, code, message = await here.api.error("POST", path, None, data=SECRET.encode())
            assert (400, "bad-request", False) == (status, code, SECRET in message)
            assert 204 == (await here.answer(prompt, SECRET))[0]
            assert "prompt" == (await anext(stream))["kind"]
        assert SECRET not in f"{here.logs}"


async def test_who_goes_away_abandons_the_login(tmp_path: Path) -> None:
    """The attempt ends, and nothing is tried by itself."""
    async with desks(tmp_path, asking()) as here:
        async with here.login() as stream:
            await anext(stream)
        await here.reaches(LinkState.NEEDS_LOGIN)
        found = (await here.clusters())["frontier"]["link"]
        assert ("login-abandoned", "sessionctl login frontier") == (found["problem"]["code"], found["next"])
        assert 0 == here.connector.at_once
        async with here.login() as stream:
            assert "prompt" == (await anext(stream))["kind"]


async def test_one_login_at_a_time(tmp_path: Path) -> None:
    """The second is refused with the remedy; the first is not disturbed."""
    async with desks(tmp_path, asking()) as here, here.login() as stream:
        await anext(stream)
        status, code, message = await here.api.error("POST", "/v1/clusters/frontier/login")
        assert (409, "conflict", "somebody is logging in to frontier already") == (status, code, message)
        assert LinkState.AUTHENTICATING is here.keeper.link.state


async def test_a_logout(tmp_path: Path) -> None:
    """The cluster afterwards; it stays down."""
    async with desks(tmp_path, ScriptedConnector(takes_s=0.0)) as here:
        async with here.login() as stream:
            assert [{"kind": "up"}] == [line async for line in stream]
        status, found = await here.api.ask("POST", "/v1/clusters/frontier/logout")
        assert (200, "needs-login", "needs a login: you logged out") == (
            status,
            found["link"]["state"],
            found["link"]["phrase"],
        )


async def test_what_has_no_link(tmp_path: Path) -> None:
    """This machine needs no login, and what is not there is not found."""
    async with desks(tmp_path, asking()) as here:
        for path in ("login", "logout", "login/x"):
            body = {"answers": ["x"]}
            assert (422, "refused") == (await here.api.error("POST", f"/v1/clusters/local/{path}", body))[:2]
            assert (404, "not-found") == (await here.api.error("POST", f"/v1/clusters/nowhere/{path}", body))[:2]


def test_answers_are_in_no_repr() -> None:
    """Whatever prints the body of such a request."""
    assert "AnswersBody(1 answers)" == repr(AnswersBody([SECRET]))
