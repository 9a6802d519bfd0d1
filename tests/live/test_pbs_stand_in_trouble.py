"""The stand-in for PBS in trouble: servers, moms and nodes that fail as PBS's do, and a bed that mends all of it."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from .bed import ALICE, LOGIN, TARA, PbsCluster
from .bed.fixtures import fresh_pbs
from .bed.host import Process, end
from .bed.talking import awaits_answer
from .bed.waiting import until
from .test_pbs_stand_in import STUBBORN, said

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def killed_before_an_answer(pbs: PbsCluster, program: str, *words: str, text: str = "") -> None:
    """Have a user's command ask the server for something, and kill it while it waits."""
    with pbs.connection(program, *words) as line:
        assert line.stdin is not None
        line.stdin.write(text)
        line.stdin.close()
        waiting: list[Process] = []

        def waits() -> bool:
            waiting[:] = [one for one in pbs.hosts[LOGIN].named(program) if awaits_answer(one.pid)]
            return bool(waiting)

        until(waits, f"{program} waits for its answer")
        assert line.poll() is None
        end(waiting)


def test_without_a_server_commands_fail_at_once(pbs: PbsCluster) -> None:
    """And what ran goes on; a server that was killed knows it all when it is back, also what ended meanwhile."""
    job, short = pbs.submit("sleep 600"), pbs.submit('until [ -e "$HOME/go" ]; do sleep 0.05; done; exit 5')
    waiting = pbs.submit("true", "-h")
    for each in (job, short):
        pbs.until_running(each)
    pbs.server_stop(crash=True)
    refused = f"cannot connect to server {LOGIN} (errno=15010)\n"
    assert ("", f"Connection refused\nqstat: {refused}", 255) == said(pbs, "qstat")
    assert ("", f"Connection refused\nqsub: {refused}", 162) == said(pbs, "qsub", "-h")
    out, _, status = said(pbs, "qstat", "-x", "-f", "-F", "json")
    assert 255 == status
    assert "Jobs" not in json.loads(out)
    (pbs.home() / "go").touch()
    until(lambda: 1 == len(pbs.hosts["node1"].named("sleep")), "the short one has ended")
    pbs.server_start()
    until(lambda: "F" == pbs.job(short)["job_state"], "the server hears of it")
    assert "5" == pbs.job(short)["Exit_status"]
    assert ["R", "H"] == [pbs.job(each)["job_state"] for each in (job, waiting)]
    assert ("", "", 0) == said(pbs, "qdel", job)
    pbs.until_ended(job)


def test_a_login_node_without_power_comes_back_with_its_jobs(pbs: PbsCluster) -> None:
    """The moms have seen to them meanwhile."""
    job = pbs.submit("sleep 600")
    ended = pbs.submit('until [ -e "$HOME/go" ]; do sleep 0.05; done; exit 5')
    for each in (job, ended):
        pbs.until_running(each)
    pbs.power_off(LOGIN)
    (pbs.home() / "go").touch()
    pbs.boot(LOGIN)
    pbs.until_ended(ended)
    assert ["5", "R"] == [pbs.job(ended)["Exit_status"], pbs.job(job)["job_state"]]
    assert ("", "", 0) == said(pbs, "qdel", job)
    pbs.until_ended(job)


def test_a_frozen_server_is_silent_and_a_killed_qsub_has_submitted(pbs: PbsCluster) -> None:
    """Commands hang; what they asked is done once the server goes on, whatever has become of them."""
    pbs.server_freeze()
    with pytest.raises(subprocess.TimeoutExpired):
        pbs.ssh("qstat", limit_s=1)
    killed_before_an_answer(pbs, "qsub", "-N", "whilefrozen", text="true\n")
    pbs.server_thaw()
    until(lambda: ["whilefrozen"] == [job.name for job in pbs.jobs("F")], "it was submitted, and ran")


