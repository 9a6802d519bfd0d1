"""The scheduler fails: no controller, a frozen one, nobody to vouch for users; no session ends without evidence."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from sessiond.client import Client, ClientError

from .bed import Cluster
from .bed.fixtures import fresh_cluster
from .bed.waiting import until
from .storm import Storm, nothing_left, stays, storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def impatient() -> Iterator[Cluster]:
    """A cluster whose commands wait two seconds for the controller, not ten."""
    with fresh_cluster(message_timeout_s=2) as made:
        yield made


@pytest.fixture
def bed(impatient: Cluster) -> Iterator[Cluster]:
    """The same, as good as new."""
    yield impatient
    impatient.reset()


def failed_looks(it: Storm) -> int:
    """Have the cluster looked at soon; how often the daemon found until now that it cannot see the jobs."""
    with contextlib.suppress(ClientError):  # it answers when it has looked, and nobody waits for that here
        Client(it.me.socket, timeout_s=0.2).sessions(fresh=True)
    return it.me.log.read_text().count("cannot see the jobs of a cluster")


def as_seen(it: Storm, said: str) -> None:
    """For two seconds all stays as it was seen last, what is known grows older, and the service goes on."""
    stays(lambda: ["running", "wait-for-node"] == [one["state"] for one in it.me.client.sessions()], 2, "states")
    assert "up" == it.link["state"]
    for one in it.me.client.sessions():
        assert 2 <= (one["observed_age_s"] or 0)
    assert said == it.answers(it.me.client.sessions()[0])


def seen_again(it: Storm) -> None:
    """Wait for a look that succeeds."""
    began = time.time()

    def looked() -> bool:
        failed_looks(it)
        return time.time() - (it.me.client.sessions()[0]["observed_age_s"] or 0) > began

    until(looked, "the jobs are seen again")


def hanging(it: Storm, more: int = 1) -> None:
    """Wait until as many submissions more as were counted at the beginning are under way."""
    until(lambda: it.cluster.sbatch_calls() >= more, "sbatch was called")


def test_nobody_can_say_anything_of_jobs(bed: Cluster) -> None:
    """Three troubles, one after the other: whatever was seen last stays, and the job that ended is known afterwards."""
    with storm(bed) as it:
        runs = it.start("kite")
        said = it.answers(runs)
        bed.slow_prolog(600)
        waits = it.begin("kite")
        it.me.until_so(waits["id"], lambda seen: seen["job_phase"] == "configuring")
        bed.munge_stop()
        as_seen(it, said)
        bed.munge_start()
        seen_again(it)
        before = failed_looks(it)
        bed.ctld_freeze()
        until(lambda: failed_looks(it) > before, "a look fails")
        as_seen(it, said)
        bed.ctld_thaw()
        seen_again(it)
        before = failed_looks(it)
        bed.ctld_stop()
        until(lambda: failed_looks(it) > before, "a look fails")
        as_seen(it, said)
        words = it.said("ls")
        assert "running; its job was last seen" in words, words
        assert "its node is being prepared; its job was last seen" in words
        assert "connected, but its jobs cannot be seen: squeue does not answer" in it.said("clusters")
        assert "its job goes on meanwhile, and it is tried again by itself" in it.said("why", waits["name"])
        bed.slow_prolog(0)
        bed.ctld_start()
        it.running(waits)
        it.alive(runs, said)
        it.end(runs, waits)
        nothing_left(bed)


def test_frozen_during_a_submission(bed: Cluster) -> None:
    """sbatch hears nothing and gives up; the job runs all the same, later; it is found, and there is one."""
    with storm(bed) as it:
        bed.ctld_freeze()
        session = it.begin("kite")
        it.me.until(session["id"], "reconcile")
        assert "finding out whether the job was submitted" in it.said("ls")
        why = it.said("why", session["name"])
        assert "the answer to the submission was lost" in why
        assert "nothing is submitted twice" in why
        bed.ctld_thaw()
        (found,) = it.running(session)
        assert "the job was found: it had been submitted as" in it.said("why", session["name"])
        assert session["url"] == found["url"]
        it.alive(found, it.answers(found))
        it.end(found)
        nothing_left(bed)


def test_the_daemon_is_killed_while_sbatch_hangs(bed: Cluster) -> None:
    """The next daemon asks what became of the submission before it does anything else; one job."""
    with storm(bed, start=False) as it:
        first = it.daemon()
        bed.ctld_freeze()
        session = it.begin("kite")
        hanging(it)
        first.kill()
        it.daemon()
        again = it.me.client.session(session["id"])
        assert (session["url"], session["id"]) == (again["url"], again["id"])
        until(lambda: not bed.hosts["login"].named("sbatch"), "sbatch gives up")
        bed.ctld_thaw()
        (found,) = it.running(session)
        it.alive(found, it.answers(found))
        it.end(found)
        nothing_left(bed)


def test_a_stop_while_files_are_put_in_place(bed: Cluster) -> None:
    """Twice, while its preparation runs: cancelled, nothing was submitted, and the preparation is gone."""
    with storm(bed) as it:
        session = it.begin("heavy")
        until(lambda: bool(bed.hosts["login"].named("sleep")), "the preparation runs")
        it.me.client.stop(session["id"])
        assert "ended" == it.me.client.stop(session["id"])["state"]
        it.over(session, "cancelled", submitted=0)
        nothing_left(bed)


def test_a_stop_while_sbatch_hangs(bed: Cluster) -> None:
    """Twice, while the controller is frozen: the job that comes into being afterwards is found and ended."""
    with storm(bed) as it:
        bed.ctld_freeze()
        session = it.begin("kite")
        hanging(it)
        for _ in range(2):
            assert "abandon" == it.me.client.stop(session["id"])["state"]
        assert "stopping: finding out whether a job was submitted" in it.said("ls")
        until(lambda: not bed.hosts["login"].named("sbatch"), "sbatch gives up")
        bed.ctld_thaw()
        it.over(session, "cancelled")
        assert 1 == len(it.jobs(session))
        # Told to go before it began it is cancelled; afterwards its runner ends it in order, and in Slurm's books it
        # has not failed. Of itself it would not have ended.
        ends = ({"CANCELLED"}, {"COMPLETED"})
        until(lambda: {job.state for job in it.jobs(session)} in ends, "the job has been ended")
        nothing_left(bed)


def test_a_stop_while_nobody_knows(bed: Cluster) -> None:
    """The link goes in the middle of the submission, then people stop the session, twice; nothing remains."""
    with storm(bed) as it:
        bed.ctld_freeze()
        session = it.begin("kite")
        hanging(it)
        bed.sshd_stop("login")
        bed.sshd_kill_sessions("login")
        it.me.until(session["id"], "reconcile")
        for _ in range(2):
            assert "abandon" == it.me.client.stop(session["id"])["state"]
        words = it.said("ls")
        assert "stopping: finding out whether a job was submitted, but bed is unreachable" in words, words
        stays(lambda: "abandon" == it.me.client.session(session["id"])["state"], 1, "no end without evidence")
        until(lambda: not bed.hosts["login"].named("sbatch"), "sbatch gives up")
        bed.ctld_thaw()
        bed.sshd_start("login")
        it.over(session, "cancelled")
        with pytest.raises(ClientError):
            it.me.client.extend(session["id"], "+1h")
        nothing_left(bed)
