"""A real browser: headless Chromium, driven through its own debugging protocol over one WebSocket."""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio

from tests.live import browser

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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
SHIFT = 8
# The page that was asked has made room for the next one, which can be asked in a moment.
GONE = (
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find default execution context",
)
# What a page is told of a key beside its name: its code, and what it types.
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), " ": (32, " "), "ArrowRight": (39, "")}


@dataclass(slots=True)
class Page(browser.Page):
    """One tab; ``session`` is its name in the protocol, where it is not the one that the WebSocket belongs to."""

    session: str = ""

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Say one command of the protocol and return its result."""
        answer = await self._said(method, **params)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def complaint(self, event: dict[str, Any]) -> str:
        """What cannot be loaded, or is not allowed; what threw."""
        match event:
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": text, **more}}}:
                return f"{text} {more.get('url', '')}"
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                return str(details.get("exception", details).get("description", details))
        return ""

    async def go(self, url: str) -> None:
        """Open a URL."""
        await self.send("Page.navigate", url=url)

    async def reload(self) -> None:
        """Load the page again."""
        await self.send("Page.reload")

    async def turn_to(self, address: str) -> None:
        """Go on in another tab, and show it."""

        async def look() -> str:
            found = (await self.send("Target.getTargets"))["targetInfos"]
            return next((one["targetId"] for one in found if one["url"].startswith(address)), "")

        target = await browser.patiently(look)
        self.session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        await self.send("Page.bringToFront")

    async def ask(self, script: str) -> Any:
        """Evaluate JavaScript in the page."""
        answer = await self._said("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "error" in answer:
            assert answer["error"]["message"] in GONE, answer
            return None
        return answer["result"]["result"].get("value")

    async def type(self, text: str) -> None:
        """Type text, a line's end included as the Enter key."""
        for part in text.splitlines(keepends=True):
            await self.send("Input.insertText", text=part.rstrip("\n"))
            if part.endswith("\n"):
                await self.key("Enter")

    async def key(self, name: str) -> None:
        """Press one key."""
        only = name.removeprefix("Shift+")
        code, text = KEYS[only]
        held = SHIFT if name != only else 0
        key = {"key": only, "code": only, "windowsVirtualKeyCode": code, "text": text, "modifiers": held}
        await self.send("Input.dispatchKeyEvent", type="keyDown", **key)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    async def press(self, text: str) -> None:
        """Press the keys of a text one by one, as pages see them that draw what they show themselves."""
        for one in text:
            key = {"key": one, "text": one} if one != "\n" else {"key": "Enter", "code": "Enter", "text": "\r"}
            await self.send("Input.dispatchKeyEvent", type="keyDown", **key)
            await self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    async def resize(self, width: int, height: int) -> None:
        """Give the page a size."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def picture(self, path: Path) -> None:
        """Save what a person would see."""
        result = await self.send("Page.captureScreenshot", format="png")
        await anyio.Path(path).write_bytes(base64.b64decode(result["data"]))

    async def _said(self, method: str, **params: Any) -> dict[str, Any]:
        more = {"sessionId": self.session} if self.session else {}
        return await self.reply(method, params, **more)


@asynccontextmanager
async def chromium(*, dark: bool = False) -> AsyncIterator[Page]:
    """A browser with a profile of its own, and a tab in it."""
    assert PROGRAM is not None
    argv = (sys.executable, str(Path(__file__).with_name("deaf.py")), PROGRAM, *FLAGS)
    with browser.launched(
        lambda folder: [*argv, f"--user-data-dir={folder}", "about:blank"], b"DevTools listening on "
    ) as address:
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://{urlsplit(address).netloc}/json/list") as answer:
                tabs = await answer.json()
            tab = next(found for found in tabs if found["type"] == "page")
            async with client.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as channel:
                page = Page(channel)
                for domain in ("Page", "Log", "Runtime"):
                    await page.send(f"{domain}.enable")
                media = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
                features = [{"name": name, "value": value} for name, value in media.items()]
                await page.send("Emulation.setEmulatedMedia", features=features)
                yield page
