"""The exhaustive exploration: exactly one job, whatever dies; and what happens without each of the cures."""

from __future__ import annotations

import pytest

from sessiond.core.session import State
from sessiond.core.table import TABLE
from tests.core.exploration import Explorer, Report, Rules


@pytest.fixture(scope="module")
def report() -> Report:
    """The exploration of the machine as it is."""
    return Explorer(Rules()).explore()


def test_no_world_breaks_a_promise(report: Report) -> None:
    """Never two submissions, never two jobs, never an end with a live job or one still to come."""
    assert {} == report.violations
    assert report.worlds > 5_000


def test_every_world_can_still_end(report: Report) -> None:
    """No dead ends."""
    assert 0 == report.stuck


def test_every_rule_is_used(report: Report) -> None:
    """A rule that no world can reach is a rule that nobody has thought through."""
    unused = {(s, kind) for s in State for kind in TABLE[s]} - set(report.used)
    assert set() == unused


def test_without_the_fence_a_job_is_submitted_twice() -> None:
    """Looking for a job by its name is not enough: the counterexample has at most ten steps."""
    found = Explorer(Rules(fence=False)).explore().violations
    assert "double submission" in found
    assert len(found["double submission"]) <= 10


def test_without_the_journal_a_job_is_lost() -> None:
    """A restart that does not know that a submission was under way ends with a live job, or waits for none."""
    found = Explorer(Rules(journal=False)).explore()
    assert "ended with a live job" in found.violations
