"""Exactly once with Slurm: what only sbatch prints, and the second mark and memory that only Slurm has."""

from __future__ import annotations

import pytest

from sessiond.core.events import JobAbsent, JobFound, Submitted, SubmitUnknown
from sessiond.core.ids import JobId
from sessiond.schedulers.batch import dialect as batch

from .machine import Machine, folder
from .slurm_site import ASIDE, LISTING, US, Site
from .test_batch_fence import failing, find, submit


@pytest.fixture
def site(machine: Machine) -> Site:
    """A machine with Slurm's commands."""
    return Site(machine)


@pytest.mark.parametrize("printed", ["123;mars", "Welcome to mars!\\n123;mars", "123"])
def test_number_is_taken_out_of_what_is_printed(site: Site, printed: str) -> None:
    """A federation's cluster and a wrapper's greeting are no part of it."""
    site.put("verdict", f"printf '{printed}\\n'; exit 0\n")
    assert Submitted(job=JobId("123")) == submit(site, site.staged())


def test_renamed_job_is_found_by_its_comment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's id is the second mark."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    failing(site, site.unanswered)
    assert isinstance(submit(site, session), SubmitUnknown)
    site.put("listing", f"{LISTING}7{US}x{US}y{US}\n815{US}renamed{US}{session.id}{US}\n")
    assert JobFound(job=JobId("815")) == find(site, session)


def test_accounting_may_know_what_the_queue_has_forgotten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that ran and ended meanwhile was submitted, also where nobody could ask for weeks."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    site.put("listing", site.empty)
    site.program("sacct", "#!/bin/sh\ncase $* in *'-S now-30days'*) echo 4242 ;; esac\n")
    assert JobFound(job=JobId("4242")) == find(site, session)


def test_what_is_listed_is_found_whatever_squeue_complains_of(site: Site) -> None:
    """Trouble may hide a job, and makes none."""
    session = site.staged()
    failing(site, site.unanswered)
    assert isinstance(submit(site, session), SubmitUnknown)
    site.put("squeue.err", "squeue: error: a sibling cannot be reached\n")
    site.lists("815", session)
    assert JobFound(job=JobId("815")) == find(site, session)


def test_what_slurm_leaves_aside_in_its_configuration_is_no_trouble(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a submission would be unclear for ever where each of its commands complains."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    monkeypatch.setattr(batch, "PAUSE_S", 0)
    session = site.staged()
    failing(site, site.unanswered)
    assert isinstance(submit(site, session), SubmitUnknown)
    site.put("squeue.err", f"{ASIDE}\n")
    site.put("listing", site.empty)
    site.program("sacct", "#!/bin/sh\nexit 0\n")
    find(site, session)
    assert isinstance(find(site, session), JobAbsent)


@pytest.mark.parametrize("name", ["exit", "endpoint"])
def test_job_that_began_has_said_so_itself(site: Site, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without accounting nobody else remembers a job that ran and ended while nobody could ask."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    site.put("listing", site.empty)
    (folder(session) / name).write_text("status=0\nrun=4242.1\nreason=exit\n")
    assert JobFound(job=JobId("4242")) == find(site, session)
