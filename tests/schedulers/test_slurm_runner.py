"""What runs on the node: a job's script, run here as Slurm would run it, and the signals Slurm would send."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.core.events import Staged
from sessiond.core.session import Session
from sessiond.schedulers.slurm import Slurm
from tests.daemon.traces import marked

from .machine import PROLOGUE, Machine, alive, eventually, folder

KILL = b'echo "killed $SESSIOND_RUN" >>killed\n'
WAIT = PROLOGUE + "echo $$ >main.pid; (setsid sleep 600 & echo $! >stray.pid); sleep 600 & wait $!\n"


class Node:
    """A machine that runs jobs."""

    def __init__(self, machine: Machine) -> None:
        """Nothing runs yet."""
        self.machine = machine
        self.jobs: list[subprocess.Popen[bytes]] = []

    def staged(self, script: str, *, walltime_s: int | None = None, kill_script_s: int = 20) -> Session:
        """A session whose files are in place."""
        made, dialect = self.machine.session(walltime_s=walltime_s), Slurm(kill_script_s=kill_script_s)
        bundle = {"session.sh": script.encode(), "kill.sh": KILL}
        assert Staged() == dialect.read_stage(made, self.machine.run(dialect.stage(made, bundle)))
        return made

    def begin(self, session: Session, *, restarts: int = 0) -> subprocess.Popen[bytes]:
        """Slurm starts the job."""
        environ = {**self.machine.environ, "SLURM_JOB_ID": "4711"}
        if restarts:
            environ["SLURM_RESTART_COUNT"] = str(restarts)
        with (folder(session) / "logs.out").open("ab") as log:
            job = subprocess.Popen(
                [self.machine.bin / "bash" if self.machine.shell == "busybox" else "bash", "job.sh"],
                cwd=folder(session),
                env=environ,
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


@pytest.fixture
def node(machine: Machine) -> Iterator[Node]:
    """A machine that runs jobs."""
    made = Node(machine)
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
    assert ("3", "exit", "4711.0") == (record(session)["status"], record(session)["reason"], record(session)["run"])
    assert "killed 4711.0\n" == text(session, "killed")
    assert stray_is_gone(session)


def test_restarted_job_is_another_run(node: Node) -> None:
    """A requeued job has its number and the count of its restarts, and its kill script runs again."""
    session = node.staged(PROLOGUE)
    node.begin(session).wait(timeout=30)
    node.begin(session, restarts=2).wait(timeout=30)
    assert "4711.0\n4711.2\n" == text(session, "runs")
    assert "4711.2" == record(session)["run"]
    assert "killed 4711.0\nkilled 4711.2\n" == text(session, "killed")


def test_told_to_stop_it_runs_the_kill_script_and_ends_all(node: Node) -> None:
    """The mark, then TERM for the batch shell alone."""
    session, job = started(node)
    (folder(session) / "stop").write_text("1 soft\n")
    job.send_signal(signal.SIGTERM)
    job.wait(timeout=40)
    assert ("stopped", "killed 4711.0\n") == (record(session)["reason"], text(session, "killed"))
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
    assert ("walltime", "killed 4711.0\n") == (record(session)["reason"], text(session, "killed"))
    assert stray_is_gone(session)


def test_early_warning_takes_no_time_away(node: Node) -> None:
    """Slurm sends its signal up to a minute early: the session goes on until its own notice."""
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
    assert [] == [line for line in processes() if session.tag in line]


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
    session = node.staged('port=62999; echo "1 1 $SESSIOND_TAG" >/tmp/$port.port.used; echo $port >ports; kill -9 $$\n')
    node.begin(session).wait(timeout=30)
    assert not Path("/tmp/62999.port.used").exists()


def test_node_without_the_folder_says_so(node: Node) -> None:
    """Slurm begins in /tmp where the folder is missing."""
    session = node.staged(PROLOGUE)
    (folder(session) / "session.sh").unlink()
    assert 66 == node.begin(session).wait(timeout=20)
    assert "the session's folder is not there on" in text(session, "logs.out")
