"""A daemon's private world: folders, configuration, tiny services, real processes; all of it gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sessiond.api.wire import Session, StartRequest
from sessiond.client import Client, ClientError
from tests.ports import Block

from . import services, traces

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
_PARTS = (slice(-6), slice(-6, -4), slice(-4, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a run of a program ended."""

    status: int
    out: str
    err: str


class Daemon:
    """A daemon that was started here; its own words are in ``log``."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._ear_path = log.with_suffix(f".{time.monotonic_ns()}.notify")
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(self._ear_path))
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**env, "NOTIFY_SOCKET": str(self._ear_path)},
                cwd=ROOT,
                start_new_session=True,
            )
        self._end = os.pidfd_open(self.process.pid)

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self.process.pid

    def is_ready(self) -> bool:
        """Wait until it says that it serves, or has ended; whether it serves."""
        deadline = time.monotonic() + PATIENCE_S
        while (left := deadline - time.monotonic()) > 0:
            heard, _, _ = select.select([self._ear.fileno(), self._end], [], [], left)
            if self._ear.fileno() in heard:
                if b"READY=1" in self._ear.recv(4096):
                    return True
            elif heard:
                return False
        raise AssertionError(f"the daemon neither serves nor ends:\n{self.log.read_text()}")

    def ended(self, limit_s: float = PATIENCE_S) -> int | None:
        """Wait for its end; its exit status, None when the time is over."""
        if not select.select([self._end], [], [], limit_s)[0]:
            return None
        return self.process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.ended()

    def close(self) -> None:
        """End it, if it still runs, and what belongs to it here."""
        if self.process.poll() is None:
            self.process.terminate()
            if self.ended() is None:
                self.process.kill()
        self.process.wait()
        os.close(self._end)
        self._ear.close()
        self._ear_path.unlink()


class Workspace:
    """One private world. ``env`` is what the daemon and sessionctl in it see, ``patience_s`` how long `until` waits.

    ``ports`` are for its sessions, ``spare`` are a few that are nobody's. ``gateway`` has one of its own, too, and
    leaves the next one to the dashboard: nobody else takes them between one daemon and the next.
    """

    def __init__(self) -> None:
        # not tmp_path: a socket's path may have 107 characters
        self.root = Path(tempfile.mkdtemp(prefix="sdw-"))
        self.home, self.state, self.work = self.root / "home", self.root / "state", self.root / "work"
        self.services, self.socket = self.root / "services", self.root / "run" / "api.sock"
        self.config = self.root / "config.toml"
        self.log = self.root / "daemon.log"
        for folder in (self.home, self.work, self.socket.parent):
            folder.mkdir(mode=0o700)
        services.write_all(self.services)
        self._block = Block()
        self.ports, doors, self.spare = (self._block.ports[part] for part in _PARTS)
        self.gateway = f"127.0.0.1:{doors[0]}"
        self.configure()
        self.mark = f"TEST_WORKSPACE={self.root}"
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
        self.env = {
            **kept,
            "HOME": str(self.home),
            "USER": "tester",
            "TZ": "UTC",
            "PYTHONUTF8": "1",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CONFIG_HOME": str(self.root / "xdg"),
            "SESSIOND_STATE_DIR": str(self.state),
            "SESSIOND_SOCKET": str(self.socket),
            "SESSIOND_CONFIG": str(self.config),
            "TEST_WORKSPACE": str(self.root),
        }
        self.client = Client(self.socket, timeout_s=PATIENCE_S)
        self.patience_s: float = PATIENCE_S
        self._daemons: list[Daemon] = []

    def configure(self, *more: str, ports: range | None = None) -> None:
        """Write the configuration, with lines ``more`` of the table ``daemon`` or after it."""
        chosen = ports or self.ports
        lines = [
            "[daemon]",
            f'gateway = "{self.gateway}"',
            f'ports = "{chosen[0]}-{chosen[-1]}"',
            f'services_dirs = ["{self.services}"]',
            *more,
            "[clusters.local]",
            f'workdir = "{self.work}"',
        ]
        self.config.write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in self._daemons:
            daemon.close()
        reserved = [file for folder in self.jobdirs() for file in traces.reserved(folder)]
        sockets = [file.read_text().strip() for folder in self.jobdirs() for file in folder.glob("socket.folder")]
        traces.end_marked(self.mark)
        traces.end_marked(f"HOME={self.home}")
        for file in reserved:
            file.unlink(missing_ok=True)
        for folder in sockets:
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.root)
        self._block.close()

    def jobdirs(self) -> list[Path]:
        """The folders of all sessions on the execution host, which is this machine."""
        return sorted((self.work / "sessiond").glob("*"))

    # The daemon.

    def launch(self, *before: str, **env: str) -> Daemon:
        """Start a daemon (``before``: a program that becomes it) and do not wait for anything."""
        argv = (*before, sys.executable, "-m", "sessiond")
        daemon = Daemon(argv, {**self.env, **env}, self.log)
        self._daemons.append(daemon)
        return daemon

    def daemon(self, *before: str, **env: str) -> Daemon:
        """Start a daemon and wait until it serves."""
        daemon = self.launch(*before, **env)
        assert daemon.is_ready(), self.log.read_text()
        return daemon

    def run_daemon(self, *before: str, **env: str) -> Done:
        """Run a daemon that is to refuse to run."""
        return self.run(*before, sys.executable, "-m", "sessiond", **env)

    # sessionctl.

    def ctl(self, *args: str, **env: str) -> Done:
        """Run sessionctl with pipes."""
        return self.run(*self.ctl_argv(*args), **env)

    @staticmethod
    def ctl_argv(*args: str) -> tuple[str, ...]:
        """The words that run sessionctl."""
        return (sys.executable, "-c", "from sessiond.cli.main import main; main()", *args)

    def run(self, *argv: str, **env: str) -> Done:
        """Run a program in this world."""
        done = subprocess.run(
            argv,
            env={**self.env, **env},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(status=done.returncode, out=done.stdout, err=done.stderr)

    # Sessions.

    def start(self, service: str, *, to: str = "running", **request: Any) -> Session:
        """Start a session and wait until it is in state ``to``."""
        wanted: StartRequest = {"service": service, **request}  # type: ignore[typeddict-item] # keys are StartRequest's
        return self.until(self.client.start(wanted)["id"], to)

    def stop(self, name: str, *, force: bool = False) -> Session:
        """Stop a session and wait until it has ended and everything of it is cleaned up."""
        self.client.stop(name, force=force)
        return self.cleaned(name)

    def until(self, name: str, state: str) -> Session:
        """Wait until a session is in ``state``; fails at once where it ends instead."""
        session = self.until_so(name, lambda one: one["state"] in (state, "ended"), self.patience_s)
        assert state == session["state"], f"{session}\n{self.log.read_text()}"
        return session

    def until_so(self, name: str, condition: Callable[[Session], bool], limit_s: float = PATIENCE_S) -> Session:
        """Wait, woken by events, until ``condition`` holds of a session."""
        deadline = time.monotonic() + limit_s
        events = self.client.events()
        try:
            while True:
                session = self.client.session(name)
                if condition(session):
                    return session
                left = deadline - time.monotonic()
                assert left > 0, f"waited in vain: {session}\n{self.log.read_text()}"
                if events.poll(left) is None:
                    events.close()
                    events = self.client.events()
        finally:
            events.close()

    def cleaned(self, name: str) -> Session:
        """Wait until a session has ended and its cleaning up, which no event announces, is over."""
        session = self.until(name, "ended")
        folder = Path(session["folder"])
        left = ("run.sh", "secrets.sh", "service", "stage.lock", "ports")
        traces.until(
            lambda: not any((folder / name).exists() for name in left),
            f"{folder} is not cleaned up",
        )
        return session

    def story(self, name: str) -> str:
        """A session's story, a line each."""
        story = self.client.story(name)
        return "\n".join(line["text"] for line in story["lines"])

    def started(self) -> int:
        """How many times templates that count were started here."""
        return self._count("started")

    def killed(self) -> int:
        """How many times kill templates that count ran here."""
        return self._count("killed")

    def _count(self, name: str) -> int:
        with contextlib.suppress(FileNotFoundError):
            return len((self.home / name).read_text().splitlines())
        return 0

    def traces(self, *sessions: Session) -> list[str]:
        """Everything that sessions which are over should not have left."""
        left = [line for one in sessions for line in traces.marked(f"SESSIOND_TAG={tag(one)}")]
        # a service's port is anybody's as soon as it is free; a session's own is from a range of this world's
        left += [f"a listener on port {port}" for port in traces.listening() & {one["open_port"] for one in sessions}]
        ports = {port for one in sessions for port in (one["open_port"], one["service_port"]) if port is not None}
        left += [str(file) for port in ports if traces.is_orphan(file := Path(f"/tmp/{port}.port.used"))]
        left += [str(file) for one in sessions for file in traces.reserved(Path(one["folder"]))]
        left += [str(folder) for one in sessions for folder in Path("/tmp").glob(f"{tag(one)}.*")]
        return left


def tag(session: Session) -> str:
    """The mark of a session's processes."""
    return f"sd-{session['id']}"


def fetch(url: str) -> tuple[int, str]:
    """GET ``url`` as a browser does, through redirections and with their cookies: status and text."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    request = urllib.request.Request(url, headers={"Accept": "text/html"})
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def error_of(done: Done) -> dict[str, str]:
    """The error that ``--json`` put on standard output."""
    found: dict[str, str] = json.loads(done.out)["error"]
    return found


@contextlib.contextmanager
def workspace() -> Iterator[Workspace]:
    """A world for a moment."""
    with Workspace() as made:
        yield made


__all__ = ["ClientError", "Daemon", "Done", "Workspace", "error_of", "fetch", "signal", "tag", "workspace"]
