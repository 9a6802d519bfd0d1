"""The contract of all batch schedulers: the same sessions, the same losses, the same ends, whoever runs the jobs."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterator

import pytest

from tests.daemon import services
from tests.daemon.workspace import tag

from .bed import NODES
from .bed.host import end
from .bed.person import Person, person
from .bed.waiting import until
from .contract import Bench, begin, bench, looked, seen, start
from .scenario import SERVE, add_service, add_where, ended, job_of, nothing_left, of_job, page, submissions

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

TOLD = 'trap \'date +%s > "$HOME/told"; exit 0\' TERM\ndate +%s > "$HOME/began"\n'
"""Shell words of a service that writes down when it began and when it was told to end."""


@pytest.fixture(scope="module", params=["slurm", "pbs"])
def shared(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A cluster under each scheduler."""
    with bench(request.param) as made:
        yield made


@pytest.fixture
def it(shared: Bench) -> Iterator[Bench]:
    """The same, as good as new."""
    yield shared
    shared.cluster.reset()


@pytest.fixture
def me(it: Bench) -> Iterator[Person]:
    """Somebody with the service ``where`` and a daemon."""
    with person(it.cluster, start=False) as made:
        add_where(made)
        made.daemon()
        yield made


# Submitted.


def test_it_is_submitted_once_and_served_from_its_node(it: Bench, me: Person) -> None:
    """One submission, a page from the job's node and its first run, a stop that leaves nothing."""
    session = start(me, "r")
    assert [session["node"], "run", f"{job_of(session)}.0"] == page(session).split()[:3]
    assert session["node"] in NODES
    assert it.cluster.until_running(job_of(session)).nodes == session["node"]
    assert 1 == submissions(it.cluster, session) == it.cluster.submit_calls()
    looked(me, "r", lambda one: one["ends_by"] is not None)
    assert 0 == me.ctl("stop", "r").status
    ended(me, it.cluster, "r", "cancelled")


def test_a_refusal_is_told_in_the_scheduler_s_words(it: Bench, me: Person) -> None:
    """Nothing is tried again, and there is a hint."""
    done = me.ctl("start", "where", "--on", "bed", "--name", "r", "--time", "30", "--set", "partition=nosuch")
    assert 0 != done.status
    session = ended(me, it.cluster, "r", "rejected")
    assert session["problem"] is not None
    assert "the scheduler says: " in session["problem"]["message"]
    assert "" != session["problem"]["hint"]
    assert 1 == submissions(it.cluster, session)
    until(lambda: f"{it.submitter}: " in me.ctl("why", "r").out, "its own words are collected", 30)


def test_a_job_that_waits_or_is_held_says_why(it: Bench, me: Person) -> None:
    """In plain words; let go, it runs; stopped, it is gone."""
    begin(me, "h", *it.held)
    held = me.until_so("h", lambda one: one["job_phase"] == "held")
    assert "held" in held["phrase"]
    it.let_go(job_of(held))
    seen(me, "h", "running")
    assert 0 == me.ctl("stop", "h").status
    ended(me, it.cluster, "h", "cancelled")
    it.fill()
    begin(me, "w")
    waits = me.until_so("w", lambda one: bool(one["queue_reason"]))
    assert "waiting" in str(waits["queue_reason"])
    assert 0 == me.ctl("stop", "w").status
    session = ended(me, it.cluster, "w", "cancelled")
    assert 1 == submissions(it.cluster, session)


# The answer lost, and found.


def test_a_submission_without_an_answer_is_found_by_its_mark(it: Bench, me: Person) -> None:
    """The scheduler is frozen, its command dies: the job runs all the same, and is the session's."""
    start(me, "first")
    it.cluster.server_freeze()
    begin(me, "r")
    it.kill_submitter()
    me.until_so("r", lambda one: one["state"] == "reconcile")
    it.cluster.server_thaw()
    session = seen(me, "r", "running", 200)
    assert f"{session['node']} run" in page(session)
    assert 1 == submissions(it.cluster, session)
    assert 2 == len(it.cluster.active())
    assert 0 == me.ctl("stop", "r", "first").status
    for name in ("r", "first"):
        ended(me, it.cluster, name, "cancelled")


def test_without_a_scheduler_nothing_ends_and_nothing_is_lost(it: Bench, me: Person) -> None:
    """Its server is down: what runs is served, what was to start waits, and both go on when it is back."""
    running = start(me, "r")
    it.cluster.server_stop()
    begin(me, "later")
    me.until_so("later", lambda one: one["problem"] is not None)
    me.ctl("ls", "--fresh")
    assert "running" == me.client.session("r")["state"]
    assert page(running) == page(me.client.session("r"))
    it.cluster.server_start()
    it.cluster.nodes_usable()
    later = seen(me, "later", "running", 120)
    assert "running" == me.client.session("r")["state"]
    assert 1 == submissions(it.cluster, running)
    # What was refused while it was down was asked again.
    assert [tag(later)] == [job.name for job in it.cluster.jobs() if job.name == tag(later)]
    assert 0 == me.ctl("stop", "r", "later").status
    ended(me, it.cluster, "r", "cancelled")
    assert "cancelled" == me.until_so("later", lambda one: one["state"] == "ended")["outcome"]
    nothing_left(it.cluster, later)


