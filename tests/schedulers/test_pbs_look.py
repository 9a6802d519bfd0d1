"""One look at jobs under PBS: what is read of each, which run it is, and what is not believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sessiond.core.errors import Bug, Unreadable
from sessiond.core.observe import compare
from sessiond.core.session import Outcome, Phase, Session, State
from sessiond.schedulers.pbs.dialect import Pbs

from .pbs_words import (
    JOB,
    OVER,
    WAITS,
    began,
    block,
    here,
    known,
    listing,
    look,
    report,
    session,
    when,
)
from .slurm_site import ID, said, word

GONE = f"qstat: Unknown Job Id {JOB}\n"
RAN_BEFORE = WAITS | {"run_count": "1"}


def other(number: int) -> Session:
    """Another session, whose job has this number."""
    made = session(f"{number}.pbs01")
    ident = f"{number:012d}"
    return replace(made, id=ident, spec=replace(made.spec, jobdir=f"/home/alice/sessiond/{ident}"))  # type: ignore[arg-type]


def test_running_job_has_its_node_times_and_endpoint() -> None:
    """Where it runs, since when, until when, and where its service listens."""
    seen = look(block(), words=[here(f"{JOB}.0")])
    job = seen.jobs[JOB]
    assert (Phase.RUNNING, ("n1",), 1000.0, 4600.0, "", 0) == (
        job.phase,
        job.nodes,
        job.started,
        job.ends_by,
        job.reason,
        job.restarts,
    )
    assert ("n1", 8888, f"{JOB}.0") == (seen.endpoints[session().id].host, 8888, seen.endpoints[session().id].run)


def test_of_several_jobs_one_is_unknown() -> None:
    """The others are listed all the same, with exit status 153: only the one that was named is not."""
    sessions = [session(), other(5), other(6)]
    mine = {"Variable_List": "", "Job_Name": "x"}
    seen = look(block(), block("6.pbs01", mine), of=sessions, rc=153, err="qstat: Unknown Job Id 5.pbs01\n")
    assert {JOB, "6.pbs01"} == {*seen.jobs}
    events, absences = compare(seen, sessions, {})
    assert {sessions[1].id} == {*absences}
    assert sessions[1].id not in {ident for ident, _ in events}


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.HELD, Phase.RUNNING, Phase.SUSPENDED])
@pytest.mark.parametrize("rc", [0, 35, 153])
def test_job_that_is_neither_listed_nor_named_is_as_it_was(phase: Phase, rc: int) -> None:
    """Nothing was learnt of it: no absence is counted, and no end."""
    of = known(
        session(phase=phase, restarts=2), nodes=("n7",), reason="r", started=1.0, ends_by=2.0, expected_start=3.0
    )
    err = "" if rc == 0 else "qstat: Unknown Job Id 5.pbs01\n"
    seen = look(of=of, rc=rc, err=err, words=[here(f"{JOB}.2")])
    job = seen.jobs[JOB]
    assert (phase, ("n7",), "r", 1.0, 2.0, 3.0, 2) == (
        job.phase,
        job.nodes,
        job.reason,
        job.started,
        job.ends_by,
        job.expected_start,
        job.restarts,
    )
    assert ({}, {}) == (seen.endpoints, compare(seen, [of], {})[1])


@pytest.mark.parametrize(
    "err",
    [
        GONE,
        f"Welcome to pbs01!\n{GONE}",
        "qstat: Unknown Job Id Error 4711.pbs01.example.org\n",
        "qstat: Unknown Job Id 4711\n",
        f"qstat: {JOB} Job has finished, use -x or -H to obtain historical job information\n",
    ],
)
def test_job_that_is_named_is_absent(err: str) -> None:
    """In OpenPBS's and in Torque's words, with the server's name in short or in full."""
    seen = look(rc=35 if "finished" in err else 153, err=err)
    assert {} == seen.jobs
    assert 1 == compare(seen, [session()], {})[1][session().id].looks


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        ("4711.pbs01", "4711.pbs01.example.org"),
        ("4711.pbs01.example.org", "4711.pbs01"),
        ("4711.pbs01", "4711"),
        ("4711", "4711.pbs01"),
    ],
)
def test_server_s_name_may_be_short_or_long(listed: str, asked: str) -> None:
    """qsub names it in one way and qstat in another."""
    of = session(asked)
    seen = look(block(listed), of=of, marks=[began(job=listed)], words=[here(f"{listed}.0")])
    assert Phase.RUNNING is seen.jobs[of.job.id].phase  # type: ignore[union-attr]
    assert f"{asked}.0" == seen.endpoints[of.id].run


@pytest.mark.parametrize("listed", ["4711.pbs02", "47110.pbs01", "711.pbs01", "4711[].pbs01", "4711[0].pbs01"])
def test_other_jobs_are_not_ours(listed: str) -> None:
    """Another server's, another number's, an array's and its parts'."""
    of = session(phase=Phase.HELD)
    assert Phase.HELD is look(block(listed, OVER), of=of).jobs[JOB].phase
    assert Phase.RUNNING is report(block(listed, OVER), block(), block(listed, OVER)).phase


