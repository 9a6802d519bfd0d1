"""The door in front of programs that ask nobody who they are."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import anyio
import pytest
from anyio.abc import Process

from tests.ports import free_port
from tests.services.house import PATIENCE_S, SERVICES, taken_port

pytestmark = [pytest.mark.anyio, pytest.mark.live]

DOOR = SERVICES / "_lib" / "doorman.py"
PROGRAM = Path(__file__).with_name("behind_a_door.py")
TOKEN = "an-open-sesame-of-32-characters_"
COOKIE = {"Cookie": f"door-x={TOKEN}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A door that stands."""

    process: Process
    path: str

    def client(self) -> aiohttp.ClientSession:
        """Something that can knock."""
        return aiohttp.ClientSession(
            "http://door", connector=aiohttp.UnixConnector(self.path), cookie_jar=aiohttp.DummyCookieJar()
        )


@asynccontextmanager
async def door(*program: str) -> AsyncIterator[Door]:
    """A door in front of ``program``, else of one that tells what reaches it."""
    with tempfile.TemporaryDirectory(prefix="sd-door-", dir="/tmp") as name:
        path, to = f"{name}/door.sock", f"{name}/program.sock"
        words = ["--socket", path, "--to", to, "--name", "x", "--open", "/free", "--"]
        words += program or (sys.executable, str(PROGRAM), to)
        process = await anyio.open_process(
            [sys.executable, "-I", str(DOOR), *words], env={**os.environ, "DOOR_TOKEN": TOKEN}, stdin=-3
        )
        try:
            found = Door(process=process, path=path)
            if not program:
                async with found.client() as client:
                    await status_of(client, waiting=True)
            yield found
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            with anyio.CancelScope(shield=True):
                await process.wait()
                await process.aclose()


async def status_of(client: aiohttp.ClientSession, *, waiting: bool = False) -> int:
    """What is answered to what is free, once there is an answer; with ``waiting``, once it is the program's."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with client.get("/free") as answer:
                    if not (waiting and answer.status == 502):
                        return answer.status
            await anyio.sleep(0.02)


async def test_what_has_the_cookie_reaches_the_program(tmp_path: Path) -> None:
    """As it was sent, without what is the door's: any method, a body with or without a length, an answer likewise."""
    async with door() as stands, stands.client() as client:
        others = {"Cookie": f"a=b; door-x={TOKEN}; c=d", "X-Forwarded-Host": "h"}
        async with client.request("PROPFIND", "/a%20b/?x=1&y", headers=others) as answer:
            told = await answer.json()
        assert ("PROPFIND", "/a%20b/?x=1&y", []) == (told["method"], told["path"], told["secrets"])
        assert (["a=b; c=d"], ["h"], ["close"]) == tuple(
            told["headers"][name] for name in ("Cookie", "X-Forwarded-Host", "Connection")
        )

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"y" * 40_000

        for body in (io.BytesIO(b"z" * 4_000_000), pieces()):
            async with client.post("/", data=body, headers=COOKIE) as answer:
                assert 4_000_000 == (await answer.json())["body"]
        async with client.get("/much", headers=COOKIE) as answer:
            assert 64 * 65536 == len(await answer.read())


async def test_a_websocket_goes_through(tmp_path: Path) -> None:
    """Text and bytes, both ways, from a page of its own."""
    async with door() as stands, stands.client() as client:
        async with client.ws_connect("/ws", headers=COOKIE, origin="http://door", max_msg_size=0) as channel:
            await channel.send_str("hello")
            assert "hello" == await channel.receive_str()
            await channel.send_bytes(b"\0" * 3_000_000)
            assert 3_000_000 == len(await channel.receive_bytes())
        assert channel.close_code == 1000


async def test_what_has_not_is_refused(tmp_path: Path) -> None:
    """Without the cookie, with a wrong one, from another site's page: no request and no WebSocket; but what is free."""
    async with door() as stands, stands.client() as client:
        for headers in ({}, {"Cookie": "door-x=wrong"}, {"Cookie": f"door-y={TOKEN}"}, {"Cookie": f"xdoor-x={TOKEN}"}):
            for path in ("/", "/?token=wrong", "/free/", "/ws"):
                async with client.get(path, headers=headers) as answer:
                    assert (403, True) == (answer.status, "sessionctl url" in await answer.text())
        async with client.post(f"/?token={TOKEN}") as answer:
            assert 403 == answer.status
        for origin in ("http://elsewhere.example", "null", "http://door.example", "http://door:81"):
            foreign = {**COOKIE, "Origin": origin}
            async with client.post("/", headers=foreign) as answer:
                assert 403 == answer.status
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect("/ws", headers=foreign)
            assert 403 == refused.value.status
            async with client.get("/", headers=foreign) as answer:
                assert 200 == answer.status


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("/?token=T", "./"),
        ("/?a=1&token=T&b=%20", "./?a=1&b=%20"),
        ("/some/page?token=T", "page"),
        ("/folder/?token=T", "./"),
    ],
)
async def test_the_token_becomes_a_cookie(tmp_path: Path, asked: str, location: str) -> None:
    """Of the session's path only, and the browser is sent on without it, relative to where it is."""
    async with door() as stands, stands.client() as client:
        for sent, path in (
            ({"X-Forwarded-Prefix": "/me/50123"}, "/me/50123/"),
            ({}, "/"),
            ({"X-Forwarded-Prefix": "/x; Domain=example.org"}, "/"),
        ):
            async with client.get(asked.replace("T", TOKEN), headers=sent, allow_redirects=False) as answer:
                assert (302, location) == (answer.status, answer.headers["Location"])
                cookie = answer.cookies["door-x"]
            assert (TOKEN, path, True, "Lax", "") == (
                cookie.value,
                cookie["path"],
                cookie["httponly"],
                cookie["samesite"],
                cookie["domain"],
            )


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET x HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"x" * 200_000,
    ],
)
async def test_what_is_no_request_is_closed(tmp_path: Path, sent: bytes) -> None:
    """Without a word, and the next one is served."""
    async with door() as stands:
        async with await anyio.connect_unix(stands.path) as rude:
            try:
                await rude.send(sent)
                await rude.send_eof()
                with anyio.fail_after(PATIENCE_S), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await rude.receive()
            except anyio.BrokenResourceError:
                pass  # it was closed while there was more to send
        async with stands.client() as client:
            assert 200 == await status_of(client)