def test_a_qsub_that_loses_the_answer(pbs: PbsCluster) -> None:
    """It has submitted, and says something else, or nothing, or does not end."""
    pbs.turn(lost={"status": 1, "said": "qsub: Batch protocol error"})
    assert ("", "qsub: Batch protocol error\n", 1) == said(pbs, "qsub", "-N", "one", "-h")
    pbs.turn(lost={"signal": 9})
    out, _, status = said(pbs, "bash", "-c", "'qsub -N two -h; exit $?'")
    assert ("", 137) == (out, status)
    pbs.turn(lost={"hangs": True})
    with pbs.connection("qsub", "-N", "three", "-h") as hanging:
        assert hanging.stdin is not None
        hanging.stdin.close()
        until(lambda: 3 == len(pbs.jobs("H")), "it has submitted")
        with pytest.raises(subprocess.TimeoutExpired):
            hanging.wait(0.5)
    pbs.turn(lost={})
    assert "three" == pbs.jobs("H")[2].name
    assert 3 == len(pbs.jobs("H"))


def test_a_node_without_power_is_noticed_late(pbs: PbsCluster) -> None:
    """Its job is R for a while; then it runs elsewhere, or is over where it may not. Back, the node takes jobs."""
    pbs.turn(down_after_s=1.0, requeue_after_s=0.5)
    job = pbs.submit("sleep 600", "-l", "select=1:host=node1")
    other = pbs.submit("sleep 600", "-l", "select=1:host=node1", "-r", "n")
    free = pbs.submit("sleep 600", "-l", "select=1:ncpus=2")
    for each in (job, other, free):
        assert "node1" == pbs.until_running(each).nodes
    began = time.monotonic()
    pbs.power_off("node1")
    assert ["R", "R", "R"] == [one.state for one in pbs.jobs()]
    until(lambda: "F" == pbs.job(other)["job_state"], "the node's death is noticed")
    assert 1.4 < time.monotonic() - began
    assert ("-20", "93") == (pbs.job(other)["Exit_status"], pbs.job(other)["substate"])
    assert "node2" == pbs.until_running(free).nodes
    assert ("2", "Q") == (pbs.job(free)["run_count"], pbs.job(job)["job_state"])
    pbs.boot("node1")
    assert "node1" == pbs.until_running(job).nodes
    assert "2" == pbs.job(job)["run_count"]


def test_qdel_where_the_mom_is_stopped_or_the_node_is_gone(pbs: PbsCluster) -> None:
    """The one hangs, and the job says R; the other is over at once."""
    job = pbs.submit("sleep 600", "-l", "select=1:host=node1")
    pbs.until_running(job)
    pbs.mom_freeze("node1")
    killed_before_an_answer(pbs, "qdel", job)
    assert "R" == pbs.jobs()[-1].state
    pbs.mom_thaw("node1")
    pbs.until_ended(job)
    pbs.turn(down_after_s=60)
    job = pbs.submit("sleep 600", "-l", "select=1:host=node1")
    pbs.until_running(job)
    pbs.power_off("node1")
    assert ("", "", 0) == said(pbs, "qdel", job)
    pbs.until_ended(job)


def test_slow_beginnings_and_ends(pbs: PbsCluster) -> None:
    """R and nothing has started, then E and nothing runs any more, for as long as it is told."""
    pbs.slow_prolog(600)
    job = pbs.submit("sleep 600")
    pbs.until_job(job, "R")
    assert "41" == pbs.job(job)["substate"]
    pbs.slow_prolog(0)
    pbs.until_running(job)
    pbs.slow_epilog(600)
    pbs.ssh("qdel", job)
    pbs.until_job(job, "E")
    pbs.slow_epilog(0)
    pbs.until_ended(job)


def test_queues_refuse(pbs: PbsCluster) -> None:
    """Each for its reason; one that is not started lets its jobs wait."""
    for options, status in (
        (("-q", "nosuch"), 170),
        (("-q", "closed"), 173),
        (("-q", "small"), 188),
        (("-q", "others"), 159),
        (("-q", "small", "-l", "walltime=60,ncpus=4"), 188),
    ):
        assert status == pbs.ssh("qsub", *options, text="true\n").returncode, options
    small = ("-q", "small", "-l", "walltime=60")
    assert [0, 38] == [pbs.ssh("qsub", *small, text="sleep 9\n").returncode for _ in range(2)]
    waiting = pbs.submit("true", "-q", "stopped")
    assert "Q" == pbs.until_queued(waiting).state
    pbs.set_queue("stopped", started=True)
    pbs.until_ended(waiting)


