"""The machines of a bed: hosts with users, disks and sshd behind a network that breaks when told to; no scheduler."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Self

from . import config, layout
from .config import ALICE, SHELLS, Settings
from .disks import Homes, Scratch, unmount
from .host import Host, Process, end
from .network import HOSTS, LOGIN, Network
from .number import Number, abandoned, take
from .waiting import until


class Site:
    """Hosts as `Cluster` has them; nothing exists before `up` and nothing is left after `down`.

    Every method that changes something returns when the change has happened. What a host is told to lose (a daemon, its
    power, its cable) stays lost until the method beside it or `mend` brings it back. The methods raise AssertionError
    when the wanted state does not come, RuntimeError when a part refuses to work.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._undo = contextlib.ExitStack()
        self._bed: Path | None = None
        self._network: Network | None = None
        self.hosts: dict[str, Host] = {}
        self._changed_sshd: set[str] = set()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # Where things are.

    @property
    def folder(self) -> Path:
        """The bed's folder, the same path here and on every host."""
        assert self._bed is not None, "the cluster is down"
        return self._bed

    @property
    def network(self) -> Network:
        """Its wires."""
        assert self._network is not None, "the cluster is down"
        return self._network

    @property
    def address(self) -> str:
        """Where the workspace finds the login node's sshd, on port 22."""
        return self.network.door

    @property
    def key(self) -> Path:
        """The workspace's private key; it opens the login node and the nodes for both users."""
        return self.folder / "keys/workspace"

    @property
    def known_hosts(self) -> Path:
        """The workspace's known hosts: the login node."""
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``: the host ``login``."""
        return self.folder / "ssh_config"

    @property
    def scratch(self) -> Path:
        """A file system of 32 MB that all hosts see under this path, writable by everybody."""
        return self.folder / "scratch"

    @property
    def etc(self) -> Path:
        """/etc of all hosts, to be changed by tests with a cluster of their own: no reset undoes that."""
        return self.folder / "etc"

    @property
    def log(self) -> Path:
        """What daemons and hosts say."""
        return self.folder / "log"

    @property
    def environment(self) -> str:
        """Shell lines for scripts on the hosts, with which services find the environments made on this machine."""
        return layout.environment(self.folder)

    def home(self, user: str = ALICE) -> Path:
        """Where this machine sees what the hosts see as /home/USER."""
        return self.folder / "home" / user

    def uid(self, user: str = ALICE) -> int:
        """A user's number, which no user of this machine has."""
        return layout.uid(user, self.network)

    # The whole.

    def up(self) -> None:
        """Bring everything up; returns when it can be used. Whatever fails, nothing is left."""
        try:
            self._up()
        except BaseException:
            self.down()
            raise

    def _up(self) -> None:
        assert self._bed is None, "the site is up"
        for number in abandoned():
            _sweep(number)
        number = take()
        self._undo.callback(number.give_back)
        bed = self._bed = Path(tempfile.mkdtemp(prefix=f"sdbed{number.value}-")).resolve()
        self._undo.callback(shutil.rmtree, bed)
        number.remember(bed)
        network = self._network = Network(number=number.value)
        self._undo.callback(_unmount, bed)
        self._scratch.mount(f"sdbed{number.value}")
        if self.settings.home_quota_mb:
            self._homes.mount(SHELLS, self.settings.home_quota_mb)
        self._undo.callback(network.remove)
        network.add()
        layout.make(bed, network, self.settings)
        self.hosts = {name: Host(name, bed, network) for name in HOSTS}
        for host in self.hosts.values():
            self._undo.callback(host.power_off)
            host.launch()
        for host in self.hosts.values():
            host.booted()
        self._start_all()

    def down(self) -> None:
        """Take everything away, whatever state it is in; what cannot be taken away does not keep the rest."""
        undo, self._undo = self._undo, contextlib.ExitStack()
        try:
            undo.close()
        finally:
            self._bed = self._network = None
            self.hosts = {}
            self._changed_sshd.clear()

    def _start_all(self) -> None:
        """Start the daemons of all hosts, which have just booted."""
        for host in HOSTS:
            self._start(host)

    def _start(self, host: str) -> None:
        """Start the daemons of a host that has just booted."""
        self.sshd_start(host)

    def _mend_network(self) -> None:
        self.heal()
        self.cable(plugged=True)
        self.rate(None)

    def _mend_sshd(self) -> None:
        for name in sorted(self._changed_sshd):
            self.sshd_set(name)
        for name in HOSTS:
            self.sshd_start(name)

    def _empty(self) -> None:
        """No process and no file of a user is left."""
        users = {self.uid(user) for user in SHELLS}
        for name in HOSTS:
            self._end(name, lambda one: one.uid in users)
            # only what lies in its own file system: paths of the machine may be mounted below
            self.sh(name, "find", "/tmp", "/dev/shm", "-xdev", "-mindepth", "1", "-delete")
        layout.empty(self.scratch)
        for user in SHELLS:
            layout.fill_home(self.folder, user, self.network)

    # Commands.

    def sh(
        self, host: str, *command: str, user: str | None = None, text: str = "", limit_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host, as root or as ``user``, past sshd; ``text`` is its standard input."""
        return self.hosts[host].run(*command, user=user, text=text, limit_s=limit_s)

    def ssh_argv(self, *words: str, user: str = ALICE) -> list[str]:
        """The words of an ssh from the workspace to the login node: options, each in one word, then the command."""
        options = list(takewhile(lambda word: word.startswith("-"), words))
        return ["ssh", "-F", str(self.ssh_config), "-l", user, *options, LOGIN, *words[len(options) :]]

    def ssh(
        self, *words: str, user: str = ALICE, text: str = "", limit_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the login node over ssh from the workspace."""
        return subprocess.run(
            self.ssh_argv(*words, user=user), input=text, text=True, capture_output=True, timeout=limit_s, check=False
        )

    @contextlib.contextmanager
    def connection(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """An ssh from the workspace to the login node for a while; ``words`` as for `ssh_argv`."""
        pipe = subprocess.PIPE
        with subprocess.Popen(self.ssh_argv(*words), stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    # Hosts.

    def power_off(self, host: str) -> None:
        """A power cut: its processes are gone at one moment, and nothing answers for it any more."""
        if host == LOGIN:
            self.network.cut()
        else:
            self.network.node_cable(host, plugged=False)
        self.hosts[host].power_off()

    def boot(self, host: str) -> None:
        """Power on, with all its daemons; /tmp is empty then."""
        if host == LOGIN:
            self.network.heal()
        else:
            self.network.node_cable(host, plugged=True)
        self.hosts[host].launch()
        self.hosts[host].booted()
        self._start(host)

    # The network between workspace and login node.

    def cut(self) -> None:
        """A silent black hole both ways: connections stay open, nothing arrives."""
        self.network.cut()

    def heal(self) -> None:
        """The end of the black hole."""
        self.network.heal()

    def cable(self, *, plugged: bool) -> None:
        """Pull or plug the workspace's cable: unplugged, connecting fails at once."""
        self.network.cable(plugged=plugged)

    def rate(self, mbit: float | None) -> None:
        """Limit the cable to so many Mbit/s each way; None: no limit."""
        self.network.rate(mbit)

    # sshd.

    def sshd_stop(self, host: str) -> None:
        """Kill a host's listening sshd; connections that exist stay."""
        self._end(host, self._is_listener(host))

    def sshd_start(self, host: str) -> None:
        """Start a host's sshd, if it does not listen, and wait until it does."""
        if self._listening_sshd(host):
            return
        config_file, log = f"{self.folder}/keys/{host}.conf", f"{self.log}/sshd.{host}"
        self.hosts[host].start("/usr/sbin/sshd", "-f", config_file, "-E", log)
        until(lambda: self._listening_sshd(host) is not None, f"sshd on {host} listens")

    def sshd_set(self, host: str, **settings: str) -> None:
        """Restart a host's sshd with other settings (``MaxSessions="2"``; none: its own); its connections stay."""
        layout.write_sshd(self.folder, host, self.settings, **settings)
        (self._changed_sshd.add if settings else self._changed_sshd.discard)(host)
        self.sshd_stop(host)
        self.sshd_start(host)

    def sshd_kill_sessions(self, host: str) -> None:
        """Kill the processes of all connections that a host's sshd has; what they ran goes on without them."""
        listener = self._is_listener(host)
        self._end(host, lambda one: one.name.startswith("sshd") and not listener(one))

    # Disks.

    def fill_disk(self) -> None:
        """Write `scratch` full to the last byte."""
        self._scratch.fill()

    def free_disk(self) -> None:
        """Take the filling away again."""
        self._scratch.free()

    def use_up_quota(self, user: str = ALICE) -> None:
        """Have a user's home run into its quota (only with `Settings.home_quota_mb`): nothing can be written there."""
        assert self.settings.home_quota_mb, "homes have no quota"
        self._homes.use_up(user)

    def make_room(self, user: str = ALICE) -> None:
        """Take away from a user's home what used up its quota."""
        self._homes.make_room(user)

    # Inner parts.

    @property
    def _scratch(self) -> Scratch:
        return Scratch(self.scratch)

    @property
    def _homes(self) -> Homes:
        return Homes(self.folder)

    def _end(self, host: str, which: Callable[[Process], bool], number: int = signal.SIGKILL) -> None:
        end([one for one in self.hosts[host].processes() if which(one)], number)

    def _signal_all(self, host: str, name: str, number: int, states: str) -> None:
        for one in self.hosts[host].named(name):
            # a daemon's child has its name until it becomes what it is to run, and may be gone by now
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(one.pid, number)
                stat = Path(f"/proc/{one.pid}/stat")
                until(partial(_is_in, stat, states), f"{name} heeds the signal")

    def _listening_sshd(self, host: str) -> Process | None:
        is_listener = self._is_listener(host)
        return next((one for one in self.hosts[host].processes() if is_listener(one)), None)

    def _is_listener(self, host: str) -> Callable[[Process], bool]:
        """Told from the sshd processes of connections by the pid file, which it writes when it listens."""
        try:
            pid = int(Path(config.sshd_pid_file(self.folder, host)).read_text())
        except (FileNotFoundError, ValueError):
            pid = 0
        return lambda one: one.inner == pid and one.name == "sshd"


def _is_in(stat: Path, states: str) -> bool:
    return stat.read_text().rpartition(")")[2].split()[0] in states


def _sweep(number: Number) -> None:
    """Remove what a process that was killed left of its bed with this number, and give the number back."""
    left = number.folder
    if left is not None:
        Network(number=number.value).remove()
        _unmount(left)
        shutil.rmtree(left, ignore_errors=True)
    number.give_back()


def _unmount(bed: Path) -> None:
    for name in ("scratch", "home"):
        unmount(bed / name)
