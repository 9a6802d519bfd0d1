"""Exactly once: submissions and searches of one attempt against each other, with stand-ins for Slurm's commands."""

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
from sessiond.schedulers import slurm
from sessiond.schedulers.slurm import Slurm

from .machine import Machine, folder
from .slurm_site import US, Site, recording

ROUNDS = 34
"""With three shells: a hundred."""
LISTING = f"JOBID{US}NAME{US}COMMENT{US}\n"


@pytest.fixture
def site(machine: Machine) -> Site:
    """A machine with Slurm's commands."""
    return Site(machine)


def submit(site: Site, session: Session, attempt: int = 1) -> object:
    """What comes of a submission."""
    return Slurm().read_submit(session, site.machine.run(Slurm().submit(session, attempt)))


def find(site: Site, session: Session, attempt: int = 1) -> object:
    """What a search settles."""
    return Slurm().read_find(session, site.machine.run(Slurm().find(session, attempt)))


def failing(site: Site, text: str, rc: int = 1) -> None:
    """From now on sbatch fails with these words."""
    site.put("words", text)
    site.put("verdict", f'cat "$SITE/words" >&2; exit {rc}\n')


@pytest.mark.timeout(300)
def test_races_never_submit_twice_nor_after_an_absence(site: Site) -> None:
    """Two submissions and two searches at once: one call of sbatch that all agree on, or none and never one."""
    session = site.staged()
    chance = random.Random(site.machine.shell)
    seen = set()

    def ask(attempt: int, submits: bool, delay_s: float) -> object:
        time.sleep(delay_s)
        return submit(site, session, attempt) if submits else find(site, session, attempt)

    for attempt in range(1, ROUNDS + 1):
        before = len(site.lines("calls"))
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(ask, attempt, kind % 2 == 0, chance.uniform(0, 0.05) * (kind % 2 != attempt % 2))
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
    assert {True, False} == seen


def test_submission_tells_the_number_again(site: Site) -> None:
    """However often it is asked, sbatch is called once."""
    session = site.staged()
    first = submit(site, session)
    assert isinstance(first, Submitted)
    assert first == submit(site, session)
    assert JobFound(job=first.job) == find(site, session)
    assert [f"--parsable --chdir={folder(session)} job.sh"] == site.lines("calls")


def test_fence_outlives_cleaning_up(site: Site) -> None:
    """A submission still on its way finds it when all else is gone."""
    session = site.staged()
    assert JobAbsent() == find(site, session)
    assert 0 == site.machine.run(Slurm().cleanup(session)).rc
    assert isinstance(submit(site, session), SubmitDelayed)
    assert JobAbsent() == find(site, session)
    assert [] == site.lines("calls")


@pytest.mark.parametrize("printed", ["123;mars", "Welcome to mars!\\n123;mars", "123"])
def test_number_is_taken_out_of_what_is_printed(site: Site, printed: str) -> None:
    """A federation's cluster and a wrapper's greeting are no part of it."""
    site.put("verdict", f"printf '{printed}\\n'; exit 0\n")
    assert Submitted(job=JobId("123")) == submit(site, site.staged())


def test_refusal_is_told_again_and_is_an_absence(site: Site) -> None:
    """The scheduler's no is kept: nobody asks it the same twice."""
    session = site.staged()
    failing(site, recording("sbatch_bad_partition").err)
    for _ in range(2):
        event = submit(site, session)
        assert isinstance(event, SubmitRejected)
        assert "invalid partition specified: nosuch" in event.problem.message
    assert 1 == len(site.lines("calls"))
    assert JobAbsent() == find(site, session)


def test_controller_that_was_not_reached_leaves_no_job(site: Site) -> None:
    """Proved unsent: delayed, absent, and another attempt submits."""
    session = site.staged()
    failing(site, recording("down_sbatch").err)
    assert isinstance(submit(site, session), SubmitDelayed)
    assert JobAbsent() == find(site, session)
    site.put("verdict", "")
    assert isinstance(submit(site, session, 2), Submitted)


def test_timeout_is_searched_by_mark(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen controller may have the job: it is found by its name, or by its comment."""
    monkeypatch.setattr(slurm, "SETTLED_S", 0)
    for attempt, mark in enumerate(("name", "comment"), 1):
        session = site.staged()
        failing(site, recording("frozen_sbatch").err)
        assert isinstance(submit(site, session, attempt), SubmitUnknown)
        name, comment = (session.tag, "(null)") if mark == "name" else ("renamed", session.id)
        site.put("listing", f"{LISTING}7{US}x{US}y{US}\n815{US}{name}{US}{comment}{US}\n")
        assert JobFound(job=JobId("815")) == find(site, session, attempt)
        assert JobFound(job=JobId("815")) == find(site, session, attempt)
        assert Submitted(job=JobId("815")) == submit(site, session, attempt)


def test_job_that_is_not_listed_twice_is_absent_for_good(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once is not enough; then it is fenced."""
    monkeypatch.setattr(slurm, "SETTLED_S", 0)
    monkeypatch.setattr(slurm, "PAUSE_S", 0)
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    site.put("listing", LISTING)
    assert isinstance(find(site, session), FindDelayed)
    assert JobAbsent() == find(site, session)
    assert isinstance(submit(site, session), SubmitDelayed)
    assert [] == site.lines("calls")


def test_accounting_may_know_what_the_queue_has_forgotten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that ran and ended meanwhile was submitted."""
    monkeypatch.setattr(slurm, "SETTLED_S", 0)
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    site.put("listing", LISTING)
    site.program("sacct", "#!/bin/sh\necho 4242\n")
    assert JobFound(job=JobId("4242")) == find(site, session)


@pytest.mark.parametrize(
    ("listing", "err", "rc"),
    [
        ("", "", 0),
        ("", "slurm_load_jobs error: Socket timed out on send/recv operation", 0),
        (LISTING, "squeue: error: Invalid user: nosuchuser", 0),
        (LISTING, "", 1),
        ("nonsense\n", "", 0),
    ],
)
def test_queue_that_does_not_answer_settles_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, listing: str, err: str, rc: int
) -> None:
    """No header, an exit status, an error: nobody has said that there is no job."""
    monkeypatch.setattr(slurm, "SETTLED_S", 0)
    monkeypatch.setattr(slurm, "PAUSE_S", 0)
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    site.put("listing", listing)
    site.put("squeue.err", err)
    site.put("squeue.rc", str(rc))
    for _ in range(3):
        assert isinstance(find(site, session), FindDelayed)


def test_young_attempt_is_not_settled(site: Site) -> None:
    """While sbatch may be at it, nobody is asked."""
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    assert isinstance(find(site, session), FindDelayed)
    assert isinstance(find(site, session), FindDelayed)
    assert [] == site.lines("squeue.calls")
    assert isinstance(submit(site, session), SubmitUnknown)


def test_submission_that_wakes_after_it_was_given_up_takes_its_job_back(site: Site) -> None:
    """Stopped for minutes in sbatch: the job it got then must not be."""
    session = site.staged()
    site.put("verdict", f": >'{folder(session)}/attempt.1/fenced'\n")
    assert isinstance(submit(site, session), SubmitDelayed)
    assert site.lines("jobs") == site.lines("scancel.calls")
    assert JobAbsent() == find(site, session)


def test_folder_that_is_missing_or_full_submits_nothing(site: Site) -> None:
    """Nowhere to put a fence."""
    session = site.machine.session()
    assert isinstance(submit(site, session), SubmitDelayed)
    assert isinstance(find(site, session), FindDelayed)
    assert [] == site.lines("calls")
