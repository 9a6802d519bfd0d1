"""A Slurm cluster on this machine: a login node and two compute nodes, with everything that can go wrong at hand."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from . import config, layout
from .config import ALICE
from .network import LOGIN, NODES
from .reports import FORMAT, Call, Job, call_of, fields_of, jobs_of
from .site import Site
from .waiting import until

CONTROLLER_PORT, NODE_PORT = 6817, 6818


class Cluster(Site):
    """Slurm on the hosts of a `Site`; its commands, too, return when what they do has happened.

    The controller and munge are on the login node, a slurmd on each node, and users' calls are written down.
    """

    scheduler = "slurm"

    def reset(self) -> None:
        """Back to a fresh cluster: every fault mended, no job, no process or file of a user. Job ids go on counting."""
        self._mend_network()
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
        self._mend_sshd()
        self.cancel_all()
        self.nodes_usable()
        self._empty()
        os.truncate(config.calls_file(self.folder), 0)

    def submit(self, script: str, *options: str, user: str = ALICE) -> str:
        """Submit the lines of a bash script over ssh, with sbatch's ``options`` as a shell there reads them; its id."""
        done = self.ssh("sbatch", "--parsable", *options, user=user, text=f"#!/bin/bash\n{script}\n")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().partition(";")[0]

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

    # The same as with any other scheduler.

    def server_stop(self, *, crash: bool = False) -> None:
        """`ctld_stop`."""
        self.ctld_stop(crash=crash)

    def server_start(self) -> None:
        """`ctld_start`."""
        self.ctld_start()

    def server_freeze(self) -> None:
        """`ctld_freeze`."""
        self.ctld_freeze()

    def server_thaw(self) -> None:
        """`ctld_thaw`."""
        self.ctld_thaw()

    def submit_calls(self) -> int:
        """`sbatch_calls`."""
        return self.sbatch_calls()

    def until_running(self, number: str, limit_s: float = 30.0) -> Job:
        """Wait until a job runs."""
        return self.until_job(number, "RUNNING", limit_s=limit_s)

    def until_queued(self, number: str, limit_s: float = 30.0) -> Job:
        """Wait until a job waits for nodes."""
        return self.until_job(number, "PENDING", limit_s=limit_s)

    def until_ended(self, number: str, limit_s: float = 30.0) -> Job:
        """Wait until a job is over, in whatever way."""
        ends = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL")
        return self.until_job(number, *ends, limit_s=limit_s)

    def active(self) -> list[Job]:
        """The jobs that have not ended, whatever they wait for."""
        return self.jobs("PENDING,CONFIGURING,RUNNING,SUSPENDED,COMPLETING")

    def munge_stop(self) -> None:
        """End munged, which vouches for users on all hosts."""
        self._end(LOGIN, lambda one: one.name == "munged")

    def munge_start(self) -> None:
        """Start munged, if it does not run."""
        host = self.hosts[LOGIN]
        if not host.named("munged"):
            folder = self.folder / "munge"
            layout.empty(folder / "run")
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
        while active := [job.id for job in self.active()]:
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

    # Inner parts.

    def _start_all(self) -> None:
        self._start(LOGIN)
        _at_once(*(partial(self._start, node) for node in NODES))
        self.nodes_usable()

    def _start(self, host: str) -> None:
        start_sshd = partial(super()._start, host)
        if host == LOGIN:
            self.munge_start()
            _at_once(self.ctld_start, start_sshd)
        else:
            self.slurmd_start(host)
            start_sshd()

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


def _at_once(*calls: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
