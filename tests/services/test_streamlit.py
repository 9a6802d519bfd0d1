"""Streamlit, really installed, in a session's folder."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import anyio
import pytest

from sessiond.core.spec import Listen
from tests.live.streamlit import shown
from tests.services.conda_stand_in import make_conda
from tests.services.house import (
    OPEN_PORT,
    PATIENCE_S,
    TOKEN,
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

BASE = f"/me/{OPEN_PORT}"
PROBE = f"{BASE.removeprefix('/')}/_stcore/health"
COOKIE = {"Cookie": f"streamlit-me-{OPEN_PORT}={TOKEN}"}
SCRIPT = """\
import os, subprocess, sys
import streamlit as st
import beside
subprocess.Popen(["setsid", "sleep", "600"])
st.write(f"in {os.getcwd()} with {beside.NAME} of {sys.argv}")
"""


@pytest.mark.parametrize("listen", list(Listen))
async def test_the_scripts_text_arrives(tmp_path: Path, listen: Listen) -> None:
    """It runs in its folder, sees what lies beside it, its text comes over the WebSocket; TERM leaves nothing of it."""
    folder = tmp_path / "home" / "my app"
    (folder / ".streamlit").mkdir(parents=True)
    # Where it listens and for whom is not the script's to say.
    config = (
        "[server]\nport = 9999\nbaseUrlPath = 'x'\nenableXsrfProtection = false\n[browser]\ngatherUsageStats = true\n"
    )
    (folder / ".streamlit" / "config.toml").write_text(config)
    (folder / "app.py").write_text(SCRIPT)
    (folder / "beside.py").write_text("NAME = 'what lies beside'\n")
    house = build(tmp_path, "streamlit-host", listen, service_streamlit_script="~/my app/app.py")
    async with live(house, PROBE) as service:
        assert (listen is Listen.SOCKET) == bool(service.path)
        assert not service.path or service.private
        async with aiohttp.ClientSession(headers=COOKIE, connector=service.connector()) as client:
            text = f"in {folder} with what lies beside of ['app.py']"
            assert await shown(client, f"{service.root}{BASE}/", text)
        assert TOKEN not in command_lines()
        assert 143 == await ended(service.process)
        assert {} == processes(house)
        assert not service.path or not Path(service.path).parent.exists()
    assert TOKEN not in log_of(house)


@pytest.mark.parametrize("listen", [Listen.LOOPBACK, Listen.SOCKET])
async def test_only_the_token_opens_it(tmp_path: Path, listen: Listen) -> None:
    """Neither page nor WebSocket nor upload without it, nor with it from another site's page; it becomes a cookie."""
    house = build(tmp_path, "streamlit-host", listen)
    async with live(house, PROBE) as service:
        root = f"{service.root}{BASE}"
        async with aiohttp.ClientSession(connector=service.connector(), cookie_jar=aiohttp.DummyCookieJar()) as client:
            for path in ("/", "/?token=wrong", "/_stcore/host-config", "/_stcore/stream?token=wrong", "/static/x"):
                async with client.get(f"{root}{path}") as answer:
                    assert (path, 403) == (path, answer.status)
                    assert "sessionctl url" in await answer.text()
            stream = f"{root}/_stcore/stream"
            for headers, origin in (({}, None), (COOKIE, "http://elsewhere.example"), (COOKIE, "http://127.0.0.1:1")):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await client.ws_connect(f"{stream}?token={TOKEN}", headers=headers, origin=origin)
                assert 403 == refused.value.status
            foreign = {"Origin": "http://elsewhere.example", **COOKIE}
            async with client.put(f"{root}/_stcore/upload_file/a/b", headers=foreign) as answer:
                assert 403 == answer.status
            async with client.get(f"{root}/?embed=true&token={TOKEN}", allow_redirects=False) as answer:
                assert (302, f"{BASE}/?embed=true") == (answer.status, answer.headers["Location"])
                cookie = answer.cookies[f"streamlit-me-{OPEN_PORT}"]
                assert (TOKEN, f"{BASE}/", True, "Lax") == (
                    cookie.value,
                    cookie["path"],
                    cookie["httponly"],
                    cookie["samesite"],
                )
            async with client.get(f"{root}/", headers=COOKIE) as answer:
                assert (200, True) == (answer.status, "<title>Streamlit</title>" in await answer.text())
        assert 0 == (await kill(house)).status
    assert {} == processes(house)


async def test_a_streamlit_of_ones_own_is_used(tmp_path: Path) -> None:
    """One of a conda environment, if it is new enough; of one that is not the reason is said."""
    other = build(tmp_path / "other", "streamlit-host")
    assert 0 == (await prepare(other)).status
    python = other.path("service/python.path").read_text().strip()
    script = make_conda(tmp_path / "conda", streamlit="/bin/false", python3=python)
    house = build(tmp_path, "streamlit-host", service_conda_sh=script, service_conda_env="work")
    program = tmp_path / "conda" / "envs" / "work" / "bin" / "streamlit"
    assert [f"using {program}"] == (await prepare(house)).lines
    assert f"{program.with_name('python3')}\n" == house.path("service/python.path").read_text()
    program.with_name("python3").write_text("#!/bin/sh\nexit 1\n")
    done = await prepare(house)
    assert (0, True) == (done.status, done.lines[0].startswith(f"{program} is not used: it is older than 1.53"))
    assert f"{python}\n" == house.path("service/python.path").read_text()


@pytest.mark.parametrize("trouble", ["port", "script"])
async def test_what_is_wrong_is_told(tmp_path: Path, trouble: str) -> None:
    """A port that somebody has, or a script that is not there, ends the session with a sentence."""
    with taken_port() as port:
        given = {"servicePort": str(port)} if trouble == "port" else {"service_streamlit_script": "~/absent.py"}
        house = build(tmp_path, "streamlit-host", Listen.LOOPBACK, **given)
        assert 0 == (await prepare(house)).status
        async with session(house) as process:
            with anyio.fail_after(PATIENCE_S):
                assert 1 == await process.wait()
    failure = house.path("failure").read_text()
    if trouble == "port":
        assert failure.startswith("Streamlit ended with status 1")
        assert f"Streamlit cannot listen on 127.0.0.1:{port}" in log_of(house)
    else:
        assert failure.startswith(f"There is no file {tmp_path}/home/absent.py on ")
