"""The web shell with ttyd: when it is used, how it is called, who gets in, and what is left of it."""

from __future__ import annotations

import json
import stat
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
)
from tests.services.test_controllers import NO_INDEX

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(300)]

STAND_IN = Path(__file__).with_name("ttyd_stand_in.py")
FROM_THE_GATEWAY = {"X-Forwarded-Prefix": "/me/50123"}
PROBE = "healthz"


def with_ttyd(tmp_path: Path, age: str, listen: Listen = Listen.SOCKET, **params: str) -> House:
    """A web shell's session where ttyd is on PATH."""
    program = tmp_path / "bin" / "ttyd"
    program.parent.mkdir()
    # Not by way of a shell, which would have its own mind of the environment's PWD.
    words = [str(STAND_IN), age, str(tmp_path / "called")]
    run = f"sys.argv[:1] = {words!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    program.write_text(f"#!{sys.executable} -I\nimport runpy, sys\n{run}")
    program.chmod(0o700)
    house = build(tmp_path, "webshell", listen, **params)
    house.environment["PATH"] = f"{program.parent}:{house.environment['PATH']}"
    return house


def called(tmp_path: Path) -> list[str] | None:
    """The folder in which ttyd was called, and with what, if it was."""
    record = tmp_path / "called"
    return record.read_text().splitlines() if record.exists() else None


