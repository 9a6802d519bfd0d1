"""JupyterLab as a person has it: started by the daemon, opened through the gateway, alive whatever dies."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread
import pytest

from tests.daemon.workspace import Workspace
from tests.live.notebook import PATIENCE_S, begin, opened, printed
from tests.live.shell import shell_says

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(400)]


def browser() -> aiohttp.ClientSession:
    """Something with cookies."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_a_cell_a_terminal_and_the_same_url_after_kill_9(house: Workspace) -> None:
    """While a cell computes the daemon is killed; another finds the session, the URL works, the kernel knows all."""
    first = house.daemon()
    session = await anyio.to_thread.run_sync(lambda: house.start("jupyterlab-host"))
    url = session["url"]
    assert url is not None
    sync = Path(session["folder"]) / "go"
    async with browser() as client:
        lab = await opened(client, url)
        kernel = await lab.kernel()
        assert "42\n" == await lab.run(kernel, "x = 41\nprint(x + 1)")
        assert "hello from a terminal" in await terminal_says(client, lab.base, "echo hello from a 'terminal'")

        # The cell computes until a file appears, which it does only after the daemon was killed and another runs.
        channel = await lab.channel(kernel)
        code = (
            "import os, time\nprint('computing', flush=True)\n"
            f"while not os.path.exists({str(sync)!r}): time.sleep(.05)\ny = x * 2"
        )
        await printed(channel, await begin(channel, code), until="computing")
        first.kill()
        await channel.close()

    house.daemon()
    sync.touch()
    again = await anyio.to_thread.run_sync(lambda: house.until(session["id"], "running"))
    assert url == again["url"]
    async with browser() as client:
        lab = await opened(client, url)
        assert "41 82\n" == await lab.run(kernel, "print(x, y)")
    why = house.ctl("why", session["name"])
    assert 0 == why.status
    assert "sessiond was restarted; it looks for the session and its service" in why.out

    ended = await anyio.to_thread.run_sync(lambda: house.stop(session["name"]))
    assert "cancelled" == ended["outcome"]
    assert [] == house.traces(again)


async def terminal_says(client: aiohttp.ClientSession, base: str, command: str) -> str:
    """Type ``command`` into a new terminal of JupyterLab, and return what it showed until it had answered."""
    async with client.post(f"{base}api/terminals") as answer:
        name = (await answer.json())["name"]
    shown = ""
    async with client.ws_connect(f"{base}terminals/websocket/{name}") as channel:
        await channel.send_json(["stdin", f"{command}\r"])
        with anyio.fail_after(PATIENCE_S):
            # The command as typed holds quotes; its answer does not.
            while command.replace("echo ", "").replace("'", "") not in shown:
                kind, *rest = json.loads(await channel.receive_str())
                if kind == "stdout":
                    shown += rest[0]
    return shown


async def test_a_web_shell_echoes_and_resizes(house: Workspace) -> None:
    """A real terminal through the gateway: what is typed is answered, and the size is known to the shell."""
    house.daemon()
    session = await anyio.to_thread.run_sync(lambda: house.start("webshell"))
    assert session["url"] is not None
    async with browser() as client:
        await shell_says(client, session["url"], "echo size $(stty size) end", "size 31 99 end")
    await anyio.to_thread.run_sync(lambda: house.stop(session["name"]))
    assert [] == house.traces(session)