def test_a_killed_daemon_finds_its_jobs(it: Bench) -> None:
    """One waits, one runs: the same URL, no second submission."""
    with person(it.cluster, start=False) as me:
        add_where(me)
        daemon = me.daemon()
        first = start(me, "r")
        begin(me, "h", *it.held)
        held = me.until_so("h", lambda one: one["job_phase"] == "held")
        daemon.kill()
        it.let_go(job_of(held))
        it.cluster.until_running(job_of(held))
        me.daemon()
        linked = me.until_so("r", lambda one: (one["state"], one["link"]["state"]) == ("running", "up"))
        assert page(first) == page(linked)
        second = seen(me, "h", "running")
        assert (first["url"], held["open_port"]) == (me.client.session("r")["url"], second["open_port"])
        assert [1, 1] == [submissions(it.cluster, one) for one in (first, second)]
        assert 0 == me.ctl("stop", "r", "h").status
        for name in ("r", "h"):
            ended(me, it.cluster, name, "cancelled")


# Requeued, suspended, its node lost.


def test_a_requeued_job_is_the_same_session(it: Bench, me: Person) -> None:
    """In the queue, then running again, at the same URL, as the next run of the same job."""
    first = start(me, "r")
    it.requeue(job_of(first))
    looked(me, "r", lambda one: one["state"] != "running" or one["since"] != first["since"])
    again = seen(me, "r", "running", 150)
    assert (first["url"], first["job_id"]) == (again["url"], again["job_id"])
    assert f" run {job_of(first)}.1 " in page(again)
    assert 1 == submissions(it.cluster, again)
    assert 0 == me.ctl("stop", "r").status
    ended(me, it.cluster, "r", "cancelled")


def test_a_suspended_job_is_still_there(it: Bench, me: Person) -> None:
    """It says so, is not probed to death, and answers when it goes on."""
    session = start(me, "r")
    it.suspend(job_of(session))
    suspended = looked(me, "r", lambda one: one["job_phase"] == "suspended")
    assert "suspended" in suspended["phrase"]
    it.resume(job_of(session))
    again = looked(me, "r", lambda one: (one["state"], one["job_phase"]) == ("running", "running"))
    assert page(session) == page(again)
    assert 0 == me.ctl("stop", "r").status
    ended(me, it.cluster, "r", "cancelled")


def test_a_lost_node_puts_the_session_on_the_other(it: Bench, me: Person) -> None:
    """The power of its node goes: it waits, and is back at the same URL."""
    first = start(me, "r")
    node = str(first["node"])
    it.cluster.power_off(node)
    again = looked(me, "r", lambda one: one["state"] == "running" and one["node"] != node, 150)
    assert (first["url"], first["job_id"]) == (again["url"], again["job_id"])
    assert f" run {job_of(first)}.1 " in page(again)
    assert str(again["node"]) in me.ctl("why", "r").out
    it.cluster.boot(node)
    assert 0 == me.ctl("stop", "r").status
    ended(me, it.cluster, "r", "cancelled")
    assert 1 == submissions(it.cluster, first)


# The end.


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_a_job_cancelled_by_hand_ends_its_session(it: Bench, me: Person, state: str) -> None:
    """As cancelled, and `why` says that it was done on the cluster."""
    if state == "running":
        session = start(me, "r")
    else:
        begin(me, "r", *it.held)
        session = me.until_so("r", lambda one: one["job_phase"] == "held")
    it.cancel(job_of(session))
    seen(me, "r", "ended", 60)
    ended(me, it.cluster, "r", "cancelled", killed=state == "running")
    assert "cancelled on the cluster" in me.ctl("why", "r").out


def test_stop_runs_the_kill_template_where_the_service_ran(it: Bench) -> None:
    """Once, on its node, with all the time it needs; what left the service's group is gone, too."""
    family = f"setsid bash -c 'setsid sleep 600 & sleep 600' &\n(trap '' TERM; sleep 600) &\ndisown -a\nexec {SERVE}\n"
    with person(it.cluster, start=False) as me:
        add_service(me, "relatives", family, kill='sleep 6; hostname >> "$HOME/killed"\n')
        me.daemon()
        session = start(me, "f", service="relatives")
        until(
            lambda: 3 <= sum(one.name == "sleep" for one in of_job(it.cluster, str(session["node"]), session)),
            "all of them sleep",
        )
        assert 0 == me.ctl("stop", "f").status
        ended(me, it.cluster, "f", "cancelled")
        assert [session["node"]] == (it.cluster.home() / "killed").read_text().split()


