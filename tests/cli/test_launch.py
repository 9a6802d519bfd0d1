"""Starting the daemon: once, detached, and only by those who need it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Ctl

CANNED = [sys.executable, str(Path(__file__).with_name("canned_daemon.py"))]

LAUNCH = """
import json, sys
from sessiond import paths
from sessiond.api.wire import EXIT_STATUS
from sessiond.cli.launch import launch
from sessiond.cli.output import say_error
from sessiond.client import Client, ClientError
try:
    launch(Client(paths.socket_path()), json.loads(sys.argv[1]))
except ClientError as error:
    say_error(error)
    sys.exit(EXIT_STATUS[error.code])
"""


def start(ctl: Ctl, command: list[str], **env: str) -> subprocess.Popen[str]:
    """A process that starts a daemon by ``command``, as sessionctl does by its own."""
    return subprocess.Popen(
        (sys.executable, "-c", LAUNCH, json.dumps(command)),
        env=ctl.env | env,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ctl.home,
    )


def test_ten_at_once_start_one(ctl: Ctl, started: Path) -> None:
    """Ten processes find no daemon: one is started, one of them says so, and all go on."""
    ten = [start(ctl, CANNED) for _ in range(10)]
    said = [process.communicate(timeout=60)[1] for process in ten]
    (line,) = started.read_text().splitlines()
    pid = line.split()[0]
    log = ctl.state / "daemon.log"
    assert [process.returncode for process in ten] == [0] * 10
    assert [f"sessiond was not running; started it (pid {pid}, log {log})\n"] == [text for text in said if text]


def test_it_is_detached(ctl: Ctl, started: Path) -> None:
    """A session of its own, no folder of the user's, no mark of the session we are in, a log for us alone."""
    start(ctl, CANNED, SESSIOND_TAG="sd-k3f9q2m7x0ab", SESSIOND_RUN="4711.0").communicate(timeout=60)
    pid, leader, *rest = started.read_text().split()
    assert (pid, [str(ROOT)]) == (leader, rest)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (ctl.state, ctl.state / "daemon.log")}
    assert modes == {"state": 0o700, "daemon.log": 0o600}


def test_relative_paths_stay_what_they_were(ctl: Ctl, started: Path) -> None:
    """The daemon lives in another folder, and still opens the socket its starter meant."""
    process = start(ctl, CANNED, SESSIOND_SOCKET="api.sock", SESSIOND_STATE_DIR="state")
    assert ("started it" in process.communicate(timeout=60)[1], process.returncode) == (True, 0)
    assert ctl.socket.is_socket()


def test_its_refusal_is_shown(ctl: Ctl) -> None:
    """A daemon that refuses is quoted in its plain words, earlier runs and structured lines are not."""
    ctl.state.mkdir(mode=0o700)
    (ctl.state / "daemon.log").write_text("sessiond: from long ago\n")
    process = start(ctl, [*CANNED, "config.toml:3 a: bad", "config.toml:9 b: worse"])
    said = process.communicate(timeout=60)[1]
    expected = (
        "sessionctl: sessiond did not start: config.toml:3 a: bad\n  config.toml:9 b: worse\n"
        f"  its log: {ctl.state}/daemon.log\n"
    )
    assert (5, expected) == (process.returncode, said)


def test_a_silent_death_is_told(ctl: Ctl) -> None:
    """A daemon that dies without a word leaves its status and its log."""
    process = start(ctl, ["/bin/sh", "-c", "exit 3"])
    assert "did not start (exit status 3), and did not say why" in process.communicate(timeout=60)[1]
    assert process.returncode == 5


def test_a_crash_is_shown_by_its_last_lines(ctl: Ctl) -> None:
    """A daemon that ends in a traceback is quoted from its end."""
    process = start(ctl, [sys.executable, "-c", "def f():\n  f\nraise ValueError('broken')"])
    said = process.communicate(timeout=60)[1].splitlines()
    assert (process.returncode, said[-2:]) == (5, ["  ValueError: broken", f"  its log: {ctl.state}/daemon.log"])
    assert len(said) <= 4


@pytest.mark.parametrize("verb", [("ls",), ("start", "quick"), ("why", "jl"), ("stop", "--all"), ("services",)])
def test_an_unusable_state_folder(ctl: Ctl, verb: tuple[str, ...]) -> None:
    """A state folder that cannot be made is one sentence and a hint, before anything is tried."""
    ctl.state.write_text("a file is in its place")
    done = ctl(*verb)
    assert (done.status, done.out, len(done.err.splitlines())) == (5, "", 2)
    assert f"its state folder {ctl.state} cannot be written to" in done.err


def test_a_read_only_state_folder(ctl: Ctl) -> None:
    """A state folder that cannot be written to is one sentence and a hint; /proc is so to root too."""
    ctl.state = Path("/proc/self/task")
    done = ctl("ls", SESSIOND_STATE_DIR=str(ctl.state))
    assert (done.status, f"its state folder {ctl.state} cannot be written to" in done.err) == (5, True)


def test_a_socket_path_that_is_too_long(ctl: Ctl) -> None:
    """The limit of Unix is told before anything is tried."""
    path = f"{ctl.home}/{'x' * 100}/api.sock"
    done = ctl("ls", SESSIOND_SOCKET=path)
    assert (done.status, ctl.state.exists()) == (5, False)
    assert f"the socket's path has {len(path)} bytes, and Unix allows 107" in done.err


@pytest.mark.parametrize("verb", [("status",), ("reload",)])
def test_who_only_looks_starts_nothing(ctl: Ctl, verb: tuple[str, ...]) -> None:
    """`status` and `reload` say that nothing runs, and leave it so."""
    done = ctl(*verb)
    assert (
        done.status,
        done.err.splitlines()[0],
        ctl.state.exists(),
    ) == (5, "sessionctl: sessiond is not running", False)


def test_version_without_a_daemon(ctl: Ctl) -> None:
    """`version` tells that there is none, and starts none."""
    done = ctl("version")
    assert (done.status, done.out.splitlines()[1], ctl.state.exists()) == (0, "sessiond not running", False)


def test_a_stale_socket_is_no_daemon(ctl: Ctl) -> None:
    """A socket file nobody listens on is as good as none."""
    import socket

    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(ctl.socket))
    assert "sessiond is not running" in ctl("status").err
