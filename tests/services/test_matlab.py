"""matlab-proxy, really installed, with a stand-in for MATLAB that records how it was started."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import anyio
import pytest

from sessiond.core.spec import Listen
from tests.services.house import (
    OPEN_PORT,
    PATIENCE_S,
    TOKEN,
    House,
    build,
    command_lines,
    ended,
    kill,
    live,
    log_of,
    prepare,
    processes,
    session,
)

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(300)]

BASE = f"/me/{OPEN_PORT}"
PROBE = f"{BASE.removeprefix('/')}/index.html"
ABOUT = "<MathWorks_version_info><version>24.1</version><release>R2024a</release></MathWorks_version_info>"
LICENCE = "27000@licences.example"


def with_matlab(tmp_path: Path, listen: Listen = Listen.LOOPBACK, **params: str) -> House:
    """A session where a MATLAB is on PATH that needs a licence manager, starts a child and never gets ready."""
    program = tmp_path / "MATLAB" / "bin" / "matlab"
    program.parent.mkdir(parents=True)
    record = tmp_path / "called"
    program.write_text(
        f'#!/bin/sh\nsetsid sleep 600 &\necho "$MLM_LICENSE_FILE $PWD $*" >"{record}.new"\n'
        f'mv "{record}.new" "{record}"\nexec sleep 600\n'
    )
    program.chmod(0o755)
    (tmp_path / "MATLAB" / "VersionInfo.xml").write_text(ABOUT)
    house = build(tmp_path, "matlab", listen, **params)
    if "service_matlab_root" not in params:
        house.environment["PATH"] = f"{program.parent}:{house.environment['PATH']}"
    house.environment["MLM_LICENSE_FILE"] = LICENCE
    return house


async def called(tmp_path: Path) -> str:
    """How MATLAB was started, once it was."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            if (tmp_path / "called").exists():
                return (tmp_path / "called").read_text()
            await anyio.sleep(0.05)


@pytest.mark.parametrize("listen", [Listen.LOOPBACK, Listen.ANY])
async def test_matlab_is_started_and_its_page_answers(tmp_path: Path, listen: Listen) -> None:
    """For who has the token, at the one address it should be at; MATLAB has its licence; TERM leaves nothing."""
    house = with_matlab(tmp_path, listen)
    async with live(house, PROBE) as service:
        address = "00000000" if listen is Listen.ANY else "0100007F"
        assert f" {address}:{service.port:04X} 00000000:0000 0A " in await anyio.Path("/proc/net/tcp").read_text()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
            root = f"{service.root}{BASE}"
            for method, path in (
                ("PUT", "start_matlab"),
                ("DELETE", "stop_matlab"),
                ("GET", "get_auth_token"),
                ("GET", "x"),
            ):
                async with client.request(method, f"{root}/{path}") as answer:
                    assert (path, 403) == (path, answer.status)
            async with client.get(f"{root}/get_auth_token?mwi-auth-token={TOKEN}") as answer:
                assert 200 == answer.status
            async with client.get(f"{root}/get_status") as answer:
                told = json.loads(await answer.text())
            assert ("R2024a", "nlm", LICENCE) == (
                told["matlab"]["version"],
                told["licensing"]["type"],
                told["licensing"]["connectionString"],
            )
            async with client.get(f"{root}/index.html") as answer:
                assert (200, True) == (answer.status, "<title>MATLAB</title>" in await answer.text())
        assert (await called(tmp_path)).startswith(f"{LICENCE} {tmp_path}/home")
        assert TOKEN not in command_lines()
        assert 0o700 == (tmp_path / "home" / ".matlab" / "MWI").stat().st_mode & 0o777
        assert 143 == await ended(service.process)
        assert {} == processes(house)
    log = log_of(house)
    assert (False, True) == (TOKEN in log, "mwi-auth-token=***" in log)


async def test_the_kill_script_ends_it_all(tmp_path: Path) -> None:
    """With a MATLAB that was named, not found on PATH."""
    house = with_matlab(tmp_path, service_matlab_root=str(tmp_path / "MATLAB"))
    async with live(house, PROBE) as service:
        await called(tmp_path)
        assert 0 == (await kill(house)).status
        with anyio.fail_after(PATIENCE_S):
            await service.process.wait()
        assert {} == processes(house)


@pytest.mark.parametrize("root", ["", "~/absent"])
async def test_no_matlab_is_told(tmp_path: Path, root: str) -> None:
    """One sentence with the remedy, and a folder without MATLAB is named."""
    house = build(tmp_path, "matlab", service_matlab_root=root)
    assert 0 == (await prepare(house)).status
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            assert 1 == await process.wait()
    failure = house.path("failure").read_text()
    if root:
        assert failure.startswith(f"There is no bin/matlab in {tmp_path}/home/absent on ")
    else:
        assert failure.startswith("There is no MATLAB on ")
        assert "load it with service_load_env (e.g. module load matlab)" in failure
