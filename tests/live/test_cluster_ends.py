"""How sessions on a real Slurm cluster end by hand and by stop, beyond what holds for every scheduler."""

from __future__ import annotations

import pytest

from .bed import Cluster
from .bed.person import Person, person
from .bed.waiting import until
from .contract import seen
from .scenario import (
    SERVE,
    add_service,
    add_where,
    ended,
    files_of,
    job_of,
    of_job,
)

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def start(me: Person, service: str, name: str, *more: str) -> None:
    """sessionctl start, until it runs."""
    done = me.ctl("start", service, "--on", "bed", "--name", name, *(more or ("--time", "30")))
    assert 0 == done.status, done.err


def pending(me: Person, cluster: Cluster, name: str) -> str:
    """A session whose job must wait, on a node that is not free; its job."""
    cluster.submit("sleep 600", "--exclusive", "--nodelist=node1", "--time=60")
    me.client.start(
        {"service": "where", "cluster": "bed", "name": name, "time": "30", "directives": ["--nodelist=node1"]}
    )
    return job_of(me.until_so(name, lambda one: one["queue_reason"] is not None))


# By hand, on the cluster.


@pytest.mark.parametrize("how", ["", "--signal=KILL", "--full --signal=TERM"])
def test_a_running_job_cancelled_by_hand(cluster: Cluster, how: str) -> None:
    """Whatever scancel sends, the session ends, nothing stays, and `why` says what is known of it."""
    with person(cluster, start=False) as me:
        add_service(me, "where", f"exec {SERVE}\n", kill='hostname >> "$HOME/killed"\n')
        me.daemon()
        start(me, "where", "r")
        session = me.client.session("r")
        assert 0 == cluster.ssh(f"scancel {how} {job_of(session)}").returncode
        hard = how == "--signal=KILL"
        outcome = "failed" if "TERM" in how else "cancelled"
        seen(me, "r", "ended", 60)
        session = ended(me, cluster, "r", outcome, killed=hard)
        why = me.ctl("why", "r").out
        assert ("signal TERM" if "TERM" in how else "cancelled on the cluster") in why
        assert ("sessionctl logs r shows" if "TERM" in how else "Next: if it was not you, ask") in why
        if not hard:
            assert [session["node"]] == (cluster.home() / "killed").read_text().split()


# Stop.


def test_stop_runs_the_kill_template_on_the_node_and_takes_everything_along(cluster: Cluster) -> None:
    """It runs once, where the service ran; what the service detached from itself is gone, files in /tmp too."""
    family = (
        "setsid bash -c 'setsid sleep 600 & sleep 600' &\nsetsid -f sleep 600\n(trap '' TERM; sleep 600) &\n"
        f"disown -a\nexec {SERVE}\n"
    )
    with person(cluster, start=False, route="jump") as me:
        add_service(me, "relations", family, kill='hostname >> "$HOME/killed"\n')
        me.daemon()
        start(me, "relations", "f")
        session = me.client.session("f")
        node = session["node"]
        assert node is not None
        until(lambda: 4 <= sum(one.name == "sleep" for one in of_job(cluster, node, session)), "all of them sleep")
        assert [] != [file for file in files_of(cluster, node, session) if file.endswith(".port.used")]
        done = me.ctl("stop", "f")
        assert 0 == done.status, done.err
        ended(me, cluster, "f", "cancelled")
        assert [node] == (cluster.home() / "killed").read_text().split()


def test_stop_while_pending_while_running_and_twice(cluster: Cluster) -> None:
    """A waiting job is removed; a second stop is no harm; a session that is over can be stopped again in peace."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        pending(me, cluster, "p")
        assert 0 == me.ctl("stop", "p").status
        session = ended(me, cluster, "p", "cancelled")
        assert "CANCELLED" == cluster.until_job(job_of(session), "CANCELLED").state
        start(me, "where", "r")
        me.client.stop("r")
        me.client.stop("r")
        ended(me, cluster, "r", "cancelled")
        again = me.ctl("stop", "r")
        assert 0 == again.status, again
        assert 2 == cluster.sbatch_calls() - 1  # the job in the way is the third


def test_a_job_that_waits_for_too_long_is_given_up(cluster: Cluster) -> None:
    """As long as --max-wait says, and no longer: its job leaves the queue, and what to do is said."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        cluster.submit("sleep 600", "--exclusive", "--nodelist=node1", "--time=60")
        wanted = ("start", "where", "--on", "bed", "--name", "p", "--time", "30", "--directive=--nodelist=node1")
        refused = me.ctl(*wanted, "--max-wait", "soon")
        assert (2, True) == (refused.status, "--max-wait" in refused.err)
        done = me.ctl(*wanted, "--max-wait", "3s")
        assert (1, True) == (done.status, "--max-wait" in done.err), done.err
        session = ended(me, cluster, "p", "failed")
        assert "CANCELLED" == cluster.until_job(job_of(session), "CANCELLED").state
        why = me.ctl("why", "p").out
        assert "no node within the longest wait that was allowed" in why
        assert "start where --again --max-wait LONGER" in why
