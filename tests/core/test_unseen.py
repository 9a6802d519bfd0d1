"""Words for a session whose job cannot be seen although there is a way to its cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiond.core.ids import ClusterName
from sessiond.core.link import Link, LinkState
from sessiond.core.session import Problem, State
from sessiond.core.status import Severity, Unseen, describe
from tests.core.builders import NOW, a_session

SILENT = Problem(code="unreadable", message="squeue does not answer")
LATELY = Unseen(why=SILENT, seen_at=NOW - 200)


@pytest.mark.parametrize(("state", "phrase"), [(State.RUNNING, "running"), (State.START, "starting")])
def test_what_is_known_has_an_age(state: State, phrase: str) -> None:
    """What the session did when its job was last seen, how long ago that was, why, and what becomes of the job."""
    status = describe(a_session(state), NOW, None, LATELY)
    assert f"{phrase}; its job was last seen 3 min ago" == status.phrase
    assert "squeue does not answer; its job goes on meanwhile, and it is tried again by itself" == status.next
    assert Severity.ATTENTION == status.severity


def test_a_lost_link_is_the_reason_of_both() -> None:
    """Without a way to the cluster that alone is said."""
    link = Link(name=ClusterName("far"), since=NOW, state=LinkState.BACKOFF, down_since=NOW - 5)
    status = describe(a_session(State.RUNNING), NOW, link, LATELY)
    assert "running, but far is unreachable for 5 s" == status.phrase


@pytest.mark.parametrize("state", [State.RENDER, State.SUBMIT, State.ENDED])
def test_without_a_job_there_is_nothing_to_see(state: State) -> None:
    """Before the submission and after the end the words stay."""
    session = replace(a_session(state), job=None)
    assert describe(session, NOW) == describe(session, NOW, None, LATELY)


def test_never_seen() -> None:
    """A daemon that has just begun has no age to tell."""
    session = a_session(State.RUNNING)
    assert describe(session, NOW) == describe(session, NOW, None, Unseen(why=SILENT))
