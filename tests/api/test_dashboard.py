"""The dashboard's way in: who gets through it, once, and who does not."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from sessiond.api.dashboard import make_dashboard, serve_dashboard
from sessiond.api.dashboard_keys import LINK_S, UNUSED_S, Keys
from sessiond.config.model import Gateway
from sessiond.core.errors import Refused
from sessiond.runtime.tunnel import Peer
from tests.api.conftest import Api, House
from tests.ports import neighbours

pytestmark = pytest.mark.anyio

NAVIGATED = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}


class Front:
    """The dashboard's port of a daemon, as a browser without manners would use it."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        parts = urlsplit(url)
        self.origin = f"http://{parts.netloc}"
        self.port = parts.port
        self.key = parts.fragment.removeprefix("key=")
        self._http = http

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], str]:
        """One request: status, headers in lower case, text. Underscores of ``headers`` are hyphens."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._http.request(method, f"{self.origin}{path}", json=body, headers=said) as got:
            return got.status, {name.lower(): value for name, value in got.headers.items()}, await got.text()

    async def enter(self, key: str | None = None, **headers: str) -> str | None:
        """Come in: the token, or None where that is refused."""
        status, _, text = await self.ask("POST", "/v1/dashboard/enter", {"key": key or self.key}, **headers)
        assert status in (200, 403, 422), text
        return str(json.loads(text)["token"]) if status == 200 else None

    async def sessions(self, token: str | None, **headers: str) -> int:
        """The status of a request for the sessions."""
        said = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return (await self.ask("GET", "/v1/sessions", **said, **headers))[0]


@pytest.fixture
async def front(api: Api) -> AsyncIterator[Front]:
    """A dashboard with a link that nobody has used."""
    status, link = await api.ask("POST", "/v1/dashboard")
    assert (200, LINK_S) == (status, link["expires_in_s"])
    async with aiohttp.ClientSession() as http:
        yield Front(http, link["url"])


async def test_a_link_opens_once(front: Front) -> None:
    """Its key becomes a token; the key in a browser's history, and everything like either, opens nothing."""
    token = await front.enter()
    assert token is not None
    assert 200 == await front.sessions(token)
    assert await front.enter() is None
    for wrong in (None, "", front.key, token[:-1], f"{token}=", "x" * 43):
        assert 403 == await front.sessions(wrong)


async def test_the_token_is_a_header_and_nothing_else(front: Front) -> None:
    """No cookie is ever set; one with the token in it, or an address, opens nothing: other pages could make those."""
    token = await front.enter()
    assert token is not None
    _, headers, _ = await front.ask("GET", "/v1/sessions", Authorization=f"Bearer {token}")
    assert "set-cookie" not in headers
    assert 403 == await front.sessions(None, Cookie=f"token={token}; sessiond={token}")
    assert 403 == (await front.ask("GET", f"/v1/sessions?token={token}&sessiond={token}"))[0]


async def test_who_leaves_stays_out(front: Front) -> None:
    """Leaving makes the token worthless."""
    token = await front.enter()
    assert 204 == (await front.ask("POST", "/v1/dashboard/leave", Authorization=f"Bearer {token}"))[0]
    assert 403 == await front.sessions(token)


async def test_a_session_has_no_part_in_it(api: Api, front: Front) -> None:
    """What opens a session opens no dashboard, and a page of a session's is a page of another site."""
    session = await api.start("web")
    try:
        opens = re.search(r"sessiond=([\w-]+)", session["url"])
        assert opens is not None
        assert 403 == await front.sessions(opens[1])
        gateway = f"http://{urlsplit(session['url']).netloc}"
        assert gateway != front.origin
        assert await front.enter(Origin=gateway, Sec_Fetch_Site="same-site") is None
        token = await front.enter()
        for headers in ({"Origin": gateway}, {"Sec_Fetch_Site": "same-site"}):
            assert 403 == await front.sessions(token, **headers)
        # and the page is not where the sessions' pages are
        async with aiohttp.ClientSession() as http, http.get(f"{gateway}/") as got:
            assert 404 == got.status
        async with aiohttp.ClientSession() as http, http.get(f"{gateway}/v1/sessions") as got:
            assert 404 == got.status
    finally:
        await api.stop(session)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
    ],
)
async def test_other_sites_are_refused(front: Front, headers: dict[str, str]) -> None:
    """With the right token, too; and the refusal uses up no link."""
    assert await front.enter(**headers) is None
    token = await front.enter()
    assert 403 == await front.sessions(token, **headers)
    assert 200 == await front.sessions(token, Origin=front.origin, Sec_Fetch_Site="same-origin")


