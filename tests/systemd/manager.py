"""A real ``systemd --user`` of our own, in namespaces of its own, whatever PID 1 of the machine is.

It runs for root, because the interpreter and the source tree of the tests need not be readable by anybody else; or for
an account of its own, `SOMEBODY`, whose journal can be asked for as one's own, which root's cannot. Mount and PID
namespaces hide it from the machine: when the namespace's first process ends, the kernel ends all the others.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
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
{journal}
echo 0 > "/sys/fs/cgroup/$GROUP/cgroup.procs"
{become} /lib/systemd/systemd --user --log-target=console --log-level=info &
wait
"""

SOMEBODY = 31234
"""An account that exists in the namespaces alone; journald keeps a file for each ordinary one."""

_BECOME = f"setpriv --reuid={SOMEBODY} --regid={SOMEBODY} --clear-groups"

# /run/systemd/journal/flushed makes it write to /var/log/journal at once, in a file for each account. The name of the
# control group is what tells it whose unit a line is from (sd_pid_get_user_unit(3)). A Python in a folder of root's is
# shown in an otherwise empty one.
_JOURNAL = f"""
for file in passwd group; do cp "/etc/$file" "/run/systemd/$file"; done
echo "somebody:x:{SOMEBODY}:{SOMEBODY}::$HOME:/bin/sh" >> /run/systemd/passwd
echo "somebody:x:{SOMEBODY}:" >> /run/systemd/group
for file in passwd group; do mount --bind "/run/systemd/$file" "/etc/$file"; done
if [ -n "$PRIVATE" ]; then
    mkdir /run/systemd/python && mount --bind "$PYTHON" /run/systemd/python
    mount -t tmpfs -o mode=755 tmpfs "$PRIVATE" && mkdir -p "$PYTHON" && mount --bind /run/systemd/python "$PYTHON"
fi
mount -t tmpfs tmpfs /var/log && mkdir -p /var/log/journal /run/systemd/journal
: > /run/systemd/journal/flushed
/lib/systemd/systemd-journald &
until [ -S /run/systemd/journal/stdout ]; do sleep 0.02; done
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

    def __init__(self, folder: Path, pid: int, account: int) -> None:
        self.home = folder / "home"
        self.runtime = folder / "run"
        self.log = folder / "log"
        self._pid = pid
        self._account = account

    @property
    def environment(self) -> dict[str, str]:
        """What programs beside the manager see."""
        return _environment(self.home, self.runtime, self._account)

    @property
    def enter(self) -> list[str]:
        """The words before a command that is to run in the manager's namespaces, as its account."""
        spaces = [f"--mount=/proc/{self._pid}/ns/mnt", f"--pid=/proc/{self._pid}/ns/pid_for_children"]
        return ["nsenter", *spaces, *(_BECOME.split() if self._account else [])]

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the manager's namespaces."""
        done = subprocess.run(
            [*self.enter, *argv],
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
def user_manager(account: int = 0) -> Iterator[UserManager]:
    """Start a user manager, and afterwards end every process it has and remove every trace of it.

    With ``account`` SOMEBODY it is not root's, and there is a journal.
    """
    mounted = _cgroup2()
    assert mounted is not None
    # not tmp_path: a socket's path may have 107 characters
    folder = Path(tempfile.mkdtemp(prefix="sdum-"))
    slice_ = mounted / f"{folder.name}.slice"
    group = slice_ / f"user@{account}.service"
    group.mkdir(parents=True)
    folder.chmod(0o755)
    for name in ("home", "run"):
        (folder / name).mkdir(mode=0o700)
    for path in (folder / "home", folder / "run", group, *group.iterdir()):
        os.chown(path, account, account)
    script = _FIRST_PROCESS.format(journal=_JOURNAL if account else "", become=_BECOME if account else "")
    setting = {
        "GROUP": str(group.relative_to(mounted)),
        "PYTHON": sys.base_prefix,
        "PRIVATE": _private(sys.base_prefix),
    }
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
                script,
            ],
            env=_environment(folder / "home", folder / "run", account) | setting,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        manager = UserManager(folder, process.pid, account)
        until(lambda: (manager.runtime / "systemd/private").exists() or process.poll() is not None)
        assert process.poll() is None, manager.log.read_text()
        # the socket is there a moment before somebody listens
        until(lambda: manager.systemctl("is-system-running", "--wait", check=False) in ("running\n", "degraded\n"))
        yield manager
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        remove_groups(slice_)
        shutil.rmtree(folder)


def _environment(home: Path, runtime: Path, account: int) -> dict[str, str]:
    name = "somebody" if account else "root"
    return {
        "HOME": str(home),
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/sh",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(runtime),
    }


def _private(path: str) -> str:
    """The uppermost folder on the way to ``path`` that not everybody may enter; empty if there is none."""
    way = reversed(Path(path).parents)
    return next((str(part) for part in way if not part.stat().st_mode & stat.S_IXOTH), "")


def _cgroup2() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(where, os.W_OK):
            return Path(where)
    return None


def remove_groups(group: Path) -> None:
    """Remove a control group and those below it, when the last of their processes has gone.

    It is still there for the kernel when cgroup.procs does not show it any more: its other threads end after the first.
    """

    def removed() -> bool:
        try:
            for path in sorted((path for path in (group, *group.rglob("*")) if path.is_dir()), reverse=True):
                path.rmdir()
        except OSError as error:
            # A manager that is just being killed may have removed one itself.
            if error.errno not in (errno.EBUSY, errno.ENOENT):
                raise
            return False
        return True

    until(removed)


def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Wait for what the kernel and systemd have no event for."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
