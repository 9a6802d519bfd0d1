"""A notebook's side of JupyterLab's protocol: kernels, cells, terminals, through whatever URL it is given."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import anyio

PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """JupyterLab behind ``base`` (ending in a slash), opened with cookies and the service's own token."""

    base: str
    client: aiohttp.ClientSession

    async def kernel(self) -> str:
        """Start a kernel."""
        async with self.client.post(f"{self.base}api/kernels", json={"name": "python3"}) as answer:
            assert 201 == answer.status, await answer.text()
            return str((await answer.json())["id"])

    async def channel(self, kernel: str) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket to a kernel."""
        return await self.client.ws_connect(f"{self.base}api/kernels/{kernel}/channels")

    async def run(self, kernel: str, code: str) -> str:
        """Run a cell, and return what it printed."""
        channel = await self.channel(kernel)
        async with channel:
            message = await begin(channel, code)
            return await printed(channel, message)


async def begin(channel: aiohttp.ClientWebSocketResponse, code: str) -> str:
    """Begin a cell; its message's id."""
    message = uuid.uuid4().hex
    header = {"msg_id": message, "msg_type": "execute_request", "session": "test", "username": "", "version": "5.3"}
    content = {"code": code, "silent": False}
    await channel.send_json(
        {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
    )
    return message


async def printed(channel: aiohttp.ClientWebSocketResponse, message: str, *, until: str | None = None) -> str:
    """What a cell prints until it is done, or until it has printed ``until``."""
    text = ""
    with anyio.fail_after(PATIENCE_S):
        while True:
            reply: dict[str, Any] = json.loads(await channel.receive_str())
            if reply["parent_header"].get("msg_id") != message:
                continue
            if reply["msg_type"] == "stream":
                text += str(reply["content"]["text"])
                if until is not None and until in text:
                    return text
            if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                return text


async def opened(client: aiohttp.ClientSession, url: str, title: str = "JupyterLab") -> Notebook:
    """Open a session's URL as a browser does: once with its tokens, from then on with cookies."""
    async with client.get(url, headers={"Sec-Fetch-Mode": "navigate"}) as answer:
        page = await answer.text()
        assert 200 == answer.status, page
        assert f"<title>{title}</title>" in page
        assert "sessiond=" not in str(answer.url)
    parts = urlsplit(url)
    # Cookies open the gateway. For requests that change something Jupyter wants its token once more.
    client.headers["Authorization"] = f"token {parse_qs(parts.query)['token'][0]}"
    return Notebook(base=f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}/", client=client)