@pytest.mark.parametrize(
    "path",
    ["/%761/sessions", "/v1%2Fsessions", "//v1/sessions", "/web/../v1/sessions", "/web/%2E%2E/v1/sessions", "/x"],
)
async def test_no_spelling_of_a_path_gets_around_it(front: Front, path: str) -> None:
    """Whatever is not one of the page's files needs the token, however it is written."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{front.port}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    assert answer.split()[1] in (b"403", b"404"), answer
    assert b"[" not in answer.partition(b"\r\n\r\n")[2]


async def test_no_site_is_told_that_it_may(front: Front) -> None:
    """A browser that asks whether another site may send the header is not told so."""
    status, headers, _ = await front.ask(
        "OPTIONS",
        "/v1/sessions",
        Origin="https://example.org",
        Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="authorization",
    )
    assert 403 == status
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["evil.example:{port}", "127.0.0.1:1", "127.0.0.1", "localhost.evil.example:{port}"])
async def test_foreign_names_are_refused(front: Front, host: str) -> None:
    """A name that was made to lead here gets neither the page nor what is behind it."""
    token = await front.enter()
    for path in ("/", "/web/main.js", "/v1/sessions"):
        said = {"Authorization": f"Bearer {token}", "Host": host.format(port=front.port)}
        assert 421 == (await front.ask("GET", path, **said))[0]


async def test_the_page_allows_nothing_but_itself(front: Front) -> None:
    """Its headers forbid frames, scripts in it, and everything from elsewhere; answers and refusals have them too."""
    for path, expected in (("/", 200), ("/web/main.js", 200), ("/web/absent.js", 404), ("/v1/sessions", 403)):
        status, headers, _ = await front.ask("GET", path, **NAVIGATED if path == "/" else {})
        assert expected == status
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert ("DENY", "nosniff", "same-origin", "no-store") == (
            headers["x-frame-options"],
            headers["x-content-type-options"],
            headers["cross-origin-opener-policy"],
            headers["cache-control"],
        )


async def test_the_page_has_no_script_or_style_in_it(front: Front) -> None:
    """Everything is in files of its own, each of them is there, and none turns text into markup."""
    _, _, page = await front.ask("GET", "/")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    seen: set[str] = set()
    left = set(re.findall(r'(?:src|href)="(web/[^"]+)"', page))
    assert left
    while left:
        path = left.pop()
        seen.add(path)
        status, headers, text = await front.ask("GET", f"/{path}")
        assert (200, "utf-8") == (status, headers["content-type"].rpartition("charset=")[2])
        if path.endswith(".js"):
            assert headers["content-type"].startswith("text/javascript")
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)
            left |= {f"web/{name}" for name in re.findall(r'from "\./([\w.]+)"', text)} - seen


async def test_secrets_are_in_no_log(house: House, front: Front) -> None:
    """Neither the link's key nor the token, used rightly and wrongly."""
    token = await front.enter()
    assert token is not None
    await front.enter()
    await front.sessions(token, Origin="https://example.org")
    assert front.key not in house.log()
    assert token not in house.log()


async def exchanged(connection: socket.socket, data: bytes) -> bytes:
    """Everything that comes back for some bytes."""
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "more",
    [
        "Authorization: Bearer known-to-nobody\x01\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nknown-to-nobody\r\n",
    ],
    ids=["header", "body"],
)
async def test_what_is_no_http_is_refused_and_not_logged(house: House, front: Front, more: str) -> None:
    """The line that cannot be read may hold the page's token, somebody's cookies, or an answer to a prompt."""
    data = f"POST /v1/clusters/local/login/1 HTTP/1.1\r\nHost: localhost\r\n{more}".encode()
    control = socket.socket(socket.AF_UNIX)
    control.connect(str(house.socket))
    for connection in (control, socket.create_connection(("127.0.0.1", front.port))):
        assert b" 400 " in (await exchanged(connection, data)).split(b"\r\n")[0]
    assert "known-to-nobody" not in house.log()
    assert "BadHttpMessage" not in house.log()


async def test_the_cookies_of_others_do_not_lock_anybody_out(front: Front) -> None:
    """A browser sends those of all servers of this host, and a session's page can set as many as it keeps."""
    jar = "; ".join(f"crumb{number}={'x' * 4080}" for number in range(180))
    status, _, text = await front.ask("GET", "/", Cookie=jar)
    assert 200 == status, text[:200]


