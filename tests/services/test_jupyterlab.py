"""JupyterLab, really installed, in a session's folder."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import aiohttp
import anyio
import pytest

from sessiond.core.spec import Listen
from tests.services.house import (
    OPEN_PORT,
    PATIENCE_S,
    TOKEN,
    Live,
    build,
    command_lines,
    ended,
    kill,
    live,
    log_of,
    prepare,
    processes,
    session,
    taken_port,
)

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(300)]

BASE = f"/me/{OPEN_PORT}"
PROBE = f"{BASE.removeprefix('/')}/api"
WITH_TOKEN = {"Authorization": f"token {TOKEN}"}


async def new_kernel(client: aiohttp.ClientSession, service: Live) -> str:
    """Start a kernel and return its id."""
    async with client.post(f"{service.root}{BASE}/api/kernels", json={"name": "python3"}) as answer:
        assert answer.status == 201
        return str((await answer.json())["id"])


async def run_cell(client: aiohttp.ClientSession, service: Live, kernel: str, code: str) -> str:
    """Run ``code`` in ``kernel`` as a notebook does, and return what it printed."""
    message = {
        "channel": "shell",
        "header": {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "session": "test",
            "username": "",
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
    }
    printed = ""
    async with client.ws_connect(f"{service.root}{BASE}/api/kernels/{kernel}/channels") as channel:
        await channel.send_json(message)
        with anyio.fail_after(PATIENCE_S):
            while True:
                reply = json.loads(await channel.receive_str())
                if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:  # type: ignore[index]  # a dict
                    continue
                if reply["msg_type"] == "stream":
                    printed += reply["content"]["text"]
                if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                    return printed


async def terminal_says(client: aiohttp.ClientSession, service: Live, command: str, expected: str) -> None:
    """Type ``command`` into a new terminal and wait until it has printed ``expected``."""
    async with client.post(f"{service.root}{BASE}/api/terminals") as answer:
        assert answer.status == 200
        name = (await answer.json())["name"]
    printed = ""
    async with client.ws_connect(f"{service.root}{BASE}/terminals/websocket/{name}") as channel:
        await channel.send_json(["stdin", f"{command}\r"])
        with anyio.fail_after(PATIENCE_S):
            while expected not in printed:
                kind, *rest = json.loads(await channel.receive_str())
                printed += rest[0] if kind == "stdout" else ""


@pytest.mark.parametrize("listen", list(Listen))
async def test_a_cell_runs_and_nothing_is_left(tmp_path: Path, listen: Listen) -> None:
    """A kernel runs a cell and a terminal opens, wherever it listens and whatever the user's own configuration says
    of that; after TERM, no process and no file of the service is left outside its folder."""
    house = build(tmp_path, "jupyterlab-host", listen)
    own = tmp_path / "home" / ".jupyter" / "jupyter_server_config.json"
    own.parent.mkdir()
    own.write_text(json.dumps({"ServerApp": {"port": 9999, "ip": "127.0.0.2", "sock": ""}}))
    async with live(house, PROBE) as service:
        assert (listen is Listen.SOCKET) == bool(service.path)
        assert not service.path or service.private
        async with aiohttp.ClientSession(headers=WITH_TOKEN, connector=service.connector()) as client:
            kernel = await new_kernel(client, service)
            code = "import os, subprocess\nprint(os.getcwd(), subprocess.Popen(['setsid', '-w', 'sleep', '600']).pid)"
            folder, job = (await run_cell(client, service, kernel, code)).split()
            assert f"{tmp_path}/home" == folder
            await terminal_says(client, service, "echo in-$((6 * 7))", "in-42")
        assert int(job) in processes(house)
        assert TOKEN not in command_lines()
        assert await ended(service.process) == 143
        assert {} == processes(house)
    assert not house.path("jupyter-runtime").exists()
    assert not service.path or not Path(service.path).parent.exists()
    assert "reason=signal:TERM" in house.path("exit").read_text()
    assert house.path("notified").exists()
    assert TOKEN not in log_of(house)


@pytest.mark.parametrize("listen", [Listen.LOOPBACK, Listen.SOCKET])
async def test_only_the_token_opens_it(tmp_path: Path, listen: Listen) -> None:
    """Kernels are refused without the token and with a wrong one; the page it lands on neither asks for news."""
    house = build(tmp_path, "jupyterlab-host", listen)
    async with live(house, PROBE) as service, aiohttp.ClientSession(connector=service.connector()) as client:
        for headers in ({}, {"Authorization": "token wrong"}):
            async with client.get(f"{service.root}{BASE}/api/kernels", headers=headers) as answer:
                assert answer.status == 403
        other_name = {"Host": "somewhere.localhost:8700"}
        async with client.get(f"{service.root}{BASE}/lab?token={TOKEN}", headers=other_name) as answer:
            page = await answer.text()
            assert (answer.status, f"{BASE}/static/lab/" in page) == (200, True)
            assert {cookie["path"] for cookie in answer.cookies.values()} <= {f"{BASE}/"}
            assert '"news": {"disabled": true}' in page


async def test_kill_script_ends_it_all(tmp_path: Path) -> None:
    """The kill script ends JupyterLab and its kernels though nobody told the session's shell."""
    house = build(tmp_path, "jupyterlab-host")
    async with live(house, PROBE) as service:
        async with aiohttp.ClientSession(headers=WITH_TOKEN) as client:
            await new_kernel(client, service)
        assert (await kill(house)).status == 0
        with anyio.fail_after(PATIENCE_S):
            await service.process.wait()
        assert {} == processes(house)


async def test_taken_port_is_an_error(tmp_path: Path) -> None:
    """Where somebody listens on its port already, JupyterLab does not take another one in silence."""
    with taken_port() as port:
        house = build(tmp_path, "jupyterlab-host", servicePort=str(port))
        assert (await prepare(house)).status == 0
        async with session(house) as process:
            with anyio.fail_after(PATIENCE_S):
                assert await process.wait() == 1
    assert house.path("failure").read_text().startswith("JupyterLab ended with status 1")
    assert f"port {port} is not available" in log_of(house)


async def test_absent_folder_is_told(tmp_path: Path) -> None:
    """A notebook folder that is not there ends the session with a sentence that names it."""
    house = build(tmp_path, "jupyterlab-host", service_notebook_dir="~/absent")
    assert (await prepare(house)).status == 0
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            assert await process.wait() == 1
    assert house.path("failure").read_text().startswith(f"There is no folder {tmp_path}/home/absent on ")


async def test_dask_comes_with_its_panel(tmp_path: Path) -> None:
    """Where the form asks for it: JupyterLab lists Dask's clusters, and a kernel computes with it."""
    house = build(tmp_path, "jupyterlab-host", advanced_options_install_instructions="dask")
    async with (
        live(house, PROBE) as service,
        aiohttp.ClientSession(headers=WITH_TOKEN, connector=service.connector()) as client,
    ):
        async with client.get(f"{service.root}{BASE}/dask/clusters") as answer:
            assert (200, []) == (answer.status, await answer.json())
        code = "import dask\nprint(dask.compute(dask.delayed(sum)([40, 2]), scheduler='sync')[0])"
        assert "42\n" == await run_cell(client, service, await new_kernel(client, service), code)
