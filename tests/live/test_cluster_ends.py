"""How sessions on a real Slurm cluster end: by their walltime, by hand, by stop; and what is left of them then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.daemon import services

from .bed import Cluster
from .bed.fixtures import fresh_cluster
from .bed.host import end
from .bed.person import Person, person
from .bed.waiting import until
from .scenario import (
    SERVE,
    add_service,
    add_where,
    ended,
    files_of,
    job_of,
    of_job,
    submissions,
)

pytestmark = pytest.mark.live

TOLD = "trap 'date +%s > \"$HOME/told\"; exit 0' TERM\n"
"""Shell words of a service that writes down when it was told to end."""


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


# The walltime.


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """Somebody on a cluster with a session ``w`` that has a minute; the tests before the last give it that minute."""

    cluster: Cluster
    me: Person
    begun: float


@pytest.fixture(scope="module")
def minute() -> Iterator[Minute]:
    """A session that is on its way to its walltime, the shortest that Slurm knows."""
    with fresh_cluster(slurm={"OverTimeLimit": "1"}) as cluster, person(cluster, start=False) as me:
        add_where(me)
        add_service(me, "told", f"{TOLD}{SERVE} &\nwait\n", kill='date +%s > "$HOME/killed"\n')
        me.daemon()
        start(me, "told", "w", "--time", "1")
        yield Minute(cluster=cluster, me=me, begun=time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """Somebody whose sessions ended, and were forgotten by Slurm, while no daemon looked; now one looks."""

    cluster: Cluster
    me: Person


@pytest.fixture(scope="module")
def forgotten() -> Iterator[Forgotten]:
    """Three sessions: ``hard`` was killed with all its shells, ``ends7`` and ``ends0`` ended with these statuses."""
    with fresh_cluster(min_job_age_s=2) as cluster, person(cluster, start=False) as me:
        add_where(me)
        for status in (0, 7):
            text = f'until [ -e "$HOME/go" ]; do sleep 0.1; done\nexit {status}\n'
            services.write(me.services / f"ends{status}", text)
        daemon = me.daemon()
        start(me, "where", "hard")
        for service in ("ends7", "ends0"):
            me.client.start({"service": service, "cluster": "bed", "name": service, "time": "30"})
            me.until(service, "tunnel")
        hard = me.client.session("hard")
        daemon.kill()
        end(of_job(cluster, str(hard["node"]), hard))
        (cluster.home() / "go").touch()
        until(lambda: [] == cluster.jobs(), "the controller has forgotten", 60)
        me.daemon()
        yield Forgotten(cluster=cluster, me=me)


def has_ended(me: Person, name: str) -> bool:
    """Whether a session has, after a look at its cluster: with sessions that run one is taken once a minute only."""
    me.ctl("ls", "--fresh")
    return me.client.session(name)["state"] == "ended"


@pytest.mark.usefixtures("forgotten")
def test_more_time_is_refused_to_a_running_job_and_given_to_a_waiting_one(minute: Minute) -> None:
    """Slurm's own words where it refuses, with a hint; a waiting job of one's own may be given more."""
    cluster, me = minute.cluster, minute.me
    refused = me.ctl("extend", "w", "+10m")
    assert 6 == refused.status, refused
    assert "the scheduler does not give more time: " in refused.err
    assert "Access/permission denied" in refused.err
    assert "administrators" in refused.err
    assert "running" == me.client.session("w")["state"]
    job = pending(me, cluster, "p")
    granted = me.ctl("extend", "p", "+10m")
    assert 0 == granted.status, granted.err
    assert "raised the job's time limit" in granted.out
    assert "00:40:00" == cluster.job(job)["TimeLimit"]
    assert 0 == cluster.ssh(f"scontrol update JobId={job} TimeLimit=20").returncode
    assert 0 == me.ctl("extend", "p", "+30m").status
    assert "00:50:00" == cluster.job(job)["TimeLimit"]
    assert 0 == me.ctl("stop", "p").status
    ended(me, cluster, "p", "cancelled")


# By hand, on the cluster.


def test_a_waiting_job_cancelled_by_hand(cluster: Cluster) -> None:
    """The session has ended as cancelled, and `why` says that it was done on the cluster."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        job = pending(me, cluster, "p")
        assert 0 == cluster.ssh(f"scancel {job}").returncode
        me.ctl("ls", "--fresh")
        ended(me, cluster, "p", "cancelled")
        assert "cancelled on the cluster" in me.ctl("why", "p").out


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
        session = ended(me, cluster, "r", outcome, killed=hard)
        why = me.ctl("why", "r").out
        assert ("signal TERM" if "TERM" in how else "cancelled on the cluster") in why
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
        assert 4 <= sum(one.name == "sleep" for one in of_job(cluster, node, session))
        assert [] != [file for file in files_of(cluster, node, session) if file.endswith(".port.used")]
        done = me.ctl("stop", "f")
        assert 0 == done.status, done.err
        ended(me, cluster, "f", "cancelled")
        assert [node] == (cluster.home() / "killed").read_text().split()