@pytest.mark.parametrize(
    ("host", "vnode", "node"),
    [
        ("n1.cluster.example.org/0*4+n2.cluster.example.org/0*4", "", "n1.cluster.example.org"),
        ("i5n14/2*7+i5n15/0*8", "", "i5n14"),
        ("n0163/2,7,10-11+n0072/0-1", "", "n0163"),
        ("node-0686/24", "", "node-0686"),
        ("", "(vn_1:ncpus=4:mem=1gb)+(vn_2:ncpus=4)", "vn_1"),
        ("", "", ""),
        ("/0", "", ""),
    ],
)
def test_first_node_is_where_the_session_runs(host: str, vnode: str, node: str) -> None:
    """In each form that is known, with names in full."""
    assert ((node,) if node else ()) == report(block(JOB, {"exec_host": host, "exec_vnode": vnode})).nodes


def test_node_that_is_not_told_is_as_it_was() -> None:
    """A job that exits may have none any more."""
    of = known(session(phase=Phase.RUNNING), nodes=("n7",))
    assert ("n7",) == report(block(JOB, {"exec_host": "", "exec_vnode": "", "job_state": "E"}), of=of).nodes


def test_requeued_job_waits_and_says_why() -> None:
    """The same number, one run more."""
    job = report(block(JOB, RAN_BEFORE, {"comment": "Not Running: Not enough free nodes available"}))
    assert (Phase.QUEUED, 1, "waiting for free nodes", ()) == (job.phase, job.restarts, job.reason, job.nodes)


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.HELD, Phase.RUNNING, Phase.SUSPENDED])
@pytest.mark.parametrize("state", ["Z", "0", "", "r"])
def test_unknown_state_changes_nothing(phase: Phase, state: str) -> None:
    """What a newer PBS may say of a job leaves it as it is known."""
    assert phase is report(block(JOB, {"job_state": state}), of=session(phase=phase)).phase


def test_exiting_job_is_not_over() -> None:
    """A requeue passes through it."""
    seen = look(block(JOB, {"job_state": "E"}))
    assert Phase.COMPLETING is seen.jobs[JOB].phase
    assert ([], {}) == compare(seen, [replace(session(), state=State.RUNNING)], {})


def test_job_is_over_at_its_own_time() -> None:
    """Its problem's time is when PBS says that it ended, else when it was seen."""
    failed = OVER | {"Exit_status": "7"}
    for changes, at in (
        (failed, 1500.0),
        (failed | {"history_timestamp": "", "obittime": when(1400)}, 1400.0),
        (failed | {"history_timestamp": "", "comp_time": when(1300)}, 1300.0),
        (failed | {"history_timestamp": "", "mtime": when(1200)}, 1200.0),
        (failed | {"history_timestamp": "", "mtime": ""}, 2000.5),
    ):
        job = report(block(JOB, changes))
        assert job.problem is not None
        assert (Phase.ENDED, Outcome.FAILED, at) == (job.phase, job.outcome, job.problem.at)


def test_session_s_own_word_is_more_exact() -> None:
    """Of the last run, not of another."""
    failed = OVER | {"Exit_status": "271"}
    stopped = [word(status="143", run=f"{JOB}.0", reason="stopped")]
    assert report(block(JOB, failed), words=stopped).problem is None
    again = report(block(JOB, failed, {"run_count": "2", "session_id": "300"}), words=stopped).problem
    assert again is not None
    assert "cancelled on the cluster" == again.message


# Times.


@pytest.mark.parametrize(
    ("changes", "ends_by"),
    [
        ({}, 4600.0),
        ({"Resource_List.walltime": "7200"}, 8200.0),
        ({"Resource_List.walltime": "100:00:00"}, 361000.0),
        ({"Resource_List.walltime": "10:30"}, 1630.0),
        ({"Resource_List.walltime": ""}, None),
        ({"Resource_List.walltime": "a while"}, None),
        ({"resources_used.walltime": ""}, 4600.0),
        ({"resources_used.walltime": "00:14:00"}, 4600.0),
        ({"resources_used.walltime": "00:05:00"}, 5300.0),
        ({"resources_used.walltime": "00:05:00", "job_state": "S"}, 5300.0),
        ({"stime": ""}, 4600.0),
        ({"stime": "", "resources_used.walltime": ""}, None),
        ({"stime": "", "start_time": "1100"}, 4700.0),
        ({"stime": "yesterday"}, 4600.0),
    ],
)
def test_end_of_the_walltime(changes: Mapping[str, str], ends_by: float | None) -> None:
    """From its start, unless what was used of it says that the job was suspended for a while; at 2000."""
    assert ends_by == report(block(JOB, changes)).ends_by


def test_end_moves_while_a_job_is_suspended() -> None:
    """Its walltime does not pass, and only what matters is news."""
    stands = block(JOB, {"job_state": "S", "resources_used.walltime": "00:16:40"})
    of = known(session(phase=Phase.SUSPENDED), nodes=("n1",), started=1000.0, ends_by=4600.0)
    assert 4600.0 == report(stands, of=of, at=2250).ends_by
    assert 5200.0 == report(stands, of=of, at=2600).ends_by
    of = known(of, ends_by=5200.0)
    assert 5200.0 == report(stands, of=of, at=2800).ends_by