@asynccontextmanager
async def served(allow: Callable[[Peer], Awaitable[bool]], keys: Keys) -> AsyncIterator[str]:
    """A dashboard with nothing behind it: its origin."""
    runner = web.AppRunner(make_dashboard((), keys, allow), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_other_users_of_the_machine_see_nothing() -> None:
    """The kernel says whose a connection is, and it is asked once for each. Another user gets not even the page."""
    asked: list[Peer] = []

    async def allow(peer: Peer) -> bool:
        asked.append(peer)
        return False

    keys = Keys(lambda: 0.0)
    async with served(allow, keys) as origin, aiohttp.ClientSession() as http:
        for path in ("/", "/web/main.js"):
            async with http.get(f"{origin}{path}") as got:
                assert 403 == got.status
                assert "another user" in await got.text()
        async with http.post(f"{origin}/v1/dashboard/enter", json={"key": keys.link()}) as got:
            assert 403 == got.status
    assert 1 == len(asked)
    assert f"http://{asked[0].local[0]}:{asked[0].local[1]}" == origin


def test_links_and_pages_grow_old() -> None:
    """A link is good for two minutes, a page for as long as it asks now and then."""
    now = 0.0
    keys = Keys(lambda: now)
    early, late = keys.link(), keys.link()
    now = LINK_S
    token = keys.enter(early)
    assert token is not None
    now = LINK_S + 0.1
    assert keys.enter(late) is None
    for _ in range(3):
        now += UNUSED_S - 1
        assert keys.opens(token)
    now += UNUSED_S + 1
    assert not keys.opens(token)
    assert not keys.opens(token)


def test_only_so_many_are_known() -> None:
    """Whoever asks for links without end pushes out the oldest, and the page in use stays."""
    keys = Keys(lambda: 0.0)
    first = keys.link()
    token = keys.enter(keys.link())
    assert token is not None
    for _ in range(200):
        assert keys.enter(keys.link()) is not None
        assert keys.opens(token)
        keys.link()
    assert keys.enter(first) is None


async def test_the_api_is_behind_it(api: Api, front: Front) -> None:
    """A session is started, seen in the stream, read and stopped through it, with the socket's own handlers."""
    token = await front.enter()
    bearer: dict[str, Any] = {"Authorization": f"Bearer {token}", "Origin": front.origin}
    async with aiohttp.ClientSession(headers=bearer) as http:
        async with http.get(f"{front.origin}/v1/events") as events:
            assert b"\n" == await events.content.readline()
            async with http.post(f"{front.origin}/v1/sessions", json={"service": "slow", "name": "through"}) as got:
                assert 201 == got.status
                session = await got.json()
            async with asyncio.timeout(30):
                while json.loads(await events.content.readline() or b"{}").get("session") != session["id"]:
                    pass
        async with http.get(f"{front.origin}/v1/sessions/through/log?follow=1") as got:
            assert "line 5" in await got.text()
    await api.reaches(session, "ended")


class Facts(dict[str, str]):
    """What a store would keep."""

    def fact(self, key: str) -> str | None:
        return self.get(key)

    def set_fact(self, key: str, value: str) -> None:
        self[key] = value


async def anybody(_peer: Peer) -> bool:
    """Let everybody in."""
    return True


async def address(facts: Facts, gateway: Gateway | None) -> tuple[int, tuple[str, ...]]:
    """The port of the dashboard beside a gateway, and what is said about it."""
    async with serve_dashboard(gateway, facts, (), anybody, lambda: 0.0) as (links, warnings):
        answer = await links.link(cast("web.Request", None))
        return urlsplit(json.loads(cast("bytes", answer.body))["url"]).port or 0, warnings


async def test_it_is_at_the_port_after_the_gateways() -> None:
    """Where another program has that one it takes a free one, says so, and keeps it."""
    facts, (first, second, third) = Facts(), neighbours(3)
    gateway = Gateway(port=first)
    with socket.create_server(("127.0.0.1", second)):
        port, warnings = await address(facts, gateway)
        assert second != port
        assert f"so the dashboard listens on {port}" in warnings[0]
    ((key, kept),) = facts.items()
    assert str(port) == kept
    # Anybody may have that one by now, but not this one.
    facts[key] = str(third)
    assert third == (await address(facts, gateway))[0]
    assert (second, ()) == await address(Facts(), gateway)


async def test_without_a_gateway_there_is_none() -> None:
    """The request is refused, and the hint says which key."""
    with pytest.raises(Refused, match="the gateway is off"):
        await address(Facts(), None)
