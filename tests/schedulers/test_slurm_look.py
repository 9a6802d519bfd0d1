"""One look at a cluster's jobs: what is read from squeue's listing, and what is not believed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.ids import SessionId
from sessiond.core.observe import ABSENT_LOOKS, Absence, compare
from sessiond.core.session import Outcome, Phase, State
from sessiond.schedulers.slurm.dialect import Slurm

from .slurm_site import ASIDE, HEADER, ID, JOB, RS, US, line, listing, look, recording, said, session, word

HERE = (f"{JOB}.0", "node1", "8888", "http", "")


def read(*records: list[str], rc: int = 0) -> object:
    """What a reply at time 2000 is read as."""
    return Slurm().read_observe([session()], said(*records, rc=rc), 2000.0, 2000.5)


def test_running_job_has_its_node_times_and_endpoint() -> None:
    """Where it runs, since when, until when, and where its service listens."""
    seen = look(line(), words=[word(endpoint=HERE)])
    report = seen.jobs[JOB]
    assert (Phase.RUNNING, ("node1",), 1000.0, 4600.0) == (report.phase, report.nodes, report.started, report.ends_by)
    assert ("node1", 8888) == (seen.endpoints[session().id].host, seen.endpoints[session().id].port)


def test_recorded_listing_is_read() -> None:
    """Slurm 22.05's own words, of jobs in many states, a name with a line break among them."""
    real = recording("listing_mixed")
    done = said(["clock", "2000"], ["jobs", real.out], ["said", str(real.rc), real.err], word())
    rows = [row.split(US) for row in real.out.splitlines() if row[:1].isdigit() and "sd-m" not in row]
    assert 8 < len(rows)
    for row in rows:
        mine = session(row[0])
        seen = Slurm().read_observe([mine], done, 2000.0, 2000.5)
        assert mine.job is not None
        assert mine.job.id in seen.jobs


def test_column_this_slurm_does_not_know_is_noticed() -> None:
    """It is left out with exit status 0 (recorded): the header is not the one asked for, and nothing is believed."""
    real = recording("listing_unknown_field")
    assert 0 == real.rc
    with pytest.raises(Unreadable):
        read(["clock", "2000"], ["jobs", real.out], ["said", "0", ""], word())


@pytest.mark.parametrize("name", ["down_squeue", "munge_down_squeue", "squeue_bad_user"])
def test_scheduler_in_trouble_changes_nothing(name: str) -> None:
    """Controller down, munge down, an error text with exit status 0: no job is gone, there is no answer."""
    real = recording(name)
    for rc in (real.rc, 0):
        with pytest.raises(Unreadable):
            read(["clock", "2000"], ["jobs", real.out], ["said", str(rc), real.err], word())


@pytest.mark.parametrize(
    "records",
    [
        listing(header=""),
        listing(line(), header=""),
        listing(rc=1),
        listing(line(), rc=124),
        listing(err="slurm_load_jobs error: Socket timed out on send/recv operation"),
        listing(line("5"), err="slurm_load_jobs error: Socket timed out on send/recv operation"),
        listing(line(), header="", err="squeue: error: no more was heard"),
        listing(line()[: len(line()) // 2]),
        [["clock", "2000"], ["jobs", f"{HEADER}\n{line()}"], ["said", "0", ""]],
        [["clock", "noon"], ["jobs", f"{HEADER}\n"], ["said", "0", ""]],
        [["jobs", f"{HEADER}\n"], ["said", "0", ""]],
        [["clock", "2000"], ["said", "0", ""]],
    ],
)
def test_listing_that_is_not_whole_is_unreadable(records: list[list[str]]) -> None:
    """No header, an exit status, words of trouble without our job, half a line: nothing is believed."""
    with pytest.raises(Unreadable):
        read(*records, word())


def test_every_beginning_of_a_reply_is_unreadable() -> None:
    """An answer that was cut off anywhere says nothing about any job."""
    whole = said(*listing(line(), line("5")), word(endpoint=HERE)).stdout
    for length in range(len(whole)):
        with pytest.raises(Unreadable):
            Slurm().read_observe([session()], Completed(rc=0, stdout=whole[:length], stderr=b""), 1.0, 2.0)


@given(st.binary(max_size=300), st.integers(min_value=-9, max_value=255))
def test_garbage_is_unreadable(garbage: bytes, rc: int) -> None:
    """Whatever bytes come, with any exit status."""
    with pytest.raises(Unreadable):
        Slurm().read_observe([session()], Completed(rc=rc, stdout=garbage, stderr=b""), 1.0, 2.0)


@given(st.text(max_size=200))
def test_garbage_between_good_lines_ends_nothing(noise: str) -> None:
    """A listing with anything in it tells of our job what its line says, or nothing at all."""
    noise = noise.replace(RS, "?")
    try:
        seen = look(noise, line())
    except Unreadable:
        return
    assert Phase.RUNNING is seen.jobs[JOB].phase


def test_empty_listing_is_a_look_without_the_job() -> None:
    """The header proves that squeue answered; the job is not listed, which is no end."""
    seen = look()
    assert {} == seen.jobs
    events, absences = compare(seen, [session()], {})
    assert ([], 1) == (events, absences[session().id].looks)


def test_greetings_and_cluster_names_are_no_harm() -> None:
    """A site's wrapper may greet, and a federation names its clusters."""
    assert JOB in look("CLUSTER: mars", "Welcome!", line(), "").jobs


def test_words_on_stderr_that_are_no_trouble_are_no_harm() -> None:
    """A site announces its maintenance there."""
    done = said(*listing(line(), err="Maintenance on Monday from 8 am"), word())
    assert JOB in Slurm().read_observe([session()], done, 2000.0, 2000.5).jobs


def test_words_of_trouble_take_nothing_from_what_is_listed() -> None:
    """A job that such a listing does not have may be there all the same, however often that is so."""
    mine, other = session(), replace(session("5"), id=SessionId("0123456789ff"))
    done = said(*listing(line(), err="squeue: error: a sibling cannot be reached"), word(), word())
    seen = Slurm().read_observe([mine, other], done, 2000.0, 2000.5)
    assert ({JOB}, False) == (set(seen.jobs), seen.whole)
    absences = {other.id: Absence(1, 1000.0)}
    for _ in range(ABSENT_LOOKS + 1):
        events, absences = compare(seen, [mine, other], absences)
        assert other.id not in {told for told, _ in events}
    assert {other.id: Absence(1, 1000.0)} == absences


def test_what_slurm_leaves_aside_in_its_configuration_is_no_trouble() -> None:
    """It complains of it at every call: a job that is not listed is not listed."""
    done = said(*listing(err=f"{ASIDE}\n{ASIDE}"), word())
    seen = Slurm().read_observe([session()], done, 2000.0, 2000.5)
    assert ({}, True) == (seen.jobs, seen.whole)


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.HELD, Phase.RUNNING, Phase.SUSPENDED])
def test_unknown_state_changes_nothing(phase: Phase) -> None:
    """What a newer Slurm may say of a job leaves it as it is known."""
    of = session(phase=phase)
    assert phase is look(line(state="TELEPORTING"), of=of).jobs[JOB].phase


