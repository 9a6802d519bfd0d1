"""The desktop in the browser: a real VNC server, a real window manager, real programs; looked at over a WebSocket."""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
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
from tests.services.rfb import NONE, RETURN, VNC_AUTH, Viewer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("Xtigervnc") or not shutil.which("openbox"), reason="no TigerVNC or openbox"),
]

COOKIE = f"turbovnc-{OPEN_PORT}"
KNOWN = {"Cookie": f"{COOKIE}={TOKEN}"}
COLOUR = "#113355"
WINDOW = f"xterm -geometry 60x10+40+40 -bg '{COLOUR}' -fg '#ffffff'"


def desktop(base: Path, listen: Listen = Listen.LOOPBACK, /, **params: str) -> House:
    """A session of the desktop with the smallest window manager of those that tests have."""
    return build(base, "turbovnc", listen, **({"service_desktop": "openbox"} | params))


@asynccontextmanager
async def viewer(service: Live, path: str = "websockify", password: str = "") -> AsyncIterator[Viewer]:
    """A viewer that was let in."""
    async with (
        aiohttp.ClientSession(connector=service.connector()) as client,
        client.ws_connect(f"{service.root}/{path}", headers=KNOWN, max_msg_size=0) as channel,
    ):
        shown = Viewer(channel)
        assert await shown.shake_hands(password)
        yield shown


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing announces."""
    with anyio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.05)


async def written(path: Path) -> str:
    """Wait for a file that something on the desktop writes, and return its text without its line's end."""
    await until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text().rstrip("\n")  # noqa: ASYNC240


def exists(path: Path | str) -> bool:
    """Whether there is such a file."""
    return Path(path).exists()


def which(path: str) -> tuple[int, int] | None:
    """Which file of that name is there, if one is: names are given again, and so are the numbers of files."""
    with suppress(FileNotFoundError):
        found = Path(path).lstat()
        return found.st_ino, found.st_ctime_ns
    return None


def mode(path: str) -> int:
    """Who may do what with a file."""
    return Path(path).stat().st_mode & 0o777


async def over(house: House) -> tuple[int, str]:
    """Run a session that ends by itself; its status, and the sentence that says why it failed."""
    done = await prepare(house)
    assert done.status == 0, done.lines
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            status = await process.wait()
        assert {} == processes(house)
    failure = house.path("failure")
    return status, failure.read_text().strip() if failure.exists() else ""


@pytest.mark.parametrize("listen", list(Listen))
async def test_a_program_is_seen_and_typed_into(tmp_path: Path, listen: Listen) -> None:
    """The program's window has its colour, and what is typed arrives; the token is in no list of processes."""
    said = tmp_path / "said"
    command = f"{WINDOW} -e sh -c 'read -r line; echo \"$line\" > {said}; exec sleep 600'"
    house = desktop(tmp_path, listen, service_bin=command, service_geometry="800x600")
    async with live(house, "healthz") as service:
        assert (listen is Listen.SOCKET) == bool(service.path)
        async with viewer(service) as shown:
            assert (800, 600, "turbovnc-00007", [NONE]) == (shown.width, shown.height, shown.name, shown.security)
            await shown.until(COLOUR, 20_000)
            await shown.click(200, 120)
            await shown.press([*b"hello desktop", RETURN])
            assert "hello desktop" == await written(said)
        assert TOKEN not in command_lines()
    assert TOKEN not in log_of(house)


