"""Outages of minutes, not seconds: no way to the cluster, or no controller there, while jobs begin and end.

Both are waited out at the same time, on a cluster each; each is told of by a test of its own.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pytest

from sessiond.api.wire import Session

from .bed import Cluster
from .bed.fixtures import fresh_cluster
from .bed.needs import reason_to_skip
from .bed.waiting import until
from .scenario import of_job
from .storm import ACTIVE, Storm, nothing_left, stays, storm

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

OUTAGE_S = 185.0
NO_ANSWER_S = 46.0
"""What a dead connection takes to be noticed: three questions fifteen seconds apart."""
CALLS_AGAIN_WITHIN_S = 120.0
"""What was tried in vain for three minutes is tried again after so much at most: pauses of up to 64 s have come by
then, and an attempt that began before the end takes another 20 s to fail."""
SUBMITS_AGAIN_WITHIN_S = 180.0
"""The same for a submission, which fails in 10 s: pauses of up to 128 s."""
TOLD_AGAIN_WITHIN_S = 60.0
"""Until a controller that is back hears from a node that a job has ended, and a look from the controller: the node
tries again 15 s after a try, which fails in up to 9 s (measured, 22.05)."""
FLOOR_S = 1.0
"""The clusters' ``poll``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outages:
    """Both, under way."""

    network: Future[None]
    controller: Future[None]


@pytest.fixture(scope="module")
def outages() -> Iterator[Outages]:
    """Two clusters, each with somebody, each in its own trouble."""
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    with ThreadPoolExecutor(2) as pool:
        yield Outages(network=pool.submit(on_a_bed, no_network), controller=pool.submit(on_a_bed, no_controller))


def on_a_bed(trouble: Callable[[Cluster, Storm], None]) -> None:
    """A cluster's whole life, and what must be at the end of any trouble."""
    with fresh_cluster() as bed, storm(bed) as it:
        trouble(bed, it)
        nothing_left(bed)


def test_the_network_is_a_black_hole_while_jobs_begin_and_end(outages: Outages) -> None:
    """Six sessions, three minutes without a word; then each is what its job made of it, and was submitted once."""
    outages.network.result()


def test_no_controller_while_jobs_end_and_are_asked_for(outages: Outages) -> None:
    """Five sessions, three minutes in which nobody can say anything of jobs: nothing is ended, lost or done twice."""
    outages.controller.result()


def no_network(bed: Cluster, it: Storm) -> None:
    """Three sessions run, two jobs begin, three end, one is asked for, and the workspace sees nothing of it."""
    stays_up, ends, fails = it.running(*(it.begin(kind) for kind in ("kite", "fuse", "fuse")))
    said = it.answers(stays_up)
    bed.slow_prolog(600)
    begins, passes = it.begin("kite"), it.begin("fuse")
    for one in (begins, passes):
        it.me.until_so(one["id"], lambda seen: seen["job_phase"] == "configuring")
    bed.cut()
    cut_at = time.monotonic()
    it.burn(ends)
    it.burn(fails, 7)
    it.burn(passes)  # it begins and ends, and nobody here sees it
    bed.slow_prolog(0)
    over = {job.id for one in (ends, fails, passes) for job in it.jobs(one)}
    until(lambda: not over & {job.id for job in bed.jobs(ACTIVE)}, "three jobs end")
    it.until_link("backoff", limit_s=NO_ANSWER_S + 10)
    assert "no answer for 45 s" in it.said("clusters")
    until(lambda: it.link["attempts"] >= 2, "it calls again")
    asked = it.begin("kite")
    refused = it.me.ctl("extend", stays_up["id"], "+1h")
    assert 0 != refused.status
    assert "bed is unreachable" in refused.err
    before = states(it)
    stays(lambda: before == states(it), left_of(cut_at), "no state changes unseen", every_s=1.0)
    words = it.said("ls")
    assert 3 == words.count("running, but bed is unreachable for 2 min"), words
    assert 2 == words.count("its node is being prepared, but bed is unreachable for 2 min")
    assert 1 == words.count("preparing, but bed is unreachable for 2 min")
    assert "unreachable for 2 min" in it.said("clusters")
    # the first, and those after 1, 2, 4, 8 and 16 s and so on, each of which takes 20 s to fail
    assert 8 >= it.link["attempts"]
    bed.heal()
    it.until_link("up", limit_s=CALLS_AGAIN_WITHIN_S)
    it.alive(stays_up, said)
    it.over(ends, "completed")
    it.over(fails, "failed")
    it.over(passes, "completed")
    assert 1 == it.started(passes)
    for one in it.running(begins, asked):
        it.alive(one, it.answers(one))
        assert one["url"] in (begins["url"], asked["url"])
    it.end(stays_up, begins, asked)


