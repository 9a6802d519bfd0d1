"""`/v1/clusters/{name}/partitions` through a real socket: what is known of a login node behind a link, and remarks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web

from sessiond.api.app import _guarded
from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.partitions import PartitionRoutes
from sessiond.api.service import Desk
from sessiond.config.catalogue import Catalogue
from sessiond.config.model import ClusterConfig, Ssh
from sessiond.core.command import Command, Completed
from sessiond.core.errors import HostDown
from sessiond.core.ids import ClusterName
from sessiond.core.pace import PollPolicy
from sessiond.core.prompts import Prompt, Question
from sessiond.core.spec import Mode
from sessiond.runtime.bus import Bus
from sessiond.runtime.choices import Choices
from sessiond.runtime.clock import SystemClock
from sessiond.runtime.cluster import Clusters, build
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.runtime.link import LinkKeeper
from sessiond.runtime.linked import Linked
from sessiond.schedulers.process import Process
from sessiond.schedulers.slurm.dialect import Slurm
from tests.api.conftest import Api
from tests.runtime.connector import ScriptedConnector
from tests.runtime.memory import Memory
from tests.runtime.scripted import ScriptedCluster
from tests.schedulers.slurm_site import recording, said

pytestmark = pytest.mark.anyio

LOCAL = ClusterName("local")
FRONTIER = ClusterName("frontier")


class Sinfo(ScriptedCluster):
    """A login node that answers every command as sinfo did, once ``open`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = []
        self.open = anyio.Event()

    async def run(self, command: Command) -> Completed:
        self.commands.append(command)
        await self.open.wait()
        return said(["partitions", recording("partitions").out], ["said", "0", ""])


@dataclass
class House:
    """An API with two clusters: this machine, and one behind a link."""

    api: Api
    sinfo: Sinfo
    connector: ScriptedConnector
    keeper: LinkKeeper
    choices: Choices
    defaults: dict[str, str] = field(default_factory=dict)

    async def look(self, name: str = "frontier", method: str = "GET", **query: str) -> Any:
        """What the API says."""
        status, found = await self.api.ask(method, f"/v1/clusters/{name}/partitions", params=query)
        assert 200 == status, found
        return found

    async def remarks(self, **query: str) -> tuple[str, str]:
        """What is said of a choice."""
        found = (await self.look(**query))["remarks"]
        return found["partition"], found["time"]


@asynccontextmanager
async def house(folder: Path, connector: ScriptedConnector | None = None) -> AsyncIterator[House]:
    """The API on a socket, its link and its choices at work."""
    sinfo = Sinfo()
    calls = connector or ScriptedConnector(takes_s=0.0)
    calls.behind = sinfo
    clock = SystemClock()
    engine = Engine(clock, Memory(), Bus(), strict=True)
    keeper = LinkKeeper(FRONTIER, calls, clock, lambda: False)
    shared: Mapping[str, Any] = {"engine": engine, "clock": clock, "folders": Folders(folder), "lib": {}}
    here = build(
        LOCAL,
        scheduler="none",
        host="here",
        dialects={Mode.LOCAL: Process()},
        transport=sinfo,
        policies={Mode.LOCAL: PollPolicy()},
        **shared,
    )
    there = build(
        FRONTIER,
        scheduler="slurm",
        host="frontier-login",
        dialects={Mode.SLURM: Slurm(), Mode.CONTROLLER: Process()},
        transport=Linked(keeper),
        policies={Mode.SLURM: PollPolicy(), Mode.CONTROLLER: PollPolicy()},
        keeper=keeper,
        **shared,
    )
    defaults: dict[str, str] = {}
    config = ClusterConfig(name=FRONTIER, transport=Ssh(host="frontier-login"), defaults=defaults)
    desk = Desk(
        engine=engine,
        clusters=Clusters({LOCAL: here, FRONTIER: there}),
        clock=clock,
        catalogue=lambda: Catalogue.read([]),
        doorkeeper=Doorkeeper(b"x" * 32),
        gateway=None,
        started=clock.now(),
        settings={FRONTIER: config}.get,
    )
    app = web.Application(middlewares=[_guarded])
    PartitionRoutes(desk).add_to(app.router)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    path = folder / "api.sock"
    await web.UnixSite(runner, str(path)).start()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(keeper.run)
            group.start_soon(there.choices.run)
            await anyio.wait_all_tasks_blocked()
            timeout = aiohttp.ClientTimeout(total=30)
            unix = aiohttp.UnixConnector(str(path))
            async with aiohttp.ClientSession(connector=unix, timeout=timeout) as http:
                yield House(Api(http), sinfo, calls, keeper, there.choices, defaults)
            group.cancel_scope.cancel()
    finally:
        await runner.cleanup()
        engine._send.close()
        engine._receive.close()


async def test_no_link_is_made_for_whoever_only_looks(tmp_path: Path) -> None:
    """It is said that nothing is known, and what would change that."""
    async with house(tmp_path) as here:
        for _ in range(2):
            found = await here.look()
            assert ("partition", False, False, []) == tuple(
                found[key] for key in ("kind", "known", "asking", "partitions")
            )
            assert "frontier is not connected" == found["why"]
            assert "sessionctl partitions frontier" in found["hint"]
        assert [] == here.connector.at
        assert [] == here.sinfo.commands


async def test_who_asks_has_the_link_made_and_waits(tmp_path: Path) -> None:
    """From then on everybody knows, and nobody asks again."""
    async with house(tmp_path) as here:
        here.sinfo.open.set()
        found = await here.look(method="POST")
        assert (True, False, "", "", "") == tuple(found[key] for key in ("known", "asking", "code", "why", "hint"))
        assert 0 <= found["age_s"] < 10
        assert "short" == found["usual"]
        assert {
            "name": "short",
            "default": True,
            "takes": True,
            "starts": True,
            "longest_s": 3600,
            "nodes": 2,
            "text": "default, up to 1:00:00, 2 nodes",
        } == found["partitions"][0]
        assert found["partitions"] == (await here.look())["partitions"]
        assert found["partitions"] == (await here.look(method="POST"))["partitions"]
        assert 1 == len(here.connector.at) == len(here.sinfo.commands)


async def test_where_the_link_is_up_a_look_has_the_cluster_asked(tmp_path: Path) -> None:
    """And is answered at once, while it is."""
    async with house(tmp_path) as here:
        here.keeper.want()
        with anyio.fail_after(20):
            while not here.keeper.up:
                await here.keeper.changed()
            found = await here.look()
            assert (False, True, "") == tuple(found[key] for key in ("known", "asking", "why"))
            assert (await here.look())["asking"]
            here.sinfo.open.set()
            assert (await here.look(method="POST"))["known"]
        assert 1 == len(here.sinfo.commands)


@pytest.mark.parametrize(
    ("connector", "code", "why", "hint"),
    [
        (
            ScriptedConnector(trouble=HostDown("no route to host"), takes_s=0.0),
            "host-down",
            "no route to host",
            "tried again",
        ),
        (
            ScriptedConnector(asks=(Prompt(questions=(Question(text="Password: "),)),), takes_s=0.0),
            "needs-login",
            "needs a login",
            "sessionctl login frontier",
        ),
    ],
    ids=["down", "login"],
)
async def test_a_cluster_that_cannot_be_asked_says_why(
    tmp_path: Path, connector: ScriptedConnector, code: str, why: str, hint: str
) -> None:
    """In the words of its link, with what to do; looking again does not call it again."""
    async with house(tmp_path, connector) as here:
        found = await here.look(method="POST")
        assert (False, False) == (found["known"], found["asking"])
        assert why in found["why"]
        assert code == found["code"]
        assert hint in found["hint"]
        # What a link tries by itself meanwhile is no question of ours.
        asked = here.choices.asked
        assert found == await here.look()
        assert asked == here.choices.asked


async def test_remarks_about_a_choice(tmp_path: Path) -> None:
    """A name that is not listed, one that is shut, a walltime that is too long in either spelling; none refused."""
    async with house(tmp_path) as here:
        assert ("", "") == await here.remarks(partition="shrot", time="100:00:00"), "nothing is known yet"
        here.sinfo.open.set()
        await here.look(method="POST")
        assert ("", "") == await here.remarks()
        assert ("", "") == await here.remarks(partition="long", time="100:00:00")
        assert ("the cluster does not list a partition of this name", "") == await here.remarks(partition="shrot")
        assert ("debug starts no jobs now", "debug gives a job 0:30:00 at most") == await here.remarks(
            partition=" debug ", time="31"
        )
        assert ("", "short gives a job 1:00:00 at most") == await here.remarks(walltime="1-0")
        assert ("", "") == await here.remarks(time="soon", walltime="later")


async def test_what_the_configuration_says_is_the_usual(tmp_path: Path) -> None:
    """A cluster's defaults go before the scheduler's own, by either name."""
    async with house(tmp_path) as here:
        here.sinfo.open.set()
        await here.look(method="POST")
        here.defaults["queue"] = "debug"
        assert "debug" == (await here.look())["usual"]
        assert ("debug starts no jobs now", "") == await here.remarks(time="30")
        here.defaults["time"] = "01:00:00"
        assert ("debug starts no jobs now", "debug gives a job 0:30:00 at most") == await here.remarks()
        assert ("", "") == await here.remarks(partition="short")


async def test_this_machine_has_none_and_an_unknown_cluster_is_not_found(tmp_path: Path) -> None:
    """Neither is an error of the daemon's."""
    async with house(tmp_path) as here:
        for method in ("GET", "POST"):
            found = await here.look("local", method)
            assert ("", False, False, "", []) == tuple(
                found[key] for key in ("kind", "known", "asking", "why", "partitions")
            )
            error = await here.api.error(method, "/v1/clusters/nosuch/partitions")
            assert (404, "not-found", "there is no cluster called nosuch") == error
        assert [] == here.sinfo.commands
