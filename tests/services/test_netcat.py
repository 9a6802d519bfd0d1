"""The test page, by ncat and by Python."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from pathlib import Path

import aiohttp
import anyio
import pytest

from sessiond.core.spec import Listen
from tests.services.house import (
    PATIENCE_S,
    TOKEN,
    House,
    build,
    command_lines,
    ended,
    kill,
    live,
    log_of,
    processes,
    session,
    taken_port,
)

pytestmark = [pytest.mark.anyio, pytest.mark.live]

SERVERS = ["python3", pytest.param("ncat", marks=pytest.mark.skipif(shutil.which("ncat") is None, reason="no ncat"))]
TOOLS = (
    "bash",
    "cat",
    "cut",
    "date",
    "find",
    "grep",
    "hostname",
    "id",
    "ln",
    "mkdir",
    "mv",
    "od",
    "rm",
    "rmdir",
    "sed",
)
MORE_TOOLS = ("env", "head", "mktemp", "ps", "seq", "setsid", "shuf", "sleep", "stat", "stty", "touch", "tr", "uname")


def page_of(tmp_path: Path, server: str, listen: Listen = Listen.LOOPBACK, **params: str) -> House:
    """A session where ``server`` alone could serve the page."""
    house = build(tmp_path, "netcat-tester", listen, **params)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (*TOOLS, *MORE_TOOLS, server):
        if found := sys.executable if name == "python3" else shutil.which(name):
            (programs / name).symlink_to(Path(found).resolve())
    house.environment["PATH"] = str(programs)
    return house


@pytest.mark.parametrize("listen", list(Listen))
@pytest.mark.parametrize("server", SERVERS)
async def test_the_page_says_where_it_is(tmp_path: Path, server: str, listen: Listen) -> None:
    """Host, user and place are on it, for who brings the token; TERM leaves nothing of it."""
    house = page_of(tmp_path, server, listen)
    async with live(house, "healthz") as service:
        assert f"the page is served by {tmp_path}/bin/{server}\n" in log_of(house)
        assert not service.path or service.private
        async with aiohttp.ClientSession(connector=service.connector()) as client:
            async with client.get(f"{service.root}/?x=1&token={TOKEN}") as answer:
                page = await answer.text()
                assert (200, "text/html") == (answer.status, answer.content_type)
            place = service.path or f"{'0.0.0.0' if listen is Listen.ANY else '127.0.0.1'}:{service.port}"
            for value in (os.uname().nodename, getpass.getuser(), place, "netcat-tester-00007"):
                assert f"<td>{value}</td>" in page
            for path in ("", "?token=", "?token=wrong", f"?token={TOKEN}x", f"?token=x{TOKEN}", f"?xtoken={TOKEN}"):
                async with client.get(f"{service.root}/{path}") as answer:
                    assert (path, 403) == (path, answer.status)
                    assert os.uname().nodename not in await answer.text()
            async with client.get(f"{service.root}/other?token={TOKEN}") as answer:
                assert 404 == answer.status
            async with client.post(f"{service.root}/?token={TOKEN}") as answer:
                assert 405 == answer.status
        assert TOKEN not in command_lines()
        assert 143 == await ended(service.process)
        assert {} == processes(house)
        assert not service.path or not Path(service.path).parent.exists()
    assert TOKEN not in log_of(house)


@pytest.mark.parametrize("server", SERVERS)
async def test_who_says_nothing_hinders_nobody(tmp_path: Path, server: str) -> None:
    """A connection that stays silent, and one that sends garbage, leave the page to others; kill ends all."""
    house = page_of(tmp_path, server)
    async with live(house, "healthz") as service:
        silent = await anyio.connect_tcp("127.0.0.1", service.port)
        rude = await anyio.connect_tcp("127.0.0.1", service.port)
        async with silent, rude, aiohttp.ClientSession() as client:
            await rude.send(b"\0$(touch /tmp/x)`id`\r\n\r\n")
            assert b"405" in await rude.receive()
            async with client.get(f"{service.root}/?token={TOKEN}") as answer:
                assert 200 == answer.status
            assert 0 == (await kill(house)).status
            with anyio.fail_after(PATIENCE_S):
                await service.process.wait()
        assert {} == processes(house)


@pytest.mark.parametrize("server", [*SERVERS, "none"])
async def test_what_cannot_be_served_is_told(tmp_path: Path, server: str) -> None:
    """A port that is taken, or no program at all: one sentence."""
    with taken_port() as port:
        house = page_of(tmp_path, server, servicePort=str(port))
        async with session(house) as process:
            with anyio.fail_after(PATIENCE_S):
                assert 1 == await process.wait()
    failure = house.path("failure").read_text()
    if server == "none":
        assert failure.startswith("There is neither ncat nor python3 on ")
    else:
        assert failure.startswith("The page's server ended with status ")
