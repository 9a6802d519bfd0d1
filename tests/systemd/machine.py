"""A whole machine of our own: systemd is its first process, people log in over ssh, and its disk outlives its power.

It is a container of systemd-nspawn(1) with the host's /usr. Everything else is its own: an /etc with what a login
needs, one ordinary account, a network that is its loopback alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from . import manager
from .manager import SOMEBODY, remove_groups, until

_PAM: Final = Path("/etc/pam.d/common-session")

_ETC: Final = (
    "alternatives",
    "dbus-1",
    "default",
    "group",
    "ld.so.cache",
    "login.defs",
    "nsswitch.conf",
    "pam.d",
    "passwd",
    "security",
)
"""What the host has in /etc that a login needs."""

# A container outlives its nspawn. In a PID namespace whose first process nspawn is, the kernel ends both. What lies in
# /run is not the host's: nspawn would leave locks there. Control groups are made below the one that it is started in.
_NSPAWN: Final = """
set -eu
for group in $GROUPS_OF_OURS; do echo 0 > "$group/cgroup.procs"; done
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
exec systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe --notify-ready=yes "$@"
"""

_SSHD: Final = """\
AuthorizedKeysFile .ssh/authorized_keys
HostKey /etc/ssh/host
ListenAddress 127.0.0.1
PasswordAuthentication no
UsePAM yes
UseDNS no
"""


def reason_to_skip() -> str:
    """Why no machine can be booted here; empty if one can."""
    if why_not := manager.reason_to_skip():
        return why_not
    where = "/usr/bin:/usr/sbin:/usr/lib/polkit-1:/lib/systemd"
    needed = ("systemd-nspawn", "systemd-logind", "dbus-daemon", "polkitd", "sshd", "ssh", "ssh-keygen")
    if missing := [program for program in needed if shutil.which(program, path=where) is None]:
        packages = "systemd-container, dbus, polkitd, openssh-server and openssh-client"
        return f"no {', '.join(missing)} here (Debian's packages {packages} have them)"
    if "pam_systemd.so" not in (_PAM.read_text() if _PAM.exists() else ""):
        return "a login here starts no systemd of the person's (Debian's package libpam-systemd sees to it)"
    return ""


class Machine:
    """A machine that is off at first."""

    def __init__(self, folder: Path, shown: Sequence[Path]) -> None:
        self._folder = folder
        self._tree = folder / "tree"
        self._shown = shown
        self._power: subprocess.Popen[bytes] | None = None
        self._first = 0
        self._inside = False
        self.home = self._tree / "home/somebody"

    def boot(self) -> None:
        """Turn it on; returns when systemd has reached its default target."""
        assert self._power is None
        words = [f"--directory={self._tree}", "--machine=there", "--bind-ro=/usr", "--boot"]
        words += [f"--bind-ro={path}" for path in self._shown]
        start = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]
        groups = [group / self._folder.name for group in _hierarchies()]
        for group in groups:
            group.mkdir(exist_ok=True)
        env = _ENV | {
            "GROUPS_OF_OURS": " ".join(map(str, groups)),
            "NOTIFY_SOCKET": str(self._folder / "notify"),
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        }
        told = self._folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear, (self._folder / "console").open("ab") as console:
            ear.bind(str(told))
            self._power = subprocess.Popen(
                [*start, _NSPAWN, "nspawn", *words],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
            try:
                self._wait_for(ear)
            finally:
                told.unlink()
        (nspawn,) = _children(self._power.pid)
        (self._first,) = _children(nspawn)

    def _wait_for(self, ear: socket.socket) -> None:
        """Until its systemd says that it is ready."""
        assert self._power is not None
        end = time.monotonic() + 60
        over: int = os.pidfd_open(self._power.pid)
        try:
            said = b""
            while b"READY=1" not in said.splitlines():
                ready, _, _ = select.select([ear.fileno(), over], [], [], max(0, end - time.monotonic()))
                assert ear.fileno() in ready, f"it does not boot:\n{self.console()}"
                said = ear.recv(10_000)
        finally:
            os.close(over)

    def console(self) -> str:
        """What it has printed."""
        return (self._folder / "console").read_text(errors="replace")

    def cut(self) -> None:
        """Cut its power: all processes are gone at once, and only what is on the disk is left."""
        os.kill(self._first, signal.SIGKILL)
        self._off()

    def power_off(self) -> None:
        """Shut it down in order (systemd(1), SIGRTMIN+4)."""
        os.kill(self._first, signal.SIGRTMIN + 4)
        self._off()

    def _off(self) -> None:
        assert self._power is not None
        self._power.wait(timeout=60)
        self._power = None

    def close(self) -> None:
        """Cut its power if it is on, and see that no process and no control group is left."""
        if self._power is not None:
            # its child first, so that somebody is there to see that end
            for pid in (*_children(self._power.pid), self._power.pid):
                os.kill(pid, signal.SIGKILL)
            self._off()
        for group in _hierarchies():
            remove_groups(group / self._folder.name)

    def root(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command there as root, without a login."""
        return self._run(self._enter("mount", "uts", "ipc", "pid", "cgroup"), argv, check=check)

    def unseen(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command there as the person, beside their user manager, but without a login."""
        become = ["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", "env"]
        return self.root(*become, "HOME=/home/somebody", f"XDG_RUNTIME_DIR=/run/user/{SOMEBODY}", *argv, check=check)

    def login(self, *argv: str, stays: bool = False) -> subprocess.CompletedProcess[str]:
        """Log in over ssh, run a command, log out; returns when the login is over, and what it ended has ended.

        ``stays``: a process that it started does not end with it, for which logind keeps the login as one that closes.
        """
        done = self._run(self._ssh, [shlex.join(argv)], check=True)
        if stays:
            state = ("loginctl", "show-user", "--value", "--property=State", "somebody")
            until(lambda: self.root(*state).stdout == "closing\n")
        else:
            self._logged_out()
        return done

    @contextlib.contextmanager
    def logged_in(self) -> Iterator[None]:
        """Be logged in meanwhile."""
        argv = [*self._ssh, "echo in; exec cat"]
        with subprocess.Popen(argv, env=_ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
            assert held.stdin is not None
            assert held.stdout is not None
            assert b"in\n" == held.stdout.readline()
            self._inside = True
            yield
            self._inside = False
            held.stdin.close()
            held.wait(timeout=30)
        self._logged_out()

    def logins(self) -> str:
        """Who is logged in (loginctl(1))."""
        return self.root("loginctl", "--no-legend", "list-sessions").stdout

    def _logged_out(self) -> None:
        """Wait until nobody is logged in, and what that ends has ended."""
        if not self._inside:
            until(lambda: not self.logins())
            stays = "active" if (self._tree / "var/lib/systemd/linger/somebody").exists() else "inactive"
            until(lambda: self.state_of(f"user@{SOMEBODY}.service") == stays)

    def state_of(self, unit: str) -> str:
        """Whether a unit of the machine runs."""
        return self.root("systemctl", "show", "--value", "--property=ActiveState", unit).stdout.strip()

    @property
    def _ssh(self) -> list[str]:
        options = ["BatchMode=yes", "KexAlgorithms=curve25519-sha256", "LogLevel=ERROR", "StrictHostKeyChecking=no"]
        options += ["UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"]
        key = ["-i", str(self._folder / "key"), *(f"-o{option}" for option in options)]
        return [*self._enter(), "ssh", "-F", "none", *key, "somebody@127.0.0.1"]

    def _enter(self, *more: str) -> list[str]:
        return ["nsenter", f"--target={self._first}", "--net", *(f"--{space}" for space in more)]

    def _run(self, before: Sequence[str], argv: Sequence[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*before, *argv],
            env=_ENV,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=90,
            check=False,
        )
        assert not check or done.returncode == 0, f"{shlex.join(argv)}: {done.stdout}{done.stderr}\n{self.console()}"
        return done


_ENV: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}


@contextlib.contextmanager
def machine(*shown: Path) -> Iterator[Machine]:
    """A machine that sees the Python of the tests, and ``shown``; no process and no file of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sdma-"))
    python = Path(sys.base_prefix)
    seen = [*shown] if python.is_relative_to("/usr") else [python, *shown]
    made = Machine(folder, seen)
    try:
        _furnish(folder)
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)


