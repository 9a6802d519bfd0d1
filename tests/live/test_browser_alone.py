"""A browser of tests is disturbed by nothing that other tests do to the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest
from aiohttp import web

from tests.live.browser import Browser
from tests.live.browsers import EACH

# More than a browser asks one host for at a time, so that some wait for their turn.
SCRIPTS = 12
PAGE = "".join(f"<script type=module src=/{number}.js></script>" for number in range(SCRIPTS))
LINK = f"sdw{os.getpid()}"
ADDRESS = "198.18.0.1/30"
"""Of a network that is for measurements only (RFC 2544)."""


@asynccontextmanager
async def slow(asked: anyio.Event, go: anyio.Event) -> AsyncIterator[str]:
    """A page whose scripts say that they are asked for, and come when they may."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def script(_: web.Request) -> web.Response:
        asked.set()
        await go.wait()
        return web.Response(text="window.come = (window.come ?? 0) + 1", content_type="text/javascript")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/{number}.js", script)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


@contextmanager
def another_network() -> Iterator[None]:
    """An interface with an address, as a cluster of tests has one."""
    for words in (
        ["link", "add", LINK, "type", "veth", "peer", "name", f"{LINK}p"],
        ["address", "add", ADDRESS, "dev", LINK],
        ["link", "set", LINK, "up"],
    ):
        subprocess.run(["ip", *words], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "delete", LINK], check=True)


@EACH
@pytest.mark.anyio
@pytest.mark.live
@pytest.mark.timeout(120)
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="not root, or no iproute2")
async def test_addresses_that_come_and_go_cut_nothing_off(browser: Browser) -> None:
    """What a page waits for comes, though the machine has had another address meanwhile."""
    asked, go = anyio.Event(), anyio.Event()
    async with slow(asked, go) as address, browser() as page:
        await page.go(address)
        await asked.wait()
        with another_network():
            await page.ask("new Promise((done) => requestAnimationFrame(() => done(true)))")
        assert await page.ask("window.come ?? 'none'") == "none"
        go.set()
        await page.until(f"window.come === {SCRIPTS}")