async def exchanged(stands: Door, sent: str) -> bytes:
    """Everything that comes back on a connection."""
    received = b""
    async with await anyio.connect_unix(stands.path) as stream:
        await stream.send(sent.encode())
        with anyio.fail_after(PATIENCE_S), contextlib.suppress(anyio.EndOfStream):
            while True:
                received += await stream.receive()
    return received


@pytest.mark.parametrize("body", ["", "Content-Length: 3\r\n"])
async def test_a_second_request_on_a_connection_is_not_answered(tmp_path: Path, body: str) -> None:
    """What follows an allowed request there is not another one."""
    head = f"POST /free HTTP/1.1\r\nHost: door\r\n{body}\r\n"
    follows = "abc" if body else ""
    async with door() as stands:
        found = await exchanged(stands, f"{head}{follows}GET /secret HTTP/1.1\r\nHost: door\r\n\r\n")
    assert (1, f'"body": {len(follows)}', False) == (
        found.count(b"HTTP/1.1 200"),
        found.decode().partition(", ")[2].partition("}, ")[2].partition(",")[0],
        b"secret" in found.replace(b'"secrets"', b""),
    )


@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: -1\r\n",
    ],
)
async def test_a_request_without_an_end_is_refused(tmp_path: Path, lengths: str) -> None:
    """One that the door and the program could take for two different ones."""
    async with door() as stands:
        found = await exchanged(stands, f"POST /free HTTP/1.1\r\nHost: door\r\n{lengths}\r\nabc")
        assert found.startswith(b"HTTP/1.1 400 ")


async def test_the_programs_end_is_the_doors_end(tmp_path: Path) -> None:
    """With its status; nobody is let through to what does not answer yet; TERM goes to the program."""
    async with door("sh", "-c", "exit 7") as stands:
        with anyio.fail_after(PATIENCE_S):
            assert 7 == await stands.process.wait()
    async with door("sh", "-c", "kill -9 $$") as stands:
        with anyio.fail_after(PATIENCE_S):
            assert 137 == await stands.process.wait()
    async with door("sleep", "600") as stands, stands.client() as client:
        with anyio.fail_after(PATIENCE_S):
            assert 502 == await status_of(client)
            stands.process.send_signal(signal.SIGTERM)
            assert 143 == await stands.process.wait()


async def test_a_door_that_cannot_stand_says_why(tmp_path: Path) -> None:
    """A port that is taken, a program that is not there, a token too short: a sentence and a status."""
    with taken_port() as port:
        for arguments, token, status, words in (
            (["--port", str(port), "--", "true"], TOKEN, 1, f"true cannot be served at 127.0.0.1:{port}"),
            (["--socket", str(tmp_path / "s"), "--", str(tmp_path / "absent")], TOKEN, 1, "absent cannot be served"),
            (["--port", "0", "--", "true"], "short", 2, "A door needs a token of at least 16 characters"),
        ):
            done = await anyio.run_process(
                [sys.executable, "-I", str(DOOR), "--to", str(tmp_path / "to"), "--name", "x", *arguments],
                env={**os.environ, "DOOR_TOKEN": token},
                check=False,
            )
            assert (status, True) == (done.returncode, words in done.stderr.decode()), done.stderr


async def test_it_stands_on_a_port(tmp_path: Path) -> None:
    """Where there can be no socket."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(DOOR), "--port", str(port), "--to", str(tmp_path / "to"), "--name", "x"),
        *("--", "sleep", "600"),
        env={**os.environ, "DOOR_TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert f"a door stands at 127.0.0.1:{port}\n".encode() == await process.stdout.readline()
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/") as answer:
        assert 403 == answer.status
    process.terminate()
    with anyio.fail_after(PATIENCE_S):
        assert 143 == await process.wait()
