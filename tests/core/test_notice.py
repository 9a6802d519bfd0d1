"""What is news, in which words, and what of it may be seen on a command line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiond.core.events import IdleWarned, JobEnded, StopRequested, TunnelUp
from sessiond.core.ids import ClusterName
from sessiond.core.link import Link, LinkState
from sessiond.core.machine import Record
from sessiond.core.notice import (
    Kind,
    Notice,
    ends_soon,
    filled,
    harmless,
    holds,
    news_in,
    of_link,
    of_session,
    together,
)
from sessiond.core.session import JobRef, Outcome, Phase, Problem, Session, State
from sessiond.core.status import USUAL
from tests.core.builders import JOB, NOW, WRONG, a_session


def a_record(event: object, after: State, before: State = State.RUNNING, at: float = NOW) -> Record:
    """A transition."""
    session = a_session()
    return Record(session=session.id, version=1, at=at, event=event, before=before, after=after)  # type: ignore[arg-type]


def a_notice(kind: Kind = Kind.ENDED, about: str = "lab", title: str = "title", text: str = "text") -> Notice:
    """A notice."""
    return Notice(kind=kind, about=about, title=title, text=text)


def ending(left_s: float, ran_s: float = 7200.0, **changes: object) -> Session:
    """A running session with so much of its walltime left."""
    job = JobRef(id=JOB, cluster=ClusterName("local"), attempt=1, phase=Phase.RUNNING)
    job = replace(job, started=NOW - ran_s, ends_by=NOW + left_s, **changes)  # type: ignore[arg-type]
    return a_session(State.RUNNING, job=job)


def test_running_is_news_once() -> None:
    """The first time that the service answers; not after a restart or a reconnection, and not once it is over."""
    record = a_record(TunnelUp(), State.RUNNING, State.TUNNEL)
    assert Kind.RUNNING is news_in(record)
    assert holds(record, a_session(State.RUNNING, ready_at=NOW))
    assert holds(record, a_session(State.TUNNEL, ready_at=NOW))
    assert not holds(record, a_session(State.RUNNING, ready_at=NOW - 100))
    assert not holds(record, a_session(State.KILL, ready_at=NOW))
    assert not holds(record, a_session(State.ENDED, ready_at=NOW))


@pytest.mark.parametrize("outcome", Outcome)
def test_an_end_is_news_unless_the_person_made_it(outcome: Outcome) -> None:
    """Stopped by the person, or left by its program's own menu: they know. Cancelled by somebody else: they do not."""
    record = a_record(JobEnded(outcome=outcome), State.ENDED)
    assert Kind.ENDED is news_in(record)
    assert (outcome is not Outcome.COMPLETED) is holds(record, a_session(State.ENDED, outcome=outcome))
    stopped = a_session(State.ENDED, outcome=Outcome.CANCELLED, ending=Outcome.CANCELLED)
    assert not holds(a_record(StopRequested(), State.ENDED), stopped)


def test_idleness_is_news_as_long_as_it_lasts() -> None:
    """A warning that was taken back, or came again, is not told late."""
    record = a_record(IdleWarned(unused_s=100.0, ends_in_s=60.0), State.RUNNING)
    assert Kind.ENDING_SOON is news_in(record)
    assert holds(record, a_session(State.RUNNING, idle_ends_by=NOW + 60))
    assert not holds(record, a_session(State.RUNNING))
    assert not holds(record, a_session(State.RUNNING, idle_ends_by=NOW + 4000))


def test_other_transitions_are_no_news() -> None:
    """Nor is what happens to a session that has ended."""
    assert None is news_in(a_record(StopRequested(), State.KILL))
    assert None is news_in(a_record(StopRequested(), State.ENDED, State.ENDED))


@pytest.mark.parametrize(
    ("session", "near"),
    [
        (ending(901), None),
        (ending(900), 900.0),
        (ending(301), 900.0),
        (ending(300), 300.0),
        (ending(1), 300.0),
        (ending(0), None),
        (ending(-5), None),
        (ending(500, ran_s=100), None),
        (ending(200, ran_s=200), 300.0),
        (ending(200, ran_s=50), None),
        (ending(295, ran_s=20), None),
        (ending(200, ran_s=50, allowed_s=3600.0), 300.0),
        (ending(800, ran_s=50, allowed_s=3600.0), 900.0),
        (ending(200, phase=Phase.COMPLETING), None),
        (a_session(State.RUNNING), None),
        (replace(ending(200), state=State.KILL), None),
        (replace(ending(200), state=State.ENDED), None),
    ],
)
def test_the_end_comes_nearer(session: Session, near: float | None) -> None:
    """Told at fifteen minutes and at five; not of one that never had as much, but of one that was cut."""
    assert near == ends_soon(session, NOW)


