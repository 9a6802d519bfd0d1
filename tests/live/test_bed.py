"""The cluster that other tests rely on: it behaves as one, and it breaks when told to."""

from __future__ import annotations

import contextlib
import errno
import socket
import subprocess
import time
from pathlib import Path

import pytest

from sessiond.config.load import load
from sessiond.config.model import Scheduler, Ssh
from sessiond.core.ids import ClusterName

from .bed import ALICE, LOGIN, NODES, TARA, Cluster, reason_to_skip
from .bed.environments import ensure_environment
from .bed.fixtures import fresh_cluster
from .bed.person import person
from .bed.waiting import until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

ANSWER = "import socket; s = socket.create_server(('{address}', 8000)); s.accept()[0].sendall(b'here')"


def why_not(address: tuple[str, int], limit_s: float = 5) -> int:
    """The error number of connecting, 0 where it works, EAGAIN where nobody says anything for ``limit_s`` seconds."""
    with socket.socket() as probe:
        probe.settimeout(limit_s)
        return probe.connect_ex(address)


def heard(path: Path) -> bytes:
    """What a server on a Unix socket sends to whoever connects; empty if it cannot be reached."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(str(path))
        return peer.recv(100)
    return b""


# A cluster as it should be.


def test_a_job_submitted_over_ssh_runs_as_the_user_on_a_node(cluster: Cluster) -> None:
    """sbatch on the login node, and the job is RUNNING on a node, as that user, with the home that all hosts share."""
    job = cluster.submit("id -un; hostname; pwd; sleep 600", "--output=said")
    running = cluster.until_job(job, "RUNNING")
    assert running.nodes in NODES
    said = cluster.home() / "said"
    until(lambda: said.exists() and 3 == said.read_text().count("\n"), "the job says three things")
    assert [ALICE, running.nodes, f"/home/{ALICE}"] == said.read_text().split()
    assert cluster.uid() == said.stat().st_uid
    assert "RUNNING" == cluster.job(job)["JobState"]


def test_a_user_of_tcsh_submits_too(cluster: Cluster) -> None:
    """The second user's login shell is tcsh, and the door opens to the same key."""
    assert "tcsh" in cluster.ssh("echo $version", user=TARA).stdout
    job = cluster.submit("exit 3", "--partition=long", user=TARA)
    assert TARA == cluster.until_job(job, "FAILED").user


def test_a_node_is_reached_through_the_login_node_and_not_otherwise(cluster: Cluster) -> None:
    """ssh -L to a node's address works over the login node's sshd; the workspace itself has no way there."""
    node = cluster.network.address("node1")
    listener = subprocess.Popen(
        cluster.hosts["node1"].argv("python3", "-c", ANSWER.format(address=node)), stdin=subprocess.DEVNULL
    )
    try:
        until(lambda: cluster.hosts["node1"].listens(8000), "a server on node1 listens")
        assert errno.EHOSTUNREACH == why_not((node, 8000))
        entrance = cluster.folder / "entrance"
        with cluster.connection("-N", f"-L{entrance}:node1:8000"):
            until(lambda: b"here" == heard(entrance), "the tunnel carries")
    finally:
        listener.kill()
        listener.wait()


def test_hosts_know_each_other_and_keep_their_own_tmp(cluster: Cluster) -> None:
    """A user goes on from the login node to a node by its short name; what lies in /tmp there is not here."""
    cluster.sh("node1", "touch", "/tmp/mine", user=ALICE)
    assert "node1 /tmp/mine\n" == cluster.ssh("ssh node1 'echo $(hostname) /tmp/mi*'").stdout
    assert "node2 /tmp/mi*\n" == cluster.ssh("ssh node2 'echo $(hostname) /tmp/mi*'").stdout
    assert not Path("/tmp/mine").exists()


def test_orphans_are_reaped(cluster: Cluster) -> None:
    """A process whose parent is gone leaves no zombie when it ends, so that looking for it by its pid is right."""
    pid = cluster.sh("node1", "bash", "-c", "setsid sleep 0.1 > /dev/null & echo $!").stdout.strip()
    until(lambda: 0 != cluster.sh("node1", "kill", "-0", pid).returncode, "the orphan is gone")


def test_a_service_finds_its_environment(cluster: Cluster) -> None:
    """What a service installed on this machine can be used by a user on a node, wherever the clone lies."""
    ensure_environment("webshell")
    # of several, made at different times, the first
    words = 'set -- "$SESSIOND_ENVS"/webshell-*/bin/python; "$1" -c "import terminado; print(1)"'
    done = cluster.sh("node1", "bash", "-c", f"{cluster.environment}; {words}", user=ALICE)
    assert ("", "1\n") == (done.stderr, done.stdout)


