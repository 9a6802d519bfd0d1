"""What the contract of all batch schedulers needs of each of them: the same acts, in its own words."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar

from sessiond.api.wire import Session

from .bed import LOGIN, AnyCluster, Cluster, PbsCluster
from .bed.cluster import CONTROLLER_PORT
from .bed.fixtures import fresh_cluster, fresh_pbs
from .bed.host import Process, end
from .bed.person import Person
from .bed.talking import awaits_answer, has_unread
from .bed.waiting import until


class Bench(ABC):
    """A cluster on which the contract is tried. Jobs are named by their ids."""

    submitter: ClassVar[str]
    held: ClassVar[tuple[str, ...]]
    """Directives of a job that waits until it is let go."""
    shortest: ClassVar[str]
    """The shortest walltime, as ``--time`` has it."""
    cluster: AnyCluster

    @abstractmethod
    def fill(self) -> None:
        """Take all of the cluster's processors, so that the next job has to wait."""

    @abstractmethod
    def requeue(self, job: str) -> None:
        """Those who run the cluster put a running job back into the queue."""

    @abstractmethod
    def suspend(self, job: str) -> None:
        """They suspend a running job."""

    @abstractmethod
    def resume(self, job: str) -> None:
        """They let it go on."""

    @abstractmethod
    def let_go(self, job: str) -> None:
        """Its owner lets a held job go."""

    @abstractmethod
    def cancel(self, job: str) -> None:
        """Its owner cancels a job by hand."""

    @abstractmethod
    def forget(self, job: str) -> None:
        """The scheduler forgets a job that is over."""

    @abstractmethod
    def limit_s(self, job: str) -> int:
        """The job's walltime as the scheduler has it."""

    @abstractmethod
    def has_sent(self, pid: int) -> bool:
        """Whether a process has said what it had to say to the scheduler's server, which is frozen."""

    def kill_submitter(self) -> None:
        """Once a submission has been sent, kill the command that waits for its answer."""
        host = self.cluster.hosts[LOGIN]
        waiting: list[Process] = []

        def waits() -> bool:
            waiting[:] = [one for one in host.named(self.submitter) if self.has_sent(one.pid)]
            return bool(waiting)

        until(waits, "a submission waits for its answer")
        end(waiting)


class SlurmBench(Bench):
    """A real Slurm."""

    submitter = "sbatch"
    held = ("--hold",)
    shortest = "1"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster: Cluster = cluster

    def fill(self) -> None:
        """Both nodes, whole."""
        self.cluster.until_running(self.cluster.submit("sleep 600", "--exclusive", "--nodes=2", "--time=60"))

    def has_sent(self, pid: int) -> bool:
        """What it said lies unread at the controller's end. With munge it talks before that, over another socket."""
        return has_unread(pid, CONTROLLER_PORT)

    def requeue(self, job: str) -> None:
        """Scontrol requeue."""
        assert 0 == self.cluster.sh(LOGIN, "scontrol", "requeue", job).returncode

    def suspend(self, job: str) -> None:
        """Scontrol suspend."""
        assert 0 == self.cluster.sh(LOGIN, "scontrol", "suspend", job).returncode

    def resume(self, job: str) -> None:
        """Scontrol resume."""
        assert 0 == self.cluster.sh(LOGIN, "scontrol", "resume", job).returncode

    def let_go(self, job: str) -> None:
        """Scontrol release."""
        assert 0 == self.cluster.ssh(f"scontrol release {job}").returncode

    def cancel(self, job: str) -> None:
        """Scancel."""
        assert 0 == self.cluster.ssh(f"scancel {job}").returncode

    def forget(self, job: str) -> None:
        """By itself, once it need not keep jobs for long; it looks once a minute."""
        self._keep_jobs(2)
        until(lambda: job not in {one.id for one in self.cluster.jobs()}, "the controller has forgotten", 90)
        self._keep_jobs(self.cluster.settings.min_job_age_s)

    def _keep_jobs(self, seconds: int) -> None:
        file = self.cluster.etc / "slurm/slurm.conf"
        new = file.with_name("slurm.conf.new")
        new.write_text(re.sub(r"(?<=^MinJobAge=)\d+", str(seconds), file.read_text(), flags=re.MULTILINE))
        new.replace(file)
        assert 0 == self.cluster.sh(LOGIN, "scontrol", "reconfigure").returncode

    def limit_s(self, job: str) -> int:
        """H:MM:SS."""
        hours, minutes, seconds = map(int, self.cluster.job(job)["TimeLimit"].split(":"))
        return hours * 3600 + minutes * 60 + seconds


