"""What runs on a node of PBS beyond what runs on every node: the mark seen, the walltime kept, the runs counted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from sessiond.core.session import Session
from tests.processes import stats

from .machine import PROLOGUE, Machine, eventually, folder
from .test_batch_runner import WAIT, PbsNode, record, started, stray_is_gone, text

QSTAT = """#!/bin/sh
# A stand-in for qstat on a node: says what the file `said` says of the job.
echo "$*" >>"$HOME/asked"
cat "$HOME/said"
"""


@pytest.fixture
def node(machine: Machine) -> Iterator[PbsNode]:
    """A machine that runs jobs of PBS; it has no qstat."""
    (machine.bin / "qstat").unlink(missing_ok=True)
    made = PbsNode(machine)
    yield made
    made.close()


def says(node: PbsNode, limit: str, used: str) -> None:
    """From now on the server is asked on the node, and says this of the job's time."""
    (node.machine.root / "said").write_text(
        f"Job Id: {node.job}\n    resources_used.walltime = {used}\n    Resource_List.walltime = {limit}\n"
    )
    (node.machine.bin / "qstat").write_text(QSTAT)
    (node.machine.bin / "qstat").chmod(0o755)


def began(session: Session) -> list[str]:
    """What the runner wrote when it began."""
    return text(session, "pbs.began").split()


def test_mark_is_seen_without_a_signal(node: PbsNode) -> None:
    """It appears in the folder, and the session ends in order."""
    session, job = started(node)
    (folder(session) / "stop").write_text("1 soft\n")
    assert 0 == job.wait(timeout=40)
    assert ("stopped", f"killed {node.job}.0\n") == (record(session)["reason"], text(session, "killed"))
    assert stray_is_gone(session)


def test_walltime_ends_it_before_the_server_does(node: PbsNode) -> None:
    """A quarter of a short walltime before its end, by its own clock."""
    session, job = started(node, walltime_s=8)
    assert 0 == job.wait(timeout=40)
    assert ("walltime", f"killed {node.job}.0\n") == (record(session)["reason"], text(session, "killed"))
    assert stray_is_gone(session)


def test_walltime_that_was_raised_is_kept(node: PbsNode) -> None:
    """What `extend` left in the folder counts, and after that what the server says."""
    session = node.staged(WAIT, walltime_s=4)
    (folder(session) / "pbs.limit").write_text("3600\n")
    job = node.begin(session)
    eventually(lambda: "" != text(session, "main.pid"))
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(timeout=7)
    (folder(session) / "stop").write_text("1 force\n")
    job.wait(timeout=40)


def test_job_that_was_suspended_has_its_whole_walltime(node: PbsNode) -> None:
    """By our clock it is over; the server says how much of it was used, and is asked once the time is near."""
    says(node, "01:00:00", "00:00:02")
    session, job = started(node, walltime_s=4)
    eventually(lambda: (node.machine.root / "asked").exists())
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(timeout=3)
    assert f"-f {node.job}\n" == (node.machine.root / "asked").read_text()
    (folder(session) / "stop").write_text("1 force\n")
    job.wait(timeout=40)


def test_limit_that_was_not_asked_for_is_learnt(node: PbsNode) -> None:
    """A queue's own default is kept as one's own wish would be; of a short one, a quarter is left for the end."""
    says(node, "00:00:12", "00:00:08")
    _, job = started(node)
    assert 0 == job.wait(timeout=30)
    assert f"-f {node.job}\n" == (node.machine.root / "asked").read_text().splitlines(keepends=True)[0]


def test_it_says_which_run_it_is_and_where(node: PbsNode) -> None:
    """Its job, how many runs began before, its process session; the node by its scheduler's name."""
    session = node.staged(PROLOGUE + 'echo "$SESSIOND_NODE" >node\n')
    for number in range(3):
        job = node.begin(session)
        job.wait(timeout=30)
        assert [node.job, str(number), str(job.pid)] == began(session)
        assert f"{node.job}.{number}" == record(session)["run"]
    assert "node7.cluster\n" == text(session, "node")


def test_job_bears_the_id_that_it_was_submitted_under(node: PbsNode) -> None:
    """A server that calls itself in full on its nodes and in short to qsub, or the other way round."""
    session = node.staged(PROLOGUE)
    for attempt, job in enumerate(("4710.pbs", "4711.pbs.cluster.example", "4712"), 1):
        (folder(session) / f"attempt.{attempt}").mkdir()
        (folder(session) / f"attempt.{attempt}" / "jobid").write_text(f"{job}\n")
    node.begin(session).wait(timeout=30)
    assert "4711.pbs.cluster.example.0" == record(session)["run"]


def test_folder_that_is_elsewhere_on_the_node_is_where_it_was_submitted(node: PbsNode) -> None:
    """The home folder differs: where qsub was called is looked at then."""
    session = node.staged(PROLOGUE)
    script = folder(session) / "job.sh"
    script.write_text(script.read_text().replace(session.spec.jobdir, "/nonexistent/sessiond"))
    assert 0 == node.begin(session).wait(timeout=20)
    assert "0" == record(session)["status"]


def test_nothing_of_the_attendant_outlives_the_job(node: PbsNode) -> None:
    """Who looks for the mark goes with the runner."""
    session, job = started(node)
    (folder(session) / "stop").write_text("1 soft\n")
    job.wait(timeout=40)
    eventually(lambda: [] == [pid for pid, fields in stats() if int(fields[3]) == job.pid], within_s=5)
