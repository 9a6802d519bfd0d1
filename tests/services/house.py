"""A session's folder as the daemon would make it, its preparation, and a live service in it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import STDOUT

import aiohttp
import anyio
from anyio.abc import ByteStream, Process

from sessiond.config.catalogue import Catalogue, resolve
from sessiond.core.ids import ClusterName, session_id
from sessiond.core.session import Session, State
from sessiond.core.spec import LaunchSpec, Listen, Mode
from sessiond.render.bundle import bundle

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "services"
ENVS = Path(os.environ.get("SESSIOND_ENVS", ROOT / ".cache" / "envs"))
"""Where environments are kept from one run of the tests to the next: making one takes a minute."""
TOKEN = "Zq3-secret-of-this-session-0123_"
OPEN_PORT = 50123
PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A session's folder with its service, and a home of its own."""

    jobdir: Path
    environment: dict[str, str]

    def path(self, name: str) -> Path:
        """A file of the folder."""
        return self.jobdir / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A service that runs: ``port`` or ``path`` is where it listens, ``process`` the session's outer shell."""

    house: House
    port: int
    path: str
    process: Process

    @property
    def root(self) -> str:
        """The service's own root."""
        return f"http://127.0.0.1:{self.port}" if self.port else "http://service"

    @property
    def private(self) -> bool:
        """Whether its socket is for its owner only, and its folder too."""
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (Path(self.path), Path(self.path).parent)]
        return modes == [0o600, 0o700]

    def connector(self) -> aiohttp.BaseConnector:
        """What a client connects to it with."""
        return aiohttp.UnixConnector(self.path) if self.path else aiohttp.TCPConnector()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: its status and the lines of its output."""

    status: int
    lines: list[str] = field(default_factory=list)


def build(base: Path, service: str, listen: Listen = Listen.LOOPBACK, **params: str) -> House:
    """Make the folder of a session of ``service`` below ``base``, as staging does.

    ``params`` are the form's values; ``servicePort`` is the port the service has to listen on.
    """
    catalogue = Catalogue.read([SERVICES])
    port = {"servicePort": params.pop("servicePort")} if "servicePort" in params else {}
    plain, hidden = resolve(catalogue.entry(service), params)
    jobdir = base / "sessiond" / "job"
    session = Session(
        id=session_id(1.0e9, int.from_bytes(os.urandom(4))),
        name="test",
        number=7,
        spec=LaunchSpec(
            service=catalogue.spec(service),
            workflow=service,
            cluster=ClusterName("local"),
            mode=Mode.LOCAL,
            user="me",
            jobdir=str(jobdir),
            params=plain | port,
            secrets={"service_token": TOKEN, **hidden},
            listen=listen,
        ),
        open_port=OPEN_PORT,
        created=1.0e9,
        state=State.START,
        since=1.0e9,
    )
    lib = {path.name: path.read_bytes() for path in (SERVICES / "_lib").iterdir()}
    rendered = dict(bundle(session, lib))
    # What is left after TERM is looked at here, and not whether the machine is quick enough for it just now: a service
    # that needs more than its six seconds is for tests/prelude.
    patience = b"tenths < 60"
    assert patience in rendered["lib/watch.sh"]
    rendered["lib/watch.sh"] = rendered["lib/watch.sh"].replace(patience, b"tenths < 300")
    for name, content in rendered.items():
        target = jobdir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o700)
    home = base / "home"
    home.mkdir(exist_ok=True)
    ours = ("JUPYTER", "SESSIOND", "SLURM")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {
        "HOME": str(home),
        "SESSIOND_ENVS": str(ENVS),
        "SHELL": "/bin/bash",
        # A Python that can make environments, whatever version manager hangs on the real home.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return House(jobdir=jobdir, environment=environment)


async def prepare(house: House, **more: str) -> Ended:
    """Run the service's controller.sh, if it has one, as staging does."""
    if not house.path("service/controller.sh").exists():
        return Ended(status=0)
    done = await anyio.run_process(
        ["bash", "-c", ". ./inputs.sh; . ./secrets.sh; . ./service/controller.sh"],
        cwd=house.jobdir,
        env=house.environment | more,
        stderr=STDOUT,
        check=False,
    )
    return Ended(status=done.returncode, lines=done.stdout.decode().splitlines())


async def kill(house: House) -> Ended:
    """Run the session's kill script."""
    done = await anyio.run_process(
        ["bash", str(house.path("kill.sh"))], env=house.environment, stderr=STDOUT, check=False
    )
    return Ended(status=done.returncode, lines=done.stdout.decode().splitlines())


@asynccontextmanager
async def session(house: House) -> AsyncIterator[Process]:
    """The session's script, running; ended at the end, with all that is left of it."""
    with house.path("logs.out").open("ab") as log:
        process = await anyio.open_process(
            ["bash", str(house.path("session.sh"))],
            env=house.environment,
            stdin=-3,
            stdout=log,
            stderr=STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with anyio.CancelScope(shield=True):
                await process.wait()
        for pid in processes(house):
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def live(house: House, probe: str) -> AsyncIterator[Live]:
    """A prepared session whose service has answered at path ``probe``."""
    ended = await prepare(house)
    assert ended.status == 0, ended.lines
    async with session(house) as process:
        with anyio.fail_after(PATIENCE_S):
            while not await _answers(endpoint := await _published(house, process), probe):
                assert process.returncode is None, log_of(house)
                await anyio.sleep(0.05)
        port, path = int(endpoint.get("port", "0")), endpoint.get("path", "")
        yield Live(house=house, port=port, path=path, process=process)


async def ended(process: Process) -> int:
    """Ask the session to end, as a scheduler does, and return its exit status."""
    process.send_signal(signal.SIGTERM)
    with anyio.fail_after(PATIENCE_S):
        return await process.wait()


def log_of(house: House) -> str:
    """What the session printed."""
    return house.path("logs.out").read_text(errors="replace")


def processes(house: House) -> dict[int, str]:
    """The processes that were started from the session's folder, wherever they went, and their command lines."""
    mark = f"resource_jobdir={house.jobdir}".encode()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            if mark in variables and int(entry.name) != os.getpid():
                found[int(entry.name)] = _command_line(entry)
        except OSError:
            continue  # it ended, or is somebody else's
    return found


def command_lines() -> str:
    """What every user of the machine can read of what runs."""
    texts = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            texts.append(_command_line(entry))
        except OSError:
            continue
    return "\n".join(texts)


def _command_line(entry: Path) -> str:
    return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").rstrip()


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def _published(house: House, process: Process) -> dict[str, str]:
    """The endpoint of this run: at its beginning that of the run before may still be there."""
    while True:
        with suppress(FileNotFoundError):
            found = dict(line.split("=", 1) for line in house.path("endpoint").read_text().splitlines())
            if found["run"] == f"{process.pid}.0":
                return found
        assert process.returncode is None, log_of(house)
        await anyio.sleep(0.05)


async def _connected(endpoint: dict[str, str]) -> ByteStream:
    if "path" in endpoint:
        return await anyio.connect_unix(endpoint["path"])
    return await anyio.connect_tcp("127.0.0.1", int(endpoint["port"]))


async def _answers(endpoint: dict[str, str], probe: str) -> bool:
    try:
        stream = await _connected(endpoint)
    except OSError:
        return False
    async with stream:
        try:
            await stream.send(f"GET /{probe} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            head = await stream.receive()
            return head.startswith(b"HTTP/1.") and head[9:10] < b"5"
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return False
