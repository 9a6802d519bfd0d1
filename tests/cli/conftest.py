"""sessionctl as people run it: a process of its own, against a canned daemon, with pipes or on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.canned_daemon import Canned, Server

ROOT = Path(__file__).parents[2]
SESSIONCTL = (sys.executable, "-c", "from sessiond.cli.main import main; main()")

# Makes standard input the controlling terminal, so that Ctrl-C there is a signal, and becomes another program.
ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a run ended. On a terminal everything is in ``out``."""

    status: int
    out: str
    err: str


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv: tuple[str, ...], env: dict[str, str], columns: int) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
        self.process = subprocess.Popen(
            (sys.executable, "-I", "-c", ON_A_TERMINAL, *argv),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            cwd=ROOT,
        )
        os.close(slave)
        self.seen = b""

    def read(self) -> bool:
        """Read a piece more; False once the program has closed its end."""
        if not select.select([self._master], [], [], 30)[0]:
            pytest.fail(f"nothing came for 30 s; so far: {self.seen!r}")
        try:
            piece = os.read(self._master, 65536)
        except OSError:
            return False
        self.seen += piece
        return bool(piece)

    def until(self, pattern: bytes) -> None:
        """Read until ``pattern`` has come."""
        while not re.search(pattern, self.seen):
            if not self.read():
                pytest.fail(f"it ended without {pattern!r}: {self.seen!r}")

    def type(self, data: bytes) -> None:
        """Press keys."""
        os.write(self._master, data)

    def end(self) -> int:
        """Read the rest; returns the exit status."""
        while self.read():
            pass
        return self.process.wait(30)

    def close(self) -> None:
        """Take the terminal away, and the program with it."""
        os.close(self._master)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)


class Ctl:
    """Runs sessionctl in the environment of one test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = home / "api.sock"
        self.state = home / "state"
        self.terminals: list[Terminal] = []
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
        self.env = {
            **kept,
            "HOME": str(home),
            "TZ": "UTC",
            "PYTHONUTF8": "1",
            "PYTHONPATH": str(ROOT),
            "SESSIOND_SOCKET": str(self.socket),
            "SESSIOND_STATE_DIR": str(self.state),
        }

    def __call__(self, *args: str, **env: str) -> Done:
        """Run it with pipes."""
        done = subprocess.run(
            (*SESSIONCTL, *args),
            capture_output=True,
            env=self.env | env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return Done(status=done.returncode, out=done.stdout.decode(errors="surrogateescape"), err=done.stderr.decode())

    def by_shell(self, line: str) -> Done:
        """Run what a person types behind `sessionctl`, with its redirections, in a shell whose streams are pipes."""
        argv = shlex.join(SESSIONCTL)
        done = subprocess.run(
            ("sh", "-c", f"{argv} {line}"),
            capture_output=True,
            env=self.env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return Done(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def terminal(self, *args: str, columns: int = 80, **env: str) -> Terminal:
        """Start it on a terminal."""
        terminal = Terminal((*SESSIONCTL, *args), self.env | {"TERM": "xterm-256color"} | env, columns)
        self.terminals.append(terminal)
        return terminal

    def shown(self, *args: str, columns: int = 80, **env: str) -> Done:
        """Run it on a terminal to its end."""
        terminal = self.terminal(*args, columns=columns, **env)
        status = terminal.end()
        return Done(status=status, out=terminal.seen.decode().replace("\r\n", "\n"), err="")


@contextmanager
def serve(ctl: Ctl) -> Iterator[Canned]:
    """A canned daemon for as long as the block runs."""
    server = Server(str(ctl.socket))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.canned
    finally:
        server.end()
        thread.join()
        ctl.socket.unlink()


@pytest.fixture
def ctl() -> Iterator[Ctl]:
    """sessionctl in a home of its own, where nothing runs. The path is short: it must hold a socket."""
    with tempfile.TemporaryDirectory(prefix="sd-cli-") as home:
        made = Ctl(Path(home))
        yield made
        for terminal in made.terminals:
            terminal.close()


@pytest.fixture
def canned(ctl: Ctl) -> Iterator[Canned]:
    """A canned daemon on the socket of `ctl`."""
    with serve(ctl) as canned:
        yield canned


@pytest.fixture
def started(ctl: Ctl) -> Iterator[Path]:
    """The file in which canned daemons started by sessionctl note themselves; they are ended afterwards."""
    pids = ctl.home / "pids"
    pids.touch()
    ctl.env["CANNED_PIDS"] = str(pids)
    yield pids
    for line in pids.read_text().splitlines():
        pid = int(line.split()[0])
        os.kill(pid, signal.SIGTERM)
        # Not our child: it is gone once nothing can be signalled, or init has not reaped it yet.
        deadline = time.monotonic() + 10
        while _runs(pid) and time.monotonic() < deadline:
            select.select([], [], [], 0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False
