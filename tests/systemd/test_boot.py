"""The installed daemon on a machine that is booted, loses its power, is shut down, and that people log in to."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.packaging import house

from . import machine
from .manager import SOMEBODY, until

# Packages are fetched and built, and machines boot.
pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

PAGE = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).status)"


@pytest.fixture(scope="module")
def installed() -> Iterator[house.Pipx]:
    """What pipx has installed."""
    if reason := machine.reason_to_skip():
        pytest.skip(reason)
    if shutil.which("ncat") is None:
        pytest.skip("no ncat here (Debian's package ncat)")
    with house.folder() as made:
        yield house.pipx(sys.executable, house.wheel(made), made / "pipx")


class Host:
    """A booted machine with an account on it, and nothing of sessiond's but its programs."""

    def __init__(self, made: machine.Machine, installed: house.Pipx) -> None:
        self.machine = made
        self.programs = installed.programs
        self.python = installed.environment / "bin/python"
        config = made.home / ".config/sessiond/config.toml"
        config.parent.mkdir(parents=True)
        config.write_text('[daemon]\ngateway = "127.0.0.1:0"\n')
        for path in (config.parents[1], config.parent, config):
            os.chown(path, SOMEBODY, SOMEBODY)
        made.boot()

    def install(self) -> tuple[str, str]:
        """Log in, have systemd keep the daemon, log out; the last line it prints, and what it says besides."""
        done = self.machine.login(str(self.programs / "sessionctl"), "install")
        return done.stdout.splitlines()[-1], done.stderr

    def ctl(self, *args: str) -> str:
        """sessionctl, without a login."""
        return self.machine.unseen(str(self.programs / "sessionctl"), *args).stdout

    def daemon(self) -> str:
        """Whether the daemon's unit runs; empty where no systemd of the person's is there to be asked."""
        asked = ("systemctl", "--user", "show", "--value", "--property=ActiveState", "sessiond.service")
        return self.machine.unseen(*asked, check=False).stdout.strip()

    def theirs(self) -> str:
        """The processes of the account."""
        return self.machine.root("pgrep", "--list-full", "--uid", str(SOMEBODY), check=False).stdout

    def page(self, name: str) -> int:
        """Start a session; the first process of it."""
        self.ctl("start", "netcat-tester", "--name", name)
        session = json.loads(self.ctl("show", name, "--json"))
        assert "running" == session["state"]
        unit = f"sessiond-{session['id']}-{session['attempt']}.service"
        asked = ("systemctl", "--user", "show", "--value", "--property=ActiveState,MainPID", unit)
        pid, active = sorted(self.machine.unseen(*asked).stdout.split())
        assert "active" == active
        return int(pid)

    def end_of(self, name: str) -> tuple[str, str]:
        """What the daemon says of a session that is over, in its first line, and what it advises."""
        until(lambda: json.loads(self.ctl("show", name, "--json"))["state"] == "ended")
        lines = self.ctl("why", name).splitlines()
        assert not any("found the session alive" in line for line in lines)
        (advice,) = [line.removeprefix("Next: ") for line in lines if line.startswith("Next: ")]
        said, when, _ = lines[0].rpartition(" (")
        assert when
        return said, advice


@pytest.fixture
def host(installed: house.Pipx) -> Iterator[Host]:
    """A machine that was just booted for the first time."""
    with machine.machine(installed.root) as made:
        yield Host(made, installed)


def test_without_lingering_all_begins_and_ends_with_the_login(host: Host) -> None:
    """As `install` says: at login the daemon starts by itself; logged out, nothing runs, and a session tells why."""
    printed, said = host.install()
    assert "systemd keeps sessiond: it starts at login, and again whenever it ends" == printed
    assert "sessiond and its sessions end with your last login, unless you say: loginctl enable-linger\n" == said
    unit = host.machine.home / ".config/systemd/user/sessiond.service"
    # pipx's link, which outlives an upgrade
    assert f"ExecStart={host.programs}/sessiond" in unit.read_text().splitlines()
    assert "" == host.theirs()
    with host.machine.logged_in():
        until(lambda: host.daemon() == "active")
        found = {one["check"]: one["remedy"] for one in json.loads(host.ctl("doctor", "--json"))}
        assert "loginctl enable-linger" == found["linger"]
        host.page("page")
    assert "" == host.theirs()
    with host.machine.logged_in():
        until(lambda: host.daemon() == "active")
        ended = "page: failed: systemd ended everything that it ran for you, as after your last logout"
        advice = "loginctl enable-linger keeps sessions when you log out; then start it again"
        assert (ended, advice) == host.end_of("page")
    host.machine.cut()
    host.machine.boot()
    assert "" == host.theirs()
    with host.machine.logged_in():
        until(lambda: host.daemon() == "active")
        assert "page" in host.ctl("ls", "--all")


def test_with_lingering_it_needs_no_login(host: Host) -> None:
    """A session survives the logout; after a power cut and after a shutdown the daemon is back by itself, and knows."""
    host.install()
    host.machine.login("loginctl", "enable-linger")
    assert ("systemd keeps sessiond; nothing had to be changed", "") == host.install()
    found = {one["check"]: one["state"] for one in json.loads(host.ctl("doctor", "--json"))}
    assert "ok" == found["linger"]
    before = json.loads(host.ctl("status", "--json"))["pid"]
    with host.machine.logged_in():
        runner = host.page("page")
    assert "" == host.machine.logins()
    assert f"{runner} /bin/sh run.sh" in host.theirs()
    url = host.ctl("url", "page").strip()
    assert "200\n" == host.machine.unseen(str(host.python), "-c", PAGE, url).stdout
    assert before == json.loads(host.ctl("status", "--json"))["pid"]

    host.machine.cut()
    host.machine.boot()
    until(lambda: host.daemon() == "active")
    assert "" == host.machine.logins()
    again = "sessionctl start netcat-tester --again"
    ended = "page: ended: its node failed: the machine was restarted while the session ran"
    assert (ended, again) == host.end_of("page")
    host.page("other")

    host.machine.power_off()
    host.machine.boot()
    until(lambda: host.daemon() == "active")
    assert "" == host.machine.logins()
    ended = "other: ended: its node failed: the machine was shut down while the session ran"
    assert (ended, again) == host.end_of("other")


def test_started_by_hand_it_needs_neither(host: Host) -> None:
    """Over ssh, without `install` and lingering: daemon and session outlive the login, and not the machine."""
    ctl = str(host.programs / "sessionctl")
    host.machine.login(ctl, "start", "netcat-tester", "--name", "page", stays=True)
    assert (1, 1) == (host.theirs().count(" -m sessiond"), host.theirs().count(" sh run.sh "))
    before = json.loads(host.machine.login(ctl, "status", "--json", stays=True).stdout)
    assert 1 == before["sessions"]["running"]
    host.machine.power_off()
    host.machine.boot()
    assert "" == host.theirs()
    with host.machine.logged_in():
        ended = "page: ended: its node failed: the machine was shut down while the session ran"
        assert (ended, "sessionctl start netcat-tester --again") == host.end_of("page")


def test_installed_by_somebody_who_lingers_it_starts_with_the_machine(host: Host) -> None:
    """`install` says so, and not a word about lingering."""
    host.machine.login("loginctl", "enable-linger")
    assert ("systemd keeps sessiond: it starts with the machine, and again whenever it ends", "") == host.install()
    host.machine.power_off()
    host.machine.boot()
    until(lambda: host.daemon() == "active")
    assert "" == host.machine.logins()