def _furnish(folder: Path) -> None:
    """Put on its disk what a machine has before it is first turned on."""
    tree = folder / "tree"
    tree.mkdir(mode=0o755)
    for path in ("dev", "etc/ssh", "home", "proc", "root", "run", "sys", "tmp", "usr/lib", "var/log/journal"):
        (tree / path).mkdir(parents=True)
    for link in Path("/").iterdir():
        if link.is_symlink() and link.readlink().parts[0] == "usr":
            (tree / link.name).symlink_to(link.readlink())
    shutil.copy("/usr/lib/os-release", tree / "usr/lib")
    etc = tree / "etc"
    for source in (Path("/etc", name) for name in _ETC):
        if source.is_dir():
            shutil.copytree(source, etc / source.name, symlinks=True)
        elif source.exists():
            shutil.copy(source, etc)
    # With an identity it is no first boot, at which systemd enables everything it finds.
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    (etc / "hostname").write_text("there\n")
    (etc / "os-release").symlink_to("../usr/lib/os-release")
    _unit(etc / "systemd/system/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service")
    _unit(etc / "systemd/system/default.target", "/lib/systemd/system/multi-user.target")
    # logind waits ten seconds for another login before it ends a person's services.
    (etc / "systemd/logind.conf").write_text("[Login]\nUserStopDelaySec=0\n")
    for name, line in (
        ("passwd", f"somebody:x:{SOMEBODY}:{SOMEBODY}::/home/somebody:/bin/sh"),
        ("group", f"somebody:x:{SOMEBODY}:"),
        ("shadow", "somebody:*:19000:0:99999:7:::"),
    ):
        with (etc / name).open("a") as file:
            file.write(f"{line}\n")
    (etc / "shadow").chmod(0o600)
    (etc / "ssh/sshd_config").write_text(_SSHD)
    home = tree / "home/somebody"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for key in (folder / "key", etc / "ssh/host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, stdin=subprocess.DEVNULL)
    shutil.copy(folder / "key.pub", home / ".ssh/authorized_keys")
    for own in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(own, SOMEBODY, SOMEBODY)


def _children(pid: int) -> list[int]:
    """The processes that one has started (proc(5), children)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _unit(link: Path, to: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(to)


def _hierarchies() -> list[Path]:
    """The trees of control groups that nspawn makes groups in: that of version 2, and systemd's own of version 1."""
    found = []
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if (kind == "cgroup2" or "name=systemd" in options.split(",")) and os.access(where, os.W_OK):
            found.append(Path(where))
    return found