class Tab:
    """A tab of ttyd's page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.printed = b""

    async def begin(self) -> None:
        """What the page sends first."""
        await self.socket.send_bytes(json.dumps({"AuthToken": "", "columns": 80, "rows": 24}).encode())

    async def type(self, text: str) -> None:
        """Type ``text`` and Enter."""
        await self.socket.send_bytes(f"0{text}\r".encode())

    async def resize(self, rows: int, columns: int) -> None:
        """The window has another size."""
        await self.socket.send_bytes(b"1" + json.dumps({"columns": columns, "rows": rows}).encode())

    async def until(self, text: str) -> None:
        """Wait until the shell has printed ``text``."""
        with anyio.fail_after(PATIENCE_S):
            while text.encode() not in self.printed:
                data = await self.socket.receive_bytes()
                assert data[:1] in {b"0", b"1", b"2"}
                self.printed += data[1:] if data[:1] == b"0" else b""


def client(service: Live) -> aiohttp.ClientSession:
    """What comes through the gateway."""
    return aiohttp.ClientSession(connector=service.connector(), headers=FROM_THE_GATEWAY)


@pytest.mark.parametrize(("age", "options"), [("new", ["-W"]), ("writable", [])])
async def test_a_shell_of_ttyd(tmp_path: Path, age: str, options: list[str]) -> None:
    """It takes keys in UTF-8, knows its size, and is a login shell in the right folder that sees no secret."""
    house = with_ttyd(tmp_path, age)
    async with live(house, PROBE) as service, client(service) as browser:
        there = ["-w", f"{tmp_path}/home"]
        shell = ["-i", service.path, "-H", "X-Forwarded-Prefix", *there, *options, "/bin/bash", "-l"]
        assert [str(house.jobdir), *shell] == called(tmp_path)
        assert 0o700 == stat.S_IMODE(Path(service.path).parent.stat().st_mode)
        async with browser.get("http://service/") as answer:
            assert "ttyd" in await answer.text()
        async with browser.ws_connect("http://service/ws", protocols=("tty",)) as socket:
            tab = Tab(socket)
            await tab.begin()
            await tab.type("shopt -q login_shell && echo in $((6 * 7)) $PWD")
            await tab.until(f"in 42 {tmp_path}/home")
            await tab.type("word='grüße 日本'; echo ${#word} ${word/ /-}")
            await tab.until("8 grüße-日本")
            await tab.resize(33, 101)
            await tab.type("echo size $(stty size) end")
            await tab.until("size 33 101 end")
            await tab.type("echo secret-$(env | grep -ci token)- $COLORTERM-$(umask)")
            await tab.until("secret-0- truecolor-")
        assert TOKEN not in command_lines()
    assert TOKEN not in log_of(house)


async def test_only_what_came_through_the_gateway_gets_in(tmp_path: Path) -> None:
    """Without the header that no web page can add to a WebSocket there is neither page nor shell."""
    async with (
        live(with_ttyd(tmp_path, "new"), PROBE) as service,
        aiohttp.ClientSession(connector=service.connector()) as page,
    ):
        async with page.get(f"http://service/?token={TOKEN}") as answer:
            assert 407 == answer.status
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await page.ws_connect("http://service/ws", protocols=("tty",), origin="http://service")


async def test_it_is_not_in_the_folder_of_its_shells(tmp_path: Path) -> None:
    """From the folder it is in it may load code, and into one that people share others can write."""
    shared = tmp_path / "shared by all"
    shared.mkdir()
    shared.chmod(0o777)
    (tmp_path / "link").symlink_to(shared)
    house = with_ttyd(tmp_path, "new", service_directory=f"{tmp_path}/link")
    async with live(house, PROBE) as service, client(service) as browser:
        async with browser.ws_connect("http://service/ws", protocols=("tty",)) as socket:
            tab = Tab(socket)
            await tab.begin()
            await tab.type("echo in $PWD, $(pwd -P) end")
            await tab.until(f"in {tmp_path}/link, {shared} end")
        assert str(house.jobdir) == (called(tmp_path) or [""])[0]


@pytest.mark.parametrize("way", ["signal", "kill script"])
async def test_nothing_is_left(tmp_path: Path, way: str) -> None:
    """The shell, a stubborn background job, one that left the terminal, the socket and its folder go with the end."""
    house = with_ttyd(tmp_path, "new")
    async with live(house, PROBE) as service, client(service) as browser:
        async with browser.ws_connect("http://service/ws", protocols=("tty",)) as socket:
            tab = Tab(socket)
            await tab.begin()
            await tab.type("(trap '' HUP TERM; sleep 601; :) & setsid sleep 602 & echo up-$((1))")
            await tab.until("up-1")
            if way == "signal":
                assert 143 == await ended(service.process)
            else:
                assert 0 == (await kill(house)).status
                with anyio.fail_after(PATIENCE_S):
                    await service.process.wait()
        assert {} == processes(house)
        assert not Path(service.path).parent.exists()


@pytest.mark.parametrize(
    ("age", "listen", "params"),
    [
        ("new", Listen.LOOPBACK, {}),
        ("new", Listen.ANY, {}),
        ("new", Listen.SOCKET, {"service_ttyd": "false"}),
        ("old", Listen.SOCKET, {}),
        ("rooted", Listen.SOCKET, {}),
    ],
)
async def test_where_it_could_not_be_guarded_it_is_not_used(
    tmp_path: Path, age: str, listen: Listen, params: dict[str, str]
) -> None:
    """On a port, with a version that cannot ask for a header, or if it is not wanted: the service's own server."""
    house = with_ttyd(tmp_path, age, listen, **params)
    async with live(house, PROBE) as service, aiohttp.ClientSession(connector=service.connector()) as browser:
        async with browser.get(f"{service.root}/healthz") as answer:
            assert "ok\n" == await answer.text()
        async with browser.get(f"{service.root}/") as answer:
            assert 403 == answer.status
        where = service.path or f"{'0.0.0.0' if listen is Listen.ANY else '127.0.0.1'}:{service.port}"
        assert f"the web shell listens on {where}\n" in log_of(house)
    assert called(tmp_path) is None
    assert ("older than 1.7" in log_of(house)) == (age in {"old", "rooted"})


async def test_a_ttyd_that_opens_no_socket_is_told(tmp_path: Path) -> None:
    """Where its library knows no Unix sockets the session ends with a sentence and its remedy."""
    house = with_ttyd(tmp_path, "deaf")
    assert 0 == (await prepare(house)).status
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            assert 1 == await process.wait()
    expected = f"{tmp_path}/bin/ttyd does not listen on a Unix socket: set service_ttyd to false\n"
    assert expected == house.path("failure").read_text()


async def test_without_an_index_ttyd_is_enough(tmp_path: Path) -> None:
    """Where pip gets nothing the session goes on with ttyd, and says so."""
    house = with_ttyd(tmp_path, "new")
    alone = {"SESSIOND_ENVS": str(tmp_path / "envs"), **NO_INDEX}
    result = await prepare(house, **alone)
    assert 0 == result.status
    assert "there is nothing but ttyd to serve the web shell with" == result.lines[-1]
    assert not house.path("service/webshell.path").exists()
    house.environment.update(alone)
    async with live(house, PROBE) as service, client(service) as browser, browser.get("http://service/") as answer:
        assert 200 == answer.status
