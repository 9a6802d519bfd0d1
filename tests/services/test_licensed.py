"""The services of licensed programs: their scripts for real, the programs as stand-ins that record their calls."""

from __future__ import annotations

import asyncio
import getpass
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from sessiond.core.spec import Listen
from tests.ports import free_port
from tests.services.house import (
    PATIENCE_S,
    TOKEN,
    House,
    build,
    command_lines,
    ended,
    kill,
    log_of,
    processes,
    session,
)
from tests.services.stand_ins import DCV, SUDO, calls, furnish

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CERTIFICATE = Path(__file__).parents[1] / "gateway" / "node.pem"
ME = getpass.getuser()
ID = "sessiond-job"
LIST = "list-sessions <>"
CREATED = f"create-session --type virtual --name nicedcv-00007 {ID} <>"
AUTH = f"--user {ME} --session {ID}"
TOKENS = "--auth-dir /var/run/dcvsimpleextauth"


@asynccontextmanager
async def server(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server of the machine: it answers with what it is told, in capitals. Its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


def tls() -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def asked(house: House, context: ssl.SSLContext | None = None) -> str:
    """What comes back through the session's endpoint, once it is there; empty where the connection is only closed."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            place = {}
            if house.path("endpoint").exists():
                place = dict(line.split("=", 1) for line in house.path("endpoint").read_text().splitlines())
            try:
                if "path" in place:
                    reader, writer = await asyncio.open_unix_connection(
                        place["path"], ssl=context, server_hostname="node" if context else None
                    )
                else:
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", int(place["port"]), ssl=context, server_hostname="node" if context else None
                    )
            except (KeyError, OSError):
                await anyio.sleep(0.05)
                continue
            writer.write(b"hello\n")
            try:
                return (await reader.readline()).decode().strip()
            except ConnectionResetError:
                return ""
            finally:
                writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing announces."""
    with anyio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.05)


def dcv(tmp_path: Path, config: str, listen: Listen = Listen.LOOPBACK, /, **params: str) -> tuple[House, Path]:
    """A session of nicedcv on a machine with stand-ins for DCV, and their folder."""
    home = tmp_path / "dcv"
    found = furnish(home, dcv=DCV, dcvsimpleextauth="exit 0", sudo=SUDO)
    (home / "dcv.conf").write_text(config)
    house = build(tmp_path, "nicedcv", listen, **params)
    house.environment["PATH"] = f"{found}:{house.environment['PATH']}"
    house.environment["DCV_CONF"] = str(home / "dcv.conf")
    return house, home


def verified(port: int) -> str:
    """The configuration of a server that asks the external authenticator."""
    return f'[connectivity]\nweb-port={port}\n#web-port=1\n[security]\nauth-token-verifier="https://127.0.0.1:8444"\n'


async def refused(house: House) -> str:
    """The sentence with which a session gives up."""
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            assert 1 == await process.wait(), log_of(house)
    assert {} == processes(house)
    return house.path("failure").read_text().strip()


@pytest.mark.parametrize("way", ["signal", "kill script"])
@pytest.mark.parametrize("listen", list(Listen))
async def test_a_dcv_session_from_its_beginning_to_its_end(tmp_path: Path, listen: Listen, way: str) -> None:
    """It is made, its token given on standard input, the bytes passed on under TLS, the program told the display."""
    client = ssl.create_default_context(cafile=str(CERTIFICATE))
    client.check_hostname = False
    async with server(tls()) as port:
        said = tmp_path / "said"
        tell = f'echo "$DISPLAY $XAUTHORITY ${{service_token-none}}" > {said}; exec sleep 600'
        house, home = dcv(tmp_path, verified(port), listen, service_bin=tell)
        async with session(house) as process:
            assert "HELLO" == await asked(house, client)
            await until(lambda: said.exists() and said.read_text().endswith("\n"))
            assert f":7 /run/user/1/dcv/{ID}.xauth none\n" == said.read_text()
            assert f"add-user {AUTH} --append {TOKENS} <{TOKEN}>" in calls(home, "dcvsimpleextauth")
            assert TOKEN not in command_lines()
            if way == "signal":
                assert 143 == await ended(process)
            else:
                assert 0 == (await kill(house)).status
                with anyio.fail_after(PATIENCE_S):
                    await process.wait()
            await until(lambda: not processes(house))
        assert [] == list((home / "sessions").iterdir())
        assert f"remove-user {AUTH} {TOKENS} <>" in calls(home, "dcvsimpleextauth")
        assert [] == calls(home, "sudo")
        assert [LIST, CREATED] == calls(home, "dcv")[:2]
        assert TOKEN not in log_of(house)


