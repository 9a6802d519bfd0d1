"""A real daemon and a login node that asks for a password, twice: who is asked when, and what stays of the answers."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import services
from tests.daemon.traces import until
from tests.daemon.workspace import Done, Workspace, fetch
from tests.remote.ssh.house import Sshd, User, need_root, sshd, unix_user

PASSWORD = "correct-horse-battery"
SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class Site:
    """A workspace with a daemon, and a cluster that only a person gets in to."""

    workspace: Workspace
    server: Sshd
    user: User

    def link(self) -> Any:
        """The link's state, as people's programs see it."""
        return next(one for one in self.workspace.client.clusters() if one["name"] == "frontier")["link"]

    def login(self, *lines: str) -> Done:
        """Log in, with ``lines`` on standard input."""
        done = subprocess.run(
            self.workspace.ctl_argv("login", "frontier"),
            env=self.workspace.env,
            cwd=self.workspace.root,
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(status=done.returncode, out=done.stdout, err=done.stderr)

    def calls(self) -> int:
        """How many connections of the user the server has seen."""
        return len(set(re.findall(rf"{self.user.name} from \S+ port (\d+)", self.server.log)))


@pytest.fixture
def site() -> Iterator[Site]:
    """All of it, for one test."""
    need_root()
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"no {SYSTEM_PYTHON} for the cluster's user")
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace())
        user = stack.enter_context(unix_user(workspace.root / "users", password=PASSWORD))
        asks = ("AuthenticationMethods password,keyboard-interactive", "PasswordAuthentication yes")
        more = ("KbdInteractiveAuthentication yes", "LogLevel VERBOSE")
        server = stack.enter_context(sshd(workspace.root / "sshd", [user], *asks, *more, pam=True))
        known = workspace.root / "known_hosts"
        known.write_text(server.known_line())
        workspace.configure(
            "[clusters.frontier]",
            'host = "127.0.0.1"',
            f"port = {server.port}",
            f'user = "{user.name}"',
            f'known_hosts = "{known}"',
            'login = "interactive"',
            'scheduler = "none"',
            'poll = "5s"',
        )
        # The cluster's user cannot read this interpreter's folder everywhere; the system's own is for all.
        start = services.SERVE.replace(sys.executable, SYSTEM_PYTHON)
        services.write(workspace.services / "plain", f"exec {start}\n")
        workspace.daemon()
        yield Site(workspace, server, user)


def everything_written(folder: Path) -> bytes:
    """What lies in the files of a workspace's state, and in its log."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_session_waits_for_a_person_and_goes_on(site: Site) -> None:
    """No call before a login, two rounds in it, the session runs after it; and of the password there is no trace."""
    here = site.workspace
    session = here.client.start({"service": "plain", "cluster": "frontier", "mode": "controller"})
    waiting = here.until_so(session["id"], lambda one: one["link"]["state"] == "needs-login")
    until(lambda: "needs a login" in here.client.session(session["id"])["phrase"], "the session says what it waits for")
    assert "render" == waiting["state"]
    assert "sessionctl login frontier" in here.client.session(session["id"])["next"]
    assert (0, 0) == (site.link()["attempts"], site.calls())
    why = here.ctl("why", session["id"]).out
    assert "the connection to its cluster: needs a login: a password or a second factor is asked there" in why
    assert "Next: waiting for you: sessionctl login frontier" in why
    assert 0 == here.ctl("why", session["id"], "--bundle", str(here.root / "waits.tar.gz")).status
    assert (0, 0) == (site.link()["attempts"], site.calls())
    done = site.login(PASSWORD, PASSWORD)
    assert (0, "frontier: connected\n") == (done.status, done.out), done.err + here.log.read_text()
    running = here.until(session["id"], "running")
    assert 200 == fetch(str(running["url"]))[0]
    assert ("up", 1, 1) == (site.link()["state"], site.link()["attempts"], site.calls())
    site.server.cut()
    until(lambda: site.link()["state"] == "needs-login", "the lost link asks for a person")
    assert 1 == site.calls()
    assert 0 == site.login(PASSWORD, PASSWORD).status
    again = here.until_so(session["id"], lambda one: one["state"] == "running" and one["link"]["state"] == "up")
    assert (running["job_id"], running["open_port"]) == (again["job_id"], again["open_port"])
    here.client.stop(session["id"])
    here.until(session["id"], "ended")
    assert PASSWORD.encode() not in everything_written(here.state) + here.log.read_bytes()


def test_a_session_that_is_prepared_after_the_login_asks_for_none(site: Site) -> None:
    """However long that takes, nothing says any more that it needs one."""
    here = site.workspace
    begun, go = site.user.home / "begun", site.user.home / "go"
    controller = f"touch {begun}; until [ -e {go} ]; do sleep 0.1; done"
    start = services.SERVE.replace(sys.executable, SYSTEM_PYTHON)
    services.write(here.services / "long", f"exec {start}\n", controller=controller)
    session = here.client.start({"service": "long", "cluster": "frontier", "mode": "controller"})
    here.until_so(session["id"], lambda one: one["problem"] is not None and one["link"]["state"] == "needs-login")
    assert 0 == site.login(PASSWORD, PASSWORD).status
    until(lambda: begun.exists(), "the preparation runs")
    now = here.client.session(session["id"])
    assert ("preparing", None) == (now["phrase"], now["problem"])
    assert "login" not in now["next"]
    go.touch()
    here.until(session["id"], "running")
    here.client.stop(session["id"])
    here.until(session["id"], "ended")


def test_a_wrong_password(site: Site) -> None:
    """Status 4 with the reason; nothing is tried again by itself, and the right one is let in afterwards."""
    done = site.login("wrong", "wrong", "wrong", "wrong", "wrong", "wrong")
    assert (4, "") == (done.status, done.out)
    calls = site.calls()
    assert (1, "needs-login") == (calls, site.link()["state"])
    assert "wrong" not in site.workspace.log.read_text()
    assert 0 == site.login(PASSWORD, PASSWORD).status
    assert 2 == site.calls()


def test_too_few_answers_abandon_the_login(site: Site) -> None:
    """The server sees the connection go."""
    done = site.login(PASSWORD)
    assert 4 == done.status
    until(lambda: site.link()["state"] == "needs-login", "the login is abandoned")
    until(lambda: not site.server.sessions(), "nothing is left of it at the server")


def test_a_logout(site: Site) -> None:
    """The link goes, and stays away."""
    assert 0 == site.login(PASSWORD, PASSWORD).status
    done = site.workspace.ctl("logout", "frontier")
    assert (0, "") == (done.status, done.err)
    assert "needs-login" == site.link()["state"]
    until(lambda: not site.server.sessions(), "the connection is closed")
    assert "logged out" in site.workspace.ctl("clusters").out
