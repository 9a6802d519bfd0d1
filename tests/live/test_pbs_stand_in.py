"""The stand-in for PBS in a bed: it runs jobs as PBS does, and has PBS's habits in trouble. What it says of them is in
test_pbs_stand_in_words.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from .bed import ALICE, LOGIN, NODES, TARA, PbsCluster
from .bed.waiting import until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

STUBBORN = "trap '' TERM; touch \"$HOME/traps\"; while :; do sleep 0.1; done"


def said(pbs: PbsCluster, *words: str, user: str = ALICE) -> tuple[str, str, int]:
    """What a command prints on both, and how it ends."""
    done = pbs.ssh(*words, user=user)
    return done.stdout, done.stderr, done.returncode


def file(pbs: PbsCluster, name: str, user: str = ALICE) -> Path:
    """A file in a user's home, once it is there."""
    path = pbs.home(user) / name
    until(path.exists, f"{name} is there")
    return path


# How jobs run.


def test_a_job_runs_as_its_user_in_their_home(pbs: PbsCluster) -> None:
    """One session of processes, whose first is a login shell, with PBS's environment and the variables of -v."""
    words = '$(id -un) $(pwd) $(hostname) $PBS_JOBID $PBS_JOBNAME $PBS_QUEUE $PBS_ENVIRONMENT $X $(cat "$PBS_NODEFILE")'
    job = pbs.submit(f'echo "{words}"; ps -o args= -p $PPID; [ -d "$TMPDIR" ] && sleep 600', "-N", "mine", "-v", "X=1")
    node = pbs.until_running(job).nodes
    assert node in NODES
    session = pbs.job(job)["session_id"]
    members = pbs.sh(node, "ps", "-o", "user:20=,args=", "--sid", session).stdout.splitlines()
    assert {ALICE} == {line.split()[0] for line in members}
    assert "-bash" == members[0].split()[1]
    pbs.ssh("qdel", job)
    pbs.until_ended(job)
    out = file(pbs, f"mine.o{job.partition('.')[0]}").read_text().splitlines()
    assert f"{ALICE} /home/{ALICE} {node} {job} mine workq PBS_BATCH 1 {node}" == out[0]
    assert "-bash" == out[1]


def test_the_output_comes_at_the_end(pbs: PbsCluster) -> None:
    """Until then it is in the spool of the node; -j oe has both in one, -k doe writes where it belongs at once."""
    job = pbs.submit(
        'echo out; echo err >&2; touch "$HOME/said"; until [ -e "$HOME/go" ]; do sleep 0.05; done', "-o all -j oe"
    )
    direct = pbs.submit('echo now; until [ -e "$HOME/go" ]; do sleep 0.05; done', "-o now -k doe")
    file(pbs, "said")
    until(lambda: "now\n" == file(pbs, "now").read_text(), "the direct one is written to")
    assert not (pbs.home() / "all").exists()
    (pbs.home() / "go").touch()
    for each in (job, direct):
        assert "0" == pbs.job(pbs.until_ended(each).id)["Exit_status"]
    assert "out\nerr\n" == (pbs.home() / "all").read_text()
    assert pbs.uid() == (pbs.home() / "all").stat().st_uid
    assert 0o600 == (pbs.home() / "all").stat().st_mode & 0o777

    # The server says that a job is over, and then has its node forget it. The output of jobs deleted by force, as those
    # of earlier tests are, stays.
    def left() -> set[str]:
        names = [
            name for node in NODES for name in pbs.sh(node, "ls", "/run/pbs/spool", "/run/pbs/jobs").stdout.split()
        ]
        return {name for name in names for each in (job, direct) if name.startswith(f"{each}.")}

    until(lambda: not left(), "nothing is left of them on the node")


@pytest.mark.parametrize(
    ("script", "status", "substate"),
    [
        ("exit 0", "0", "92"),
        ("exit 7", "7", "93"),
        ("kill -SEGV $$", "139", "93"),
        ("kill -9 $PPID; sleep 9", "265", "93"),
    ],
)
def test_how_a_job_ends_is_its_exit_status(pbs: PbsCluster, script: str, status: str, substate: str) -> None:
    """The shell's, which says 128 and more of a signal; 256 and more where the shell itself is killed."""
    job = pbs.until_ended(pbs.submit(script)).id
    known = pbs.job(job)
    assert (status, substate) == (known["Exit_status"], known["substate"])
    assert known["comment"].endswith(" and finished" if status == "0" else " and failed")


