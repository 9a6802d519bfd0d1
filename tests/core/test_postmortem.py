"""What `why` says of each kind of end: the cause, the evidence, and the next step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiond.core.ids import JobId
from sessiond.core.postmortem import UNEXPECTED, PostMortem, ended_unexpectedly, sentences
from sessiond.core.report import Evidence, Words
from sessiond.core.session import JobRef, Outcome, Phase, Problem, State
from sessiond.core.spec import Mode
from sessiond.core.status import advice, describe
from tests.core.builders import NOW, a_session, a_spec

SACCT = "JobID=7 State={} ExitCode=0:125 ReqMem=2G Elapsed=00:01:00\nJobID=7.batch State=OUT_OF_MEMORY MaxRSS=2000M"
QSTAT = "job_name = sd-x\njob_state = F\nexit_status = -27\ncomment = Job run and exceeded resource mem\nqueue = workq"
AGAIN = "sessionctl start jupyterlab-host --again"
REFUSAL = "the scheduler says: invalid partition specified: nosuch"

GOLDEN: dict[str, tuple[Outcome, Mode, Problem, Evidence, list[str]]] = {
    "rejected by the scheduler": (
        Outcome.REJECTED,
        Mode.SLURM,
        Problem(code="submit", message=REFUSAL, hint="Choose one with --set partition=."),
        Evidence(words=(Words(asked="sbatch", said="sbatch: error: invalid partition specified: nosuch\nmore"),)),
        [
            f"rejected: {REFUSAL}",
            "sbatch: sbatch: error: invalid partition specified: nosuch",
            "Choose one with --set partition=.",
        ],
    ),
    "rejected for a reason nobody knows": (
        Outcome.REJECTED,
        Mode.PBS,
        Problem(code="submit", message="the scheduler says: exit status 1, and no word why"),
        Evidence(),
        [
            "rejected: the scheduler says: exit status 1, and no word why",
            "change what the scheduler names; sessionctl plan asks it without submitting anything",
        ],
    ),
    "walltime": (
        Outcome.WALLTIME,
        Mode.SLURM,
        Problem(code="walltime", message="the job's walltime was over"),
        Evidence(
            words=(Words(asked="scontrol show job", said="JobId=7 JobState=TIMEOUT Reason=TimeLimit ExitCode=0:1"),)
        ),
        [
            "ended at its time limit",
            "scontrol show job: JobState=TIMEOUT; Reason=TimeLimit; ExitCode=0:1",
            "sessionctl start jupyterlab-host --again --time LONGER; while one runs, sessionctl extend asks for more",
        ],
    ),
    "walltime on this machine": (
        Outcome.WALLTIME,
        Mode.LOCAL,
        Problem(code="walltime", message="the session's walltime was over"),
        Evidence(status=143, reason="walltime"),
        [
            "ended at its time limit",
            "its script's exit record: status 143 (walltime)",
            "sessionctl start jupyterlab-host --again --time LONGER",
        ],
    ),
    "node failure": (
        Outcome.NODE_FAILED,
        Mode.SLURM,
        Problem(code="node-failed", message="the job's node failed or did not start"),
        Evidence(words=(Words(asked="sacct", said="JobID=7 State=NODE_FAIL ExitCode=1:0 Comment=k3f9q2m7x0ab"),)),
        [
            "ended: its node failed",
            "sacct: State=NODE_FAIL; ExitCode=1:0",
            "sessionctl start jupyterlab-host --again; the scheduler avoids a node that it knows to be down",
        ],
    ),
    "the machine was restarted": (
        Outcome.NODE_FAILED,
        Mode.LOCAL,
        Problem(code="restarted", message="the machine was restarted while the session ran"),
        Evidence(missing=()),
        [
            "ended: its node failed: the machine was restarted while the session ran",
            "sessionctl start jupyterlab-host --again",
        ],
    ),
    "out of memory": (
        Outcome.OUT_OF_MEMORY,
        Mode.SLURM,
        Problem(
            code="out-of-memory",
            message="the job used more memory than it had asked for",
        ),
        Evidence(words=(Words(asked="sacct", said=SACCT.format("OUT_OF_MEMORY")),), peak_memory=2000 << 20),
        [
            "ended: out of memory",
            "sacct: State=OUT_OF_MEMORY; ExitCode=0:125; ReqMem=2G; MaxRSS=2000M",
            "most memory used: 1.953 GiB",
            "sessionctl start jupyterlab-host --again --set memory=MORE",
        ],
    ),
    "out of memory under PBS": (
        Outcome.OUT_OF_MEMORY,
        Mode.PBS,
        Problem(code="out-of-memory", message="the job used more memory than it had asked for"),
        Evidence(words=(Words(asked="qstat -f", said=QSTAT),), peak_memory=2 << 30),
        [
            "ended: out of memory",
            "qstat -f: job_state=F; exit_status=-27; comment=Job run and exceeded resource mem",
            "most memory used: 2 GiB",
            "sessionctl start jupyterlab-host --again --set memory=MORE",
        ],
    ),
    "killed": (
        Outcome.FAILED,
        Mode.LOCAL,
        Problem(code="exit", message="the session's script was killed by signal KILL (out of memory?)"),
        Evidence(status=137, reason="signal:KILL"),
        [
            "failed: the session's script was killed by signal KILL (out of memory?)",
            "its script's exit record: status 137 (signal KILL)",
            (
                "where it ran, dmesg or journalctl -k say whether memory ran out: then use less; "
                "sessionctl start jupyterlab-host --again"
            ),
        ],
    ),
    "preempted": (
        Outcome.PREEMPTED,
        Mode.SLURM,
        Problem(code="preempted", message="the job had to make room for one of higher priority"),
        Evidence(),
        [
            "ended: preempted",
            "sessionctl start jupyterlab-host --again; in another partition, queue or QOS it may not be preempted",
        ],
    ),
    "displayErrorMessage": (
        Outcome.FAILED,
        Mode.SLURM,
        Problem(code="service", message="the licence server does not answer"),
        Evidence(status=1, reason="exit", failure="the licence server does not answer"),
        [
            "failed: the licence server does not answer",
            "its script's exit record: status 1",
            "its script said: the licence server does not answer",
            f"sessionctl logs lab shows all of its output; once that is mended, {AGAIN}",
        ],
    ),
    "the service ended": (
        Outcome.FAILED,
        Mode.LOCAL,
        Problem(code="exit", message="the session's script ended with status 7"),
        Evidence(status=7, reason="exit"),
        [
            "failed: the session's script ended with status 7",
            "its script's exit record: status 7",
            f"sessionctl logs lab shows all of its output; once that is mended, {AGAIN}",
        ],
    ),
    "cancelled by somebody": (
        Outcome.CANCELLED,
        Mode.SLURM,
        Problem(code="cancelled", message="cancelled on the cluster by uid 0"),
        Evidence(words=(Words(asked="sacct", said="State=CANCELLED by 0 ExitCode=0:15"),)),
        [
            "cancelled on the cluster by uid 0",
            "sacct: State=CANCELLED by 0; ExitCode=0:15",
            f"if it was not you, ask the cluster's administrators who it was; {AGAIN} starts it anew",
        ],
    ),
    "lost": (
        Outcome.LOST,
        Mode.SLURM,
        Problem(code="history-timeout", message="nobody could say what became of the job"),
        Evidence(missing=()),
        [
            "lost: nobody could say what became of the job",
            "sessionctl logs lab shows what it wrote; the cluster's administrators can look for job 4711",
        ],
    ),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_each_kind_of_end(kind: str) -> None:
    """The phrase names the cause, then comes what is known, then what to do."""
    outcome, mode, problem, evidence, expected = GOLDEN[kind]
    spec = replace(a_spec(), mode=mode, workflow="jupyterlab-host")
    job = JobRef(id=JobId("4711"), cluster=spec.cluster, attempt=1, phase=Phase.ENDED)
    session = replace(
        a_session(State.ENDED), name="lab", spec=spec, outcome=outcome, problem=problem, job=job, ready_at=NOW - 60
    )
    found = PostMortem(at=NOW, complete=True, evidence=evidence)
    assert expected == [describe(session, NOW).phrase, *sentences(found), advice(session)]


def test_a_service_that_never_answered_in_its_time() -> None:
    """More time may not be what it lacks: its log comes first."""
    session = replace(a_session(State.ENDED), name="lab", outcome=Outcome.WALLTIME, ready_at=None)
    assert "ended at its time limit before its service answered" == describe(session, NOW).phrase
    assert advice(session).startswith("sessionctl logs lab shows what it did instead of answering; ")


def test_stopped_from_here_is_no_riddle() -> None:
    """Whoever stopped a session asks nobody why it ended; only of one that somebody else ended is something kept."""
    stopped = replace(a_session(State.ENDED), ending=Outcome.CANCELLED, outcome=Outcome.CANCELLED, problem=None)
    assert ("stopped", "", False) == (describe(stopped, NOW).phrase, advice(stopped), ended_unexpectedly(stopped))
    others = replace(stopped, ending=None, problem=Problem(code="cancelled", message="cancelled on the cluster"))
    assert ended_unexpectedly(others)
    assert "cancelled on the cluster" == describe(others, NOW).phrase


def test_every_unexpected_end_has_a_next_step() -> None:
    """Whether it has a problem with a hint or not; what was meant has none, but where nobody was there."""
    for outcome in Outcome:
        session = replace(a_session(State.ENDED), outcome=outcome, problem=None)
        assert (outcome in {*UNEXPECTED, Outcome.IDLE}) == bool(advice(session)), outcome
        assert ended_unexpectedly(session) == (outcome in UNEXPECTED)
        asked = replace(session, ending=Outcome.CANCELLED, outcome=Outcome.CANCELLED)
        assert (False, "") == (ended_unexpectedly(asked), advice(asked))
    assert "" == advice(a_session(State.RUNNING))
    assert not ended_unexpectedly(a_session(State.RUNNING))


def test_where_it_was_and_what_is_missing() -> None:
    """The node, the ways there, and a sentence for each thing that could not be had."""
    found = PostMortem(
        at=NOW,
        complete=True,
        node="n042",
        link="unreachable for 3 min: no route to host",
        tunnel="connection refused (2026-01-31T09:30:00.123Z)",
        missing=("its log: no answer in time",),
    )
    assert [
        "it ran on n042",
        "the last trouble on the way to its service: connection refused (2026-01-31T09:30:00.123Z)",
        "the connection to its cluster: unreachable for 3 min: no route to host",
        "not to be had: its log: no answer in time",
    ] == sentences(found)
    assert "not there yet: its log: no answer in time" == sentences(replace(found, complete=False))[-1]


def test_a_hostile_record_stays_short() -> None:
    """Whatever a job is called and however long a comment is."""
    words = Words(asked="sacct", said="State=" + "x" * 5000)
    (line,) = sentences(PostMortem(at=NOW, complete=True, evidence=Evidence(words=(words,))))
    assert len(line) < 320