def test_stop_now_does_not_wait_for_the_kill_template(it: Bench) -> None:
    """It hangs: `stop` would wait for it, `stop --now` ends it."""
    with person(it.cluster, start=False) as me:
        add_service(me, "hangs", f"exec {SERVE}\n", kill='hostname >> "$HOME/killed"\nsleep 600\n')
        me.daemon()
        start(me, "k", service="hangs")
        me.client.stop("k")
        until(lambda: (it.cluster.home() / "killed").exists(), "the kill template has begun")
        session = me.client.session("k")
        assert ("kill", "stopping") == (session["state"], session["phrase"])
        assert "stop --now k" in session["next"]
        assert 0 == me.ctl("stop", "--now", "k").status
        ended(me, it.cluster, "k", "cancelled", killed=True, limit_s=60)


def test_stop_at_every_moment_of_a_start(it: Bench, me: Person) -> None:
    """After anything from no time to a second: all have ended, each submitted once at most."""
    names = [f"q{tenth}" for tenth in range(8)]
    for tenth, name in enumerate(names):
        begin(me, name)
        time.sleep(tenth * 0.08)
        me.client.stop(name)
    for name in names:
        ended(me, it.cluster, name, "cancelled", limit_s=60)
    assert [] == it.cluster.active()


def test_the_walltime_ends_a_session_in_order(it: Bench) -> None:
    """Told to end before the scheduler would, kill template first; then over as `walltime`."""
    with person(it.cluster, start=False) as me:
        add_service(me, "told", f"{TOLD}{SERVE} &\nwait\n", kill='date +%s > "$HOME/killed"\n')
        me.daemon()
        start(me, "w", "--time", it.shortest, service="told")
        began, told, killed = (it.cluster.home() / name for name in ("began", "told", "killed"))
        until(lambda: told.exists() and bool(told.read_text()), "it is told to end", 80)
        seen(me, "w", "ended", 90)
        session = ended(me, it.cluster, "w", "walltime")
        assert "ended at its time limit" == session["phrase"]
        lived = [int(file.read_text()) - int(began.read_text()) for file in (killed, told)]
        assert 10 <= lived[0] <= lived[1] <= 60, lived
        assert "walltime" in me.ctl("why", "w").out
        until(lambda: "its script's exit record: " in me.ctl("why", "w").out, "its end is collected", 60)
        assert 0 == me.ctl("why", "w", "--bundle", str(me.root / "w.tar.gz")).status
        with tarfile.open(me.root / "w.tar.gz") as tar:
            files = {name.partition("/")[2]: tar.extractfile(name) for name in tar.getnames()}
            words, scripts = files["scheduler.txt"], files["rendered/job.sh"]
            assert words is not None
            assert scripts is not None
            assert session["id"] in words.read().decode()


def test_a_scheduler_that_forgets_leaves_no_session_behind(it: Bench) -> None:
    """Nobody looked while they ended: the record that a session left tells how; without one it is lost."""
    with person(it.cluster, start=False) as me:
        add_where(me)
        for status in (0, 7):
            text = f'until [ -e "$HOME/go" ]; do sleep 0.1; done\nexit {status}\n'
            services.write(me.services / f"ends{status}", text)
        daemon = me.daemon()
        hard = start(me, "hard")
        for service in ("ends7", "ends0"):
            me.client.start({"service": service, "cluster": "bed", "name": service, "time": "30"})
            me.until(service, "tunnel")
        jobs = [job_of(me.client.session(name)) for name in ("hard", "ends7", "ends0")]
        daemon.kill()
        end(of_job(it.cluster, str(hard["node"]), hard))
        (it.cluster.home() / "go").touch()
        for job in jobs:
            it.forget(job)
        me.daemon()
        for name, outcome in {"hard": "lost", "ends7": "failed", "ends0": "completed"}.items():
            seen(me, name, "ended", 90)
            ended(me, it.cluster, name, outcome, killed=True)
        assert "status 7" in me.ctl("why", "ends7").out
        assert "nobody knows what became of the job" in me.ctl("why", "hard").out


# More time.


def test_more_time_is_given_to_a_waiting_job_and_refused_to_a_running_one(it: Bench, me: Person) -> None:
    """In the scheduler's own words where it refuses, with a hint whom to ask."""
    start(me, "r")
    refused = me.ctl("extend", "r", "+10m")
    assert 6 == refused.status, refused
    assert "the scheduler does not give more time: " in refused.err
    assert "administrators" in refused.err
    assert "running" == me.client.session("r")["state"]
    begin(me, "h", *it.held)
    held = me.until_so("h", lambda one: one["job_phase"] == "held")
    granted = me.ctl("extend", "h", "+10m")
    assert 0 == granted.status, granted.err
    assert 40 * 60 == it.limit_s(job_of(held))
    assert 0 == me.ctl("stop", "r", "h").status
    for name in ("r", "h"):
        ended(me, it.cluster, name, "cancelled")