async def test_logging_out_ends_the_session(tmp_path: Path) -> None:
    """Once DCV lists its session no more, ours has ended; a server that does not answer says nothing."""
    async with server() as port:
        house, home = dcv(tmp_path, verified(port), Listen.SOCKET)
        async with session(house) as process:
            assert "HELLO" == await asked(house)
            (home / "up").unlink()
            looks = len(calls(home, "dcv"))
            # A look before that may still be under way, and find the server there.
            await until(lambda: len(calls(home, "dcv")) > looks)
            (home / "sessions" / ID).unlink()
            # Where there is another look, the one without an answer said nothing.
            await until(lambda: len(calls(home, "dcv")) > looks + 1)
            assert process.returncode is None
            (home / "up").touch()
            with anyio.fail_after(PATIENCE_S):
                assert 0 == await process.wait()
        assert not house.path("failure").exists()


async def test_a_dcv_session_that_runs_already_is_left_alone(tmp_path: Path) -> None:
    """Nothing is made or closed; the program is on its display; the form's port is the server's own."""
    async with server() as port:
        said = tmp_path / "said"
        params = {"service_is_running": "True", "service_display": "3", "servicePort": str(port)}
        house, home = dcv(tmp_path, verified(port), **params, service_bin=f"echo $DISPLAY > {said}; exec sleep 600")
        async with session(house) as process:
            await until(lambda: said.exists() and ":3\n" == said.read_text())
            await until(lambda: f"port={port}" not in house.path("endpoint").read_text())
            assert "HELLO" == await asked(house)
            assert 143 == await ended(process)
        assert {LIST} == set(calls(home, "dcv"))
        assert [] == calls(home, "dcvsimpleextauth")


@pytest.mark.parametrize(
    ("status", "failure"), [("0", ""), ("3", "The DCV desktop or its program ended with status 3: the log says why")]
)
async def test_a_program_in_the_foreground_ends_it(tmp_path: Path, status: str, failure: str) -> None:
    """With its status."""
    async with server() as port:
        house, home = dcv(tmp_path, verified(port), service_bin=f"exit {status}", service_background="False")
        async with session(house) as process:
            with anyio.fail_after(PATIENCE_S):
                assert bool(failure) == await process.wait()
        said = house.path("failure")
        assert failure == (said.read_text().strip() if said.exists() else "")
        assert [] == list((home / "sessions").iterdir())


async def test_a_token_that_only_root_may_give(tmp_path: Path) -> None:
    """`sudo -n` is tried where the tool fails; where sudo wants a password, the session ends with a sentence."""
    async with server() as port:
        house, home = dcv(tmp_path, verified(port))
        (home / "bin" / "dcvsimpleextauth").write_text(
            (home / "bin" / "dcvsimpleextauth").read_text().replace("exit 0", '[ -e "$home/sudo" ]')
        )
        failure = await refused(house)
        assert failure.startswith("The session's token could not be given to DCV's external authenticator on ")
        assert [f"-n dcvsimpleextauth add-user {AUTH} --append {TOKENS} <{TOKEN}>"] == calls(home, "sudo")
        assert [] == list((home / "sessions").iterdir())


@pytest.mark.parametrize(
    ("listens", "listen", "fine"),
    [
        ("", Listen.LOOPBACK, False),
        ("web-listen-endpoints=['0.0.0.0:{}', '[::1]:{}']", Listen.LOOPBACK, False),
        ("web-listen-endpoints=['127.0.0.1:{}', '[::1]:{}']", Listen.ANY, False),
        ("web-listen-endpoints=['127.0.0.1:{}', '[::1]:{}']", Listen.SOCKET, True),
    ],
)
async def test_a_server_that_asks_nobody(tmp_path: Path, listens: str, listen: Listen, fine: bool) -> None:
    """It is refused unless nobody but the machine itself reaches it."""
    async with server() as port:
        listens = listens.replace("{}", str(port))
        config = f'[connectivity]\nweb-port={port}\n{listens}\n[security]\nauthentication="none"\n'
        house, home = dcv(tmp_path, config, listen)
        if fine:
            async with session(house) as process:
                assert "HELLO" == await asked(house)
                assert 143 == await ended(process)
            assert [] == calls(home, "dcvsimpleextauth")
        else:
            failure = await refused(house)
            assert "lets in everybody who reaches its port" in failure
            assert [LIST] == calls(home, "dcv")