async def test_only_the_token_opens_it(tmp_path: Path) -> None:
    """Without the token there is no page, no file of it and no desktop; nor for a page from elsewhere."""
    async with (
        live(desktop(tmp_path, Listen.SOCKET), "healthz") as service,
        aiohttp.ClientSession(connector=service.connector(), cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        assert service.private
        assert mode(service.path.replace("s.sock", "vnc.sock")) == 0o600
        for path in ("", "vnc.html", "vnc.html?token=wrong", "core/rfb.js", "nothing"):
            async with client.get(f"{service.root}/{path}") as answer:
                assert (path, answer.status) == (path, 403)
                assert "sessionctl url" in await answer.text()
        for headers, origin in (({}, None), ({"Cookie": f"{COOKIE}=wrong"}, None), (KNOWN, "http://elsewhere.example")):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(f"{service.root}/websockify", headers=headers, origin=origin)
            assert refused.value.status == 403


async def test_the_token_becomes_a_cookie_and_the_page_is_novnc(tmp_path: Path) -> None:
    """The URL's token becomes a cookie of the session's path; the rest of the URL stays, and the page is noVNC's."""
    async with (
        live(desktop(tmp_path), "healthz") as service,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        sent = {"X-Forwarded-Prefix": f"/me/{OPEN_PORT}"}
        url = f"{service.root}/vnc.html?token={TOKEN}&resize=remote&path=me/{OPEN_PORT}/websockify"
        async with client.get(url, headers=sent, allow_redirects=False) as answer:
            assert answer.status == 302
            assert answer.headers["Location"] == f"./vnc.html?resize=remote&path=me%2F{OPEN_PORT}%2Fwebsockify"
            cookie = answer.cookies[COOKIE]
            assert (cookie.value, cookie["path"], cookie["samesite"]) == (TOKEN, f"/me/{OPEN_PORT}/", "Lax")
        for path, word in (("", "noVNC_container"), ("vnc.html", "noVNC_container"), ("core/rfb.js", "export default")):
            async with client.get(f"{service.root}/{path}", headers=KNOWN) as answer:
                assert (answer.status, word in await answer.text()) == (200, True)
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        for path in ("nothing", "..%2f..%2fetc/passwd", "%2e%2e/%2e%2e/etc/passwd"):
            async with client.get(f"{service.root}/{path}", headers=KNOWN) as answer:
                assert answer.status in {403, 404}


@pytest.mark.parametrize("path", ["websockify", "", f"me/{OPEN_PORT}/websockify", ":443/websockify", "vnc.html"])
async def test_the_desktop_is_at_every_path(tmp_path: Path, path: str) -> None:
    """Versions of noVNC differ in where they look for the WebSocket, so it is everywhere; text is no VNC."""
    async with live(desktop(tmp_path), "healthz") as service:
        async with viewer(service, path) as shown:
            assert "turbovnc-00007" == shown.name
            await shown.channel.send_str("RFB")
            with anyio.fail_after(PATIENCE_S):
                while (await shown.channel.receive()).type is not aiohttp.WSMsgType.CLOSE:
                    pass
            assert 1003 == shown.channel.close_code
        async with viewer(service, path) as again:
            assert (1440, 900) == (again.width, again.height)


async def test_two_desktops_share_nothing(tmp_path: Path) -> None:
    """Each has a display, a cookie, a runtime folder and a message bus of its own, also where both start at once."""
    said = [tmp_path / "one.txt", tmp_path / "two.txt"]
    tell = "gdbus() { :; }; printf '%s ' $DISPLAY $XAUTHORITY $XDG_RUNTIME_DIR $DBUS_SESSION_BUS_ADDRESS"
    houses = [desktop(tmp_path / path.stem, service_bin=f"{tell} > {path}; echo >> {path}") for path in said]
    for house in houses:
        house.environment["XDG_RUNTIME_DIR"] = "/run/user/nobody"
        house.environment["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere"
    async with live(houses[0], "healthz") as one, live(houses[1], "healthz") as two:
        texts = [(await written(path)).split() for path in said]
        assert [] == [word for word, other in zip(*texts, strict=True) if word == other]
        for (_, cookie, runtime, bus), service in zip(texts, (one, two), strict=True):
            folder = service.house.path("socket.folder").read_text().strip()
            assert (f"{folder}/Xauthority", f"{folder}/run", f"unix:path={folder}/run/bus") == (cookie, runtime, bus)
            assert (0o600, 0o700) == (mode(cookie), mode(runtime))
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(bus.removeprefix("unix:path="))


async def test_the_desktop_does_without_what_programs_load(tmp_path: Path) -> None:
    """Libraries, a Python and a conda that were loaded for the program are the program's, and not the desktop's."""
    said, desk = tmp_path / "program", tmp_path / "desktop"
    conda = tmp_path / "conda"
    load = f"export LD_LIBRARY_PATH=/opt/x/lib PYTHONHOME=/opt/x CONDA_PREFIX={conda} PATH={conda}/bin:$PATH"
    tell = 'printf "%s|" "$LD_LIBRARY_PATH" "$PYTHONHOME" "$PATH" "${service_token-none}"'
    house = desktop(
        tmp_path,
        service_load_env=load,
        service_desktop=f"{{ {tell}; echo; }} > {desk}; exec openbox",
        service_bin=f"{{ {tell}; echo; }} > {said}",
    )
    async with live(house, "healthz"):
        libraries, python, path, token, _ = (await written(said)).split("|")
        assert ("/opt/x/lib", "/opt/x", "none") == (libraries, python, token)
        assert path.startswith(f"{conda}/bin:")
        libraries, python, plain, token, _ = (await written(desk)).split("|")
        assert ("", "", "none") == (libraries, python, token)
        assert f"{conda}/bin:{plain}" == path


@pytest.mark.parametrize(
    ("params", "status", "failure"),
    [
        ({"service_bin": "true", "service_background": "False"}, 0, ""),
        ({"service_bin": "true", "service_desktop": "none"}, 0, ""),
        (
            {"service_bin": "exit 3", "service_background": "False"},
            1,
            "The program ended with status 3: the log may say why",
        ),
        ({"service_desktop": "true"}, 0, ""),
        ({"service_desktop": "no-such-desk"}, 1, "The desktop (no-such-desk) ended with status 127: the log says why"),
    ],
)
async def test_what_ends_the_session(tmp_path: Path, params: dict[str, str], status: int, failure: str) -> None:
    """A program in the foreground, or without a desktop; and the desktop itself, which is left by logging out."""
    assert (status, failure) == await over(desktop(tmp_path, **params))


async def test_a_program_in_the_background_may_end(tmp_path: Path) -> None:
    """The desktop goes on after it, and the log has its status."""
    house = desktop(tmp_path, service_bin="exit 7")
    async with live(house, "healthz") as service:
        await until(lambda: "the program has ended with status 7" in log_of(house))
        async with viewer(service) as shown:
            assert "turbovnc-00007" == shown.name


@pytest.mark.parametrize(
    ("params", "failure"),
    [
        ({"service_geometry": "wide"}, "service_geometry must be a width and a height such as 1440x900"),
        ({"service_desktop": "mate"}, "There is no mate-session on "),
        ({"service_load_env": "PATH=$HOME"}, "There is no VNC server on "),
    ],
)
async def test_what_is_missing_is_said(tmp_path: Path, params: dict[str, str], failure: str) -> None:
    """One sentence says what is wrong, and on which machine."""
    home = tmp_path / "home"
    home.mkdir()
    for program in Path("/usr/bin").iterdir():  # noqa: ASYNC240
        if "vnc" not in program.name:
            (home / program.name).symlink_to(program)
    status, said = await over(desktop(tmp_path, **params))
    assert (1, True) == (status, said.startswith(failure)), said


@pytest.mark.parametrize("listen", [Listen.LOOPBACK, Listen.SOCKET])
@pytest.mark.parametrize("way", ["signal", "kill script", "kill -9"])
async def test_nothing_is_left(tmp_path: Path, way: str, listen: Listen) -> None:
    """A stubborn program, one that left its group, agents: all end, and the display is free again."""
    up = tmp_path / "up"
    # A session manager's socket, which is left where it is killed.
    ice = (
        "import os, signal, socket; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.makedirs('/tmp/.ICE-unix', 0o1777, True); path = f'/tmp/.ICE-unix/{os.getpid()}'\n"
        "server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen(); print(path, flush=True)\n"
        "signal.pause()"
    )
    stubborn = f"trap '' TERM HUP; echo $DISPLAY > {up}; sleep 602; sleep 603; :"
    command = f'eval $(ssh-agent); setsid sleep 601 & python3 -c "{ice}" > {tmp_path}/ice & {stubborn}'
    house = desktop(tmp_path, listen, service_bin=f"({command})")
    async with live(house, "healthz") as service:
        display = (await written(up)).removeprefix(":")
        files = [f"/tmp/.X{display}-lock", f"/tmp/.X11-unix/X{display}", await written(tmp_path / "ice")]
        ours = {path: which(path) for path in files}
        assert None not in ours.values()
        folder = Path(house.path("socket.folder").read_text().strip())
        if way == "signal":
            assert await ended(service.process) == 143
        elif way == "kill script":
            assert (await kill(house)).status == 0
            with anyio.fail_after(PATIENCE_S):
                assert 0 == await service.process.wait()
            assert not house.path("failure").exists()
        else:
            # As a scheduler does that gives no time; what is left is ended by the kill script afterwards.
            service.process.kill()
            await service.process.wait()
            assert (await kill(house)).status == 0
        # The rest of a shell that was not killed itself may still be about to see that nothing is left.
        await until(lambda: not processes(house))
        # Another desktop of this machine may have the number of the display by now.
        assert [] == [path for path, one in ours.items() if one == which(path)]
        assert way == "kill -9" or not exists(folder)
        shutil.rmtree(folder, ignore_errors=True)
    assert not service.house.path("service/display").exists()


async def test_a_server_without_unix_sockets_asks_for_a_password(tmp_path: Path) -> None:
    """An old VNC server listens on this machine's own address only, and wants a password that the page is given."""
    # TigerVNC itself; what is old about it is what it says of itself.
    old = tmp_path / "Xvnc"
    old.write_text(
        "#!/bin/bash\ncase $* in *rfbunixpath*) exit 9 ;; -help) Xtigervnc -help 2>&1 | grep -v rfbunix; exit ;; esac\n"
        'exec Xtigervnc "$@"\n'
    )
    old.chmod(0o700)
    house = desktop(tmp_path, Listen.SOCKET, service_vnc_exec=str(tmp_path / "vncserver"))
    async with live(house, "healthz") as service:
        async with aiohttp.ClientSession(connector=service.connector()) as client:
            async with client.get(f"{service.root}/vnc.html?token={TOKEN}", allow_redirects=False) as answer:
                location = answer.headers["Location"]
            password = location.partition("#password=")[2]
            assert 8 == len(password)
            assert password not in TOKEN
            async with client.ws_connect(f"{service.root}/x", headers=KNOWN) as channel:
                assert not await Viewer(channel).shake_hands("guessed!")
        async with viewer(service, password=password) as shown:
            assert [VNC_AUTH] == shown.security
        assert password not in command_lines()
    assert password not in log_of(house)


async def test_where_novnc_comes_from(tmp_path: Path) -> None:
    """A folder that is named, under either name; one that is not there; and the package with the known hash."""
    own = tmp_path / "home" / "novnc"
    own.mkdir(parents=True)
    (own / "vnc.html").touch()
    for params, expected in (
        ({"service_novnc_dir": "~/novnc"}, str(own)),
        ({"novnc_dir": str(own)}, str(own)),
        ({"novnc_dir": "/nowhere/noVNC-1.3.0", "service_novnc_dir": str(own)}, str(own)),
    ):
        house = desktop(tmp_path, **params)
        done = await prepare(house)
        assert (0, f"using the noVNC in {expected}") == (done.status, done.lines[0]), done.lines
        assert f"{expected}\n" == house.path("service/novnc.path").read_text()
    done = await prepare(desktop(tmp_path, service_novnc_dir="/nowhere"))
    assert (1, ["/nowhere (service_novnc_dir) holds no vnc.html: correct it, or leave it empty"]) == (
        done.status,
        done.lines,
    )
    house = desktop(tmp_path, service_novnc_dir="install", novnc_dir=str(own))
    assert 0 == (await prepare(house)).status
    installed = Path(house.path("service/novnc.path").read_text().strip())
    assert "noVNC_container" in (installed / "vnc.html").read_text()
    assert "export default class RFB" in (installed / "core/rfb.js").read_text()