def test_calls_of_the_scheduler_are_counted(cluster: Cluster) -> None:
    """Every call by a user is written down with who, where and what, and with the session's tag where it shows."""
    cluster.ssh("SESSIOND_TAG=sd-0123456789ab /usr/bin/squeue --me")
    cluster.submit("true", "--job-name=sd-ba9876543210")
    cluster.ssh("sbatch --no-such-option")
    assert 2 == cluster.sbatch_calls()
    assert ["squeue", "sbatch", "sbatch"] == [call.program for call in cluster.calls()]
    assert ["sd-0123456789ab", "sd-ba9876543210", ""] == [call.tag for call in cluster.calls()]
    assert {(LOGIN, ALICE)} == {(call.host, call.user) for call in cluster.calls()}
    assert time.time() - 60 < cluster.calls()[0].at <= time.time()


# A cluster in trouble.


def test_a_frozen_controller_is_silent_and_then_goes_on(cluster: Cluster) -> None:
    """Frozen, it takes a client's connection and does not answer; what was asked meanwhile is answered afterwards."""
    job = cluster.submit("sleep 600")
    cluster.ctld_freeze()
    with cluster.connection("squeue --noheader --format=%i") as asking:
        with pytest.raises(subprocess.TimeoutExpired):
            asking.wait(1)
        cluster.ctld_thaw()
        assert job == asking.communicate(timeout=15)[0].strip()


def test_a_stopped_controller_is_refused_and_comes_back_with_its_jobs(cluster: Cluster) -> None:
    """Without the controller nobody listens; started again it knows the job, which ran on."""
    job = cluster.submit("sleep 600")
    cluster.until_job(job, "RUNNING")
    cluster.ctld_stop()
    assert not cluster.hosts[LOGIN].listens(6817)
    cluster.slurmd_stop("node1")
    cluster.ctld_start()
    cluster.slurmd_start("node1")
    assert "RUNNING" == cluster.until_job(job, "RUNNING").state


def test_without_munge_nobody_is_who_they_say(cluster: Cluster) -> None:
    """Without munged no command gets through; with it again, all do."""
    cluster.munge_stop()
    with cluster.connection("squeue") as asking, pytest.raises(subprocess.TimeoutExpired):
        asking.wait(1)
    cluster.munge_start()
    assert 0 == cluster.ssh("squeue").returncode


def test_cut_is_silent_and_heals(cluster: Cluster) -> None:
    """In the black hole a connection stays open and nothing passes; afterwards it goes on as if nothing had been."""
    with cluster.connection("cat") as talk:
        assert talk.stdin is not None
        assert talk.stdout is not None
        talk.stdin.write("before\n")
        talk.stdin.flush()
        assert "before\n" == talk.stdout.readline()
        cluster.cut()
        assert errno.EAGAIN == why_not((cluster.address, 22), limit_s=1)
        talk.stdin.write("in between\n")
        talk.stdin.flush()
        assert talk.poll() is None
        cluster.heal()
        assert "in between\n" == talk.stdout.readline()


def test_the_cable_and_its_speed(cluster: Cluster) -> None:
    """Unplugged, connecting fails; slowed down, bytes take their time."""
    cluster.cable(plugged=False)
    assert errno.EHOSTUNREACH == why_not((cluster.address, 22))
    cluster.cable(plugged=True)
    assert 0 == why_not((cluster.address, 22))
    cluster.rate(8)
    began = time.monotonic()
    # two megabytes at one a second, but for what the line takes at once
    assert 2_000_000 == len(cluster.ssh("head -c 2000000 /dev/zero").stdout)
    assert 1.0 < time.monotonic() - began


def test_sshd_limits_restart_and_lost_connections(cluster: Cluster) -> None:
    """Settings hold for new connections, old ones outlive the restart, and what they run outlives their death."""
    with cluster.connection("echo begun; sleep 600") as old:
        assert old.stdout is not None
        assert "begun\n" == old.stdout.readline()
        cluster.sshd_set(LOGIN, MaxSessions="0")
        assert 0 != cluster.ssh("true").returncode
        cluster.sshd_stop(LOGIN)
        assert errno.ECONNREFUSED == why_not((cluster.address, 22))
        assert old.poll() is None
        cluster.sshd_kill_sessions(LOGIN)
        assert 255 == old.wait(10)
        assert [cluster.uid()] == [one.uid for one in cluster.hosts[LOGIN].named("sleep")]
    cluster.reset()
    assert [] == cluster.hosts[LOGIN].named("sleep")
    assert 0 == cluster.ssh("true").returncode


def test_the_small_disk_fills_and_empties(cluster: Cluster) -> None:
    """The disk that all hosts see is full to the last byte when it is told to be."""
    cluster.fill_disk()
    full = cluster.ssh(f"echo 1 > {cluster.scratch}/file")
    assert "No space left on device" in full.stderr
    cluster.free_disk()
    assert 0 == cluster.sh("node2", "sh", "-c", f"echo 1 > {cluster.scratch}/file", user=ALICE).returncode


