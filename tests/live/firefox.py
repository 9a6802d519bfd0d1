"""A real browser: headless Firefox, driven through WebDriver BiDi, which it speaks itself, over one WebSocket."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from tests.live import browser

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
# What keeps it from talking to anyone but us: a proxy that is not there for all but this machine. With a debugging port
# it has most of what it does by itself switched off already.
PREFERENCES: dict[str, str | int | bool] = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.failover_direct": False,
    "network.proxy.allow_bypass": False,
    "ui.prefersReducedMotion": 1,
}
DARK, LIGHT = 0, 1
# WebDriver's own characters for keys without one.
KEYS = {"Enter": "\ue006", "Tab": "\ue004", "Escape": "\ue00c", " ": " ", "ArrowRight": "\ue014"}
SHIFT = "\ue008"
# What is evaluated while one page gives way to another has no answer: it is asked again.
GONE = ("no such frame", "unknown error")


@dataclass(slots=True)
class Page(browser.Page):
    """One tab; ``context`` is its name in the protocol."""

    context: str = ""

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Say one command of the protocol and return its result."""
        answer = await self.reply(method, params)
        assert "success" == answer["type"], answer
        result: dict[str, Any] = answer["result"]
        return result

    def complaint(self, event: dict[str, Any]) -> str:
        """What threw, what was blocked, and what pages say is an error."""
        match event:
            case {"method": "log.entryAdded", "params": {"level": "error", "text": text}}:
                return str(text)
        return ""

    async def go(self, url: str) -> None:
        """Open a URL."""
        await self.send("browsingContext.navigate", context=self.context, url=url, wait="none")

    async def reload(self) -> None:
        """Load the page again."""
        await self.send("browsingContext.reload", context=self.context, wait="none")

    async def turn_to(self, address: str) -> None:
        """Go on in another tab, and show it."""

        async def look() -> str:
            found = (await self.send("browsingContext.getTree", maxDepth=0))["contexts"]
            return next((one["context"] for one in found if one["url"].startswith(address)), "")

        self.context = await browser.patiently(look)
        await self.send("browsingContext.activate", context=self.context)

    async def ask(self, script: str) -> Any:
        """Evaluate JavaScript in the page."""
        target = {"context": self.context}
        answer = await self.reply(
            "script.evaluate", {"expression": script, "target": target, "awaitPromise": True, "userActivation": True}
        )
        if "success" != answer["type"]:
            assert answer["error"] in GONE, answer
            return None
        result = answer["result"]
        return _value(result["result"]) if "success" == result["type"] else None

    async def type(self, text: str) -> None:
        """Type text, a line's end included as the Enter key."""
        await self._keys([one for char in text for one in _pressed(KEYS["Enter"] if char == "\n" else char)])

    async def key(self, name: str) -> None:
        """Press one key."""
        only = name.removeprefix("Shift+")
        pressed = _pressed(KEYS[only])
        held = [{"type": "keyDown", "value": SHIFT}, *pressed, {"type": "keyUp", "value": SHIFT}]
        await self._keys(held if name != only else pressed)

    async def _keys(self, actions: Sequence[dict[str, str]]) -> None:
        keyboard = {"type": "key", "id": "keyboard", "actions": list(actions)}
        await self.send("input.performActions", context=self.context, actions=[keyboard])

    async def resize(self, width: int, height: int) -> None:
        """Give the page a size."""
        viewport = {"width": width, "height": height}
        await self.send("browsingContext.setViewport", context=self.context, viewport=viewport)

    async def picture(self, path: Path) -> None:
        """Save what a person would see."""
        result = await self.send("browsingContext.captureScreenshot", context=self.context)
        await anyio.Path(path).write_bytes(base64.b64decode(result["data"]))


@asynccontextmanager
async def firefox(*, dark: bool = False) -> AsyncIterator[Page]:
    """A browser with a profile of its own, and a tab in it."""
    assert PROGRAM is not None
    program = PROGRAM
    scheme = DARK if dark else LIGHT

    def command(folder: Path) -> Sequence[str]:
        chosen = {**PREFERENCES, "layout.css.prefers-color-scheme.content-override": scheme}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in chosen.items()]
        (folder / "user.js").write_text("".join(lines))
        return [
            program,
            "--headless",
            "--no-remote",
            "--profile",
            str(folder),
            "--remote-debugging-port=0",
            "about:blank",
        ]

    with browser.launched(command, b"WebDriver BiDi listening on ") as address:
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"{address}/session", max_msg_size=0) as channel,
        ):
            page = Page(channel)
            await page.send("session.new", capabilities={})
            await page.send("session.subscribe", events=["log.entryAdded"])
            # the first tab's keyboard belongs to the address bar (Firefox 153)
            page.context = (await page.send("browsingContext.create", type="tab"))["context"]
            await page.resize(1200, 800)
            yield page


def _pressed(value: str) -> list[dict[str, str]]:
    return [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]


def _value(found: dict[str, Any]) -> Any:
    """What a value of the protocol is in Python; None for what JSON has no word for."""
    value = found.get("value")
    if found["type"] == "array":
        return [_value(one) for one in value or ()]
    if found["type"] == "object":
        return {name: _value(one) for name, one in value or ()}
    return value if found["type"] in ("string", "number", "boolean") else None
