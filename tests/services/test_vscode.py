"""VS Code in the browser with a stand-in for code-server: which one is used, how, who gets in, and what is left of it.

The real one takes minutes to install: `make test-code-server`.
"""

from __future__ import annotations

import sys
import tarfile
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

pytestmark = [pytest.mark.anyio, pytest.mark.live]

PROGRAM = Path(__file__).with_name("behind_a_door.py")
COOKIE = {"Cookie": f"door-{OPEN_PORT}={TOKEN}"}


def add_code_server(folder: Path) -> Path:
    """A code-server in ``folder``, as its releases are laid out."""
    program = folder / "bin" / "code-server"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROGRAM}" "$@"\n')
    program.chmod(0o755)
    return program


def with_code(tmp_path: Path, listen: Listen = Listen.LOOPBACK, **params: str) -> House:
    """A session with a code-server in the folder that it names."""
    add_code_server(tmp_path / "code")
    return build(tmp_path, "openvscode", listen, service_install_dir=str(tmp_path / "code"), **params)


@pytest.mark.parametrize("listen", list(Listen))
async def test_it_is_called_as_it_should_be(tmp_path: Path, listen: Listen) -> None:
    """On a private socket behind the door, in its folder, without telemetry; TERM leaves nothing of it."""
    (tmp_path / "home" / "my project").mkdir(parents=True)
    house = with_code(tmp_path, listen, service_directory="~/my project", service_github_token="gh-secret")
    async with live(house, "healthz") as service:
        assert not service.path or service.private
        async with aiohttp.ClientSession(headers=COOKIE, connector=service.connector()) as client:
            async with client.get(f"{service.root}/?folder=x") as answer:
                told = await answer.json()
            async with client.ws_connect(f"{service.root}/ws") as channel:
                await channel.send_str("family")
                assert "family" == await channel.receive_str()
        folder = f"{tmp_path}/home/my project"
        socket = told["arguments"][3]
        assert told["arguments"] == [
            *("--config", str(house.path("service/config.yaml")), "--socket", socket, "--auth", "none"),
            *("--session-socket", socket.replace("code.sock", "open.sock"), folder),
        ]
        assert (folder, "/?folder=x", "gh-secret", "", []) == tuple(
            told[name] for name in ("folder", "path", "github", "password", "secrets")
        )
        shown = command_lines()
        assert (False, False) == (TOKEN in shown, "gh-secret" in shown)
        private = Path(socket).parent
        assert 0o40700 == private.stat().st_mode
        assert 143 == await ended(service.process)
        assert {} == processes(house)
        assert not private.exists()
    assert TOKEN not in log_of(house)


async def test_only_the_token_opens_it(tmp_path: Path) -> None:
    """The door refuses what has it not; a password is code-server's own matter, in addition; kill ends it all."""
    house = with_code(tmp_path, service_password="sesame")
    async with live(house, "healthz") as service:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
            for path in ("/", "/ws", "/healthz/", "/?token=wrong"):
                async with client.get(f"{service.root}{path}") as answer:
                    assert (path, 403) == (path, answer.status)
            async with client.get(f"{service.root}/?token={TOKEN}", allow_redirects=False) as answer:
                assert (302, "./") == (answer.status, answer.headers["Location"])
            async with client.get(f"{service.root}/", headers=COOKIE) as answer:
                told = await answer.json()
        assert ("sesame", True) == (told["password"], "password" in told["arguments"])
        assert "sesame" not in command_lines()
        assert 0 == (await kill(house)).status
        with anyio.fail_after(PATIENCE_S):
            await service.process.wait()
    assert {} == processes(house)


async def test_where_it_is_looked_for(tmp_path: Path) -> None:
    """In the folder that is named, else on PATH, else in the usual places; what does not run is passed over."""
    broken = tmp_path / "path" / "code-server"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    usual = add_code_server(tmp_path / "home" / "pw" / "bootstrap" / "code-server-4.7.0-linux-amd64")
    absent = str(tmp_path / "absent")
    for path in (broken.parent, add_code_server(tmp_path / "good").parent):
        house = build(tmp_path, "openvscode", service_install_dir=absent, service_load_env=f"PATH={path}:$PATH")
        found = usual if path == broken.parent else path / "code-server"
        done = await prepare(house)
        assert (0, [f"using {found}"]) == (done.status, done.lines)
        assert f"{found}\n" == house.path("service/code-server.path").read_text()


async def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    """Where there is none; one that holds no code-server is told by name, and nothing half is left."""
    archive = tmp_path / "code-server.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(add_code_server(tmp_path / "release").parents[1], "code-server-4.7.0-linux-amd64")
    envs = tmp_path / "envs"
    given = {"service_install_dir": str(tmp_path / "absent"), "service_tgz_path": str(archive)}
    for lines in (2, 0):
        house = build(tmp_path, "openvscode", Listen.LOOPBACK, **given)
        done = await prepare(house, SESSIOND_ENVS=str(envs))
        assert (0, lines) == (done.status, len(done.lines))
        assert house.path("service/code-server.path").read_text().startswith(f"{envs}/code-server-")
    archive.write_bytes(b"no archive")
    done = await prepare(house, SESSIOND_ENVS=str(envs))
    assert 1 == done.status
    assert done.lines[-1].startswith(f"code-server from {archive} could not be installed (")
    assert 1 == sum(path.is_dir() for path in envs.iterdir())


async def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """No code-server, no npm to install it with, no registry, no folder to open: one sentence with the remedy."""
    done = await prepare(build(tmp_path, "openvscode"))
    assert (1, True) == (
        done.status,
        done.lines[-1].startswith("there is no code-server here: set service_install_dir"),
    )
    npm = tmp_path / "npm"
    npm.mkdir()
    (npm / "npm").write_text(
        "#!/bin/sh\necho 'npm error network request to https://registry failed, reason: ' >&2\nexit 1\n"
    )
    (npm / "npm").chmod(0o755)
    house = build(tmp_path, "openvscode", service_install="true", service_load_env=f"PATH={npm}:$PATH")
    done = await prepare(house, SESSIOND_ENVS=str(tmp_path / "envs"))
    assert (1, True) == (done.status, "(npm got nothing from its registry): set service_install_dir" in done.lines[-1])
    house = with_code(tmp_path, service_directory="~/absent")
    assert 0 == (await prepare(house)).status
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            assert 1 == await process.wait()
    assert house.path("failure").read_text().startswith(f"There is no folder {tmp_path}/home/absent on ")
