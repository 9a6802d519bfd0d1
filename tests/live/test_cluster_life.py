"""Sessions on a real Slurm cluster from their plan to their end, as the person who starts them sees it."""

from __future__ import annotations

import json
import time

import aiohttp
import anyio.to_thread
import pytest

from tests.daemon import services
from tests.daemon.workspace import error_of

from .bed import LOGIN, NODES, Cluster
from .bed.environments import ensure_environment
from .bed.person import person
from .bed.waiting import until
from .notebook import opened
from .scenario import add_where, cleaned, ended, folder, job_of, nothing_left, page, submissions

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

HOSTNAME = "import platform\nprint(platform.node())"


@pytest.mark.anyio
@pytest.mark.timeout(400)
async def test_a_notebook_computes_where_it_was_started(cluster: Cluster) -> None:
    """JupyterLab through the gateway: a cell runs on a compute node, and on the login node in mode controller."""
    await anyio.to_thread.run_sync(ensure_environment, "jupyterlab-host")
    with person(cluster) as me:
        modes = {"slurm": NODES, "controller": (LOGIN,)}
        for mode in modes:
            me.client.start({"service": "jupyterlab-host", "cluster": "bed", "mode": mode, "name": mode, "time": "30"})
        for mode, hosts in modes.items():
            done = await anyio.to_thread.run_sync(me.ctl, "wait", mode)
            assert 0 == done.status, done.err
            session = me.client.session(mode)
            assert session["url"] is not None
            assert session["url"] == me.ctl("url", mode).out.strip()
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
                lab = await opened(client, session["url"])
                host = (await lab.run(await lab.kernel(), HOSTNAME)).strip()
            assert host in hosts
            if mode == "slurm":
                assert [host] == [job.nodes for job in cluster.jobs("RUNNING")]
        assert 1 == cluster.sbatch_calls() == submissions(cluster, me.client.session("slurm"))
        stopped = await anyio.to_thread.run_sync(lambda: me.ctl("stop", *modes))
        assert 0 == stopped.status, stopped.err
        for mode in modes:
            ended(me, cluster, mode, "cancelled")


def test_forty_sessions_at_once_wait_for_eight_places(cluster: Cluster) -> None:
    """Eight run, the others wait and say why; as some end others start; one sbatch each, one squeue a tick."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        began = time.monotonic()
        names = [f"s{number}" for number in range(40)]
        for name in names:
            me.client.start({"service": "where", "cluster": "bed", "name": name, "time": "30"})
        alive = set(names)

        def states() -> dict[str, str]:
            return {one["name"]: one["state"] for one in me.client.sessions(all=True)}

        def in_state(*wanted: str) -> list[str]:
            found = states()
            return [name for name in names if found.get(name) in wanted]

        until(lambda: 8 == len(in_state("running")), "eight run", 60)
        until(lambda: 32 == len(in_state("wait-for-node")), "thirty-two wait", 60)
        until(
            lambda: all(one["queue_reason"] for one in me.client.sessions() if one["state"] == "wait-for-node"),
            "all that wait say why",
        )
        listed = me.ctl("ls", COLUMNS="200").out
        assert 32 == sum("waiting" in line for line in listed.splitlines()), listed
        reasons = {one["queue_reason"] for one in me.client.sessions() if one["state"] == "wait-for-node"}
        assert reasons <= {
            "waiting for free nodes: it is next in line",
            "waiting behind jobs of higher priority",
        }, reasons
        first = in_state("running")
        texts = [page(me.client.session(name)) for name in first]
        assert set(NODES) == {text.split()[0] for text in texts}
        done = me.ctl("stop", *first)
        assert 0 == done.status, done.err
        alive -= set(first)
        until(lambda: 8 == len(in_state("running")), "eight others run", 60)
        assert not set(first) & set(in_state("running"))
        done = me.ctl("stop", *sorted(alive))
        assert 0 == done.status, done.err
        until(lambda: 40 == len(in_state("ended")), "all have ended", 60)
        took = time.monotonic() - began
        sessions = me.client.sessions(all=True)
        assert {"cancelled"} == {one["outcome"] for one in sessions}
        assert [1] * 40 == [submissions(cluster, one) for one in sessions]
        looks = [call for call in cluster.calls("squeue") if "--me" in call.arguments and "-O" in call.arguments]
        assert len(looks) <= took + 2
        for session in sessions:
            cleaned(cluster, session)
        nothing_left(cluster, *sessions)


def test_a_held_job_is_waited_for_and_a_suspended_one_too(cluster: Cluster) -> None:
    """Neither ends the session, and both are said in plain words; released and resumed it goes on at the same URL."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        started = me.client.start(
            {"service": "where", "cluster": "bed", "name": "h", "time": "30", "directives": ["--hold"]}
        )
        held = me.until_so("h", lambda one: one["job_phase"] == "held")
        assert "wait-for-node" == held["state"]
        assert held["phrase"].startswith("held in the queue"), held["phrase"]
        assert "attention" == held["severity"]
        assert "held in the queue" in me.ctl("ls").out
        assert "held by its owner" in me.ctl("why", "h").out
        job = job_of(held)
        assert 0 == cluster.ssh(f"scontrol release {job}").returncode
        # the queue is looked at every fifteen seconds once nothing changes; this asks for a look now
        me.ctl("ls", "--fresh")
        running = me.until("h", "running")
        assert started["open_port"] == running["open_port"]
        first = page(running)

        cluster.sh(LOGIN, "scontrol", "suspend", job)
        cluster.until_job(job, "SUSPENDED")
        me.ctl("ls", "--fresh")
        suspended = me.until_so("h", lambda one: one["job_phase"] == "suspended")
        assert suspended["state"] in ("running", "tunnel")
        assert "suspended" in suspended["phrase"], suspended["phrase"]
        assert "suspended" in me.ctl("ls").out
        assert "the scheduler suspended the job" in me.ctl("why", "h").out
        cluster.sh(LOGIN, "scontrol", "resume", job)
        cluster.until_job(job, "RUNNING")
        me.ctl("ls", "--fresh")
        again = me.until_so("h", lambda one: one["state"] == "running" and one["job_phase"] == "running")
        assert first == page(again)
        assert running["url"] == again["url"]

        cluster.sh(LOGIN, "scontrol", "suspend", job)
        cluster.until_job(job, "SUSPENDED")
        assert 0 == me.ctl("stop", "h").status
        # Slurm kills a suspended job at once (measured, 22.05): nobody on the node can tidy up after it
        session = ended(me, cluster, "h", "cancelled", killed=True)
        assert 1 == submissions(cluster, session)