def test_a_user_of_tcsh_and_a_shell_of_ones_own(pbs: PbsCluster) -> None:
    """The login shell reads the script's name, and tcsh complains in the output as it always does; -S names another."""
    pbs.until_ended(pbs.submit("ps -o args= -p $PPID", "-o", "out", user=TARA))
    text = file(pbs, "out", TARA).read_text()
    assert text.startswith("Warning: no access to tty")
    assert text.endswith("\n-tcsh\n")
    pbs.until_ended(pbs.submit("ps -o args= -p $PPID", "-o", "out", "-S", "/bin/bash", user=TARA))
    assert "-bash\n" == file(pbs, "out", TARA).read_text()


def test_what_goes_into_the_background_ends_with_the_job_unless_it_left_the_session(pbs: PbsCluster) -> None:
    """PBS looks at the session alone. The job waits for the one that leaves: at first it is in the job's session."""
    left = 'until [ "$(ps -o sid= -p $!)" -eq $! ]; do sleep 0.02; done'
    job = pbs.submit(f"sleep 601 & setsid sleep 602 & {left}; exit 0")
    node = pbs.until_ended(job).nodes
    until(lambda: ["sleep"] == [one.name for one in pbs.hosts[node].processes() if one.uid == pbs.uid()], "one is left")


def test_output_that_finds_no_place_holds_a_job_in_e(pbs: PbsCluster) -> None:
    """It has an exit status already; after a while it is history all the same."""
    pbs.turn(deliver_s=1.0)
    job = pbs.submit("exit 7", "-o", "/nosuch/dir/x")
    known: dict[str, str] = {}

    def is_held() -> bool:
        known.update(pbs.job(job))
        return "E" == known["job_state"]

    until(is_held, f"job {job} is E")
    assert ("51", "7") == (known["substate"], known["Exit_status"])
    assert "obittime" not in known
    pbs.until_ended(job)
    assert "0" == pbs.job(job)["Stageout_status"]


def test_output_to_a_folder_and_to_a_disk_of_the_login_node(pbs: PbsCluster) -> None:
    """In a folder it is named after the job; what only the login node sees comes there from the node."""
    (pbs.home() / "out").mkdir(mode=0o777)
    (pbs.home() / "out").chmod(0o777)
    job = pbs.submit("echo here; echo there >&2", "-o", "out", "-e", "/tmp/errors")
    pbs.until_ended(job)
    assert "here\n" == (pbs.home() / f"out/{job}.OU").read_text()
    assert "there\n" == pbs.sh(LOGIN, "cat", "/tmp/errors").stdout


def test_waiting_with_block(pbs: PbsCluster) -> None:
    """qsub ends as the job does."""
    assert 3 == pbs.ssh("qsub", "-W", "block=true", text="exit 3\n").returncode


def test_jobs_wait_for_places_for_their_hour_and_for_others(pbs: PbsCluster) -> None:
    """Eight processors; what waits says why; a job that depends on another one begins when that is over."""
    first = pbs.submit("sleep 600", "-l", "select=2:ncpus=4")
    assert ",".join(NODES) == pbs.until_running(first).nodes
    second = pbs.submit("sleep 600")
    until(lambda: "Not Running: Not enough free nodes available" == pbs.job(second).get("comment"), "it says why")
    held = pbs.submit("true", "-h")
    waiting = pbs.submit("true", "-a", "$(date -d '1 hour' +%Y%m%d%H%M.%S)")
    asked_at = int(time.time())
    soon = pbs.submit("true", "-a", "$(date -d '2 seconds' +%Y%m%d%H%M.%S)")
    dependent = pbs.submit("true", "-W", f"depend=afterany:{first}")
    assert ["H", "W", "H"] == [pbs.until_job(each, "H", "W").state for each in (held, waiting, dependent)]
    assert 0 == pbs.ssh("qdel", first).returncode
    for each in (soon, dependent):
        pbs.until_ended(each)
    assert asked_at + 2 <= int(pbs.job(soon)["stime"])
    assert "W" == pbs.job(waiting)["job_state"]
    assert 0 == pbs.ssh("qrls", held).returncode
    pbs.until_ended(held)
    pbs.until_running(second)


# How jobs are ended.


def test_qdel_of_a_running_job(pbs: PbsCluster) -> None:
    """TERM to all of it; the status is 271; its comment says who did it; afterwards there is nothing to delete."""
    job = pbs.submit("sleep 600")
    pbs.until_running(job)
    assert ("", "", 0) == said(pbs, "qdel", job)
    pbs.until_ended(job)
    known = pbs.job(job)
    assert ("271", "91") == (known["Exit_status"], known["substate"])
    assert known["comment"].endswith(f" and terminated by {ALICE}@{LOGIN}")
    assert ("", f"qdel: Job has finished {job}\n", 35) == said(pbs, "qdel", job)
    assert ("", f"qdel: Unknown Job Id 99999.{LOGIN}\n", 153) == said(pbs, "qdel", "99999")


