"""Exactly once: submissions and searches of one attempt against each other, with stand-ins for the commands."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sessiond.core.events import (
    FindDelayed,
    JobAbsent,
    JobFound,
    SubmitDelayed,
    SubmitRejected,
    Submitted,
    SubmitUnknown,
)
from sessiond.core.ids import JobId
from sessiond.core.session import Session
from sessiond.schedulers.batch import dialect as batch

from . import pbs_site, slurm_site
from .batch_site import BatchSite, Recorded
from .machine import Machine, eventually, folder

ROUNDS = 34
"""With three shells: a hundred."""


@pytest.fixture(params=["slurm", "pbs"])
def site(machine: Machine, request: pytest.FixtureRequest) -> BatchSite:
    """A machine with a scheduler's commands."""
    return {"slurm": slurm_site.Site, "pbs": pbs_site.Site}[request.param](machine)


def submit(site: BatchSite, session: Session, attempt: int = 1) -> object:
    """What comes of a submission."""
    return site.dialect.read_submit(session, site.machine.run(site.dialect.submit(session, attempt)))


def find(site: BatchSite, session: Session, attempt: int = 1) -> object:
    """What a search settles."""
    return site.dialect.read_find(session, site.machine.run(site.dialect.find(session, attempt)))


def failing(site: BatchSite, how: Recorded) -> None:
    """From now on the submitter fails as it was recorded."""
    site.put("words", how.answer.err)
    site.put("verdict", f'cat "$SITE/words" >&2; exit {how.answer.rc}\n')


@pytest.mark.timeout(300)
def test_races_never_submit_twice_nor_after_an_absence(site: BatchSite) -> None:
    """Two submissions and two searches at once: one call of the submitter that all agree on, or none and never one."""
    session = site.staged()
    chance = random.Random(site.machine.shell)
    seen, span_s = set(), 0.05

    def ask(attempt: int, submits: bool, delay_s: float) -> object:
        time.sleep(delay_s)
        return submit(site, session, attempt) if submits else find(site, session, attempt)

    for attempt in range(1, ROUNDS + 1):
        before = len(site.lines("calls"))
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(ask, attempt, kind % 2 == 0, chance.uniform(0, span_s) * (kind % 2 != attempt % 2))
                for kind in range(4)
            ]
            events = [one.result() for one in asked]
        last = {type(event) for event in (submit(site, session, attempt), find(site, session, attempt))}
        calls = len(site.lines("calls")) - before
        found = {event.job for event in events if isinstance(event, Submitted | JobFound)}
        kinds = {type(event) for event in events}
        # Who comes while another is at it may have to ask again.
        if found:
            assert (1, 1, {Submitted, JobFound}) == (len(found), calls, last)
            assert {Submitted, JobFound, SubmitUnknown, FindDelayed} >= kinds
        else:
            assert (0, {SubmitDelayed, JobAbsent}) == (calls, last)
            assert {SubmitDelayed, JobAbsent, SubmitUnknown, FindDelayed} >= kinds
        seen.add(bool(found))
        if attempt % 2 == 0:
            # Searches came later; a submission has more to do before its fence, how much more is the machine's affair.
            span_s = span_s / 1.5 if found else span_s * 1.5
    assert {True, False} == seen


def test_submission_tells_the_number_again(site: BatchSite) -> None:
    """However often it is asked, the submitter is called once."""
    session = site.staged()
    first = submit(site, session)
    assert isinstance(first, Submitted)
    assert first == submit(site, session)
    assert JobFound(job=first.job) == find(site, session)
    assert [site.called(session)] == site.lines("calls")


def test_fence_outlives_cleaning_up(site: BatchSite) -> None:
    """A submission still on its way finds it when all else is gone."""
    session = site.staged()
    assert JobAbsent() == find(site, session)
    assert 0 == site.machine.run(site.dialect.cleanup(session)).rc
    assert isinstance(submit(site, session), SubmitDelayed)
    assert JobAbsent() == find(site, session)
    assert [] == site.lines("calls")


def test_refusal_is_told_again_and_is_an_absence(site: BatchSite) -> None:
    """The scheduler's no is kept: nobody asks it the same twice."""
    session = site.staged()
    failing(site, site.refusal)
    for _ in range(2):
        event = submit(site, session)
        assert isinstance(event, SubmitRejected)
        assert site.refusal.words in event.problem.message
    assert 1 == len(site.lines("calls"))
    assert JobAbsent() == find(site, session)


def test_controller_that_was_not_reached_leaves_no_job(site: BatchSite) -> None:
    """Proved unsent: delayed, absent, and another attempt submits."""
    session = site.staged()
    failing(site, site.unreached)
    assert isinstance(submit(site, session), SubmitDelayed)
    assert JobAbsent() == find(site, session)
    site.put("verdict", "")
    assert isinstance(submit(site, session, 2), Submitted)