def no_controller(bed: Cluster, it: Storm) -> None:
    """One session runs on, two jobs end, one is being prepared, one is asked for, and the controller is away."""
    runs, ends, fails = it.running(*(it.begin(kind) for kind in ("kite", "fuse", "fuse")))
    said = it.answers(runs)
    bed.slow_prolog(600)
    waits = it.begin("kite")
    it.me.until_so(waits["id"], lambda seen: seen["job_phase"] == "configuring")
    limit = bed.job(str(runs["job_id"]))["TimeLimit"]
    bed.ctld_stop()
    stopped_at, before = time.monotonic(), len(bed.calls())
    it.burn(ends)
    it.burn(fails, 7)
    for one in (ends, fails):
        until(partial(is_done, bed, one), "the node is done with the job")
    bed.slow_prolog(0)
    asked = it.begin("kite")
    it.me.until_so(asked["id"], lambda one: one["problem"] is not None)
    refused = it.me.ctl("extend", runs["id"], "+1h")
    assert 0 != refused.status
    assert "Unable to contact slurm controller" in refused.err

    def as_it_was() -> bool:
        found = states(it)
        known = [found.get(one["id"]) for one in (runs, waits, asked)]
        # their services answer no more, which says nothing of their jobs
        unsure = {found.get(one["id"]) for one in (ends, fails)}
        return ["running", "wait-for-node", "submit"] == known and unsure <= {"running", "tunnel"}

    stays(lambda: as_it_was() and said == it.answers(runs), left_of(stopped_at), "as it was", every_s=1.0)
    in_vain = bed.calls()[before:]
    words = it.said("ls")
    assert "running; its job was last seen 3 min ago" in words, words
    assert "its node is being prepared; its job was last seen 3 min ago" in words, words
    assert "submitting: the scheduler says: Unable to contact slurm controller" in words
    words = it.said("clusters")
    assert "connected, but its jobs cannot be seen: squeue does not answer" in words, words
    assert re.search(r"\b3m\d+s ago\b", words), words
    for one in (runs, waits):
        assert "its job goes on meanwhile, and it is tried again by itself" in it.said("why", one["id"])
    assert "it is tried again by itself" in it.said("why", asked["id"])
    bed.ctld_start()
    # what a command of Slurm takes to give up, 9 s, is waited for, too: the pauses are longer than the floor
    looks = [call.at for call in in_vain if call.program == "squeue"]
    assert FLOOR_S <= min(later - earlier for earlier, later in pairwise(looks))
    made = Counter(call.program for call in in_vain)
    assert {"squeue", "sbatch", "scontrol"} == set(made)
    assert 20 >= made["squeue"]
    assert 9 >= made["sbatch"]
    assert 1 == made["scontrol"]
    it.alive(runs, said)
    assert limit == bed.job(str(runs["job_id"]))["TimeLimit"]
    it.over(ends, "completed", limit_s=TOLD_AGAIN_WITHIN_S)
    it.over(fails, "failed", limit_s=TOLD_AGAIN_WITHIN_S)
    (found,) = it.running(waits)
    it.alive(found, it.answers(found))
    late = it.me.until_so(asked["id"], lambda one: one["state"] == "running", SUBMITS_AGAIN_WITHIN_S)
    assert (asked["url"], 1, 1) == (late["url"], len(it.jobs(late)), it.started(late))
    tries = len(it.sbatches(late))
    assert 2 <= tries
    it.end(runs, waits)
    it.me.client.stop(late["id"])
    it.over(late, "cancelled", submitted=tries)


def is_done(bed: Cluster, session: Session) -> bool:
    """Whether nothing of a session's job runs on its node any more."""
    return [] == of_job(bed, str(session["node"]), session)


def states(it: Storm) -> dict[str, str]:
    """The state of every session that has not ended, by its id."""
    return {one["id"]: one["state"] for one in it.me.client.sessions()}


def left_of(began: float) -> float:
    """How many seconds an outage that ``began`` then still lasts."""
    return max(0.0, OUTAGE_S - (time.monotonic() - began))
