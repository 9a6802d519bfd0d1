"""What an unforeseen exception means, and that cancellation is none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from sessiond.core.actions import Action, CancelJob, Cleanup, FetchHistory, FindJob, Stage, Submit
from sessiond.core.errors import AnswerLost, NotSent
from sessiond.core.events import Event, Staged
from sessiond.core.table import ANSWERS
from sessiond.runtime import guard
from tests.runtime.conftest import VirtualClock

pytestmark = pytest.mark.anyio

ACTIONS: list[Action] = [Stage(), Submit(attempt=1), FindJob(attempt=1), CancelJob(), FetchHistory()]


@pytest.mark.parametrize("error", [NotSent("n"), AnswerLost("a"), RuntimeError("r"), OSError("o")], ids=repr)
@pytest.mark.parametrize("action", ACTIONS, ids=repr)
async def test_a_failed_action_has_an_answer_that_fits_it(action: Action, error: Exception) -> None:
    """The worst honest one: only a submission that was certainly not sent is delayed, all else is unknown."""

    async def fail() -> Event | None:
        raise error

    with capture_logs() as lines:
        event, succeeded = await guard.answered(fail, action)
    assert not succeeded
    assert type(event) in ANSWERS[type(action)]
    delayed = not isinstance(action, Submit) or isinstance(error, NotSent)
    assert delayed == type(event).__name__.endswith("Delayed")
    assert ([] if isinstance(error, NotSent | AnswerLost) else ["error"]) == [line["log_level"] for line in lines]


async def test_a_cleanup_has_no_answer_and_success_passes() -> None:
    """Nothing answers a Cleanup."""

    async def fail() -> Event | None:
        raise NotSent("n")

    async def succeed() -> Event | None:
        return Staged()

    assert (None, False) == await guard.answered(fail, Cleanup())
    assert (Staged(), True) == await guard.answered(succeed, Stage())


async def test_cancellation_passes_through(virtual: VirtualClock) -> None:
    """It is not an exception that anybody may keep."""

    async def hang() -> Event | None:
        await anyio.sleep_forever()
        return None

    with anyio.move_on_after(1) as scope:
        await guard.answered(hang, Submit(attempt=1))
    assert scope.cancelled_caught
    with anyio.move_on_after(1) as scope:
        await guard.isolated("x", anyio.sleep_forever)
    assert scope.cancelled_caught


async def test_standing_work_is_started_again_ever_more_slowly(virtual: VirtualClock) -> None:
    """After 1, 2, 4 ... 60 seconds; work that lasted is started again after one; work that returns is over."""
    begun: list[float] = []

    async def work() -> None:
        begun.append(virtual.now())
        if len(begun) == 9:
            await anyio.sleep(100)
        if len(begun) < 11:
            raise RuntimeError("again")

    with capture_logs() as lines:
        await guard.supervised(work, "work", virtual)
    pauses = [round(later - earlier) for earlier, later in pairwise(begun)]
    assert sorted(pauses[:8]) == pauses[:8]
    assert [60, 60] == pauses[6:8]
    assert pauses[9] <= 2, "work that lasted begins again soon"
    assert 10 == len(lines)


async def test_the_pause_that_is_logged_is_the_one_that_is_made(virtual: VirtualClock) -> None:
    """Whoever reads the log wants to know when it goes on."""
    begun: list[float] = []

    async def work() -> None:
        begun.append(virtual.now())
        if len(begun) < 4:
            raise RuntimeError("again")

    with capture_logs() as lines:
        await guard.supervised(work, "work", virtual)
    assert [line["pause_s"] for line in lines] == [round(later - earlier) for earlier, later in pairwise(begun)]


def test_contained_lets_through_what_it_is_told_to() -> None:
    """And returns the rest."""

    def fail() -> None:
        raise KeyError("x")

    with capture_logs():
        assert isinstance(guard.contained(fail, "x"), KeyError)
        with pytest.raises(KeyError):
            guard.contained(fail, "x", LookupError)
    assert None is guard.contained(lambda: None, "x")


def test_a_problem_from_an_error_says_whose_fault_it_is(tmp_path: Path) -> None:
    """The error's own words, or that the defect is ours."""
    assert ("not-sent", "n", "h") == (
        (problem := guard.problem_from(NotSent("n", hint="h"))).code,
        problem.message,
        problem.hint,
    )
    assert "bug" == guard.problem_from(KeyError(tmp_path)).code
