"""Habits that PBS has and Slurm has not, as a person meets them: no history, a qdel that does nothing, late limits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import aiohttp
import anyio.to_thread
import pytest

from sessiond.api.wire import Session
from tests.daemon import services

from .bed import NODES, PbsCluster
from .bed.environments import ensure_environment
from .bed.fixtures import fresh_pbs
from .bed.person import Person, person
from .bed.waiting import until
from .contract import seen, start
from .notebook import opened
from .scenario import add_where, ended, folder, job_of, nothing_left, of_job, page, submissions

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.fixture
def me(pbs: PbsCluster) -> Iterator[Person]:
    """Somebody with the service ``where`` and a daemon."""
    with person(pbs, start=False) as made:
        add_where(made)
        made.daemon()
        yield made


@pytest.mark.anyio
async def test_a_notebook_computes_on_a_node(pbs: PbsCluster) -> None:
    """JupyterLab in a job, through the gateway: a cell runs where the job is."""
    await anyio.to_thread.run_sync(ensure_environment, "jupyterlab-host")
    with person(pbs) as me:
        me.client.start({"service": "jupyterlab-host", "cluster": "bed", "mode": "pbs", "name": "lab", "time": "30"})
        done = await anyio.to_thread.run_sync(me.ctl, "wait", "lab")
        assert 0 == done.status, done.err
        session = me.client.session("lab")
        assert session["url"] is not None
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
            lab = await opened(client, session["url"])
            host = (await lab.run(await lab.kernel(), "import platform\nprint(platform.node())")).strip()
        assert host in NODES
        assert [host] == [job.nodes for job in pbs.jobs("R")]
        stopped = await anyio.to_thread.run_sync(me.ctl, "stop", "lab")
        assert 0 == stopped.status, stopped.err
        ended(me, pbs, "lab", "cancelled")


def test_many_sessions_wait_for_few_places_and_one_question_serves_all(pbs: PbsCluster, me: Person) -> None:
    """Eight run, the others wait and say why; one qsub each, one qstat a look; as some end others start."""
    names = [f"s{number}" for number in range(12)]
    for name in names:
        me.client.start({"service": "where", "cluster": "bed", "name": name, "time": "30"})

    def in_state(state: str) -> list[Session]:
        return [one for one in me.client.sessions() if one["state"] == state]

    until(lambda: 8 == len(in_state("running")), "eight run", 60)
    until(lambda: 4 == len([one for one in in_state("wait-for-node") if one["queue_reason"]]), "four say why", 60)
    assert {"waiting for free nodes"} == {str(one["queue_reason"])[:22] for one in in_state("wait-for-node")}
    assert 12 == pbs.submit_calls()
    listings = len([call for call in pbs.calls("qstat") if call.arguments.startswith("-x -f")])
    looks = next(one["looks"] for one in me.client.clusters() if one["name"] == "bed")
    assert listings <= looks + 1
    for one in in_state("running")[:4]:
        me.client.stop(one["name"])
    until(lambda: 8 == len(in_state("running")) and not in_state("wait-for-node"), "the others run", 60)
    for one in me.client.sessions():
        me.client.stop(one["name"])
    for name in names:
        ended(me, pbs, name, "cancelled", limit_s=60)


def test_a_session_ends_in_order_although_its_server_is_down(pbs: PbsCluster) -> None:
    """The mark in its folder is all that its runner waits for; it is over as soon as somebody can say so."""
    with person(pbs, start=False) as me:
        services.write(
            me.services / "kept",
            "exec " + services.SERVE.replace("127.0.0.1", "${SESSIOND_BIND}") + "\n",
            kill='hostname >> "$HOME/killed"\n',
        )
        me.daemon()
        session = start(me, "r", service="kept")
        pbs.server_stop()
        me.client.stop("r")
        until(lambda: (pbs.home() / "killed").exists(), "its kill template has run")
        until(lambda: not of_job(pbs, str(session["node"]), session), "nothing of it is left on its node")
        assert "kill" == me.client.session("r")["state"]
        pbs.server_start()
        pbs.nodes_usable()
        me.ctl("ls", "--fresh")
        ended(me, pbs, "r", "cancelled", limit_s=60)


def test_a_job_that_qdel_does_not_end_is_dropped_by_force(pbs: PbsCluster, me: Person) -> None:
    """Qdel says yes and nothing happens: told again later it goes, and that is said."""
    session = start(me, "r")
    pbs.turn(qdel_is_idle=True)
    me.client.stop("r", force=True)
    until(lambda: 1 == len(pbs.calls("qdel")), "it was told to go")
    assert "kill" == me.client.session("r")["state"]
    # As if it had been told long ago.
    (folder(pbs, session) / "pbs.deleted").write_text("1\n")
    me.client.stop("r", force=True)
    me.ctl("ls", "--fresh")
    ended(me, pbs, "r", "cancelled", killed=True)
    assert "-W force" in [call.arguments for call in pbs.calls("qdel")][-1]
    assert "dropped by qdel -W force" in me.ctl("logs", "r").out


def test_a_limit_that_the_server_alone_keeps(pbs: PbsCluster, me: Person) -> None:
    """Its runner cannot end it in time (it was stopped): PBS ends it, late and hard, and that is a walltime, too."""
    session = start(me, "w")
    job = job_of(session)
    attendants = [one for one in of_job(pbs, str(session["node"]), session) if one.name == "bash"]
    assert attendants
    for one in attendants:
        os.kill(one.pid, signal.SIGSTOP)
    # not before: it would end it in time where all this takes a while
    assert 0 == pbs.ssh("qalter", "-l", "walltime=1", job).returncode
    pbs.until_ended(job, 60)
    assert "-29" == pbs.job(job)["Exit_status"]
    me.ctl("ls", "--fresh")
    ended(me, pbs, "w", "walltime", limit_s=60, killed=True)
    assert "walltime" in me.ctl("why", "w").out


def test_a_job_that_may_not_run_again_ends_with_its_node(pbs: PbsCluster, me: Person) -> None:
    """`-r n`, and the power goes: it has ended, and says that its node failed."""
    session = start(me, "n", "--time", "30", "--directive=-r n")
    node = str(session["node"])
    pbs.power_off(node)
    pbs.until_ended(job_of(session), 60)
    me.ctl("ls", "--fresh")
    ended(me, pbs, "n", "node-failed", limit_s=90, killed=True)
    assert "its node failed" in me.client.session("n")["phrase"]
    pbs.boot(node)
    pbs.nodes_usable()


def test_a_daemon_of_a_node_that_hangs_ends_nothing(pbs: PbsCluster, me: Person) -> None:
    """The node's mom is frozen: the session goes on, and stops in order; it is over when the mom says so."""
    session = start(me, "r")
    pbs.mom_freeze(str(session["node"]))
    me.ctl("ls", "--fresh")
    assert page(session).startswith(str(session["node"]))
    me.client.stop("r")
    until(lambda: not of_job(pbs, str(session["node"]), session), "nothing of it is left on its node")
    pbs.mom_thaw(str(session["node"]))
    me.ctl("ls", "--fresh")
    ended(me, pbs, "r", "cancelled", limit_s=60)