def test_timeout_is_searched_by_mark(site: BatchSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen scheduler may have the job: it is found by its name."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    failing(site, site.unanswered)
    assert isinstance(submit(site, session), SubmitUnknown)
    site.lists("815", session)
    assert JobFound(job=JobId("815")) == find(site, session)
    assert JobFound(job=JobId("815")) == find(site, session)
    assert Submitted(job=JobId("815")) == submit(site, session)


@pytest.mark.parametrize("rc", [124, 137, 143, 139])
def test_submitter_that_was_ended_proves_nothing(site: BatchSite, rc: int) -> None:
    """Before it was ended it may have said that the scheduler takes nothing now, and have gone on trying: the last try
    may have arrived."""
    session = site.staged()
    site.put("words", site.unreached.answer.err)
    site.put("verdict", f'cat "$SITE/words" >&2; exit {rc}\n')
    assert isinstance(submit(site, session), SubmitUnknown)
    assert isinstance(find(site, session), FindDelayed)
    site.lists("815", session)
    assert JobFound(job=JobId("815")) == find(site, session)


def test_number_counts_whatever_the_exit_status(site: BatchSite) -> None:
    """A site's wrapper may fail after the job was submitted, and say things that sound like a no."""
    session = site.staged()
    site.put("words", site.refusal.answer.err)
    site.put("verdict", 'cat "$SITE/words" >&2; echo 815; exit 1\n')
    assert isinstance(submit(site, session), SubmitUnknown)
    assert isinstance(find(site, session), FindDelayed)
    site.lists("815", session)
    assert JobFound(job=JobId("815")) == find(site, session)


def test_job_of_an_earlier_attempt_is_not_this_one_s(site: BatchSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was taken back stays listed for a while, under the same name."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    (folder(session) / "attempt.1" / "fenced").touch()
    (folder(session) / "attempt.1" / "cancelled").write_text("815\n")
    (folder(session) / "attempt.2").mkdir()
    site.lists("815", session)
    assert isinstance(find(site, session, 2), FindDelayed)
    site.lists("816", session)
    assert JobFound(job=JobId("816")) == find(site, session, 2)


def test_job_that_is_not_listed_twice_is_absent_for_good(site: BatchSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once is not enough; then it is fenced."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    monkeypatch.setattr(batch, "PAUSE_S", 0)
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    site.put("listing", site.empty)
    assert isinstance(find(site, session), FindDelayed)
    assert JobAbsent() == find(site, session)
    assert isinstance(submit(site, session), SubmitDelayed)
    assert [] == site.lines("calls")


def test_queue_that_does_not_answer_settles_nothing(site: BatchSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """No header, an exit status, an error: nobody has said that there is no job."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    monkeypatch.setattr(batch, "PAUSE_S", 0)
    for listing, err, rc in site.silences:
        session = site.staged()
        (folder(session) / "attempt.1").mkdir()
        site.put("listing", listing)
        site.put(f"{site.searcher}.err", err)
        site.put(f"{site.searcher}.rc", str(rc))
        for _ in range(3):
            assert isinstance(find(site, session), FindDelayed), (listing, err, rc)


def test_young_attempt_is_not_settled(site: BatchSite) -> None:
    """While the submitter may be at it, nobody is asked."""
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    assert isinstance(find(site, session), FindDelayed)
    assert isinstance(find(site, session), FindDelayed)
    assert [] == site.lines(f"{site.searcher}.calls")
    assert isinstance(submit(site, session), SubmitUnknown)


def test_clock_that_was_set_back_does_not_hold_a_search(site: BatchSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the login node wrote down when it was ahead by hours counts as written now."""
    monkeypatch.setattr(batch, "SETTLED_S", 1)
    monkeypatch.setattr(batch, "PAUSE_S", 1)
    session = site.staged()
    fence = folder(session) / "attempt.1"
    fence.mkdir()
    site.put("listing", site.empty)
    for name in ("at", "searched"):
        (fence / name).write_text(f"{int(time.time()) + 7200}\n")
    assert isinstance(find(site, session), FindDelayed)
    assert 0 <= time.time() - int((fence / "at").read_text()) < 60
    eventually(lambda: find(site, session) == JobAbsent())


def test_submission_that_wakes_after_it_was_given_up_takes_its_job_back(site: BatchSite) -> None:
    """Stopped for minutes in the submitter: the job it got then must not be."""
    session = site.staged()
    site.put("verdict", f": >'{folder(session)}/attempt.1/fenced'\n")
    assert isinstance(submit(site, session), SubmitDelayed)
    assert site.lines("jobs") == site.lines(f"{site.canceller}.calls")
    assert JobAbsent() == find(site, session)


def test_folder_that_is_missing_or_full_submits_nothing(site: BatchSite) -> None:
    """Nowhere to put a fence."""
    session = site.machine.session()
    assert isinstance(submit(site, session), SubmitDelayed)
    assert isinstance(find(site, session), FindDelayed)
    assert [] == site.lines("calls")