def test_a_kill_template_that_hangs_is_bounded_by_stop_now(cluster: Cluster) -> None:
    """`stop` waits for it, `stop --now` does not; all of it is gone then."""
    with person(cluster, start=False) as me:
        add_service(me, "hangs", f"exec {SERVE}\n", kill='hostname >> "$HOME/killed"\nsleep 600\n')
        me.daemon()
        start(me, "hangs", "k")
        me.client.stop("k")
        until(lambda: (cluster.home() / "killed").exists(), "the kill template has begun")
        session = me.client.session("k")
        assert "kill" == session["state"]
        assert "stopping" == session["phrase"]
        assert "stop --now k" in session["next"]
        done = me.ctl("stop", "--now", "k")
        assert 0 == done.status, done.err
        ended(me, cluster, "k", "cancelled", killed=True)
        assert 1 == len((cluster.home() / "killed").read_text().split())


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


def test_stop_at_every_moment_of_a_start(cluster: Cluster) -> None:
    """Sessions stopped after anything from no time to a second: all have ended, each submitted once at most."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        start(me, "where", "first")
        names = []
        for tenth in range(8):
            name = f"q{tenth}"
            names.append(name)
            me.client.start({"service": "where", "cluster": "bed", "name": name, "time": "30"})
            time.sleep(tenth * 0.05)
            me.client.stop(name)
        for name in names:
            ended(me, cluster, name, "cancelled")
        assert [job_of(me.client.session("first"))] == [job.id for job in cluster.jobs("PENDING,RUNNING")]


# What the fixtures of this file began, after everything else.


def test_a_controller_that_forgets_leaves_no_session_behind(forgotten: Forgotten) -> None:
    """Jobs that it no longer knows: who left an exit record ended as it says, who was killed hard is lost."""
    cluster, me = forgotten.cluster, forgotten.me
    for name, outcome in {"hard": "lost", "ends7": "failed", "ends0": "completed"}.items():
        until(partial(has_ended, me, name), f"{name} has ended", 60, every_s=4)
        session = ended(me, cluster, name, outcome, killed=True)
        assert 1 == submissions(cluster, session)
    assert "status 7" in me.ctl("why", "ends7").out
    assert "nobody knows what became of the job" in me.ctl("why", "hard").out


def test_the_walltime_ends_a_session_cleanly_before_slurm_does(minute: Minute) -> None:
    """Told to end by itself a quarter of the minute before, kill script first; then over as `walltime`."""
    cluster, me = minute.cluster, minute.me
    told, killed = cluster.home() / "told", cluster.home() / "killed"
    until(lambda: told.exists() and bool(told.read_text()), "it is told to end", 70)
    session = ended(me, cluster, "w", "walltime", limit_s=60)
    assert "ended at its time limit" == session["phrase"]
    assert "walltime" in me.ctl("why", "w").out
    assert minute.begun + 35 <= int(killed.read_text()) <= int(told.read_text()) <= minute.begun + 60
    assert 1 == submissions(cluster, session)