def test_qdel_kills_what_does_not_heed(pbs: PbsCluster) -> None:
    """After a while of patience, in which it still says R, and a further qdel is fine."""
    pbs.turn(kill_delay_s=4.0)
    job = pbs.submit(STUBBORN)
    file(pbs, "traps")
    began = time.monotonic()
    assert ("", "", 0) == said(pbs, "qdel", job)
    assert "R" == pbs.jobs()[-1].state
    assert ("", "", 0) == said(pbs, "qdel", job)
    pbs.until_ended(job)
    assert 3.9 < time.monotonic() - began


def test_qdel_of_a_waiting_job_and_of_another_users(pbs: PbsCluster) -> None:
    """The one is history at once, without a status; the other is refused."""
    job = pbs.submit("true", "-h")
    assert ("", f"qdel: Unauthorized Request  {job}\n", 159) == said(pbs, "qdel", job, user=TARA)
    assert ("", "", 0) == said(pbs, "qdel", job)
    known = pbs.job(job)
    assert ("F", "91", None) == (known["job_state"], known["substate"], known.get("Exit_status"))


def test_a_qdel_that_says_yes_and_does_nothing(pbs: PbsCluster) -> None:
    """The job stays R until it is deleted with force."""
    pbs.turn(qdel_is_idle=True)
    job = pbs.submit("sleep 600")
    node = pbs.until_running(job).nodes
    assert ("", "", 0) == said(pbs, "qdel", job)
    assert ("", "", 0) == said(pbs, "qdel", job)
    assert "R" == pbs.jobs()[-1].state
    assert ["sleep"] == [one.name for one in pbs.hosts[node].named("sleep")]
    assert ("", "", 0) == said(pbs, "qdel", "-W", "force", job)
    known = pbs.job(job)
    assert ("F", "271") == (known["job_state"], known["Exit_status"])
    until(lambda: not pbs.hosts[node].named("sleep"), "its processes are gone")


def test_a_walltime_is_enforced_late(pbs: PbsCluster) -> None:
    """It ends with -29, and a line in its errors says so; who does not heed TERM is killed."""
    pbs.turn(late_s=1.0, kill_delay_s=0.5)
    began = time.monotonic()
    job = pbs.submit(STUBBORN, "-l", "walltime=1", "-N", "w")
    pbs.until_ended(job)
    assert 2.4 < time.monotonic() - began
    known = pbs.job(job)
    assert ("-29", "93") == (known["Exit_status"], known["substate"])
    assert known["comment"].endswith(" and exceeded resource walltime")
    errors = file(pbs, f"w.e{job.partition('.')[0]}").read_text()
    found = re.fullmatch(r"=>> PBS: job killed: walltime (\d+) exceeded limit 1\n", errors)
    assert found is not None, errors
    assert 2 <= int(found[1])


def test_the_walltime_of_a_running_job_goes_down_not_up(pbs: PbsCluster) -> None:
    """Lowered it holds; raised by its owner only where the server lets them."""
    job = pbs.submit("sleep 600", "-l", "walltime=100")
    pbs.until_running(job)
    assert ("", f"qalter: Unauthorized Request  {job}\n", 159) == said(pbs, "qalter", "-l", "walltime=200", job)
    pbs.turn(may_raise_walltime=True)
    assert ("", "", 0) == said(pbs, "qalter", "-l", "walltime=200", job)
    assert "00:03:20" == pbs.job(job)["Resource_List.walltime"]
    assert ("", "", 0) == said(pbs, "qalter", "-l", "walltime=1", job)
    pbs.until_ended(job)
    assert "-29" == pbs.job(job)["Exit_status"]


def test_suspended_resumed_and_requeued_by_those_who_run_it(pbs: PbsCluster) -> None:
    """S with substate 43, its processes stopped; requeued it runs a second time, from the start."""
    job = pbs.submit('echo run >> "$HOME/runs"; sleep 600')
    file(pbs, "runs")
    node = pbs.until_running(job).nodes
    pbs.suspend(job)
    assert ("S", "43") == (pbs.job(job)["job_state"], pbs.job(job)["substate"])
    (sleeper,) = pbs.hosts[node].named("sleep")
    stat = Path(f"/proc/{sleeper.pid}/stat")
    # it stops when it gets to hear of it
    until(lambda: "T" == stat.read_text().rpartition(")")[2].split()[0], "its processes stop")
    pbs.resume(job)
    pbs.until_running(job)
    pbs.requeue(job)
    until(lambda: "2" == pbs.job(job)["run_count"], "it runs again")
    until(lambda: "run\nrun\n" == (pbs.home() / "runs").read_text(), "from the start")
    pbs.suspend(job)
    assert ("", "", 0) == said(pbs, "qdel", job)
    pbs.until_ended(job)