def test_a_home_runs_into_its_quota_and_is_mended() -> None:
    """At the quota nothing can be made there, on no host, but elsewhere, and removed; a reset leaves a fresh home."""
    with fresh_cluster(home_quota_mb=4) as cluster:
        cluster.use_up_quota()
        for host in (LOGIN, "node1"):
            done = cluster.sh(host, "sh", "-c", "mkdir folder; touch file; rm .profile", user=ALICE)
            assert 2 == done.stderr.count("Disk quota exceeded"), done
        assert not (cluster.home() / ".profile").exists()
        assert 0 == cluster.sh(LOGIN, "touch", "file", user=TARA).returncode
        cluster.make_room()
        assert 0 == cluster.ssh("echo 1 > file").returncode
        cluster.use_up_quota()
        cluster.reset()
        assert (cluster.home() / ".profile").exists()
        assert 0 == cluster.ssh("mkdir folder").returncode


def test_a_slow_prolog_holds_jobs_in_configuring(cluster: Cluster) -> None:
    """A job is CONFIGURING until the prolog is over, and runs then."""
    cluster.slow_prolog(600)
    job = cluster.submit("sleep 600")
    cluster.until_job(job, "CONFIGURING")
    cluster.slow_prolog(0)
    cluster.until_job(job, "RUNNING")


def test_reset_mends_everything_at_once() -> None:
    """Whatever is broken, all of it together: after a reset the cluster takes a job."""
    with fresh_cluster() as cluster:
        cluster.submit("trap '' TERM; sleep 600", "--nodelist=node1")
        cluster.submit("sleep 600", "--nodelist=node2")
        (cluster.home() / "left").write_text("here")
        cluster.power_off("node2")
        cluster.slurmd_stop("node1")
        cluster.munge_stop()
        cluster.ctld_stop(crash=True)
        cluster.sshd_stop(LOGIN)
        cluster.fill_disk()
        cluster.slow_prolog(600)
        cluster.rate(1)
        cluster.cut()
        cluster.cable(plugged=False)
        cluster.reset()
        assert [] == cluster.jobs("PENDING,CONFIGURING,RUNNING,SUSPENDED,COMPLETING")
        assert not (cluster.home() / "left").exists()
        cluster.until_job(cluster.submit("true"), "COMPLETED")


def test_a_job_is_requeued_when_its_node_loses_power_and_another_bed_does_not_notice(cluster: Cluster) -> None:
    """Two clusters at once: one loses a node and starts its job again on the other node; the other's job runs on."""
    ours = cluster.submit("sleep 600", "--nodelist=node1")
    cluster.until_job(ours, "RUNNING")
    with fresh_cluster(slurmd_timeout_s=2, message_timeout_s=2) as other:
        assert other.network.number != cluster.network.number
        job = other.submit("sleep 600", "--requeue")
        node = other.until_job(job, "RUNNING").nodes
        other.power_off(node)
        assert not other.hosts[node].is_on
        until(lambda: "RUNNING" != other.job(job)["JobState"], "the node's death is noticed", 40)
        assert (set(NODES) - {node}).pop() == other.until_job(job, "RUNNING", limit_s=40).nodes
        assert "1" == other.job(job)["Restarts"]
        other.boot(node)
        other.nodes_usable()
        assert [ours] == [one.id for one in cluster.jobs("RUNNING")]
        assert [job] == [one.id for one in other.jobs("RUNNING")]


# A person.


def test_a_person_has_the_cluster_in_their_configuration(cluster: Cluster) -> None:
    """The daemon's configuration that a person gets is understood to the last key, and the daemon serves with it."""
    with person(cluster, poll="1s", workdir=str(cluster.scratch), defaults={"partition": "long"}) as me:
        found = load(me.config).clusters[ClusterName("bed")]
        assert Scheduler.SLURM == found.scheduler
        assert 1.0 == found.poll_s
        assert {"partition": "long"} == found.defaults
        assert str(cluster.scratch) == found.workdir
        assert isinstance(found.transport, Ssh)
        assert (cluster.address, ALICE) == (found.transport.host, found.transport.user)
        assert 0 == me.ctl("status").status
        me.configure(poll="3s")
        assert 3.0 == load(me.config).clusters[ClusterName("bed")].poll_s


# Where there can be no cluster.


def test_the_reason_for_skipping_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root, and without a package, the reason names it."""
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: 1000)
        assert reason_to_skip().startswith("not root")
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: 0)
        patch.setattr("shutil.which", lambda name, path=None: None if name == "slurmctld" else name)
        assert "no slurmctld here (Debian's packages: slurmctld)" == reason_to_skip()
