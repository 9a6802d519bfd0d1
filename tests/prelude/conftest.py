"""Real sessions: rendered, unpacked, and run by a real bash in a process group of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import choice
from shutil import rmtree

import pytest

from sessiond.core.ids import ALPHABET
from sessiond.core.session import Session
from sessiond.core.spec import Listen, Mode
from sessiond.render.bundle import bundle
from tests.render.sample import lib, session

RUN = "4711.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A session's folder and, once started, its outer shell."""

    session: Session
    folder: Path
    started: list[subprocess.Popen[bytes]]

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        """Run session.sh as the runner does: output to logs.out, the session's marks in the environment."""
        env = {"PATH": os.environ["PATH"], "SESSIOND_TAG": self.session.tag, "SESSIOND_RUN": RUN, **more}
        with (self.folder / "logs.out").open("ab") as log:
            process = subprocess.Popen(
                ["bash", self.folder / "session.sh"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=env,
                cwd="/",
                start_new_session=True,
                # Tests may themselves run as a shell's background job, which has these ignored.
                preexec_fn=heed_signals,
            )
        self.started.append(process)
        return process

    def run(self, **more: str) -> int:
        """Start it and wait for its end."""
        return self.start(**more).wait()

    def fields(self, name: str) -> dict[str, str]:
        """The ``key=value`` lines of a file the session published."""
        lines = (self.folder / name).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def log(self) -> str:
        """Everything the session printed."""
        return (self.folder / "logs.out").read_text()

    def fifo(self, name: str) -> Path:
        """A named pipe in the session's folder, for a template and its test to wait for each other."""
        path = self.folder / name
        os.mkfifo(path)
        return path


def heed_signals() -> None:
    """Let SIGINT and SIGQUIT act as they do in a terminal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


MakeTrial = Callable[..., Trial]


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[MakeTrial]:
    """Make sessions from a template's text; whatever they left running is ended with the test."""
    made: list[Trial] = []

    def make(
        start: str,
        *,
        kill: str | None = None,
        params: Mapping[str, str] | None = None,
        setup: str = "",
        mode: Mode = Mode.LOCAL,
        listen: Listen = Listen.LOOPBACK,
    ) -> Trial:
        ident = "".join(choice(ALPHABET) for _ in range(12))
        folder = tmp_path / "sessiond" / ident
        rendered = session(
            start=start.encode(),
            kill=None if kill is None else kill.encode(),
            params=params,
            setup=setup,
            jobdir=str(folder),
            ident=ident,
            mode=mode,
            listen=listen,
        )
        for name, content in bundle(rendered, lib()).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o700)
        made.append(Trial(session=rendered, folder=folder, started=[]))
        return made[-1]

    yield make
    for one in made:
        for process in one.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdin:
                process.stdin.close()
        for port in (one.folder / "ports").read_text().split() if (one.folder / "ports").exists() else ():
            file = Path(f"/tmp/{port}.port.used")
            # A session of another test may have taken over what this one left.
            with suppress(FileNotFoundError):
                if one.session.tag in file.read_text():
                    file.unlink()
        for left in Path("/tmp").glob(f"{one.session.tag}.*"):
            rmtree(left)