class PbsBench(Bench):
    """The stand-in for PBS."""

    submitter = "qsub"
    held = ("-h",)
    shortest = "00:00:20"

    def __init__(self, cluster: PbsCluster) -> None:
        self.cluster: PbsCluster = cluster

    def fill(self) -> None:
        """Both nodes, whole."""
        self.cluster.until_running(self.cluster.submit("sleep 600", "-l", "select=2:ncpus=4", "-l", "walltime=1:0:0"))

    def has_sent(self, pid: int) -> bool:
        """It sleeps with its only connection open."""
        return awaits_answer(pid)

    def requeue(self, job: str) -> None:
        """Qrerun by an operator."""
        self.cluster.requeue(job)

    def suspend(self, job: str) -> None:
        """Qsig -s suspend by an operator."""
        self.cluster.suspend(job)

    def resume(self, job: str) -> None:
        """Qsig -s resume by an operator."""
        self.cluster.resume(job)

    def let_go(self, job: str) -> None:
        """Qrls."""
        assert 0 == self.cluster.ssh(f"{self.cluster.bin}/qrls {job}").returncode

    def cancel(self, job: str) -> None:
        """Qdel."""
        assert 0 == self.cluster.ssh(f"{self.cluster.bin}/qdel {job}").returncode

    def forget(self, job: str) -> None:
        """Its history has run out."""
        self.cluster.until_ended(job)
        self.cluster.forget(job)

    def limit_s(self, job: str) -> int:
        """H:MM:SS, or seconds."""
        total = 0
        for part in self.cluster.job(job)["Resource_List.walltime"].split(":"):
            total = total * 60 + int(part)
        return total


@contextlib.contextmanager
def bench(scheduler: str) -> Iterator[Bench]:
    """A cluster of the contract's own, impatient: it gives up within seconds."""
    if scheduler == "slurm":
        with fresh_cluster(message_timeout_s=2, slurmd_timeout_s=2) as slurm:
            yield SlurmBench(slurm)
    else:
        with fresh_pbs() as pbs:
            yield PbsBench(pbs)


# What a person does.


def start(me: Person, name: str, *more: str, service: str = "where") -> Session:
    """sessionctl start, until it runs."""
    done = me.ctl("start", service, "--on", "bed", "--name", name, *(more or ("--time", "30")))
    assert 0 == done.status, done.err + me.log.read_text()
    return me.client.session(name)


def begin(me: Person, name: str, *directives: str) -> None:
    """A session is asked for, and not waited for."""
    me.client.start({"service": "where", "cluster": "bed", "name": name, "time": "30", "directives": list(directives)})


def looked(me: Person, name: str, condition: Callable[[Session], bool], limit_s: float = 30) -> Session:
    """Look at the cluster until a condition holds of a session: of what runs a look is taken once a minute only."""

    def holds() -> bool:
        me.ctl("ls", "--fresh")
        return condition(me.client.session(name))

    until(holds, f"{name} is as it should be", limit_s, every_s=1)
    return me.client.session(name)


def seen(me: Person, name: str, state: str, limit_s: float = 30) -> Session:
    """Look at the cluster until a session is in a state."""
    return looked(me, name, lambda one: one["state"] == state, limit_s)
