"""`sessionctl install` of an installed wheel, by an ordinary account, with a real user manager and a journal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal
from tests.daemon import traces
from tests.daemon.workspace import Done, fetch
from tests.ports import neighbours
from tests.systemd.manager import SOMEBODY, UserManager, reason_to_skip, user_manager

from . import house

# Packages are fetched and built.
pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

SERVICE, SOCKET = "sessiond.service", "sessiond.socket"


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """The folder of the installed programs; systemd would read its name as something else if it were not quoted."""
    with house.folder() as made:
        yield house.environment(sys.executable, house.wheel(made), made / "100%h of it") / "bin"


class Person:
    """Somebody with a user manager and the installed programs."""

    def __init__(self, manager: UserManager, programs: Path) -> None:
        self.manager = manager
        self.programs = programs
        self.units = manager.home / ".config/systemd/user"
        self.state = manager.home / ".local/state/sessiond" / os.uname().nodename
        # Nobody else may take them between the end of one daemon and the next: the gateway's, the dashboard's after it,
        # and those of sessions.
        ports = neighbours(22)
        config = f'[daemon]\ngateway = "127.0.0.1:{ports[0]}"\nports = "{ports[2]}-{ports[-1]}"\n'
        self.write(".config/sessiond/config.toml", config)
        template = "exec sleep 600\n"
        self.write(".config/sessiond/services/quiet/start-template.sh", template)

    def write(self, path: str, text: str) -> None:
        """A file of theirs."""
        file = self.manager.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for each in (file, *file.parents):
            if self.manager.home in each.parents:
                os.chown(each, SOMEBODY, SOMEBODY)

    def ctl(self, *args: str) -> Done:
        """The installed sessionctl."""
        done = self.manager.run(str(self.programs / "sessionctl"), *args, check=False)
        return Done(status=done.returncode, out=done.stdout, err=done.stderr)

    def on_a_terminal(self, *args: str) -> Terminal:
        """The installed sessionctl on a terminal."""
        enter, *more = self.manager.enter
        words = (shutil.which(enter) or enter, *more, str(self.programs / "sessionctl"), *args)
        return Terminal(words, self.manager.environment, 200)

    def good(self, *args: str) -> str:
        """What it printed, where all was well."""
        done = self.ctl(*args)
        assert 0 == done.status, f"{done}\n{self.journal()}"
        return done.out

    def journal(self) -> str:
        """What the daemon's unit has in the journal."""
        return self.manager.run("journalctl", "--quiet", "--user", "--unit=sessiond", "--output=cat").stdout

    def pid(self) -> int:
        """The daemon's process, as it sees itself."""
        found: int = json.loads(self.good("status", "--json"))["pid"]
        return found

    def state_of(self, unit: str) -> str:
        """Whether a unit runs."""
        return self.manager.show(unit, "ActiveState")


