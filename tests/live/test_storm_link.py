"""The way to the cluster goes: sshd dies, the cable is dead; jobs go on, and every session is found again."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from .bed import LOGIN, Cluster
from .bed.waiting import until
from .storm import nothing_left, stays, storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def test_sshd_dies_and_comes_back(cluster: Cluster) -> None:
    """The session is out of sight and says so, calls on the login node become rarer, and the same URL works again."""
    with storm(cluster) as it:
        session = it.start(name="one")
        said = it.answers(session)
        assert said.startswith("tiny ")
        assert 1 == it.link["attempts"]
        began = time.monotonic()
        cluster.sshd_stop(LOGIN)
        cluster.sshd_kill_sessions(LOGIN)
        until(lambda: it.link["attempts"] >= 3, "it calls again")
        words = it.said("clusters")
        assert "unreachable for" in words
        assert "refuses connections: nothing listens on port 22" in words
        assert "tried again by itself" in words
        assert "running, but bed is unreachable for" in it.said("ls")
        why = it.said("why", "one")
        assert "reconnecting by itself; its job goes on meanwhile" in why
        stays(lambda: it.link["attempts"] <= most_attempts(began), 3.0, "few calls")
        seen = it.me.client.session("one")
        assert ("running", session["job_id"], session["url"]) == (seen["state"], seen["job_id"], seen["url"])
        cluster.sshd_start(LOGIN)
        assert it.until_link("up")["attempts"] <= most_attempts(began)
        it.alive(session, said)
        it.end(session)
        nothing_left(cluster)


def most_attempts(began: float) -> int:
    """How many there can have been: what is lost early is not made again at once, but after one second, two, four and
    so on, each a fifth less at least."""
    return 1 + int(math.log2((time.monotonic() - began) / 0.8 + 1))


@pytest.mark.parametrize("most", [2, 3])
def test_few_sessions_over_one_connection(cluster: Cluster, most: int) -> None:
    """sshd allows no more; six sessions are started at once and stopped at once, and everything succeeds."""
    cluster.sshd_set(LOGIN, MaxSessions=str(most))
    with storm(cluster) as it:
        with ThreadPoolExecutor(6) as pool:
            begun = list(pool.map(lambda _: it.begin(), range(6)))
        running = it.running(*begun)
        assert [one["url"] for one in begun] == [one["url"] for one in running]
        assert 6 == len({it.answers(one) for one in running})
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda one: it.me.client.stop(one["id"]), running))
        for one in running:
            it.over(one, "cancelled")
        assert ("up", 1) == (it.link["state"], it.link["attempts"])
        nothing_left(cluster)


def test_the_link_is_lost_in_the_middle_of_a_submission(cluster: Cluster) -> None:
    """sbatch hangs, sshd's process for us dies; what sbatch does without us is found, and done once."""
    with storm(cluster) as it:
        cluster.ctld_freeze()
        session = it.begin()
        until(lambda: 1 == cluster.sbatch_calls(), "sbatch was called")
        cluster.sshd_kill_sessions(LOGIN)
        unsure = it.me.until(session["id"], "reconcile")
        assert unsure["job_id"] is None
        assert "the answer to the submission was lost" in it.said("why", session["name"])
        it.until_link("up")
        cluster.ctld_thaw()
        (found,) = it.running(session)
        assert session["url"] == found["url"]
        assert "the job was found" in it.said("why", session["name"])
        it.alive(found, it.answers(found))
        it.end(found)
        nothing_left(cluster)


def submitted(cluster: Cluster, calls: int) -> None:
    """Wait until sbatch was called so many times."""
    until(lambda: cluster.sbatch_calls() >= calls, f"{calls} submissions", 40)


def test_twenty_at_once_while_sshd_dies(cluster: Cluster) -> None:
    """Its processes die in the middle of the submissions, again and again: twenty sessions, jobs, calls of sbatch."""
    with storm(cluster) as it:
        with ThreadPoolExecutor(8) as pool:
            begun = list(pool.map(lambda _: it.begin(), range(20)))
        for calls in (3, 8, 14):
            submitted(cluster, calls)
            cluster.sshd_kill_sessions(LOGIN)
        for one in begun:
            seen = it.me.until_so(one["id"], lambda now: now["job_id"] is not None or now["state"] == "ended", 60)
            assert seen["state"] in ("wait-for-node", "start", "tunnel", "running"), seen
            assert one["url"] == seen["url"]
        assert 20 == cluster.sbatch_calls()
        assert [1] * 20 == [len(it.sbatches(one)) for one in begun]
        assert [1] * 20 == [len(it.jobs(one)) for one in begun]
        for one in begun:
            it.me.client.stop(one["id"])
        for one in begun:
            it.me.until(one["id"], "ended")
        assert 20 == cluster.sbatch_calls()
        assert {"cancelled"} == {one["outcome"] for one in it.me.client.sessions(all=True)}
        nothing_left(cluster)
