"""The lane's two rules: no action outlives its state, and a started Submit is never given up."""

from __future__ import annotations

import pytest

from sessiond.core.actions import Action, CancelJob, Cleanup, FetchHistory, FindJob, Stage, Submit
from sessiond.core.ids import ActionId
from sessiond.core.lane import Lane, Ordered, begun, expects, finished, follow

A, B, C = ActionId("s.1"), ActionId("s.2"), ActionId("s.3")
SUBMIT = Ordered(A, Submit(attempt=1))
FIND = Ordered(B, FindJob(attempt=1))
CANCEL = Ordered(C, CancelJob())


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("action", [Stage(), FindJob(attempt=1), CancelJob(), FetchHistory(), Cleanup()], ids=repr)
def test_a_new_order_withdraws_the_old_one(action: Action, started: bool) -> None:
    """Started or not: everything but a Submit may be cancelled."""
    old = Lane(current=Ordered(A, action), started=started)
    assert (Lane(current=FIND), (A,)) == follow(old, FIND, moved=True)
    assert (Lane(current=FIND), (A,)) == follow(old, FIND, moved=False)


def test_a_submit_that_has_not_begun_is_withdrawn() -> None:
    """Nothing has happened yet, so nothing will."""
    assert (Lane(current=FIND), (A,)) == follow(Lane(current=SUBMIT), FIND, moved=True)


def test_what_is_ordered_waits_behind_a_started_submit() -> None:
    """It is neither withdrawn nor overtaken."""
    going = begun(Lane(current=SUBMIT))
    assert going.unstoppable
    waiting, withdrawn = follow(going, FIND, moved=True)
    assert (Lane(current=SUBMIT, started=True, queued=FIND), ()) == (waiting, withdrawn)
    assert (Lane(current=SUBMIT, started=True, queued=CANCEL), (B,)) == follow(waiting, CANCEL, moved=True)
    assert Lane(current=FIND) == finished(waiting)


def test_moving_on_without_an_order_withdraws_what_waits_too() -> None:
    """The state that asked for it is gone."""
    waiting = Lane(current=SUBMIT, started=True, queued=FIND)
    assert (Lane(current=SUBMIT, started=True), (B,)) == follow(waiting, None, moved=True)
    assert (Lane(), (B,)) == follow(Lane(current=FIND, started=True), None, moved=True)


def test_staying_without_an_order_changes_nothing() -> None:
    """A look that brings news of the job does not disturb what is being done."""
    lane = Lane(current=FIND, started=True)
    assert (lane, ()) == follow(lane, None, moved=False)


def test_only_the_current_action_is_expected_to_answer() -> None:
    """What was withdrawn, what waits, and anything when nothing is under way are not."""
    waiting = Lane(current=SUBMIT, started=True, queued=FIND)
    assert [True, False, False] == [expects(waiting, a) for a in (A, B, C)]
    assert not expects(Lane(), A)


def test_an_empty_lane_and_a_started_other_can_be_stopped() -> None:
    """Only a Submit under way cannot."""
    lanes = (Lane(), Lane(current=SUBMIT), Lane(current=FIND, started=True))
    assert [False, False, False] == [lane.unstoppable for lane in lanes]


def test_a_finished_lane_is_empty() -> None:
    """Where nothing waited."""
    assert Lane() == finished(Lane(current=FIND, started=True))