@pytest.fixture
def person(programs: Path) -> Iterator[Person]:
    """Somebody who has installed nothing yet."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    with user_manager(SOMEBODY) as manager:
        yield Person(manager, programs)


def test_install(person: Person) -> None:
    """The units start this very installation, at login too; it says about lingering; twice is as good as once."""
    assert "sessionctl install" in [one["remedy"] for one in json.loads(person.ctl("doctor", "--json").out)]
    done = person.ctl("install")
    assert 0 == done.status, done
    written = [f"{person.units / name} is written" for name in (SOCKET, SERVICE)]
    assert [*written, "systemd keeps sessiond: it starts at login, and again whenever it ends"] == done.out.splitlines()
    assert 1 == done.err.count("loginctl enable-linger")
    assert ["active", "active"] == [person.state_of(name) for name in (SERVICE, SOCKET)]
    assert "enabled\nenabled\n" == person.manager.systemctl("is-enabled", SERVICE, SOCKET)
    program = person.manager.run("readlink", f"/proc/{person.pid()}/exe").stdout
    assert program.strip() == os.path.realpath(sys.executable)
    words = person.manager.run("cat", f"/proc/{person.pid()}/cmdline").stdout
    assert str(person.programs / "sessiond") in words.split("\0")
    before = person.pid(), {path.name: path.stat().st_mtime_ns for path in person.units.iterdir()}
    assert "systemd keeps sessiond; nothing had to be changed\n" == person.good("install")
    assert before == (person.pid(), {path.name: path.stat().st_mtime_ns for path in person.units.iterdir()})
    found = {one["check"]: one["state"] for one in json.loads(person.ctl("doctor", "--json").out)}
    assert ("ok", "ok") == (found["daemon"], found["systemd"])


def test_the_journal_has_one_line_of_json_a_transition(person: Person) -> None:
    """`journalctl --user -u sessiond`: what is recorded of a session, line by line, and all lines are JSON."""
    person.good("install")
    person.good("start", "netcat-tester", "--name", "page")
    person.good("stop", "page")
    session = json.loads(person.good("show", "page", "--json"))["id"]
    with closing(sqlite3.connect(f"file:{person.state}/state.db?mode=ro", uri=True)) as state:
        question = "SELECT event, before, after FROM record WHERE session = ? ORDER BY version"
        recorded = state.execute(question, (session,)).fetchall()
    assert len(recorded) > 5

    def told() -> list[tuple[str, str | None, str]]:
        lines = [json.loads(line) for line in person.journal().splitlines() if not _systemds(line)]
        assert all({"ts", "level", "event"} <= line.keys() for line in lines)
        return [(one["event"], one["from"], one["to"]) for one in lines if one.get("session") == session]

    traces.until(lambda: len(told()) >= len(recorded), "the journal lacks lines")
    assert recorded == told()


def _systemds(line: str) -> bool:
    """What the manager itself says of the unit."""
    return bool(re.match(r"(Starting|Started|Stopping|Stopped|Reloading|Reloaded) |sessiond\.service: ", line))


def test_a_daemon_started_by_hand_makes_room(person: Person) -> None:
    """`install` beside a running daemon: that one ends, systemd's takes its place and its sessions."""
    url = person.good("start", "netcat-tester", "--name", "page").strip()
    before = person.pid()
    assert "inactive" == person.state_of(SERVICE)
    assert f"the sessiond that was started by hand (pid {before}) has ended; sessions go on\n" in person.good("install")
    assert before != person.pid()
    assert "active" == person.state_of(SERVICE)
    assert url == person.good("url", "page").strip()
    person.good("wait", "page")
    assert 200 == fetch(url)[0]


def test_one_that_cron_started_makes_room_and_another_persons_world_is_left_alone(person: Person) -> None:
    """It listens elsewhere, and holds the same state. One with a state and a socket of its own is in nobody's way."""
    ctl = str(person.programs / "sessionctl")
    person.manager.run("env", "-u", "XDG_RUNTIME_DIR", ctl, "services")
    own = (
        "env",
        f"SESSIOND_STATE_DIR={person.manager.home}/other",
        f"SESSIOND_SOCKET={person.manager.home}/other.sock",
    )
    person.manager.run(*own, ctl, "services")
    before = json.loads(person.manager.run(*own, ctl, "status", "--json").stdout)["pid"]
    done = person.manager.run(*own, ctl, "install")
    assert 1 == done.stdout.count("was started by hand")
    assert "does not see this shell's SESSIOND_STATE_DIR and SESSIOND_SOCKET" in done.stderr
    assert before == json.loads(person.manager.run(*own, ctl, "status", "--json").stdout)["pid"]
    assert before != person.pid()


