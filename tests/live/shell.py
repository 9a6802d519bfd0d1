"""A page's side of the web shell's protocol."""

from __future__ import annotations

import json

import aiohttp
import anyio

from .notebook import PATIENCE_S


async def shell_says(client: aiohttp.ClientSession, url: str, command: str, expected: str) -> str:
    """Open a web shell's URL as a browser does, type ``command``, and return what was shown up to ``expected``."""
    async with client.get(url, headers={"Sec-Fetch-Mode": "navigate"}) as answer:
        assert 200 == answer.status
        root = str(answer.url).split("?")[0]
    shown = ""
    async with client.ws_connect(f"{root}ws/1", origin=root.split("/me/")[0]) as shell:
        await shell.send_json(["set_size", 31, 99])
        await shell.send_json(["stdin", f"{command}\r"])
        with anyio.fail_after(PATIENCE_S):
            while expected not in shown:
                kind, *rest = json.loads(await shell.receive_str())
                if kind == "stdout":
                    shown += rest[0]
    return shown
