"""What is no news in a session's story, and is left out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sessiond.core.events import Event, JobPending, JobRunning, RetryDue, Staged, StageDelayed
from sessiond.core.ids import SessionId
from sessiond.core.machine import Record
from sessiond.core.session import Phase, Problem, State
from sessiond.core.story import without_repetitions

NOW = 1_700_000_000.0


def told(*happened: tuple[Event, State, State]) -> Sequence[Event]:
    """What is left of events, each with the state before and after."""
    records = [
        Record(session=SessionId("k3f9q2m7x0ab"), version=number, at=NOW, event=event, before=before, after=after)
        for number, (event, before, after) in enumerate(happened)
    ]
    return [one.event for one in without_repetitions(records)]


def test_a_job_that_waits_for_what_it_waited_is_no_news() -> None:
    """Looks whose difference is not told, such as when it may start, are one line; put back it is news."""
    waits = State.WAIT_FOR_NODE
    first = JobPending(reason="waiting for free nodes", expected_start=NOW + 60)
    behind = replace(first, reason="waiting behind other jobs")
    ran = JobRunning(nodes=("n1",))
    back = replace(first, restarts=1)
    assert [first, behind, ran, back, first] == told(
        (first, State.SUBMIT, waits),
        (replace(first, expected_start=NOW + 90), waits, waits),
        (behind, waits, waits),
        (ran, waits, State.START),
        (back, State.RUNNING, waits),
        (first, waits, waits),
    )


def test_looks_that_see_nothing_new_are_left_out_of_a_story() -> None:
    """A job that runs where it ran and ends when it was to end; resumed, moved or extended it is news again."""
    runs = State.RUNNING
    there = JobRunning(nodes=("n1",), ends_by=NOW + 600)
    extended = replace(there, ends_by=NOW + 4200)
    held = replace(there, phase=Phase.SUSPENDED)
    again, moved = JobRunning(nodes=("n1",)), JobRunning(nodes=("n2",))
    assert [there, extended, held, again, moved] == told(
        (there, State.WAIT_FOR_NODE, runs),
        (JobRunning(nodes=("n1",)), runs, runs),
        (replace(there, ends_by=NOW + 601), runs, runs),
        (extended, runs, runs),
        (held, runs, runs),
        (again, runs, runs),
        (moved, runs, runs),
    )


def test_a_retry_that_came_to_the_same_is_no_news() -> None:
    """A night without the cluster is one line; another reason, and the retry that helped, are lines of their own."""
    stays = (State.RENDER, State.RENDER)
    login = StageDelayed(problem=Problem(code="needs-login", message="far needs a login"))
    away = StageDelayed(problem=Problem(code="unreachable", message="far cannot be reached"))
    retry = RetryDue()
    night = [(retry, *stays), (login, *stays)] * 100
    assert [login, retry, away, retry, login, retry, Staged()] == told(
        (login, *stays),
        *night,
        (retry, *stays),
        (away, *stays),
        (retry, *stays),
        (away, *stays),
        (retry, *stays),
        (login, *stays),
        (retry, *stays),
        (Staged(), State.RENDER, State.SUBMIT),
    )


def test_a_retry_whose_outcome_is_not_there_yet_is_told() -> None:
    """It is under way."""
    stays = (State.RENDER, State.RENDER)
    login = StageDelayed(problem=Problem(code="needs-login", message="far needs a login"))
    assert [login, RetryDue()] == told((login, *stays), (RetryDue(), *stays))