def test_requeued_job_waits_and_forgets_its_endpoint() -> None:
    """The same number, one restart more: what the first run published is not of the second."""
    waiting = look(
        line(state="PENDING", reason="BeginTime", restartcnt="1", starttime="2100"), words=[word(endpoint=HERE)]
    )
    report = waiting.jobs[JOB]
    assert (Phase.QUEUED, 1, 2100.0) == (report.phase, report.restarts, report.expected_start)
    assert {} == waiting.endpoints
    assert {} == look(line(restartcnt="1"), words=[word(endpoint=HERE)]).endpoints
    second = (f"{JOB}.1", "node2", "8889", "http", "")
    assert 1 == len(look(line(restartcnt="1", batchhost="node2"), words=[word(endpoint=second)]).endpoints)


def test_completing_job_is_not_over() -> None:
    """A requeue passes through it."""
    seen = look(line(state="COMPLETING"))
    assert Phase.COMPLETING is seen.jobs[JOB].phase
    assert ([], {}) == compare(seen, [replace(session(), state=State.RUNNING)], {})


def test_preempted_job_may_come_back() -> None:
    """Only a minute later it counts as ended."""
    of = line(state="PREEMPTED", endtime="2000")
    assert Phase.COMPLETING is look(of, at=2030).jobs[JOB].phase
    later = look(of, at=2100).jobs[JOB]
    assert (Phase.ENDED, Outcome.PREEMPTED) == (later.phase, later.outcome)


def test_revoked_job_runs_elsewhere() -> None:
    """In a federation the siblings of a job that started are revoked: its own line counts, or it waits."""
    assert Phase.RUNNING is look(line(state="REVOKED"), line()).jobs[JOB].phase
    alone = look(line(state="REVOKED")).jobs[JOB]
    assert (Phase.QUEUED, "another cluster of the federation took it over") == (alone.phase, alone.reason)


def test_array_is_its_liveliest_task() -> None:
    """Tasks have numbers of their own, and their array's."""
    seen = look(line("4712", "COMPLETED", arrayjobid=JOB), line("4713", "RUNNING", arrayjobid=JOB))
    assert Phase.RUNNING is seen.jobs[JOB].phase


def test_number_given_twice_is_not_ours() -> None:
    """A job of our number that bears another session's mark is another job."""
    seen = look(line(name="sd-000000000000"))
    assert {} == seen.jobs
    assert JOB in look(line(name="renamed by a person")).jobs


def test_times_are_by_our_clock() -> None:
    """A cluster an hour ahead: what it says happened an hour earlier by our clock."""
    done = said(*listing(line(starttime="5500", endtime="9100"), clock="5600"), word())
    seen = Slurm().read_observe([session()], done, 2000.0, 2000.0)
    assert (1900.0, 5500.0) == (seen.jobs[JOB].started, seen.jobs[JOB].ends_by)


