"""A real ``systemd --user`` of our own, in namespaces of its own, whatever PID 1 of the machine is.

It runs for root, because the interpreter and the source tree of the tests need not be readable by anybody else. Mount
and PID namespaces hide it from the machine: when the namespace's first process ends, the kernel ends all the others.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")

# The first process of the PID namespace. /run/systemd/system is what sd_booted(3) looks for; what the packages here
# enable for its users is hidden, and so is its own layout of control groups (systemd 252 wants one tree of version 2).
_FIRST_PROCESS = """
set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run/systemd && mkdir /run/systemd/system
if [ -d /etc/systemd/user ]; then mount -t tmpfs -o mode=755 tmpfs /etc/systemd/user; fi
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo 0 > "/sys/fs/cgroup/$GROUP/cgroup.procs"
/lib/systemd/systemd --user --log-target=console --log-level=info &
wait
"""


def reason_to_skip() -> str:
    """Why no user manager can be started here; empty if one can."""
    if os.geteuid() != 0:
        return "starting a systemd user manager in namespaces of its own needs root"
    needed = ("setpriv", "unshare", "nsenter", "mount", "systemctl", "systemd-run")
    missing = [program for program in needed if shutil.which(program) is None]
    if missing or not SYSTEMD.exists():
        return f"no {', '.join(missing) or SYSTEMD} here (Debian's packages systemd and util-linux have them)"
    if _cgroup2() is None:
        return "no writable control groups of version 2 are mounted here"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False, capture_output=True).returncode:
        return "this machine does not allow new namespaces"
    return ""


class UserManager:
    """A running user manager; ``home`` is its HOME and ``runtime`` its XDG_RUNTIME_DIR, both seen by the test, too."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.home = folder / "home"
        self.runtime = folder / "run"
        self.log = folder / "log"
        self._pid = pid

    @property
    def environment(self) -> dict[str, str]:
        """What programs beside the manager see."""
        return _environment(self.home, self.runtime)

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the manager's namespaces."""
        enter = ("nsenter", f"--mount=/proc/{self._pid}/ns/mnt", f"--pid=/proc/{self._pid}/ns/pid_for_children")
        done = subprocess.run(
            [*enter, *argv],
            env=self.environment,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, f"{shlex.join(argv)}: {done.stderr}\n{self.log.read_text()}"
        return done

    def systemctl(self, *argv: str, check: bool = True) -> str:
        """``systemctl --user``; its standard output."""
        return self.run("systemctl", "--user", "--no-pager", *argv, check=check).stdout

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def install(
        self, exec_start: Sequence[str], *, environment: Mapping[str, str] | None = None, settings: Sequence[str] = ()
    ) -> None:
        """Install this project's units, as they are, with another program, environment and ``[Service]`` settings.

        The service's output goes to `log`.
        """
        units = self.home / ".config/systemd/user"
        units.mkdir(parents=True)
        for name in ("sessiond.service", "sessiond.socket"):
            shutil.copy(ROOT / "systemd" / name, units)
        drop_in = units / "sessiond.service.d"
        drop_in.mkdir()
        lines = ["[Service]", "ExecStart=", f"ExecStart={shlex.join(exec_start)}", *settings]
        lines += [f"Environment={shlex.quote(f'{name}={value}')}" for name, value in (environment or {}).items()]
        lines += [f"StandardOutput=append:{self.log}", f"StandardError=append:{self.log}"]
        (drop_in / "test.conf").write_text("\n".join(lines) + "\n")
        self.systemctl("daemon-reload")

    @property
    def socket(self) -> Path:
        """Where sessiond.socket listens."""
        return self.runtime / "sessiond" / "api.sock"


@contextlib.contextmanager
def user_manager() -> Iterator[UserManager]:
    """Start a user manager, and afterwards end every process it has and remove every trace of it."""
    mounted = _cgroup2()
    assert mounted is not None
    # not tmp_path: a socket's path may have 107 characters
    folder = Path(tempfile.mkdtemp(prefix="sdum-"))
    group = mounted / folder.name
    for name in ("home", "run"):
        (folder / name).mkdir(mode=0o700)
    group.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            # should the tests themselves be killed, the kernel ends this process and with it the namespace
            [
                "setpriv",
                "--pdeathsig=KILL",
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                _FIRST_PROCESS,
            ],
            env=_environment(folder / "home", folder / "run") | {"GROUP": folder.name},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        manager = UserManager(folder, process.pid)
        _until(lambda: (manager.runtime / "systemd/private").exists() or process.poll() is not None)
        assert process.poll() is None, manager.log.read_text()
        manager.systemctl("is-system-running", "--wait", check=False)
        yield manager
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        _until(lambda: all(not _members(path) for path in _tree(group)))
        for path in _tree(group):
            path.rmdir()
        shutil.rmtree(folder)


def _environment(home: Path, runtime: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/sh",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(runtime),
    }


def _cgroup2() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(where, os.W_OK):
            return Path(where)
    return None


def _tree(group: Path) -> list[Path]:
    """A control group with the groups below it, the deepest first."""
    return sorted((path for path in (group, *group.rglob("*")) if path.is_dir()), reverse=True)


def _members(group: Path) -> str:
    return (group / "cgroup.procs").read_text()


def _until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Wait for what the kernel and systemd have no event for."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