def test_other_jobs_do_not_disturb(cluster: Cluster) -> None:
    """An array, a job with an ugly name, one whose name looks like a session's: none is touched or taken for ours."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        array = cluster.submit("sleep 600", "--array=1-3", "--time=20")
        ugly = cluster.submit("sleep 600", "--time=20", "--job-name='a|b c %i  \"x\"'", "--comment='sd | x'")
        stray = cluster.submit("sleep 600", "--time=20", "--job-name=sd-0123456789ab")
        for job in (ugly, stray):
            cluster.until_job(job, "RUNNING")
        assert 0 == me.ctl("start", "where", "--on", "bed", "--name", "mine", "--time", "30").status
        session = me.client.session("mine")
        assert page(session).split()[0] in NODES
        checked = json.loads(me.ctl("doctor", "bed", "--json").out)
        text = json.dumps(checked)
        assert stray in text
        assert "belong to no session known here" in text
        assert 0 == me.ctl("stop", "mine").status
        ended_one = me.until("mine", "ended")
        cleaned(cluster, ended_one)
        assert {array, ugly, stray} == {job.id.partition("_")[0] for job in cluster.jobs("RUNNING")}
        assert 5 == len(cluster.jobs("RUNNING"))
        calls = [call.arguments.split() for call in cluster.calls("scancel")]
        assert {job_of(session)} == {words[-1] for words in calls if "--version" not in words}


def test_plan_asks_slurm_and_a_partition_that_is_not_there_is_rejected(cluster: Cluster) -> None:
    """`plan` submits nothing and says what Slurm would say; `start` ends as rejected with Slurm's words and a hint."""
    with person(cluster, start=False) as me:
        add_where(me)
        me.daemon()
        planned = me.ctl("plan", "where", "--on", "bed", "--time", "30")
        assert 0 == planned.status, planned.err
        assert "it would start at" in planned.out
        assert "in partition short" in planned.out
        assert "#SBATCH --time=0:30:00" in planned.out
        assert "#SBATCH --job-name=sd-" in planned.out
        assert [] == cluster.jobs("PENDING,RUNNING,COMPLETING")
        refused = me.ctl("plan", "where", "--on", "bed", "--set", "partition=nowhere")
        assert 0 == refused.status, refused
        assert "the scheduler would refuse it: " in refused.out
        assert "invalid partition" in refused.out.lower()
        assert "sessionctl partitions" in refused.out

        started = me.ctl("start", "where", "--on", "bed", "--name", "no", "--set", "partition=nowhere")
        assert 1 == started.status, started
        assert "invalid partition" in started.err.lower()
        assert "sessionctl partitions" in started.err
        session = ended(me, cluster, "no", "rejected")
        assert session["problem"] is not None
        assert "the scheduler says: " in session["problem"]["message"]
        assert 1 == submissions(cluster, session)
        assert "invalid partition" in me.ctl("why", "no").out.lower()
        asked = me.ctl("start", "where", "--on", "bed", "--set", "partition=nowhere", "--json")
        assert "failed" == error_of(asked)["code"]


def test_the_log_of_a_session_on_a_node_is_followed_to_its_end(cluster: Cluster) -> None:
    """`logs` shows what the service printed on its node, `logs -f` goes on to its last line."""
    with person(cluster, start=False) as me:
        talk = 'echo "first from $(hostname)"\nuntil [ -e "$HOME/go" ]; do sleep 0.1; done\necho "the last line"\n'
        services.write(me.services / "talks", talk)
        me.daemon()
        me.client.start({"service": "talks", "cluster": "bed", "name": "t", "time": "30"})
        until(lambda: "first from node" in me.ctl("logs", "t").out, "the first line is there")
        session = me.client.session("t")
        (cluster.home() / "go").touch()
        followed = me.ctl("logs", "-f", "t")
        assert 0 == followed.status, followed.err
        assert "first from node" in followed.out
        assert "the last line" in followed.out
        ended(me, cluster, session["name"], "completed")
        assert "the last line" in (folder(cluster, session) / "logs.out").read_text()