def test_an_edited_unit_is_asked_for(person: Person) -> None:
    """Nothing is done to it without a terminal or a yes there; --force is a yes. A drop-in is nobody's business."""
    person.good("install")
    unit = person.units / SERVICE
    edited = unit.read_text() + "# mine\n"
    unit.write_text(edited)
    person.write(f".config/systemd/user/{SERVICE}.d/mine.conf", "[Service]\nEnvironment=A=b\n")
    for verb in ("install", "uninstall"):
        done = person.ctl(verb)
        assert (6, "", edited) == (done.status, done.out, unit.read_text())
        assert f"sessionctl: {unit} was edited; nothing was done\n  --force will " in done.err
        terminal = person.on_a_terminal(verb)
        terminal.until(rb"sessiond.service was edited.*\[y/N\] ")
        terminal.type(b"\n")
        assert (6, edited, True) == (terminal.end(), unit.read_text(), (person.units / SOCKET).exists())
        terminal.close()
    terminal = person.on_a_terminal("install")
    terminal.until(rb"\[y/N\] ")
    terminal.type(b"y\n")
    assert (0, edited.removesuffix("# mine\n")) == (terminal.end(), unit.read_text())
    terminal.close()
    unit.write_text(edited)
    person.good("install", "--force")
    assert edited.removesuffix("# mine\n") == unit.read_text()
    assert (person.units / f"{SERVICE}.d/mine.conf").exists()
    assert "A=b" in person.manager.show(SERVICE, "Environment")


def test_a_masked_unit_is_an_edited_one(person: Person) -> None:
    """A link to /dev/null, systemd's word for never, is not followed and not replaced."""
    person.manager.systemctl("mask", SOCKET)
    done = person.ctl("install")
    assert (6, True) == (done.status, (person.units / SOCKET).is_symlink())
    person.good("uninstall", "--force")
    assert [] == list(person.units.iterdir())


def test_units_of_another_installation_are_replaced(person: Person) -> None:
    """As after an upgrade: what sessiond wrote itself needs no question, and the daemon starts anew."""
    person.good("install")
    before = person.pid()
    old = person.units / SERVICE
    shutil.copy(house.ROOT / "systemd" / SERVICE, old)
    os.chown(old, SOMEBODY, SOMEBODY)
    assert f"{old} is written\n" in person.good("install")
    assert str(person.programs).replace("%", "%%") in old.read_text()
    assert before != person.pid()


def test_uninstall(person: Person) -> None:
    """Units, their links and the daemon go; a session and the state stay, and the next command finds both."""
    person.good("install")
    person.good("start", "netcat-tester", "--name", "page")
    session = json.loads(person.good("show", "page", "--json"))
    unit = f"sessiond-{session['id']}-{session['attempt']}.service"
    out = person.good("uninstall")
    assert f"Sessions go on. Their state is kept in {person.state}\n" in out
    assert [] == [path for path in person.units.rglob("*") if not path.is_dir()]
    assert ["inactive", "inactive", "active"] == [person.state_of(name) for name in (SERVICE, SOCKET, unit)]
    assert not person.manager.socket.exists()
    assert "not-found" == person.manager.show(SERVICE, "LoadState")
    assert f"there is no unit of sessiond in {person.units}\n" == person.good("uninstall")
    person.good("wait", "page")
    assert session["url"] == person.good("url", "page").strip()
    assert "page: stopped\n" == person.good("stop", "page")


def test_uninstall_where_no_manager_answers(person: Person) -> None:
    """Files and links go all the same, and it says that the daemon stays."""
    person.good("install")
    done = person.manager.run("env", "-u", "XDG_RUNTIME_DIR", str(person.programs / "sessionctl"), "uninstall")
    assert ("Sessions go on." in done.stdout, "a daemon that it keeps stays" in done.stderr) == (True, True)
    assert "active" == person.state_of(SERVICE)
    assert [] == [path for path in person.units.rglob("*") if not path.is_dir()]


def test_a_daemon_that_cannot_start_is_told(person: Person) -> None:
    """A configuration with an error: status 1, and where the reason is; the journal has it."""
    person.write(".config/sessiond/config.toml", "[daemon]\nports = 7\n")
    done = person.ctl("install")
    assert 1 == done.status
    assert "`journalctl --user -u sessiond`" in done.err
    traces.until(lambda: "config.toml:2 daemon.ports" in person.journal(), "the journal does not say why")
    # and it is not tried again for ever
    assert ("failed", "0") == (person.state_of(SERVICE), person.manager.show(SERVICE, "NRestarts"))
