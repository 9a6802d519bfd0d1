"""The shell in the browser, with real shells, over real WebSockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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

COOKIE = f"webshell-{OPEN_PORT}"
UNSEEN_LIMIT = 1_000_000
PREFIX = {"X-Forwarded-Prefix": f"/me/{OPEN_PORT}"}


class Tab:
    """A tab of the browser at one shell: it draws nothing, but answers for what it would have drawn."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.replayed = ""
        self.printed = ""

    async def say(self, *message: object) -> None:
        """Send a message."""
        await self.socket.send_str(json.dumps(message))

    async def hear(self) -> str:
        """Take the next message and return its kind."""
        with anyio.fail_after(PATIENCE_S):
            kind, content = json.loads(await self.socket.receive_str())
        if kind == "stdout":
            self.printed += content
            await self.say("ack", len(content))
        elif kind == "replay":
            self.replayed += content
            await self.say("ack", len(content))
        return str(kind)

    async def until(self, text: str) -> None:
        """Hear until the shell has printed ``text``."""
        while text not in self.printed:
            assert await self.hear() != "disconnect", self.printed


@asynccontextmanager
async def tab(service: Live, name: str = "1", token: str = TOKEN) -> AsyncIterator[Tab]:
    """A tab at shell ``name``."""
    async with (
        aiohttp.ClientSession(cookies={COOKIE: token}, connector=service.connector()) as client,
        client.ws_connect(f"{service.root}/ws/{name}") as socket,
    ):
        yield Tab(socket)


@pytest.mark.parametrize("listen", list(Listen))
async def test_commands_run_and_the_size_is_seen(tmp_path: Path, listen: Listen) -> None:
    """A login shell runs a command; after a resize the terminal inside has the new size, and no stale one."""
    async with live(build(tmp_path, "webshell", listen), "healthz") as service, tab(service) as one:
        assert (listen is Listen.SOCKET) == bool(service.path)
        await one.say("stdin", "shopt -q login_shell && echo in $((6 * 7)) $PWD\r")
        await one.until(f"in 42 {tmp_path}/home")
        for rows, columns in ((33, 101), (50, 132)):
            await one.say("set_size", rows, columns)
            await one.say("stdin", "echo size $(stty size) end\r")
            await one.until(f"size {rows} {columns} end")
        await one.say("stdin", "echo secret-$(env | grep -c -e TOKEN -e token)-\r")
        await one.until("secret-0-")


async def test_a_reload_finds_the_same_shell(tmp_path: Path) -> None:
    """A tab that comes back finds its shell and what it printed; another name is another shell."""
    async with live(build(tmp_path, "webshell"), "healthz") as service:
        async with tab(service) as before:
            await before.say("stdin", "memory=kept; echo first-$memory\r")
            await before.until("first-kept")
        async with tab(service) as after, tab(service, "2") as other:
            while "first-kept" not in after.replayed:
                assert await after.hear() in {"setup", "replay"}
            await after.say("stdin", "echo second-$memory-\r")
            await after.until("second-kept-")
            await other.say("stdin", "echo other-$memory-\r")
            await other.until("other--")


async def test_an_ended_shell_makes_way_for_a_new_one(tmp_path: Path) -> None:
    """`exit` is told to the tab and ends neither the session nor the way to a new shell."""
    async with live(build(tmp_path, "webshell"), "healthz") as service:
        async with tab(service) as one:
            await one.say("stdin", "exit\r")
            while await one.hear() != "disconnect":
                pass
        async with tab(service) as again:
            await again.say("stdin", "echo new-$((40 + 2))\r")
            await again.until("new-42")


async def test_a_tab_that_lags_behind_stops_the_flood(tmp_path: Path) -> None:
    """A shell that prints without end waits for its tab, and goes on once the tab has caught up."""
    house = build(tmp_path, "webshell")
    async with live(house, "healthz") as service, tab(service) as one:
        await one.say("stdin", "yes | head -c 6000000; echo do$((1))ne\r")
        unseen = 0
        with anyio.fail_after(PATIENCE_S):
            while unseen <= UNSEEN_LIMIT:
                unseen += len(json.loads(await one.socket.receive_str())[1])
        # What was on its way already may still come, then nothing more.
        with anyio.move_on_after(1) as silence:
            while unseen < 2 * UNSEEN_LIMIT:
                unseen += len(json.loads(await one.socket.receive_str())[1])
        assert silence.cancelled_caught
        await one.say("ack", unseen)
        await one.until("do1ne")