def test_the_words() -> None:
    """Which session, what, and what to do."""
    running = a_session(State.RUNNING)
    found = of_session(Kind.RUNNING, running, NOW, "")
    assert ("tiny: running", "tiny on local; sessionctl open tiny") == (found.title, found.text)
    failed = a_session(State.ENDED, outcome=Outcome.FAILED, problem=WRONG)
    found = of_session(Kind.ENDED, failed, NOW, "")
    assert "tiny: failed" == found.title
    assert "tiny on local; it went wrong; sessionctl why tiny tells the story" == found.text
    for outcome, title in (
        (Outcome.CANCELLED, "cancelled on the cluster"),
        (Outcome.WALLTIME, "ended at its time limit"),
    ):
        ended = a_session(State.ENDED, outcome=outcome, problem=replace(WRONG, message=USUAL[outcome]), ready_at=NOW)
        found = of_session(Kind.ENDED, ended, NOW, "")
        assert (f"tiny: {title}", "tiny on local; sessionctl why tiny tells the story") == (found.title, found.text)
    found = of_session(Kind.ENDED, a_session(State.ENDED, outcome=Outcome.IDLE), NOW, "")
    assert "tiny: ended: idle" == found.title
    assert "tiny on local; sessionctl start tiny --again" == found.text
    found = of_session(Kind.ENDING_SOON, replace(running, idle_ends_by=NOW + 900), NOW, "14:05")
    assert "tiny: ends at 14:05 unless it is used" == found.title
    assert "tiny on local is unused; sessionctl open tiny keeps it" == found.text
    found = of_session(Kind.ENDING_SOON, ending(899), NOW, "14:05")
    assert "tiny: ends at 14:05" == found.title
    assert "tiny on local ends in 14 min; sessionctl extend tiny +1h asks for more time" == found.text


def test_the_words_of_a_link() -> None:
    """Who waits for it, and what to do."""
    link = Link(name=ClusterName("frontier"), state=LinkState.NEEDS_LOGIN, since=NOW)
    found = of_link(link, [f"s{n}" for n in range(10)], NOW)
    assert "frontier needs a login" == found.title
    assert "of its sessions s0, s1, s2, s3, s4, s5 and 4 more; sessionctl login frontier" == found.text
    changed = Problem(code="host-key", message="its host key is another one")
    blocked = of_link(replace(link, state=LinkState.BLOCKED, problem=changed), [], NOW)
    assert "frontier needs you" == blocked.title
    assert blocked.text.startswith("its host key is another one; ")


def test_many_are_told_together() -> None:
    """Three by themselves; more in one."""
    assert 3 == len(together([a_notice(about=f"s{n}") for n in range(3)]))
    assert [] == together([])
    (one,) = together([a_notice(about=f"s{n}") for n in range(40)])
    assert "40 sessions ended" == one.title
    assert "s0, s1, s2, s3, s4, s5 and 34 more; sessionctl ls --all shows them" == one.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see http://127.0.0.1:8888/lab?token=abc now", "see http://127.0.0.1:8888/lab now"),
        ("see http://h/#key=abc", "see http://h/"),
        ("ftp://me:pw@h/x", "ftp://h/x"),
        ("two\nlines\tand \x1b[2J", "two lines and ?[2J"),
        ("is this all right?", "is this all right?"),
    ],
)
def test_what_opens_something_is_not_shown(text: str, shown: str) -> None:
    """Every user of a machine can read its command lines; and a notice is a line."""
    assert shown == harmless(a_notice(text=text)).text


def test_a_notice_is_short() -> None:
    """Whatever a service says of itself."""
    found = harmless(a_notice(title="t" * 5000, text="x" * 5000))
    assert (100, 300, "...") == (len(found.title), len(found.text), found.text[-3:])


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("{title}: {text}", "T {text}: X {title}"),
        ("{TITLE} {} {0} {text!r} {{title}} ${text}", "{TITLE} {} {0} {text!r} {T {text}} $X {title}"),
        ("plain", "plain"),
    ],
)
def test_only_two_words_are_replaced(word: str, becomes: str) -> None:
    """Once: what a title says is not replaced again; other braces are text."""
    assert becomes == filled(word, a_notice(title="T {text}", text="X {title}"))
