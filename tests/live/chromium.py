"""A real browser: headless Chromium, driven through its own debugging protocol over one WebSocket."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from tests.daemon.traces import until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_S = 60.0
# No sandbox because tests run as root on CI; the rest keeps it from talking to anyone but us.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--window-size=1200,800",
    "--remote-debugging-port=0",
)


@dataclass(slots=True)
class Page:
    """One tab."""

    channel: aiohttp.ClientWebSocketResponse
    numbers: count[int] = field(default_factory=lambda: count(1))

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Say one command of the protocol and return its result."""
        number = next(self.numbers)
        await self.channel.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = await self.channel.receive_json()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    async def go(self, url: str) -> None:
        """Open a URL."""
        await self.send("Page.navigate", url=url)

    async def ask(self, script: str) -> Any:
        """Evaluate JavaScript in the page."""
        result = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait, looking with every frame the browser draws, until ``script`` is true, across reloads of the page."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                value = await self.ask(script)
                if value:
                    return value
                await anyio.sleep(0.05)

    async def type(self, text: str) -> None:
        """Type text, a line's end included as the Enter key."""
        for part in text.splitlines(keepends=True):
            await self.send("Input.insertText", text=part.rstrip("\n"))
            if part.endswith("\n"):
                key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
                await self.send("Input.dispatchKeyEvent", type="keyDown", **key)
                await self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    async def press(self, text: str) -> None:
        """Press the keys of a text one by one, as pages see them that draw what they show themselves."""
        for one in text:
            key = {"key": one, "text": one} if one != "\n" else {"key": "Enter", "code": "Enter", "text": "\r"}
            await self.send("Input.dispatchKeyEvent", type="keyDown", **key)
            await self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    async def picture(self, path: Path) -> None:
        """Save what a person would see."""
        result = await self.send("Page.captureScreenshot", format="png")
        await anyio.Path(path).write_bytes(base64.b64decode(result["data"]))


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """A browser with a profile of its own, and a tab in it."""
    assert PROGRAM is not None
    profile = Path(tempfile.mkdtemp(prefix="sdw-chromium-"))
    process = _launched(PROGRAM, profile)
    try:
        port = await anyio.to_thread.run_sync(_port, process)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = await answer.json()
            tab = next(found for found in tabs if found["type"] == "page")
            async with client.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as channel:
                page = Page(channel)
                await page.send("Page.enable")
                yield page
    finally:
        # Its own children would outlive it for a moment, and write to the profile until they notice.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        until(lambda: not _has_members(process.pid), "the browser's processes live on")
        shutil.rmtree(profile, ignore_errors=True)


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _launched(program: str, profile: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _port(process: subprocess.Popen[bytes]) -> int:
    """The debugging port, as the browser says it on stderr: ``DevTools listening on ws://127.0.0.1:PORT/...``."""
    assert process.stderr is not None
    for line in process.stderr:
        if b"DevTools listening on ws://" in line:
            return int(line.rsplit(b":", 1)[1].split(b"/")[0])
    raise AssertionError("the browser did not say where it listens")
