"""What runs on the node: a job's script, run here as its scheduler would run it, and the signals it would send."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from sessiond.core.events import Staged
from sessiond.core.session import Session
from sessiond.schedulers.batch.dialect import Batch
from sessiond.schedulers.pbs.dialect import Pbs
from sessiond.schedulers.slurm.dialect import Slurm
from tests.daemon.traces import marked

from .machine import PROLOGUE, Machine, alive, eventually, folder

KILL = b'echo "killed $SESSIOND_RUN" >>killed\n'
WAIT = PROLOGUE + "echo $$ >main.pid; (setsid sleep 600 & echo $! >stray.pid); sleep 600 & wait $!\n"


class Node(ABC):
    """A machine that runs jobs of a scheduler's."""

    job: ClassVar[str]
    """The job's id."""

    def __init__(self, machine: Machine) -> None:
        """Nothing runs yet."""
        self.machine = machine
        self.jobs: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def dialect(self, kill_script_s: int) -> Batch:
        """The scheduler's dialect."""

    @abstractmethod
    def environ(self, session: Session, restarts: int) -> dict[str, str]:
        """What the scheduler tells a job."""

    @abstractmethod
    def cwd(self, session: Session) -> Path:
        """Where the scheduler begins a job."""

    def staged(self, script: str, *, walltime_s: int | None = None, kill_script_s: int = 20) -> Session:
        """A session whose files are in place."""
        made, dialect = self.machine.session(walltime_s=walltime_s), self.dialect(kill_script_s)
        bundle = {"session.sh": script.encode(), "kill.sh": KILL}
        assert Staged() == dialect.read_stage(made, self.machine.run(dialect.stage(made, bundle)))
        return made

    def begin(self, session: Session, *, restarts: int = 0) -> subprocess.Popen[bytes]:
        """The scheduler starts the job."""
        with (folder(session) / "logs.out").open("ab") as log:
            job = subprocess.Popen(
                [self.machine.bin / "bash" if self.machine.shell == "busybox" else "bash", folder(session) / "job.sh"],
                cwd=self.cwd(session),
                env={**self.machine.environ, **self.environ(session, restarts)},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.jobs.append(job)
        return job

    def close(self) -> None:
        """Nothing is left."""
        for job in self.jobs:
            job.kill()
            job.wait()


class SlurmNode(Node):
    """It tells a job how often it was restarted, and begins where it was submitted."""

    job = "4711"

    def dialect(self, kill_script_s: int) -> Batch:
        """Slurm's."""
        return Slurm(kill_script_s=kill_script_s)

    def environ(self, session: Session, restarts: int) -> dict[str, str]:
        """Number and count."""
        return {"SLURM_JOB_ID": self.job} | ({"SLURM_RESTART_COUNT": str(restarts)} if restarts else {})

    def cwd(self, session: Session) -> Path:
        """The session's folder."""
        return folder(session)


class PbsNode(Node):
    """It tells a job its id alone, and begins in the home folder."""

    job = "4711.pbs"

    def dialect(self, kill_script_s: int) -> Batch:
        """That of PBS."""
        return Pbs(kill_script_s=kill_script_s)

    def environ(self, session: Session, restarts: int) -> dict[str, str]:
        """The id, and where it was submitted."""
        nodes = self.machine.root / "nodes"
        nodes.write_text("node7.cluster\nnode8.cluster\n")
        return {"PBS_JOBID": self.job, "PBS_O_WORKDIR": str(folder(session)), "PBS_NODEFILE": str(nodes)}

    def cwd(self, session: Session) -> Path:
        """Home."""
        return self.machine.root


@pytest.fixture(params=[SlurmNode, PbsNode])
def node(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Node]:
    """A machine that runs jobs."""
    made: Node = request.param(machine)
    yield made
    made.close()


def record(session: Session) -> dict[str, str]:
    """The exit record."""
    lines = (folder(session) / "exit").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def text(session: Session, name: str) -> str:
    """A file of the session, or nothing."""
    path = folder(session) / name
    return path.read_text() if path.exists() else ""


def started(node: Node, **options: int) -> tuple[Session, subprocess.Popen[bytes]]:
    """A session that waits, with a process that left its group."""
    session = node.staged(WAIT, **options)
    job = node.begin(session)
    eventually(lambda: text(session, "stray.pid").strip() and text(session, "main.pid").strip())
    return session, job


def stray_is_gone(session: Session) -> bool:
    """Whether the process that left the session's group has ended."""
    return not alive(int(text(session, "stray.pid")))


def test_session_that_ends_by_itself_leaves_nothing(node: Node) -> None:
    """Its own status, its kill script on the node, and no process that left its group."""
    session = node.staged(PROLOGUE + "(setsid sleep 600 & echo $! >stray.pid); exit 3\n")
    job = node.begin(session)
    assert 3 == job.wait(timeout=30)
    assert ("3", "exit", f"{node.job}.0") == (
        record(session)["status"],
        record(session)["reason"],
        record(session)["run"],
    )
    assert f"killed {node.job}.0\n" == text(session, "killed")
    assert stray_is_gone(session)


@pytest.mark.parametrize("how", ["by itself", "told"])
def test_what_hides_its_mark_ends_with_the_job(node: Node, how: str) -> None:
    """As nginx does: it is in the job's process session. What another job's is, is left alone."""
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    session = node.staged(
        PROLOGUE + f"env -i sleep 600 & echo $! >hidden.pid; {'exit 3' if how == 'by itself' else 'wait'}\n"
    )
    job = node.begin(session)
    eventually(lambda: bool(text(session, "hidden.pid").strip()))
    if how == "told":
        (folder(session) / "stop").write_text("1 soft\n")
        job.send_signal(signal.SIGTERM)
    job.wait(timeout=40)
    assert not alive(int(text(session, "hidden.pid")))
    assert other.poll() is None
    other.kill()
    other.wait()


def test_restarted_job_is_another_run(node: Node) -> None:
    """A requeued job has its number and the count of its restarts, and its kill script runs again."""
    session = node.staged(PROLOGUE)
    node.begin(session).wait(timeout=30)
    node.begin(session, restarts=1).wait(timeout=30)
    first, second = f"{node.job}.0", f"{node.job}.1"
    assert f"{first}\n{second}\n" == text(session, "runs")
    assert second == record(session)["run"]
    assert f"killed {first}\nkilled {second}\n" == text(session, "killed")


def test_told_to_stop_it_runs_the_kill_script_and_ends_all(node: Node) -> None:
    """The mark, then TERM for the batch shell alone."""
    session, job = started(node)
    (folder(session) / "stop").write_text("1 soft\n")
    job.send_signal(signal.SIGTERM)
    job.wait(timeout=40)
    assert ("stopped", f"killed {node.job}.0\n") == (record(session)["reason"], text(session, "killed"))
    assert stray_is_gone(session)


def test_stopped_by_force_it_goes_without_its_kill_script(node: Node) -> None:
    """The mark says so."""
    session, job = started(node)
    (folder(session) / "stop").write_text("1 force\n")
    job.send_signal(signal.SIGTERM)
    job.wait(timeout=40)
    assert ("stopped", "") == (record(session)["reason"], text(session, "killed"))
    assert stray_is_gone(session)


def test_job_that_starts_after_the_stop_runs_nothing(node: Node) -> None:
    """Told to go before it had begun."""
    session = node.staged(PROLOGUE)
    (folder(session) / "stop").write_text("1 soft\n")
    assert 0 == node.begin(session).wait(timeout=20)
    assert ("stopped", "") == (record(session)["reason"], text(session, "runs"))


def test_term_from_elsewhere_is_no_stop_of_ours(node: Node) -> None:
    """Preempted, requeued, cancelled by a person: the scheduler knows which."""
    session, job = started(node)
    job.send_signal(signal.SIGTERM)
    job.wait(timeout=40)
    assert "signal:TERM" == record(session)["reason"]
    assert stray_is_gone(session)


def test_end_of_the_walltime_is_an_end_in_order(node: Node) -> None:
    """USR2, and the time is nearly over: the kill script, the rest, and the record says why."""
    session, job = started(node)
    job.send_signal(signal.SIGUSR2)
    job.wait(timeout=40)
    assert ("walltime", f"killed {node.job}.0\n") == (record(session)["reason"], text(session, "killed"))
    assert stray_is_gone(session)


def test_early_warning_takes_no_time_away(node: Node) -> None:
    """Slurm sends its signal up to a minute early: the session goes on until its own notice, of another process."""
    session, job = started(node, walltime_s=3600)
    job.send_signal(signal.SIGUSR2)
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(timeout=1.5)
    assert "" == text(session, "killed")
    job.send_signal(signal.SIGUSR2)
    job.wait(timeout=40)
    assert "walltime" == record(session)["reason"]
    # What would have given that notice must not outlive the session: its signal would find another process one day.
    assert [] == marked(f"SESSIOND_TAG={session.tag}")
    # Who looked for the mark bears the tag in its command line; it was told to go as the runner's last act.
    eventually(lambda: [] == [line for line in processes() if session.tag in line], within_s=5)


def processes() -> list[str]:
    """The command lines of all processes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_session_that_is_killed_leaves_a_record(node: Node) -> None:
    """By whom is not known, but by what."""
    session = node.staged("kill -9 $$\n")
    assert 137 == node.begin(session).wait(timeout=30)
    assert ("137", "signal:KILL") == (record(session)["status"], record(session)["reason"])


def test_session_hears_an_interrupt(node: Node) -> None:
    """Notebooks interrupt their kernels with SIGINT: what the session runs must not be deaf to it."""
    session = node.staged(PROLOGUE + "grep SigIgn /proc/self/status >ignored\n")
    node.begin(session).wait(timeout=30)
    ignored = int(text(session, "ignored").split()[1], 16)
    assert 0 == ignored & (1 << (signal.SIGINT - 1) | 1 << (signal.SIGQUIT - 1) | 1 << (signal.SIGTERM - 1))


def test_reserved_ports_are_given_back(node: Node) -> None:
    """A watcher that was killed could not."""
    port = 90000 + os.getpid() % 9000  # no session of another test has such a one
    reservation = Path(f"/tmp/{port}.port.used")
    session = node.staged(f'echo "1 1 $SESSIOND_TAG" >{reservation}; echo {port} >ports; touch reserved; kill -9 $$\n')
    node.begin(session).wait(timeout=30)
    assert (folder(session) / "reserved").exists()
    assert not reservation.exists()


def test_node_without_the_folder_says_so(node: Node) -> None:
    """Slurm begins in /tmp where the folder is missing, PBS in the home folder."""
    session = node.staged(PROLOGUE)
    (folder(session) / "session.sh").unlink()
    assert 66 == node.begin(session).wait(timeout=20)
    assert "the session's folder is not there on" in text(session, "logs.out")