def test_job_that_was_given_more_time_ends_later() -> None:
    """Its limit is the one that is told now."""
    of = known(session(phase=Phase.RUNNING), ends_by=4600.0)
    assert 8200.0 == report(block(JOB, {"Resource_List.walltime": "02:00:00"}), of=of).ends_by


@pytest.mark.parametrize("ahead", [-7200, -3600, 3600, 7200])
def test_cluster_s_clock_may_be_wrong(ahead: int) -> None:
    """Its times are told by ours."""
    changes = {"stime": when(11_000 + ahead), "resources_used.walltime": "00:16:40"}
    job = report(block(JOB, changes), clock=12_000 + ahead, at=12_000)
    assert job.started is not None
    assert job.ends_by is not None
    # The clock was read on the way, which took half a second.
    assert abs(11_000.0 - job.started) <= 1
    assert abs(14_600.0 - job.ends_by) <= 1


def test_clocks_that_nearly_agree_are_one() -> None:
    """Nothing seems to change with every look."""
    of = known(session(phase=Phase.RUNNING), nodes=("n1",), started=1000.0, ends_by=4600.0)
    for clock in (1997, 1999, 2002, 2004):
        seen = look(block(), of=replace(of, state=State.START), clock=clock)
        assert ([], {}) == compare(seen, [replace(of, state=State.START)], {})


@pytest.mark.parametrize(
    ("start", "expected"),
    [(when(5000), 5000.0), ("5000", 5000.0), (when(1999), None), ("UNKNOWN", None), ("", None), ("0", None)],
)
def test_estimated_start(start: str, expected: float | None) -> None:
    """Where the scheduler estimates; a time that is past, or no time, is none."""
    assert expected == report(block(JOB, WAITS, {"estimated.start_time": start})).expected_start


# Whose job it is.


@pytest.mark.parametrize(
    ("marks", "ours"),
    [
        ({}, True),
        ({"Job_Name": "renamed"}, True),
        ({"Job_Name": "sd-000000000000"}, True),
        ({"Variable_List": "A=1"}, True),
        ({"Variable_List": "A=1", "Job_Name": "renamed"}, True),
        ({"Variable_List": ""}, True),
        ({"Variable_List": f"OLD_SESSIOND_ID=x,SESSIOND_ID={ID},B=2"}, True),
        ({"Variable_List": "SESSIOND_ID=000000000000"}, False),
        ({"Variable_List": "A=1", "Job_Name": "sd-000000000000"}, False),
        ({"Variable_List": "", "Job_Name": "sd-000000000000"}, False),
    ],
)
def test_number_that_is_given_again_is_another_session_s(marks: Mapping[str, str], ours: bool) -> None:
    """A server that was set up anew counts from 0: the variable tells whose job it is, else the name."""
    for changes in (marks, {**marks, **OVER}):
        seen = look(block(JOB, changes), words=[here(f"{JOB}.0")])
        assert ours == (JOB in seen.jobs)
        assert ours or {} == seen.endpoints
        assert ours or 1 == compare(seen, [session()], {})[1][session().id].looks


# What is asked.


def test_only_sessions_with_jobs_are_asked_about() -> None:
    """One without has nothing to be looked at."""
    without = session(None)
    command = Pbs().observe([session(), without])
    assert f"{JOB}\n".encode() in command.stdin
    seen = Pbs().read_observe([session(), without], said(*listing(block()), began(), word()), 2000.0, 2000.5)
    assert {JOB} == {*seen.jobs}
    with pytest.raises(Bug):
        Pbs().read_observe([], said(), 1.0, 2.0)


@pytest.mark.parametrize("job", ["4711[].pbs01", "4711;id", "-x", "", "a.b", "4711.pbs01\n4712"])
def test_what_is_no_id_is_never_asked_about(job: str) -> None:
    """It would become an argument."""
    with pytest.raises(Bug):
        Pbs().observe([session(job)])


def test_missing_qstat_is_no_answer_and_has_a_remedy() -> None:
    """Where the command is not found, nothing is known."""
    with pytest.raises(Unreadable) as raised:
        Pbs().read_observe([session()], said(["missing", "there is no qstat on login1"], rc=69), 1.0, 2.0)
    assert "setup" in raised.value.hint


def test_looks_and_cancellations_are_urgent() -> None:
    """They do not wait behind uploads."""
    dialect = Pbs()
    assert dialect.observe([session()]).urgent
    assert dialect.cancel(session(), force=False).urgent
    assert not dialect.submit(session(), 1).urgent


def test_thousands_of_jobs_are_one_look() -> None:
    """Other jobs in the listing are no reason to lose sight of one."""
    others = [block(f"{number}.pbs01", WAITS, {"Job_Name": f"other {number}"}) for number in range(10_000, 12_000)]
    seen = look(*others, block(), words=[here(f"{JOB}.0")])
    assert ({JOB}, {ID}) == ({*seen.jobs}, {*seen.endpoints})
