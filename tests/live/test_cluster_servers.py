"""Services of ours on compute nodes of a real Slurm cluster, through the gateway."""

from __future__ import annotations

import aiohttp
import anyio.to_thread
import pytest

from sessiond.api.wire import Session
from tests.daemon.workspace import fetch

from .bed import NODES, Cluster
from .bed.environments import ensure_environment
from .bed.person import person
from .notebook import opened
from .scenario import ended
from .shell import shell_says
from .streamlit import shown

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(400)]

INSTALLED = ("jupyter-host", "streamlit-host", "webshell")


def browser() -> aiohttp.ClientSession:
    """Something with cookies."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_each_answers_from_its_node(cluster: Cluster) -> None:
    """A cell is run, a script's text arrives, a command is answered, a page is shown, each by the node of its job."""
    for service in INSTALLED:
        await anyio.to_thread.run_sync(ensure_environment, service)
    services = (*INSTALLED, "netcat-tester")
    with person(cluster) as me:
        for service in services:
            me.client.start({"service": service, "cluster": "bed", "mode": "slurm", "name": service, "time": "30"})
        done = await anyio.to_thread.run_sync(me.ctl, "wait", *services)
        assert 0 == done.status, done.err
        sessions = {service: me.client.session(service) for service in services}
        assert set(NODES) >= {str(session["node"]) for session in sessions.values()}
        await a_cell_is_run(sessions["jupyter-host"])
        async with browser() as client:
            async with client.get(url_of(sessions["streamlit-host"]), headers={"Sec-Fetch-Mode": "navigate"}) as answer:
                assert (200, "token=" in str(answer.url)) == (answer.status, False)
                root = str(answer.url)
            assert await shown(client, root, f"This is **{sessions['streamlit-host']['node']}**")
        async with browser() as client:
            node = str(sessions["webshell"]["node"])
            await shell_says(client, url_of(sessions["webshell"]), "echo at-$(uname -n)", f"at-{node}")
        status, page = await anyio.to_thread.run_sync(fetch, url_of(sessions["netcat-tester"]))
        assert (200, True) == (status, f"<td>{sessions['netcat-tester']['node']}</td>" in page)
        stopped = await anyio.to_thread.run_sync(lambda: me.ctl("stop", *services))
        assert 0 == stopped.status, stopped.err
        for service in services:
            ended(me, cluster, service, "cancelled")


async def a_cell_is_run(session: Session) -> None:
    """Where the session's job is."""
    async with browser() as client:
        notebook = await opened(client, url_of(session), "Home")
        printed = await notebook.run(await notebook.kernel(), "import platform\nprint(platform.node())")
    assert f"{session['node']}\n" == printed


def url_of(session: Session) -> str:
    """What a person opens."""
    assert session["url"] is not None
    return session["url"]