def test_a_server_without_history_forgets(pbs: PbsCluster) -> None:
    """What has ended is unknown. With history it is so once that has run out."""
    ended = pbs.until_ended(pbs.submit("true")).id
    assert 35 == pbs.ssh("qstat", ended).returncode
    assert 0 == pbs.ssh("qstat", "-x", ended).returncode
    pbs.forget(ended)
    assert 153 == pbs.ssh("qstat", "-x", ended).returncode
    pbs.turn(history=False)
    job = pbs.submit("true")
    until(lambda: not pbs.jobs(), "it is forgotten")
    assert ("", f"qstat: Unknown Job Id {job}\n", 153) == said(pbs, "qstat", job)
    assert 0 == pbs.ssh("qstat", "-x").returncode


# The bed.


def test_commands_are_found_and_counted(pbs: PbsCluster) -> None:
    """By a login shell and by another one; every call is written down with who, where and what."""
    assert "pbs_version = 23.06.06\n" == pbs.ssh("bash -lc 'qstat --version'").stdout
    pbs.ssh("SESSIOND_TAG=sd-0123456789ab qstat -x")
    pbs.submit("true", "-N", "sd-ba9876543210", user=TARA)
    assert 1 == pbs.submit_calls()
    assert ["qstat", "qstat", "qsub"] == [call.program for call in pbs.calls()]
    assert ["", "sd-0123456789ab", "sd-ba9876543210"] == [call.tag for call in pbs.calls()]
    assert [ALICE, ALICE, TARA] == [call.user for call in pbs.calls()]


def test_a_site_whose_commands_only_login_shells_find() -> None:
    """As after a real installation, which puts them into /etc/profile.d; `environment` finds them."""
    with fresh_pbs(in_path=False, switches={"history": False}) as pbs:
        assert 127 == pbs.ssh("qstat").returncode
        assert 0 == pbs.ssh("bash -lc qstat").returncode
        assert 0 == pbs.ssh(f"{pbs.environment}\nqstat").returncode
        assert "history" in pbs.ssh("bash -lc 'qstat -x'").stderr


def test_the_face_of_torque() -> None:
    """-x is XML there and -F nothing; what is over is C, with other names, until it is forgotten."""
    with fresh_pbs(face="torque") as pbs:
        assert "Version: 6.1" in pbs.ssh("qstat", "--version").stderr
        job = pbs.submit("sleep 600", "-l", "nodes=1:ppn=2", "-N", "t")
        node = pbs.until_running(job).nodes
        assert f"    exec_host = {node}/0-1\n    Hold_Types = n\n" in pbs.ssh("qstat", "-f", job).stdout
        assert f"{job}\n" == pbs.ssh("qselect", "-N", "t").stdout
        assert 0 == pbs.ssh("qdel", job).returncode
        pbs.until_ended(job)
        shown = pbs.ssh("qstat", "-f", job).stdout
        for line in ("job_state = C", "exit_status = 271", "start_count = 1", "Resource_List.nodes = 1:ppn=2"):
            assert f"    {line}\n" in shown, shown
        assert "comp_time = " in shown
        assert pbs.ssh("qstat", "-x").stdout.startswith(f"<Data><Job><Job_Id>{job}</Job_Id><Job_Name>t</Job_Name>")
        assert 2 == pbs.ssh("qstat", "-f", "-F", "json").returncode
        assert 170 == pbs.ssh("qdel", job).returncode
        pbs.forget(job)
        assert ("", f"qstat: Unknown Job Id Error {job}\n", 153) == said(pbs, "qstat", job)
        pbs.server_stop()
        assert 111 == pbs.ssh("qstat").returncode


def test_a_reset_mends_everything_at_once() -> None:
    """Whatever is broken, all of it together: after a reset the cluster takes a job."""
    with fresh_pbs() as pbs:
        pbs.until_running(pbs.submit(STUBBORN, "-l", "select=1:host=node1"))
        pbs.submit("sleep 600", "-l", "select=1:host=node2")
        (pbs.home() / "left").write_text("here")
        pbs.turn(qdel_is_idle=True, scheduling=False, epilog_s=600.0)
        pbs.set_queue("workq", enabled=False)
        pbs.power_off("node2")
        pbs.mom_freeze("node1")
        pbs.server_stop(crash=True)
        pbs.sshd_stop(LOGIN)
        pbs.cut()
        pbs.cable(plugged=False)
        pbs.reset()
        assert [] == pbs.jobs()
        assert not (pbs.home() / "left").exists()
        pbs.until_ended(pbs.submit("true"))
        assert [] == pbs.hosts["node1"].named("sleep")