def test_same_times_seen_again_are_no_news() -> None:
    """The answer's way takes now longer, now shorter: a job's times do not move for that."""
    known = session(phase=Phase.RUNNING)
    assert known.job is not None
    known = replace(
        known,
        state=State.START,
        job=replace(known.job, nodes=("node1",), started=1900.0, ends_by=5500.0),
    )
    done = said(*listing(line(starttime="5500", endtime="9100"), clock="5600"), word())
    seen = Slurm().read_observe([known], done, 1997.0, 1998.0)
    assert ([], {}) == compare(seen, [known], {})


def test_unlimited_job_has_no_end() -> None:
    """Its end in a year is none."""
    assert look(line(timelimit="UNLIMITED", endtime="31537000")).jobs[JOB].ends_by is None


@pytest.mark.parametrize("start", ["N/A", "Unknown", "", "1999", "2026-11-22T17:40:15"])
def test_start_that_nobody_knows_is_none(start: str) -> None:
    """A guess that is missing, or past, is none."""
    assert look(line(state="PENDING", starttime=start)).jobs[JOB].expected_start is None


def test_failure_counts_for_its_own_run_only() -> None:
    """What the first run gave up with does not end the second."""
    of_first = [word(status="1", run=f"{JOB}.0", reason="exit", failure="no licence")]
    assert "no licence" == look(line(), words=of_first).failures[session().id].message
    assert {} == look(line(restartcnt="1"), words=of_first).failures


@pytest.mark.parametrize(
    ("state", "fields", "own", "outcome", "message"),
    [
        ("TIMEOUT", {}, {}, Outcome.WALLTIME, "walltime was over"),
        ("DEADLINE", {}, {}, Outcome.WALLTIME, "deadline passed"),
        ("FAILED", {"exit_code": "36608"}, {"status": "143", "reason": "walltime"}, Outcome.WALLTIME, "walltime"),
        ("OUT_OF_MEMORY", {}, {}, Outcome.OUT_OF_MEMORY, "more memory"),
        ("NODE_FAIL", {}, {}, Outcome.NODE_FAILED, "node failed"),
        ("BOOT_FAIL", {}, {}, Outcome.NODE_FAILED, "node failed"),
        ("CANCELLED", {}, {}, Outcome.CANCELLED, "cancelled on the cluster"),
        ("FAILED", {"exit_code": "1792"}, {}, Outcome.FAILED, "ended with status 7"),
        ("FAILED", {"exit_code": "9", "reason": "JobLaunchFailure"}, {}, Outcome.FAILED, "signal KILL"),
        ("FAILED", {"exit_code": "4021", "reason": "JobLaunchFailure"}, {}, Outcome.FAILED, "workdir shared"),
        ("FAILED", {"exit_code": "16896"}, {}, Outcome.FAILED, "workdir shared"),
        ("FAILED", {"exit_code": "256"}, {"status": "1", "failure": "no licence"}, Outcome.FAILED, "no licence"),
        ("FAILED", {"exit_code": "256"}, {"status": "139", "reason": "signal:SEGV"}, Outcome.FAILED, "signal SEGV"),
        ("SOMETHING_FAILED", {}, {}, None, ""),
    ],
)
def test_ends_are_in_words(
    state: str, fields: dict[str, str], own: dict[str, str], outcome: Outcome | None, message: str
) -> None:
    """How a job ended, and why, with the session's own word first."""
    mine = word(**({"run": f"{JOB}.0", **own} if own else {}))
    report = look(line(state=state, endtime="1500", **fields), words=[mine]).jobs[JOB]
    assert outcome is report.outcome
    if message:
        assert report.problem is not None
        assert message in report.problem.message


def test_completed_job_has_no_problem() -> None:
    """It is over as it should be."""
    report = look(line(state="COMPLETED")).jobs[JOB]
    assert (Outcome.COMPLETED, None) == (report.outcome, report.problem)


def test_thousands_of_jobs_are_one_look() -> None:
    """A person's 5,000 other jobs are no reason to lose sight of one."""
    others = [line(str(number), "PENDING", name=f"array {number}") for number in range(10_000, 15_000)]
    seen = look(*others, line(), words=[word(endpoint=HERE)])
    assert ({JOB}, {ID}) == ({*seen.jobs}, {*seen.endpoints})


def test_missing_squeue_is_no_answer_and_has_a_remedy() -> None:
    """Where the command is not found, nothing is known."""
    with pytest.raises(Unreadable) as raised:
        read(["missing", "there is no squeue on login1"], rc=69)
    assert "setup" in raised.value.hint


def test_looks_and_cancellations_are_urgent() -> None:
    """They do not wait behind uploads."""
    dialect = Slurm()
    assert dialect.observe([session()]).urgent
    assert dialect.cancel(session(), force=False).urgent
    assert not dialect.submit(session(), 1).urgent
