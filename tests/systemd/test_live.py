"""The unit files and sessiond.systemd against a real systemd user manager."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from .manager import ROOT, UserManager

pytestmark = pytest.mark.live

UNIT = "sessiond.service"
STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def ask(manager: UserManager, request: str) -> dict[str, Any]:
    """One request to the stand-in through its socket; waits until some process answers."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(str(manager.socket))
        peer.sendall(f"{request}\n".encode())
        with peer.makefile() as lines:
            answer: dict[str, Any] = json.loads(lines.readline())
    return answer


def start(manager: UserManager, *settings: str) -> None:
    """Install the units and open the socket."""
    manager.install(STAND_IN, environment=ENVIRONMENT, settings=settings)
    manager.systemctl("start", "sessiond.socket")


def test_the_first_connection_starts_the_service(manager: UserManager) -> None:
    """Socket activation: private socket, service started by need, nothing of it passed on to children."""
    start(manager)
    assert 0o600 == manager.socket.stat().st_mode & 0o777
    assert 0o700 == manager.socket.parent.stat().st_mode & 0o777
    assert "inactive" == manager.show(UNIT, "ActiveState")
    answer = ask(manager, "environment")
    assert "active" == manager.show(UNIT, "ActiveState")
    assert 30.0 == answer["interval_s"]
    assert [] == answer["left"]
    # its own three, and the folder it lists them from: neither the listening nor the notify socket
    assert [0, 1, 2, 3] == answer["open"]
    manager.systemctl("stop", "sessiond.socket")
    assert not manager.socket.exists()


def test_it_is_started_only_when_it_says_so(manager: UserManager) -> None:
    """Until READY=1 the unit is starting, however long that takes."""
    gate = manager.home / "gate"
    os.mkfifo(gate)
    manager.install([*STAND_IN, str(gate)], environment=ENVIRONMENT)
    manager.systemctl("start", "--no-block", UNIT)
    with gate.open("w"):  # opens when the stand-in waits there
        assert "activating" == manager.show(UNIT, "ActiveState")
    manager.systemctl("start", UNIT)
    assert ("active", "0 running") == (manager.show(UNIT, "ActiveState"), manager.show(UNIT, "StatusText"))


def test_status_and_reload(manager: UserManager) -> None:
    """STATUS is shown; a reload ends when the service is ready again; the pid stays."""
    start(manager)
    before = ask(manager, "status 7 running, 1 waiting; frontier needs a login")
    assert before["sent"]
    assert "7 running, 1 waiting; frontier needs a login" == manager.show(UNIT, "StatusText")
    manager.systemctl("reload", UNIT)
    assert before["pid"] == ask(manager, "again")["pid"]
    assert ("active", "reloaded") == (manager.show(UNIT, "ActiveState"), manager.show(UNIT, "StatusText"))


def test_a_hanging_service_is_started_again(manager: UserManager) -> None:
    """No watchdog message for WatchdogSec: the process is ended, and a new one answers who waits at the socket."""
    # Long enough that a process of a busy machine is not taken for one that hangs.
    start(manager, "WatchdogSec=5")
    before = ask(manager, "who")
    assert 2.5 == before["interval_s"]
    manager.systemctl("kill", "--kill-whom=main", "--signal=STOP", UNIT)
    assert before["pid"] != ask(manager, "who")["pid"]
    assert "1" == manager.show(UNIT, "NRestarts")


def test_a_killed_service_is_started_again_and_its_sessions_live(manager: UserManager) -> None:
    """kill -9 of the daemon: a new one within seconds; a session in its control group goes on."""
    start(manager)
    before = ask(manager, "session")
    manager.systemctl("kill", "--kill-whom=main", "--signal=KILL", UNIT)
    assert before["pid"] != ask(manager, "who")["pid"]
    assert "1" == manager.show(UNIT, "NRestarts")
    assert "sleep\n" == manager.run("cat", f"/proc/{before['session']}/comm").stdout


def test_stopping_leaves_every_session_alone(manager: UserManager) -> None:
    """Neither a session in a transient unit nor one in the service's own control group ends with the service."""
    start(manager)
    manager.run("systemd-run", "--user", "--collect", "--unit=sessiond-one", "sleep", "600")
    inside = ask(manager, "session")
    manager.systemctl("stop", UNIT, "sessiond.socket")
    assert ("inactive", "success") == (manager.show(UNIT, "ActiveState"), manager.show(UNIT, "Result"))
    assert "sleep\n" == manager.run("cat", f"/proc/{inside['session']}/comm").stdout
    assert "active" == manager.show("sessiond-one.service", "ActiveState")
    # and the next daemon starts beside it
    manager.systemctl("start", "sessiond.socket")
    assert inside["pid"] != ask(manager, "who")["pid"]
    assert "sleep\n" == manager.run("cat", f"/proc/{inside['session']}/comm").stdout


def test_a_session_started_as_a_child_is_not_hardened(manager: UserManager) -> None:
    """sudo, apptainer and fusermount need the privileges of their set-uid bit."""
    start(manager)
    status = dict(line.split(":\t", 1) for line in ask(manager, "session")["status"].splitlines())
    assert "0" == status["NoNewPrivs"]
    assert "0" == status["Seccomp"]


def test_both_units_can_be_enabled(manager: UserManager) -> None:
    """Enabling the service enables its socket."""
    manager.install(STAND_IN, environment=ENVIRONMENT)
    manager.systemctl("enable", UNIT)
    assert ["enabled", "enabled"] == manager.systemctl("is-enabled", UNIT, "sessiond.socket").split()
