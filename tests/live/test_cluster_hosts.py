"""A real Slurm cluster as login nodes are: other daemons of the same person, full disks, talkative and slow shells."""

from __future__ import annotations

import json

import pytest

from .bed import LOGIN, NODES, TARA, Cluster
from .bed.person import Person, person
from .bed.waiting import until
from .scenario import SERVE, add_service, add_where, cleaned, ended, folder, job_of, nothing_left, page, submissions

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def start(me: Person, service: str, name: str, *more: str) -> None:
    """sessionctl start, until it runs."""
    done = me.ctl("start", service, "--on", "bed", "--name", name, "--time", "30", *more)
    assert 0 == done.status, done.err


# Several daemons.


def test_a_second_daemon_for_one_state_goes_away(cluster: Cluster) -> None:
    """It refuses to run and says why; the first and its sessions on the cluster do not notice."""
    with person(cluster, start=False) as me:
        add_where(me)
        first = me.daemon()
        start(me, "where", "w")
        session = me.client.session("w")
        second = me.run_daemon(SESSIOND_SOCKET=str(me.root / "run/other.sock"))
        assert 0 != second.status
        assert str(first.pid) in second.err + second.out, second
        assert first.process.poll() is None
        assert page(session).split()[0] == session["node"]
        assert ("running", 1) == (me.client.session("w")["state"], submissions(cluster, session))
        assert 0 == me.ctl("stop", "w").status
        ended(me, cluster, "w", "cancelled")


def test_two_people_who_are_one_user_of_the_cluster(cluster: Cluster) -> None:
    """Two daemons with states of their own, one cluster and one account: neither touches the other's jobs, and doctor
    tells each of the other's."""
    with person(cluster, start=False) as one, person(cluster, start=False) as two:
        for me in (one, two):
            add_where(me)
            me.daemon()
            start(me, "where", "same")
        ours, theirs = one.client.session("same"), two.client.session("same")
        assert ours["id"] != theirs["id"]
        assert page(ours) != page(theirs)
        for me, other in ((one, theirs), (two, ours)):
            found = [one for one in json.loads(me.ctl("doctor", "bed", "--json").out) if one["check"] == "strays"]
            assert ["warning"] == [one["state"] for one in found], found
            assert found[0]["text"].endswith(f"known here: {job_of(other)}")
        assert 0 == one.ctl("stop", "same").status
        session = one.until("same", "ended")
        cleaned(cluster, session)
        two.ctl("ls", "--fresh")
        still = two.client.session("same")
        assert "running" == still["state"]
        assert page(theirs) == page(still)
        assert folder(cluster, theirs).joinpath("job.sh").exists()
        assert 0 == two.ctl("stop", "same").status
        ended(two, cluster, "same", "cancelled")
        nothing_left(cluster, session)


# Disks.


def test_a_full_disk_delays_a_start_and_nothing_is_submitted_twice(cluster: Cluster) -> None:
    """The session says that there is no room, and starts by itself when there is."""
    cluster.fill_disk()
    with person(cluster, start=False, workdir=str(cluster.scratch)) as me:
        add_where(me)
        me.daemon()
        me.client.start({"service": "where", "cluster": "bed", "name": "full", "time": "30"})
        stuck = me.until_so("full", lambda one: one["problem"] is not None)
        assert stuck["problem"] is not None
        assert "render" == stuck["state"]
        assert "o space left" in stuck["problem"]["message"], stuck
        assert "" != stuck["problem"]["hint"]
        assert stuck["problem"]["hint"] in me.ctl("ls").out.replace("\n", " ") + me.ctl("show", "full").out
        assert 0 == cluster.sbatch_calls()
        checked = me.ctl("doctor", "bed")
        assert "cannot be written" in checked.out or "0 MiB free" in checked.out, checked.out
        cluster.free_disk()
        session = me.until("full", "running")
        assert page(session).split()[0] in NODES
        assert 1 == submissions(cluster, session)
        assert 0 == me.ctl("stop", "full").status
        session = me.until("full", "ended")
        assert "cancelled" == session["outcome"]
        nothing_left(cluster, session)


def test_a_disk_that_fills_while_a_session_runs(cluster: Cluster) -> None:
    """What it prints is lost, it runs on, its log can be read; it ends as it should while the disk is still full."""
    talks = f'(while :; do echo "a line of the log"; sleep 0.1; done) &\nexec {SERVE}\n'
    with person(cluster, start=False, workdir=str(cluster.scratch)) as me:
        add_service(me, "talks", talks)
        me.daemon()
        start(me, "talks", "t")
        until(lambda: "a line of the log" in me.ctl("logs", "t").out, "it has said something")
        cluster.fill_disk()
        before = page(me.client.session("t"))
        me.ctl("ls", "--fresh")
        session = me.client.session("t")
        assert "running" == session["state"], session
        assert before == page(session)
        assert "a line of the log" in me.ctl("logs", "t").out
        assert 0 == me.ctl("stop", "t").status
        session = me.until("t", "ended")
        assert "cancelled" == session["outcome"], me.story("t")
        assert 1 == submissions(cluster, session)
        nothing_left(cluster, session)


# Shells.


def test_a_user_of_tcsh(cluster: Cluster) -> None:
    """Everything works for somebody whose login shell is no relative of sh."""
    (cluster.home(TARA) / ".tcshrc").write_text("echo hello from tcshrc\nalias rm 'rm -i'\nset noclobber\n")
    with person(cluster, start=False, user=TARA) as me:
        add_service(me, "where", f"exec {SERVE}\n", kill='hostname >> "$HOME/killed"\n')
        me.daemon()
        for mode in ("slurm", "controller"):
            start(me, "where", mode, "--mode", mode)
        sessions = [me.client.session(mode) for mode in ("slurm", "controller")]
        assert page(sessions[0]).split()[0] == sessions[0]["node"]
        assert page(sessions[1]).split()[0] == LOGIN
        done = me.ctl("ssh", "slurm", "hostname")
        assert str(sessions[0]["node"]) in done.out.split(), done
        assert "hello from tcshrc" in me.ctl("doctor", "bed").out
        assert 0 == me.ctl("stop", "slurm", "controller").status
        for one in sessions:
            session = me.until(one["name"], "ended")
            assert "cancelled" == session["outcome"]
            cleaned(cluster, session, TARA)
            nothing_left(cluster, session)
        assert sorted([LOGIN, str(sessions[0]["node"])]) == sorted((cluster.home(TARA) / "killed").read_text().split())


def test_shells_that_greet_and_take_their_time(cluster: Cluster) -> None:
    """A banner before the login, a .bashrc that prints both ways and takes two seconds: slower, and all the same."""
    banner = cluster.log / "banner"
    banner.write_text("*** WELCOME to the bed; \x1b[31munauthorised use\x1b[0m is forbidden ***\n" * 20)
    cluster.sshd_set(LOGIN, Banner=str(banner), PrintMotd="yes")
    bashrc = cluster.home() / ".bashrc"
    noisy = "echo '{\"jobs\": []} 17'\necho $'\\x1eclock 5' >&2\nprintf 'no line end'\nsleep 2\n"
    bashrc.write_text(noisy + bashrc.read_text())
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        start(me, "where", "s")
        session = me.client.session("s")
        assert page(session).split()[0] == session["node"]
        assert 0 == me.ctl("stop", "s").status
        ended(me, cluster, "s", "cancelled", limit_s=60)
