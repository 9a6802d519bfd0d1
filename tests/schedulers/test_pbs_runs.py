"""Which run of its job a session is in, and whose word is of it: PBS counts, and the job's scripts count."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sessiond.core.session import Phase

from .pbs_words import JOB, NOBODY, OVER, WAITS, began, block, here, look, report, session, when
from .slurm_site import word

RAN_BEFORE = WAITS | {"run_count": "1"}
SECOND = {"run_count": "2", "session_id": "300"}
TORQUE = {"run_count": "", "exec_vnode": "", "substate": "", "stime": "", "start_time": when(1000)}


@pytest.mark.parametrize(
    ("changes", "restarts"),
    [
        ({}, 0),
        (SECOND, 1),
        ({"run_count": "7"}, 6),
        (WAITS, 0),
        (WAITS | {"run_count": "0"}, 0),
        (RAN_BEFORE, 1),
        (RAN_BEFORE | {"job_state": "H"}, 1),
        (RAN_BEFORE | {"job_state": "W"}, 1),
        ({"job_state": "S", **SECOND}, 1),
        ({"job_state": "E", **SECOND}, 1),
        (OVER, 0),
        (OVER | SECOND, 1),
        (WAITS | OVER, 0),
        ({"run_count": "", "start_count": "3"}, 2),
        (WAITS | {"start_count": "1"}, 1),
        ({"run_count": "0"}, 0),
    ],
)
def test_runs_are_counted_from_0(changes: Mapping[str, str], restarts: int) -> None:
    """Of one that runs or is over this run, of one that waits the next; Torque counts in start_count."""
    assert restarts == report(block(JOB, changes), marks=[NOBODY]).restarts


def test_where_the_server_does_not_count_the_runs_that_began_do() -> None:
    """Torque's front ends: the first run, waiting for the second, the second."""
    assert 0 == report(block(JOB, TORQUE)).restarts
    assert 1 == report(block(JOB, TORQUE, WAITS)).restarts
    assert 1 == report(block(JOB, TORQUE), marks=[began(1)]).restarts
    assert 3 == report(block(JOB, TORQUE), of=session(restarts=3), marks=[NOBODY]).restarts


def test_run_that_was_seen_to_be_over_is_not_taken_for_the_next() -> None:
    """It waited for its second run, which has not begun: what the first published is not of it."""
    of = session(restarts=1)
    seen = look(block(JOB, TORQUE, {"session_id": ""}), of=of, words=[here(f"{JOB}.0")])
    assert (1, {}) == (seen.jobs[JOB].restarts, seen.endpoints)
    then = look(block(JOB, TORQUE), of=of, marks=[began(1)], words=[here(f"{JOB}.1")])
    assert f"{JOB}.1" == then.endpoints[of.id].run


@pytest.mark.parametrize(
    ("changes", "mark", "published"),
    [
        (SECOND, began(1, 300), f"{JOB}.1"),
        (SECOND, began(1, 999), f"{JOB}.1"),
        (SECOND, began(0, 300), f"{JOB}.0"),
        ({"run_count": "5", "session_id": "300"}, began(2, 300), f"{JOB}.2"),
        ({"run_count": "1", "session_id": "300"}, began(2, 300), f"{JOB}.2"),
        (SECOND, began(1, 300, "4711"), "4711.1"),
    ],
)
def test_endpoint_is_of_the_run_that_the_server_counts(
    changes: Mapping[str, str], mark: list[str], published: str
) -> None:
    """Runs whose script never began are counted by the server alone: then the process session tells which it is."""
    seen = look(block(JOB, changes), marks=[mark], words=[here(published)])
    run = seen.endpoints[session().id].run
    assert f"{JOB}.{seen.jobs[JOB].restarts}" == run == f"{JOB}.{int(changes['run_count']) - 1}"


@pytest.mark.parametrize(
    ("changes", "mark", "published"),
    [
        (SECOND, began(0), f"{JOB}.0"),
        (SECOND, began(0), f"{JOB}.1"),
        (SECOND, NOBODY, f"{JOB}.1"),
        (SECOND, began(1, 300), f"{JOB}.0"),
        (SECOND, began(1, 300, "4712.pbs01"), f"{JOB}.1"),
        (SECOND, began(0, 300), f"{JOB}.1"),
        (SECOND | {"session_id": ""}, began(0), f"{JOB}.0"),
        (RAN_BEFORE, began(0), f"{JOB}.0"),
        (RAN_BEFORE, began(1), f"{JOB}.1"),
        ({"substate": "41"}, began(0), f"{JOB}.0"),
        ({"job_state": "E"}, began(0), f"{JOB}.0"),
        (OVER, began(0), f"{JOB}.0"),
        ({"job_state": "Z"}, began(0), f"{JOB}.0"),
        ({}, began(0), "4712.pbs01.0"),
    ],
)
def test_endpoint_of_another_run_is_never_accepted(changes: Mapping[str, str], mark: list[str], published: str) -> None:
    """An earlier run's, another job's, or of a job that does not run."""
    failed = word(status="1", run=published, reason="exit", failure="no licence")
    assert {} == look(block(JOB, changes), marks=[mark], words=[here(published)]).endpoints
    assert {} == look(block(JOB, changes), marks=[mark], words=[failed]).failures


def test_failure_counts_for_its_own_run_only() -> None:
    """What the first run gave up with does not end the second."""
    failed = [word(status="1", run=f"{JOB}.0", reason="exit", failure="no licence")]
    assert "no licence" == look(block(), words=failed).failures[session().id].message
    assert {} == look(block(JOB, SECOND), words=failed).failures


def test_suspended_job_keeps_its_endpoint() -> None:
    """It listens, if it does not answer."""
    seen = look(block(JOB, {"job_state": "S", "substate": "43"}), words=[here(f"{JOB}.0")])
    assert (Phase.SUSPENDED, 1) == (seen.jobs[JOB].phase, len(seen.endpoints))
