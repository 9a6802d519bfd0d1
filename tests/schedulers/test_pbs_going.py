"""How a job of PBS is told to go, cleaned up after, and given more time, by the scripts on the login node."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from sessiond.core.errors import Refused, Unreadable
from sessiond.core.events import CancelDelayed, CancelSent
from sessiond.core.session import Session
from sessiond.schedulers.pbs.dialect import Pbs

from .batch_site import hide, out_of_the_way
from .machine import Machine, folder
from .pbs_site import JOB, Site, job_text, recording
from .slurm_site import with_job


@pytest.fixture
def site(machine: Machine) -> Site:
    """A machine with the commands of PBS."""
    return Site(machine)


def cancel(site: Site, session: Session, *, force: bool = False) -> object:
    """What comes of a cancellation."""
    return Pbs().read_cancel(session, site.machine.run(Pbs().cancel(session, force=force)))


# Being told to go.


def test_running_job_is_told_by_its_mark_alone(site: Site) -> None:
    """Its runner sees it; qdel would leave the kill script ten seconds."""
    session = with_job(site.staged(), JOB)
    (folder(session) / "pbs.began").write_text("16.pbs 0 77\n")
    site.put("qstat.out", job_text(session))
    assert CancelSent() == cancel(site, session)
    assert [] == site.lines("qdel.calls")
    assert "soft" == (folder(session) / "stop").read_text().split()[1]


@pytest.mark.parametrize("state", ["Q", "H", "W", "T", "S", "U", "M", "B", "R"])
def test_job_without_a_runner_is_deleted(site: Site, state: str) -> None:
    """It waits, is suspended, or has not come to its runner: nobody would see the mark soon."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session, state))
    assert CancelSent() == cancel(site, session)
    assert [JOB] == site.lines("qdel.calls")


def test_a_file_of_the_home_folder_is_not_taken_for_the_cluster_s_setup(site: Site) -> None:
    """Without the session's folder a `setup.sh` that lies there is anybody's; it is not run to find the commands."""
    session = with_job(site.machine.session(), JOB)
    hidden = hide(site)
    (site.machine.root / "setup.sh").write_text(f": >ran; PATH=$PATH:{hidden}\n")
    done = site.machine.run(out_of_the_way(site, Pbs().cancel(session, force=False), "PBS_PLACES"))
    assert isinstance(Pbs().read_cancel(session, done), CancelDelayed)
    assert not (site.machine.root / "ran").exists()


def test_job_without_its_folder_is_deleted_and_nothing_is_written(site: Site) -> None:
    """Nobody could find a mark there; and a note in the home folder would be every such session's."""
    session = with_job(site.machine.session(), JOB)
    site.put("qstat.out", job_text(session))
    (site.machine.root / "pbs.deleted").write_text("1\n")
    before = sorted(site.machine.root.iterdir())
    assert CancelSent() == cancel(site, session)
    assert CancelSent() == cancel(site, session, force=True)
    assert [JOB, JOB] == site.lines("qdel.calls")
    assert (before, "1\n") == (sorted(site.machine.root.iterdir()), (site.machine.root / "pbs.deleted").read_text())


@pytest.mark.parametrize("patience", ["force", "over"])
def test_force_and_patience_at_an_end_delete(site: Site, patience: str) -> None:
    """With force, or once the kill script's time has passed by the cluster's clock."""
    session = with_job(site.staged(), JOB)
    (folder(session) / "pbs.began").write_text("16.pbs 0 77\n")
    site.put("qstat.out", job_text(session))
    if patience == "over":
        (folder(session) / "stop").write_text("1 soft\n")
    assert CancelSent() == cancel(site, session, force=patience == "force")
    assert [JOB] == site.lines("qdel.calls")


def test_job_that_did_not_go_is_dropped_by_force_and_that_is_said(site: Site) -> None:
    """Qdel said yes a while ago, which proves nothing."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session))
    assert CancelSent() == cancel(site, session, force=True)
    assert CancelSent() == cancel(site, session, force=True)
    (folder(session) / "pbs.deleted").write_text(f"{int(time.time()) - 91}\n")
    assert CancelSent(forced=True) == cancel(site, session, force=True)
    assert [JOB, JOB, f"-W force {JOB}"] == site.lines("qdel.calls")
    assert "dropped by qdel -W force" in (folder(session) / "logs.out").read_text()


def test_force_that_the_server_does_not_know_is_a_plain_deletion(site: Site) -> None:
    """Torque's qdel has no such word."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session))
    site.program("qdel", '#!/bin/sh\necho "$*" >>"$SITE/qdel.calls"\n[ "$1" != -W ]\n')
    (folder(session) / "pbs.deleted").write_text("1\n")
    assert CancelSent() == cancel(site, session, force=True)
    assert [f"-W force {JOB}", JOB] == site.lines("qdel.calls")


@pytest.mark.parametrize("name", ["qstat_unknown", "qstat_finished_no_x", "qstat_xf_ok"])
def test_job_that_is_over_was_told_to_go(site: Site, name: str) -> None:
    """Unknown, finished, or in the history."""
    site.shows(name)
    assert CancelSent() == cancel(site, with_job(site.staged(), JOB))
    assert [] == site.lines("qdel.calls")


