"""Jobs that go back into the queue on a real Slurm cluster: the same session at the same URL, submitted once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from sessiond.api.wire import Session

from .bed import NODES, Cluster
from .bed.fixtures import fresh_cluster
from .bed.person import Person, person
from .bed.waiting import until
from .scenario import add_where, ended, job_of, page, submissions

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def quick() -> Iterator[Cluster]:
    """A cluster that notices a dead node, and starts a job again, within seconds."""
    with fresh_cluster(slurmd_timeout_s=2, message_timeout_s=2) as made:
        yield made


def start(me: Person, name: str, *directives: str) -> Session:
    """sessionctl start, until it runs."""
    words = [f"--directive={directive}" for directive in directives]
    done = me.ctl("start", "where", "--on", "bed", "--name", name, "--time", "30", *words)
    assert 0 == done.status, done.err
    return me.client.session(name)


def test_a_node_is_lost_and_the_session_starts_again_on_the_other(quick: Cluster) -> None:
    """The power of its node goes: with --requeue the session waits, says so, and is back on the other node at the same
    URL; with --no-requeue it has ended, and says that its node failed."""
    with person(quick, start=False) as me:
        add_where(me)
        me.daemon()
        first = start(me, "r", "--requeue")
        node, url = str(first["node"]), first["url"]
        start(me, "n", "--no-requeue", f"--nodelist={node}")
        assert page(first).split()[0] == node
        quick.power_off(node)
        until(lambda: "PENDING" == quick.job(job_of(first))["JobState"], "Slurm has put the job back", 40)
        me.ctl("ls", "--fresh")
        waits = me.until_so("r", lambda one: one["state"] == "wait-for-node")
        assert waits["phrase"].startswith("waiting for a node: "), waits["phrase"]
        assert waits["url"] == url
        assert "waiting for a node" in me.ctl("ls").out

        lost = ended(me, quick, "n", "node-failed", limit_s=60)
        assert "its node failed" in lost["phrase"]
        why = me.ctl("why", "n").out
        assert "Next: sessionctl start where --again; the scheduler avoids a node" in why
        assert "the node failed" in why

        again = me.until_so("r", lambda one: one["state"] == "running", 60)
        other = (set(NODES) - {node}).pop()
        assert other == again["node"]
        assert (url, first["open_port"], first["job_id"]) == (again["url"], again["open_port"], again["job_id"])
        assert f"{other} run {job_of(first)}.1 " in page(again)
        why = me.ctl("why", "r").out
        assert "the scheduler put the job back into the queue" in why
        assert f"the job runs on {other}" in why
        quick.boot(node)
        quick.nodes_usable()
        assert 0 == me.ctl("stop", "r").status
        session = ended(me, quick, "r", "cancelled")
        assert [1, 1] == [submissions(quick, one) for one in (session, lost)]
    quick.reset()


def runs_again(before: Session, now: Session) -> bool:
    """Whether a session runs, and not as it did ``before``."""
    return now["state"] == "running" and now["since"] != before["since"]


def test_its_owner_requeues_the_job_by_hand(quick: Cluster) -> None:
    """`scontrol requeue`: in the queue, then running again at the same URL; after `requeuehold` it is held until it is
    released; stopped on its way back into the queue it does not come back."""
    with person(quick, start=False) as me:
        add_where(me)
        me.daemon()
        first, second = start(me, "r", "--requeue"), start(me, "h", "--requeue")
        assert f" run {job_of(first)}.0 " in page(first)
        assert 0 == quick.ssh(f"scontrol requeue {job_of(first)}").returncode
        assert 0 == quick.ssh(f"scontrol requeuehold {job_of(second)}").returncode
        me.ctl("ls", "--fresh")
        held = me.until_so("h", lambda one: one["job_phase"] == "held")
        assert "held in the queue" in held["phrase"]
        assert 0 == quick.ssh(f"scontrol release {job_of(second)}").returncode
        me.ctl("ls", "--fresh")
        for before in (first, second):
            again = me.until_so(before["name"], partial(runs_again, before), 60)
            assert f" run {job_of(before)}.1 " in page(again)
            assert (before["url"], before["job_id"]) == (again["url"], again["job_id"])
            assert "back into the queue" in me.ctl("why", before["name"]).out
        assert 0 == quick.ssh(f"scontrol requeue {job_of(first)}").returncode
        assert 0 == me.ctl("stop", "r", "h").status
        for name in ("r", "h"):
            session = ended(me, quick, name, "cancelled", killed=name == "r")
            assert 1 == submissions(quick, session)
        assert 2 == quick.sbatch_calls()