@pytest.mark.parametrize("listen", [Listen.LOOPBACK, Listen.SOCKET])
async def test_only_the_token_opens_it(tmp_path: Path, listen: Listen) -> None:
    """No token, a wrong one, or a page from elsewhere: no shell, no page, no file of it, wherever it listens."""
    house = build(tmp_path, "webshell", listen)
    async with live(house, "healthz") as service, aiohttp.ClientSession(connector=service.connector()) as client:
        assert not service.path or service.private
        for path in ("", "?token=wrong", "page.js", "xterm.js", "new", "ws/1", "ws/1?token=wrong"):
            async with client.get(f"{service.root}/{path}") as answer:
                assert (path, answer.status) == (path, 403)
                assert "sessionctl url" in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with tab(service, token="wrong" * 8):
                pass
        assert refused.value.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as foreign:
            await client.ws_connect(f"{service.root}/ws/1?token={TOKEN}", origin="http://elsewhere.example")
        assert foreign.value.status == 403
        assert TOKEN not in command_lines()
    assert TOKEN not in log_of(house)


async def test_the_token_becomes_a_cookie_of_the_session_only(tmp_path: Path) -> None:
    """The token in the URL becomes a cookie below the public prefix, and redirects are relative to it."""
    house = build(tmp_path, "webshell")
    async with (
        live(house, "healthz") as service,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        url = f"{service.root}/?shell=work&token={TOKEN}"
        for sent, path in (
            (PREFIX, f"/me/{OPEN_PORT}/"),
            ({}, "/"),
            ({"X-Forwarded-Prefix": "/x; Domain=example.org"}, "/"),
        ):
            async with client.get(url, headers=sent, allow_redirects=False) as answer:
                cookie = answer.cookies[COOKIE]
                assert (answer.status, answer.headers["Location"]) == (302, "./?shell=work")
                assert (cookie.value, cookie["path"], cookie["httponly"]) == (TOKEN, path, True)
                assert (cookie["samesite"], cookie["domain"]) == ("Lax", "")
        known = {"Cookie": f"{COOKIE}={TOKEN}"}
        async with client.get(f"{service.root}/new", headers=known, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "./?shell=1"
        async with client.get(f"{service.root}/", headers=known) as answer:
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        async with client.get(f"{service.root}/xterm.js", headers=known) as answer:
            script = await answer.text()
            assert (answer.status, "as Terminal" in script, "as FitAddon" in script) == (200, True, True)


@pytest.mark.parametrize(
    "message",
    ["", "{", "[]", "null", '["stdin", 1]', '["set_size", 0, 80]', '["set_size", true, 80]', '["ack", -1]', '["eval"]'],
)
async def test_strange_messages_close_the_connection_only(tmp_path: Path, message: str) -> None:
    """Messages the page never sends close its connection, and the shell is still there."""
    async with live(build(tmp_path, "webshell"), "healthz") as service:
        async with tab(service) as one:
            await one.socket.send_str(message)
            with anyio.fail_after(PATIENCE_S):
                while (await one.socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
                    pass
            assert one.socket.close_code == 1007
        async with tab(service) as again:
            await again.say("stdin", "echo still-$((1))\r")
            await again.until("still-1")


@pytest.mark.parametrize("listen", [Listen.LOOPBACK, Listen.SOCKET])
@pytest.mark.parametrize("way", ["signal", "kill script"])
async def test_nothing_is_left(tmp_path: Path, way: str, listen: Listen) -> None:
    """A stubborn background job, one that left the terminal, a shell and a socket all end with the session."""
    house = build(tmp_path, "webshell", listen)
    async with live(house, "healthz") as service:
        async with tab(service) as one:
            await one.say("stdin", "(trap '' HUP TERM; sleep 601; :) & setsid sleep 602 & echo up-$((1))\r")
            await one.until("up-1")
        if way == "signal":
            assert await ended(service.process) == 143
        else:
            assert (await kill(house)).status == 0
            with anyio.fail_after(PATIENCE_S):
                await service.process.wait()
        assert {} == processes(house)
        assert not service.path or not Path(service.path).parent.exists()


async def test_taken_port_is_an_error(tmp_path: Path) -> None:
    """A port that somebody else listens on ends the session with a sentence."""
    with taken_port() as port:
        house = build(tmp_path, "webshell", servicePort=str(port))
        assert (await prepare(house)).status == 0
        async with session(house) as process:
            with anyio.fail_after(PATIENCE_S):
                assert await process.wait() == 1
    assert house.path("failure").read_text().startswith("The web shell ended with status 1")
    assert f"The web shell cannot listen on 127.0.0.1:{port}" in log_of(house)