def test_a_server_without_a_history(pbs: PbsCluster) -> None:
    """It forgets a job at its end: the record that the session left tells how, and each look is one question."""
    pbs.turn(history=False)
    with person(pbs, start=False) as me:
        add_where(me)
        for status in (0, 7):
            text = f'until [ -e "$HOME/go" ]; do sleep 0.1; done\nexit {status}\n'
            services.write(me.services / f"ends{status}", text)
        me.daemon()
        start(me, "r")
        for service in ("ends7", "ends0"):
            me.client.start({"service": service, "cluster": "bed", "name": service, "time": "30"})
            me.until(service, "tunnel")
        (pbs.home() / "go").touch()
        for name, outcome in {"ends7": "failed", "ends0": "completed"}.items():
            seen(me, name, "ended", 90)
            ended(me, pbs, name, outcome, killed=True)
        assert "status 7" in me.ctl("why", "ends7").out
        assert 0 == me.ctl("stop", "r").status
        session = ended(me, pbs, "r", "cancelled", limit_s=90)
        assert 1 == submissions(pbs, session)
        looks = [call.arguments for call in pbs.calls("qstat") if "-f" in call.arguments.split()]
        assert len([one for one in looks if one.startswith("-x")]) <= 4, looks


def test_torque_s_form() -> None:
    """Another server's words, the same sessions: started, stopped, over as they ended, at their walltime."""
    with fresh_pbs(face="torque") as torque, person(torque, start=False) as me:
        add_where(me)
        services.write(me.services / "ends7", 'until [ -e "$HOME/go" ]; do sleep 0.1; done\nexit 7\n')
        me.daemon()
        session = start(me, "r", "--time", "30", "--set", "cpus=2")
        assert page(session).startswith(f"{session['node']} run {job_of(session)}.0 ")
        assert "-l nodes=1:ppn=2" in (folder(torque, session) / "job.sh").read_text()
        me.client.start({"service": "ends7", "cluster": "bed", "name": "e", "time": "30"})
        me.until("e", "tunnel")
        (torque.home() / "go").touch()
        seen(me, "e", "ended", 60)
        ended(me, torque, "e", "failed")
        began = time.time()
        start(me, "w", "--time", "00:00:16")
        seen(me, "w", "ended", 60)
        took = time.time() - began
        ended(me, torque, "w", "walltime")
        assert took < 40
        assert 0 == me.ctl("stop", "r").status
        ended(me, torque, "r", "cancelled")
        nothing_left(torque, session)


def test_commands_that_only_a_login_shell_finds() -> None:
    """`ssh host qsub` is *command not found*, and the session starts all the same."""
    with fresh_pbs(in_path=False) as hidden, person(hidden, start=False, setup="") as me:
        assert 127 == hidden.ssh("qsub", "--version").returncode
        add_where(me)
        me.daemon()
        session = start(me, "r")
        assert page(session).startswith(str(session["node"]))
        assert 0 == me.ctl("stop", "r").status
        ended(me, hidden, "r", "cancelled")
