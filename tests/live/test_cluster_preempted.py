"""Jobs that make way for others: put back into the queue they come back, cancelled they are over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .bed import Cluster
from .bed.fixtures import fresh_cluster
from .bed.person import person
from .bed.waiting import until
from .contract import seen
from .scenario import add_where, ended, job_of, page, submissions

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def busy() -> Iterator[Cluster]:
    """A cluster with two partitions for idle times, whose jobs make way for those of a third."""
    slurm = {"PreemptType": "preempt/partition_prio", "PreemptMode": "REQUEUE"}
    partitions = {
        "idle": "PriorityTier=1 PreemptMode=REQUEUE",
        "spot": "PriorityTier=1 PreemptMode=CANCEL",
        "urgent": "PriorityTier=9 PreemptMode=OFF",
    }
    with fresh_cluster(slurm=slurm, partitions=partitions) as made:
        yield made


def test_an_urgent_job_takes_the_nodes(busy: Cluster) -> None:
    """One session waits, says so, and is back at the same URL afterwards; the other has ended as preempted."""
    with person(busy, start=False) as me:
        add_where(me)
        me.daemon()
        for name, partition in (("back", "idle"), ("over", "spot")):
            words = ("--set", f"partition={partition}", "--time", "30", "--directive=--requeue")
            done = me.ctl("start", "where", "--on", "bed", "--name", name, *words)
            assert 0 == done.status, done.err
        first = me.client.session("back")
        urgent = busy.submit("sleep 600", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null")
        busy.until_job(urgent, "RUNNING")
        until(lambda: "PENDING" == busy.job(job_of(first))["JobState"], "Slurm has put the job back")
        me.ctl("ls", "--fresh")
        waits = me.until_so("back", lambda one: one["state"] == "wait-for-node")
        assert (first["url"], first["job_id"]) == (waits["url"], waits["job_id"])
        assert 0 == busy.ssh(f"scancel {urgent}").returncode
        again = me.until_so("back", lambda one: one["state"] == "running", 60)
        assert (first["url"], first["open_port"], first["job_id"]) == (
            again["url"],
            again["open_port"],
            again["job_id"],
        )
        assert f" run {job_of(first)}.1 " in page(again)
        assert "the scheduler put the job back into the queue" in me.ctl("why", "back").out
        assert 0 == me.ctl("stop", "back").status
        session = ended(me, busy, "back", "cancelled")
        # A preempted job may come back: for a minute nothing is concluded.
        seen(me, "over", "ended", 150)
        over = ended(me, busy, "over", "preempted")
        assert "preempted" in over["phrase"]
        why = me.ctl("why", "over").out
        assert "the job was preempted by another" in why
        assert "Next: sessionctl start where --again; in another partition" in why
        assert [1, 1] == [submissions(busy, one) for one in (session, over)]
