"""The real daemon as a unit of a real systemd user manager."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sessiond.api.wire import Session
from sessiond.client import Client
from tests.systemd.manager import UserManager, reason_to_skip, user_manager

from . import traces
from .workspace import ROOT, Done, Workspace, fetch

pytestmark = pytest.mark.live

UNIT = "sessiond.service"


class Host:
    """A user manager with the daemon's units in it, and a world for the daemon."""

    def __init__(self, manager: UserManager, workspace: Workspace) -> None:
        self.manager = manager
        self.workspace = workspace
        self.client = workspace.client = Client(manager.socket, timeout_s=30)
        workspace.log = manager.log
        workspace.env["XDG_RUNTIME_DIR"] = str(manager.runtime)
        del workspace.env["SESSIOND_SOCKET"]

    def install(self, *settings: str) -> None:
        """Install the units and open the socket."""
        passed = ("SESSIOND_STATE_DIR", "SESSIOND_CONFIG", "TEST_WORKSPACE", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        environment = {name: self.workspace.env[name] for name in passed}
        environment["HOME"] = str(self.workspace.home)
        self.manager.install([sys.executable, "-m", "sessiond"], environment=environment, settings=settings)
        self.manager.systemctl("start", "sessiond.socket")

    def ctl(self, *args: str) -> Done:
        """sessionctl beside the manager: it finds the socket in the manager's runtime folder."""
        return self.workspace.ctl(*args)

    @property
    def pid(self) -> int:
        """The daemon's process, in the machine's numbers."""
        return self.client.status()["pid"]

    def unit_of(self, session: Session) -> str:
        """The transient unit that a session on this machine runs in."""
        return f"sessiond-{session['id']}-{session['attempt']}.service"

    def active(self, unit: str = UNIT) -> str:
        """Whether a unit runs."""
        return self.manager.show(unit, "ActiveState")

    def restarts(self) -> int:
        """How often systemd started the daemon again."""
        return int(self.manager.show(UNIT, "NRestarts"))

    def fed(self) -> int:
        """When systemd heard last that the daemon lives, in microseconds."""
        return int(self.manager.show(UNIT, "WatchdogTimestampMonotonic"))

    def job(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """``systemctl --user``, whatever comes of it."""
        return self.manager.run("systemctl", "--user", *argv, check=False)


@pytest.fixture
def host(workspace: Workspace) -> Iterator[Host]:
    """A manager with nothing installed, and a world."""
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    with user_manager() as manager:
        made = Host(manager, workspace)
        yield made
        if manager.socket.exists():
            ended = [made.workspace.stop(one["id"], force=True) for one in made.client.sessions()]
            assert [] == workspace.traces(*ended)


def test_the_first_command_starts_the_unit(host: Host) -> None:
    """Socket activation: `sessionctl` starts nothing itself; READY and STATUS come; the socket is private."""
    host.install()
    assert "inactive" == host.active()
    done = host.ctl("ls", "--json")
    assert (0, [], "") == (done.status, json.loads(done.out or "null"), done.err)
    # Type=notify: active means that READY=1 has come
    host.manager.systemctl("start", UNIT)
    assert ("active", "running") == (host.active(), host.manager.show(UNIT, "SubState"))
    assert "0 running, 0 on the way" == host.manager.show(UNIT, "StatusText")
    assert not (host.workspace.state / "daemon.log").exists()
    assert 0o600 == host.manager.socket.stat().st_mode & 0o777
    assert str(host.manager.socket) == host.client.status()["socket"]


def test_ready_means_that_it_answers(host: Host) -> None:
    """When `systemctl start` returns, requests are answered and the last daemon's sessions are known."""
    host.install()
    session = host.workspace.start("tiny")
    host.manager.systemctl("stop", UNIT)
    host.manager.systemctl("start", UNIT)
    assert [session["id"]] == [one["id"] for one in host.client.sessions()]


def test_it_is_starting_until_it_serves(host: Host) -> None:
    """While the state cannot be opened the unit is not ready, and who asked meanwhile is answered afterwards."""
    host.install()
    host.workspace.start("tiny")
    host.manager.systemctl("stop", UNIT)
    with closing(sqlite3.connect(host.workspace.state / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        host.manager.systemctl("start", "--no-block", UNIT)
        traces.until(lambda: host.manager.show(UNIT, "MainPID") not in ("", "0"), "systemd does not start it")
        asked = subprocess.Popen(
            host.workspace.ctl_argv("ls"), env=host.workspace.env, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        # it waits for the database, and is started again where that takes too long
        traces.until(lambda: waits_for(host.workspace.state / "state.db"), "it does not open the state")
        assert ("activating", None) == (host.active(), asked.poll())
    assert "tiny" in asked.communicate(timeout=30)[0]
    host.manager.systemctl("start", UNIT)
    assert "active" == host.active()


def waits_for(database: Path) -> bool:
    """Whether a process beside this one has the database open."""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and process.name != str(os.getpid()):
            # not all by one glob, which raises where a process ends in the middle of it (Python 3.11)
            with suppress(OSError):
                if any(found.readlink() == database for found in (process / "fd").iterdir()):
                    return True
    return False


def test_sessions_are_units_of_their_own(host: Host) -> None:
    """Stopping the daemon's unit leaves the session running in its transient unit; a stop of the session ends that."""
    host.install()
    session = host.workspace.start("tiny")
    unit = host.unit_of(session)
    assert "active" == host.active(unit)
    assert "control-group" == host.manager.show(unit, "KillMode")
    group = host.manager.show(unit, "ControlGroup")
    assert group
    assert group != host.manager.show(UNIT, "ControlGroup")
    host.manager.systemctl("stop", UNIT)
    assert "inactive" == host.active()
    assert "active" == host.active(unit)
    assert any("server.py" in line for line in traces.marked(f"SESSIOND_TAG=sd-{session['id']}"))
    # the socket is still there: the next command starts the daemon
    assert "running" == host.workspace.until(session["id"], "running")["state"]
    assert "active" == host.active()
    assert 200 == fetch(host.client.session(session["id"])["url"] or "")[0]
    assert "cancelled" == host.workspace.stop(session["id"])["outcome"]
    traces.until(lambda: host.active(unit) == "inactive", f"{unit} goes on")
    assert 1 == host.workspace.started()
    assert "" == host.job("list-units", "--failed", "--plain", "--no-legend").stdout.strip()


def test_a_killed_daemon_comes_back(host: Host) -> None:
    """kill -9: systemd starts it again, the session is intact behind the same URL, STATUS counts it."""
    host.install()
    session = host.workspace.start("tiny")
    before = host.pid
    status, text = fetch(session["url"] or "")
    assert 200 == status
    host.manager.systemctl("kill", "--kill-whom=main", "--signal=KILL", UNIT)
    traces.until(lambda: host.restarts() == 1, "systemd does not start it again")
    after = host.workspace.until(session["id"], "running")
    assert before != host.pid
    assert (session["url"], session["open_port"]) == (after["url"], after["open_port"])
    assert 1 == host.workspace.started()
    # A gateway on any port it gets keeps that port, too.
    assert (200, text) == fetch(session["url"] or "")
    assert "sessiond was restarted" in host.workspace.story(session["id"])


def test_reload(host: Host) -> None:
    """`systemctl reload` of a good file applies it; of a bad one changes nothing, is in the log, and harms nothing."""
    host.install()
    session = host.workspace.start("tiny")
    pid = host.pid
    more = host.workspace.root / "more" / "extra"
    more.mkdir(parents=True)
    (more / "start-template.sh").write_text("sleep 600\n")
    good = host.workspace.config.read_text()
    both = f'["{host.workspace.services}", "{more.parent}"]'
    host.workspace.config.write_text(good.replace(f'["{host.workspace.services}"]', both))
    host.manager.systemctl("reload", UNIT)
    traces.until(lambda: "extra" in [one["name"] for one in host.client.services()], "the new folder is not known")
    host.workspace.config.write_text(good + "[daemon]\nports = 7\n[idle]\nafter = 1\n")
    host.job("reload", UNIT)
    traces.until(lambda: "was not applied" in host.manager.log.read_text(), "the log does not tell of the bad file")
    assert "extra" in [one["name"] for one in host.client.services()]
    assert (pid, "active", 0) == (host.pid, host.active(), host.restarts())
    assert "1 running, 0 on the way" == host.manager.show(UNIT, "StatusText")
    assert "running" == host.client.session(session["id"])["state"]


def test_a_daemon_that_hangs_is_started_again(host: Host) -> None:
    """SIGSTOP: no watchdog message, so systemd ends it and starts another; the session lives."""
    host.install("WatchdogSec=2", "TimeoutAbortSec=2")
    session = host.workspace.start("tiny")
    before = host.restarts()
    host.manager.systemctl("kill", "--kill-whom=main", "--signal=STOP", UNIT)
    traces.until(lambda: host.restarts() > before, "the watchdog does not bite")
    assert session["url"] == host.workspace.until(session["id"], "running")["url"]
    assert 1 == host.workspace.started()


def test_the_watchdog_is_fed(host: Host) -> None:
    """A daemon that does well is not ended: it says so for three times as long as it may be silent."""
    host.install("WatchdogSec=2")
    pid = host.pid
    host.workspace.start("tiny")
    first = host.fed()
    traces.until(lambda: host.fed() - first >= 6_000_000, "systemd hears nothing of it")
    assert (pid, 0) == (host.pid, host.restarts())
