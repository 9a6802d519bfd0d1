"""A Slurm cluster on this machine: a login node and two compute nodes, with everything that can go wrong at hand."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Self

from . import config, layout
from .config import ALICE, SHELLS, Settings
from .host import Host, Process, end
from .network import HOSTS, LOGIN, NODES, Network
from .number import Number, abandoned, take
from .reports import FORMAT, Call, Job, call_of, fields_of, jobs_of
from .waiting import until

CONTROLLER_PORT, NODE_PORT = 6817, 6818
SCRATCH_MB = 32


class Cluster:
    """A bed; nothing exists before `up` and nothing is left after `down`.

    Every method that changes something returns when the change has happened. What a host is told to lose (a daemon, its
    power, its cable) stays lost until the method beside it or `reset` brings it back. The methods raise AssertionError
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
        """Bring everything up; returns when both nodes take jobs. Whatever fails, nothing is left."""
        try:
            self._up()
        except BaseException:
            self.down()
            raise

    def _up(self) -> None:
        assert self._bed is None, "the cluster is up"
        for number in abandoned():
            _sweep(number)
        number = take()
        self._undo.callback(number.give_back)
        bed = self._bed = Path(tempfile.mkdtemp(prefix=f"sdbed{number.value}-")).resolve()
        self._undo.callback(shutil.rmtree, bed)
        number.remember(bed)
        network = self._network = Network(number=number.value)
        self.scratch.mkdir()
        options = f"size={SCRATCH_MB}m,mode=1777"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, f"sdbed{number.value}", str(self.scratch)], check=True)
        self._undo.callback(_unmount, self.scratch)
        self._undo.callback(network.remove)
        network.add()
        layout.make(bed, network, self.settings)
        self.hosts = {name: Host(name, bed, network) for name in HOSTS}
        for host in self.hosts.values():
            self._undo.callback(host.power_off)
            host.launch()
        for host in self.hosts.values():
            host.booted()
        self._start_login()
        _at_once(*(partial(self._start_node, node) for node in NODES))
        self.nodes_usable()

    def down(self) -> None:
        """Take everything away, whatever state it is in; what cannot be taken away does not keep the rest."""
        undo, self._undo = self._undo, contextlib.ExitStack()
        try:
            undo.close()
        finally:
            self._bed = self._network = None
            self.hosts = {}
            self._changed_sshd.clear()

    def reset(self) -> None:
        """Back to a fresh cluster: every fault mended, no job, no process or file of a user. Job ids go on counting."""
        self.heal()
        self.cable(plugged=True)
        self.rate(None)
        self.slow_prolog(0)
        self.slow_epilog(0)
        self.ctld_thaw()
        if not self.hosts[LOGIN].is_on:
            self.boot(LOGIN)
        # before the nodes: without munge or a controller slurmd does not get through its start
        self.munge_start()
        self.ctld_start()
        for node in NODES:
            if not self.hosts[node].is_on:
                self.boot(node)
            self.slurmd_start(node)
        for name in sorted(self._changed_sshd):
            self.sshd_set(name)
        for name in HOSTS:
            self.sshd_start(name)
        self.cancel_all()
        self.nodes_usable()
        users = {self.uid(user) for user in SHELLS}
        for name in HOSTS:
            self._end(name, lambda one: one.uid in users)
            # only what lies in its own file system: paths of the machine may be mounted below
            self.sh(name, "find", "/tmp", "/dev/shm", "-xdev", "-mindepth", "1", "-delete")
        _empty(self.scratch)
        for user in SHELLS:
            layout.fill_home(self.folder, user, self.network)
        os.truncate(config.calls_file(self.folder), 0)

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

    def submit(self, script: str, *options: str, user: str = ALICE) -> str:
        """Submit the lines of a bash script over ssh, with sbatch's ``options`` as a shell there reads them; its id."""
        done = self.ssh("sbatch", "--parsable", *options, user=user, text=f"#!/bin/bash\n{script}\n")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().partition(";")[0]

    # Hosts.

    def power_off(self, host: str) -> None:
        """A power cut: its processes are gone at one moment, and nothing answers for it any more."""
        if host == LOGIN:
            self.network.cut()
        else:
            self.network.node_cable(host, plugged=False)
        self.hosts[host].power_off()

    def boot(self, host: str) -> None:
        """Power on, with all its daemons; /tmp is empty then. `nodes_usable` waits until the controller knows of it."""
        if host == LOGIN:
            self.network.heal()
        else:
            self.network.node_cable(host, plugged=True)
        self.hosts[host].launch()
        self.hosts[host].booted()
        if host == LOGIN:
            self._start_login()
        else:
            self._start_node(host)

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

    # Slurm's daemons and munge.

    def ctld_stop(self, *, crash: bool = False) -> None:
        """End the controller; with ``crash`` at once, which loses what it did in the last seconds."""
        self._end(LOGIN, lambda one: one.name == "slurmctld", signal.SIGKILL if crash else signal.SIGTERM)

    def ctld_start(self) -> None:
        """Start the controller, if it does not run, and wait until it answers."""
        if not self.hosts[LOGIN].named("slurmctld"):
            self.hosts[LOGIN].start("/usr/sbin/slurmctld", "-i")
        until(lambda: self.hosts[LOGIN].listens(CONTROLLER_PORT), "the controller listens")
        until(self._controller_answers, "the controller answers")

    def ctld_freeze(self) -> None:
        """Stop the controller in its tracks: it takes connections and never answers."""
        self._signal_all(LOGIN, "slurmctld", signal.SIGSTOP, "T")

    def ctld_thaw(self) -> None:
        """Let the controller go on, if it is there."""
        if self.hosts[LOGIN].is_on:
            self._signal_all(LOGIN, "slurmctld", signal.SIGCONT, "RSD")

    def munge_stop(self) -> None:
        """End munged, which vouches for users on all hosts."""
        self._end(LOGIN, lambda one: one.name == "munged")

    def munge_start(self) -> None:
        """Start munged, if it does not run."""
        host = self.hosts[LOGIN]
        if not host.named("munged"):
            folder = self.folder / "munge"
            _empty(folder / "run")
            files = {"key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
            words = [f"--{option}={folder}/{file}" for option, file in files.items()]
            host.start("/usr/sbin/munged", "--socket=/run/munge/munge.socket.2", *words)

    def slurmd_stop(self, node: str) -> None:
        """Kill a node's slurmd; what runs in jobs goes on."""
        self._end(node, lambda one: one.name == "slurmd")

    def slurmd_start(self, node: str) -> None:
        """Start a node's slurmd, if it does not run."""
        host = self.hosts[node]
        if not host.named("slurmd"):
            host.start("/usr/sbin/slurmd", "-N", node)
        until(lambda: host.listens(NODE_PORT), f"slurmd on {node} listens")

    def nodes_usable(self, limit_s: float = 30.0) -> None:
        """Wait until the controller gives jobs to all nodes that are on."""
        wanted = {node for node in NODES if self.hosts[node].is_on}
        until(lambda: wanted <= self._usable(), "the nodes take jobs", limit_s, every_s=0.04)

    def slow_prolog(self, seconds: float) -> None:
        """Let every job from now on be CONFIGURING for so long; 0 ends that, also for those that are."""
        self._slow("prolog", seconds)

    def slow_epilog(self, seconds: float) -> None:
        """Let every job from now on be COMPLETING for so long; 0 ends that, also for those that are."""
        self._slow("epilog", seconds)

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

    # What the cluster knows.

    def jobs(self, states: str = "all") -> list[Job]:
        """The jobs in ``states`` (a list with commas, as squeue takes it). Not counted as a call."""
        done = self._real("squeue", "--noheader", "--array", f"--states={states}", f"--format={FORMAT}")
        return jobs_of(done)

    def job(self, number: str) -> Mapping[str, str]:
        """All that the controller says of a job: the fields of ``scontrol show job``. Not counted as a call."""
        return fields_of(self._real("scontrol", "--oneliner", "show", "job", number))

    def until_job(self, number: str, *states: str, limit_s: float = 30.0) -> Job:
        """Wait until a job is in one of ``states`` (such as RUNNING)."""
        found: list[Job] = []

        def is_there() -> bool:
            found[:] = [job for job in self.jobs() if job.id == number]
            return any(job.state in states for job in found)

        try:
            until(is_there, f"job {number} is {' or '.join(states)}", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {found}") from None
        return found[0]

    def cancel_all(self) -> None:
        """Cancel every job and wait until none is left, not even one that is ending."""
        end_by = time.monotonic() + 30
        last = -1.0
        while active := [job.id for job in self.jobs("PENDING,CONFIGURING,RUNNING,SUSPENDED,COMPLETING")]:
            assert time.monotonic() < end_by, f"jobs do not end: {active}"
            # again after a while: a controller that crashed may have forgotten the first time
            if time.monotonic() - last > 2:
                last = time.monotonic()
                self._real("scancel", *active)
            time.sleep(0.05)

    def calls(self, program: str | None = None) -> list[Call]:
        """The calls of Slurm's programs, or of one of them, by users since the last reset, the oldest first."""
        found = [call_of(line) for line in config.calls_file(self.folder).read_text(errors="replace").splitlines()]
        return [call for call in found if program in (None, call.program)]

    def sbatch_calls(self) -> int:
        """How many times users called sbatch since the last reset."""
        return len(self.calls("sbatch"))

    # Disks.

    def fill_disk(self) -> None:
        """Write `scratch` full to the last byte."""
        with (self.scratch / ".filling").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))

    def free_disk(self) -> None:
        """Take the filling away again."""
        (self.scratch / ".filling").unlink(missing_ok=True)

    # Inner parts.

    def _start_login(self) -> None:
        self.munge_start()
        _at_once(self.ctld_start, partial(self.sshd_start, LOGIN))

    def _start_node(self, node: str) -> None:
        self.slurmd_start(node)
        self.sshd_start(node)

    def _end(self, host: str, which: Callable[[Process], bool], number: int = signal.SIGKILL) -> None:
        end([one for one in self.hosts[host].processes() if which(one)], number)

    def _signal_all(self, host: str, name: str, number: int, states: str) -> None:
        for one in self.hosts[host].named(name):
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

    def _slow(self, name: str, seconds: float) -> None:
        file = config.slow_file(self.folder, name)
        if seconds:
            file.write_text(f"{round(seconds * 10)}\n")
        else:
            file.unlink(missing_ok=True)

    def _real(self, program: str, *words: str, limit_s: float = 20.0) -> str:
        done = self.sh(LOGIN, f"{self.folder}/real/{program}", *words, limit_s=limit_s)
        assert done.returncode == 0, f"{program} {' '.join(words)}: {done.stderr}"
        return done.stdout

    def _controller_answers(self) -> bool:
        # a client asks a controller that is not there for nine seconds
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self._real("squeue", "--noheader", limit_s=3)
            return True
        return False

    def _usable(self) -> set[str]:
        found: set[str] = set()
        for line in self._real("scontrol", "--oneliner", "show", "node").splitlines():
            node = fields_of(line)
            state = node["State"]
            if re.search(r"DRAIN|DOWN", state) and "NOT_RESPONDING" not in state and "*" not in state:
                self._real("scontrol", "update", f"NodeName={node['NodeName']}", "State=RESUME")
            elif not re.search(r"[*]|DRAIN|DOWN|UNKNOWN|FAIL|NOT_RESPONDING", state):
                found.add(node["NodeName"])
        return found


def _sweep(number: Number) -> None:
    """Remove what a process that was killed left of its bed with this number, and give the number back."""
    left = number.folder
    if left is not None:
        Network(number=number.value).remove()
        _unmount(left / "scratch")
        shutil.rmtree(left, ignore_errors=True)
    number.give_back()


def _unmount(folder: Path) -> None:
    if folder.is_mount():
        # lazily: whoever looks into it must not keep it
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)


def _is_in(stat: Path, states: str) -> bool:
    return stat.read_text().rpartition(")")[2].split()[0] in states


def _at_once(*calls: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