@pytest.mark.parametrize(
    ("missing", "failure"),
    [
        ("bin/dcv", "There is no Amazon DCV on "),
        ("up", "The DCV server does not answer on "),
        ("bin/dcvsimpleextauth", "The session's token could not be given to DCV's external authenticator on "),
    ],
)
async def test_what_is_missing_of_dcv_is_said(tmp_path: Path, missing: str, failure: str) -> None:
    """One sentence says what is missing, and on which machine; nothing half is left."""
    house, home = dcv(tmp_path, verified(8443))
    (home / missing).unlink()
    assert (await refused(house)).startswith(failure)
    assert [] == list((home / "sessions").iterdir())


async def test_without_a_licence_dcv_makes_no_session(tmp_path: Path) -> None:
    """The sentence names what is usual."""
    house, home = dcv(tmp_path, verified(8443))
    (home / "full").touch()
    assert (await refused(house)).startswith("DCV made no session on ")
    assert [LIST, CREATED] == calls(home, "dcv")


def scw(tmp_path: Path, port: int, /, *, installed: bool = True, **params: str) -> tuple[House, Path]:
    """A session of scw on a machine with stand-ins, and their folder."""
    home = tmp_path / "scw"
    found = furnish(home, service='touch "$home/$2"', sudo=SUDO)
    params["service_scw_port"] = str(port)
    house = build(tmp_path, "scw", Listen.LOOPBACK, **params)
    house.environment["PATH"] = f"{found}:{house.environment['PATH']}"
    house.environment["SCW_HOME"] = str(home if installed else home / "nothing")
    return house, home


async def test_a_scyld_cloud_workstation_that_runs(tmp_path: Path) -> None:
    """Its bytes are passed on, the program is on its display, and at the end it is left running."""
    async with server() as port:
        said = tmp_path / "said"
        house, home = scw(tmp_path, port, service_bin=f"echo $DISPLAY > {said}; exec sleep 600", service_display="2")
        async with session(house) as process:
            assert "HELLO" == await asked(house)
            await until(lambda: said.exists() and ":2\n" == said.read_text())
            assert 143 == await ended(process)
            assert {} == processes(house)
        assert [] == calls(home, "sudo")


async def test_a_scyld_cloud_workstation_that_has_to_be_started(tmp_path: Path) -> None:
    """With sudo that asks nothing it is started, and stopped at the end; else the session says what to do."""
    port = free_port()
    house, home = scw(tmp_path / "without", port)
    failure = await refused(house)
    assert failure.startswith(f"Scyld Cloud Workstation does not run on port {port} of ")
    assert ["-n service scyld-cloud-workstation start <>"] == calls(home, "sudo")

    house, home = scw(tmp_path / "with", port, service_bin="true", service_background="False")
    (home / "sudo").touch()
    async with session(house) as process:
        await until((home / "start").exists)
        assert not (home / "stop").exists()

        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", port):
            with anyio.fail_after(PATIENCE_S):
                assert 0 == await process.wait(), log_of(house)
    assert (home / "stop").exists()


async def test_what_is_missing_of_scyld_cloud_workstation_is_said(tmp_path: Path) -> None:
    """One sentence, and where."""
    house, home = scw(tmp_path, 443, installed=False)
    assert (await refused(house)).startswith("There is no Scyld Cloud Workstation on ")
    assert [] == calls(home, "sudo")


async def test_the_relay_speaks_only_to_whom_it_should(tmp_path: Path) -> None:
    """A listener of another user's gets nothing, and nobody's port either; the log says which."""
    async with server() as port:
        house, _ = dcv(tmp_path, verified(port), Listen.SOCKET)
        relay = house.path("lib/relay.py")
        # The same file, told that another user's listener is expected: this one is then somebody else's.
        relay.write_text(relay.read_text().replace("set(options.owner)", "{4242}"))
        async with session(house) as process:
            assert "" == await asked(house)
            assert f"somebody else listens on port {port}: a connection was not passed on" in log_of(house)
            assert 143 == await ended(process)