@pytest.mark.parametrize("name", ["qdel_finished", "qdel_unknown"])
def test_job_that_ends_meanwhile_was_told_to_go(site: Site, name: str) -> None:
    """Between the question and the deletion."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session, "Q"))
    site.put("qdel.err", recording(name).err)
    site.put("qdel.rc", str(recording(name).rc))
    assert CancelSent() == cancel(site, session)


@pytest.mark.parametrize("name", ["down_qdel", "qdel_other_user", "qdel_mom_frozen"])
def test_refused_deletion_is_repeated(site: Site, name: str) -> None:
    """Server down, somebody else's job, no answer: it was not told."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session, "Q"))
    site.put("qdel.err", recording(name).err)
    site.put("qdel.rc", str(recording(name).rc))
    assert isinstance(cancel(site, session), CancelDelayed)


def test_mark_is_there_although_the_server_does_not_answer(site: Site) -> None:
    """A running session ends by itself then, whatever the server does."""
    session = with_job(site.staged(), JOB)
    site.shows("down_qstat")
    event = cancel(site, session)
    assert isinstance(event, CancelDelayed)
    assert "cannot connect to server" in event.problem.message
    assert (folder(session) / "stop").exists()


def test_another_session_s_job_of_the_same_id_is_left_alone(site: Site) -> None:
    """A server that was set up anew counts from 0 again."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(replace(session, id="zzzzzzzzzzzz"), "R"))  # type: ignore[arg-type]
    assert CancelSent() == cancel(site, session, force=True)
    assert [] == site.lines("qdel.calls")


# Cleaning up.


@pytest.mark.parametrize("state", ["R", "Q", "E", "Z"])
def test_cleaning_up_takes_nothing_from_a_job_that_may_run(site: Site, state: str) -> None:
    """It is told to go, and the rest is for another time."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session, state))
    assert 1 == site.machine.run(Pbs().cleanup(session)).rc
    assert (folder(session) / "pbs_run.sh").exists()
    assert [JOB] == site.lines("qdel.calls")


def test_cleaning_up_waits_for_the_server(site: Site) -> None:
    """While it cannot be asked, nothing is removed."""
    session = with_job(site.staged(), JOB)
    site.shows("down_qstat")
    assert 1 == site.machine.run(Pbs().cleanup(session)).rc
    assert (folder(session) / "pbs_run.sh").exists()


@pytest.mark.parametrize("name", ["qstat_unknown", "qstat_finished_no_x"])
def test_cleaning_up_keeps_what_tells_the_story(site: Site, name: str) -> None:
    """The log, the scripts, the fence, the user's files; and PBS's own output where there is some."""
    session, quiet = with_job(site.staged(), JOB), with_job(site.staged(), JOB)
    site.shows(name)
    for one in (session, quiet):
        for made in ("secrets.sh", "notebook.ipynb", "pbs.out", "pbs.began"):
            (folder(one) / made).write_text("x" if one is session or made != "pbs.out" else "")
        (folder(one) / "pbs.began.16.0").mkdir()
        (folder(one) / "attempt.1").mkdir()
        assert 0 == site.machine.run(Pbs().cleanup(one)).rc
    story = {"attempt.1", "logs.out", "notebook.ipynb", "session.sh", "kill.sh", "job.sh", "stop", "pbs.out"}
    assert story == {path.name for path in folder(session).iterdir()}
    assert story - {"pbs.out"} == {path.name for path in folder(quiet).iterdir()}


# More time.


def extended(site: Site, session: Session, by_s: int = 600) -> str:
    """What comes of asking for more time."""
    return Pbs().read_extend(session, site.machine.run(Pbs().extend(session, by_s)))


def test_more_time_is_a_new_whole_limit_that_the_runner_learns_too(site: Site) -> None:
    """PBS takes no difference; what is there now is asked first."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session).replace("00:30:00", "08:09:10"))
    assert "raised" in extended(site, session)
    assert [f"-l walltime={8 * 3600 + 9 * 60 + 10 + 600} {JOB}"] == site.lines("qalter.calls")
    assert f"{8 * 3600 + 9 * 60 + 10 + 600}\n" == (folder(session) / "pbs.limit").read_text()


def test_more_time_is_refused_in_the_server_s_words(site: Site) -> None:
    """With a hint whom to ask, and the runner learns nothing."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session))
    refusal = recording("qalter_walltime_running_raise")
    site.put("qalter.err", refusal.err)
    site.put("qalter.rc", str(refusal.rc))
    with pytest.raises(Refused, match="Unauthorized Request") as caught:
        extended(site, session)
    assert "administrators" in caught.value.hint
    assert not (folder(session) / "pbs.limit").exists()


def test_more_time_of_a_job_that_is_over_or_has_no_limit_is_refused(site: Site) -> None:
    """There is nothing to raise."""
    session = with_job(site.staged(), JOB)
    site.shows("qstat_unknown")
    with pytest.raises(Refused, match="the job is over"):
        extended(site, session)
    site.put("qstat.rc", "0")
    site.put("qstat.err", "")
    site.put("qstat.out", job_text(session).replace("    Resource_List.walltime = 00:30:00\n", ""))
    with pytest.raises(Refused, match="no limit"):
        extended(site, session)
    assert [] == site.lines("qalter.calls")


def test_more_time_from_a_server_that_is_down_can_be_asked_again(site: Site) -> None:
    """It is no refusal."""
    session = with_job(site.staged(), JOB)
    site.shows("down_qstat")
    with pytest.raises(Unreadable, match="cannot connect"):
        extended(site, session)
