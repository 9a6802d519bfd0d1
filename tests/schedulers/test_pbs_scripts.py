"""The scripts of the PBS dialect on the login node: undisturbed by the site, and what they tell the commands of PBS."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from sessiond.core.command import Command
from sessiond.core.errors import Refused, Unreadable
from sessiond.core.events import CancelDelayed, CancelSent, JobFound, SubmitDelayed, Submitted
from sessiond.core.ids import JobId
from sessiond.core.report import Snapshot
from sessiond.core.session import Phase, Session
from sessiond.schedulers.batch import dialect as batch
from sessiond.schedulers.pbs.dialect import Pbs

from .batch_site import hide, out_of_the_way
from .machine import Machine, folder
from .pbs_site import Site, recording
from .slurm_site import with_job
from .test_batch_fence import failing, find, submit

JOB = JobId("16.pbs")
NONE = 'echo "PBS is not configured to maintain job history" >&2'
"""What a server without a history says, with exit status 0 (OpenPBS 23.06)."""


@pytest.fixture
def site(machine: Machine) -> Site:
    """A machine with the commands of PBS."""
    return Site(machine)


def cancel(site: Site, session: Session, *, force: bool = False) -> object:
    """What comes of a cancellation."""
    return Pbs().read_cancel(session, site.machine.run(Pbs().cancel(session, force=force)))


def look(site: Site, *sessions: Session) -> Snapshot:
    """What one look tells."""
    return Pbs().read_observe(sessions, site.machine.run(Pbs().observe(sessions)), 0.0, 4e9)


def job_text(session: Session, state: str = "R", job: str = JOB) -> str:
    """What qstat -f says of a session's job."""
    return (
        f"Job Id: {job}\n    Job_Name = {session.tag}\n    job_state = {state}\n    exec_host = node1/0\n"
        "    Resource_List.walltime = 00:30:00\n    stime = Sun Nov 22 17:55:27 2026\n    session_id = 204\n"
        f"    Variable_List = PBS_O_HOME=/home/alice,SESSIOND_ID={session.id}\n    run_count = 1\n\n"
    )


# Submission.


def test_site_s_environment_does_not_reach_qsub(site: Site) -> None:
    """What would change directives, and what is left of a job one is in, is gone; where the server is stays."""
    hostile = {"PBS_DPREFIX": "#NO", "PBS_JOBID": "7.pbs", "PBS_NODEFILE": "/x", "PBS_ENVIRONMENT": "PBS_BATCH"}
    site.machine.environ |= {**hostile, "PBS_DEFAULT": "mars", "SESSIOND_TAG": "sd-other", "LC_ALL": "de_DE.UTF-8"}
    session = site.staged()
    assert isinstance(submit(site, session), Submitted)
    names = {one.partition("=")[0] for one in site.lines("environment")}
    assert set() == names & {*hostile, "SESSIOND_TAG"}
    assert {"PBS_DEFAULT=mars", "LC_ALL=C"} <= {*site.lines("environment")}


@pytest.mark.parametrize("printed", ["16.pbs", "Welcome to mars!\\n16.pbs", "16.pbs\\r", "16.pbs  "])
def test_id_is_taken_out_of_what_is_printed(site: Site, printed: str) -> None:
    """A wrapper's greeting and blanks are no part of it; its server is."""
    site.put("verdict", f"printf '{printed}\\n'; exit 0\n")
    assert Submitted(job=JOB) == submit(site, site.staged())


@pytest.mark.parametrize(
    ("version", "rc", "form"),
    [
        ("pbs_version = 23.06.06\n", 0, "select=1"),
        ("pbs_version = PBSPro_13.1.0.160576\n", 0, "select=1"),
        ("Version: 6.1.2\nCommit: 661e092\n", 0, "nodes=1"),
        (recording("qstat_version").out, 0, "select=1"),
        ("Unknown option: version\nUsage:\n", 2, "nodes=1"),
    ],
)
def test_nodes_are_asked_for_as_the_server_knows_it(site: Site, version: str, rc: int, form: str) -> None:
    """Chunks of OpenPBS, nodes of Torque; what was submitted is job.sh then."""
    site.put("version", version)
    site.put("version.rc", str(rc))
    made = site.machine.session()
    session = replace(made, spec=replace(made.spec, resources=replace(made.spec.resources, cpus=4)))
    site.machine.run(Pbs().stage(session, {"session.sh": b"true\n"}))
    assert isinstance(submit(site, session), Submitted)
    assert [f"{folder(session)} job.sh"] == site.lines("calls")
    assert f"-l {form}:" in (folder(session) / "job.sh").read_text()


def test_job_that_has_begun_is_found_without_the_server(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ran and ended before anybody looked, and the server keeps no history: it wrote its id down itself."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    failing(site, site.unanswered)
    submit(site, session)
    (folder(session) / "pbs.began").write_text("815.pbs 0 77\n")
    site.put("qselect.rc", "162")
    assert JobFound(job=JobId("815.pbs")) == find(site, session)


def test_job_of_an_attempt_that_was_given_up_is_not_found_for_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken back, and is in the history under the same name."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    (folder(session) / "attempt.1").mkdir()
    (folder(session) / "attempt.1" / "cancelled").write_text("814.pbs\n")
    failing(site, site.unanswered)
    submit(site, session, 2)
    (folder(session) / "pbs.began").write_text("814.pbs 0 77\n")
    site.put("listing", "814.pbs\n815.pbs\n")
    assert JobFound(job=JobId("815.pbs")) == find(site, session, 2)


def test_search_without_a_history_asks_for_what_there_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has none says so, and is asked without."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    failing(site, site.unanswered)
    submit(site, session)
    site.program(
        "qselect", f'#!/bin/sh\necho "$*" >>"$SITE/qselect.calls"\n[ "$1" = -N ] || {{ {NONE}; exit; }}\necho 815.pbs\n'
    )
    assert JobFound(job=JobId("815.pbs")) == find(site, session)
    assert [f"-x -N {session.tag}", f"-N {session.tag}"] == site.lines("qselect.calls")


def test_search_without_qselect_reads_the_whole_queue(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a queue that does not answer is no empty one."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = site.staged()
    failing(site, site.unanswered)
    submit(site, session)
    (site.machine.bin / "qselect").unlink()
    site.put("qstat.rc", "255")
    assert "could not be asked" in str(find(site, session))
    site.put("qstat.rc", "0")
    site.put("qstat.out", recording("qstat_f").out + job_text(session, "Q", "815.pbs"))
    assert JobFound(job=JobId("815.pbs")) == find(site, session)


# Looks.


def test_look_asks_once_for_all_jobs_and_their_history(site: Site) -> None:
    """In text, by ids, in UTC; and what the folders say comes along."""
    one, other = (with_job(site.staged(), JobId(f"{number}.pbs")) for number in (16, 17))
    submit(site, one)
    site.put("qstat.out", job_text(one) + job_text(other, "Q", "17.pbs"))
    (folder(one) / "pbs.began").write_text("16.pbs 0 204\n")
    (folder(one) / "endpoint").write_text("run=16.pbs.0\nhost=node1\nport=8888\nscheme=http\n")
    seen = look(site, one, other)
    assert ["UTC -x -f 16.pbs 17.pbs"] == site.lines("qstat.calls")
    assert (Phase.RUNNING, Phase.QUEUED) == (seen.jobs[JOB].phase, seen.jobs[JobId("17.pbs")].phase)
    assert ("node1", 8888, "16.pbs.0") == (
        seen.endpoints[one.id].host,
        seen.endpoints[one.id].port,
        seen.endpoints[one.id].run,
    )


def test_look_without_jobs_asks_nobody(site: Site) -> None:
    """All that a server has is nobody's business."""
    assert {} == look(site, site.staged()).jobs
    assert [] == site.lines("qstat.calls")


def test_unknown_ids_are_named_however_many(site: Site) -> None:
    """A hundred that the server has forgotten: all are absent, and the one it has is there."""
    sessions = [with_job(site.staged(), JobId(f"{number}.pbs")) for number in range(16, 36)]
    site.put("qstat.out", job_text(sessions[0]))
    site.put("qstat.err", "".join(f"qstat: Unknown Job Id {number}.pbs\n" for number in range(17, 117)))
    site.put("qstat.rc", "153")
    assert {JOB} == look(site, *sessions).jobs.keys()


def test_server_without_a_history_is_asked_for_it_once(site: Site) -> None:
    """From then on it is asked without, which is one question a look again."""
    session = with_job(site.staged(), JOB)
    submit(site, session)
    site.program(
        "qstat",
        '#!/bin/sh\necho "$*" >>"$SITE/qstat.calls"\n'
        '[ "$1" != -x ] || { echo "PBS is not configured to maintain job history $3" >&2; exit 0; }\n'
        'cat "$SITE/good"\n',
    )
    site.put("good", job_text(session))
    for _ in range(3):
        assert Phase.RUNNING is look(site, session).jobs[JOB].phase
    assert [f"-x -f {JOB}", *(f"-f {JOB}" for _ in range(3))] == site.lines("qstat.calls")


def test_torque_is_never_asked_with_x(site: Site) -> None:
    """There it means XML."""
    site.put("version", "Version: 6.1.2\n")
    session = with_job(site.staged(), JOB)
    submit(site, session)
    site.put("qstat.out", job_text(session))
    assert Phase.RUNNING is look(site, session).jobs[JOB].phase
    assert [f"UTC -f {JOB}"] == site.lines("qstat.calls")


# Being told to go.


def test_running_job_is_told_by_its_mark_alone(site: Site) -> None:
    """Its runner sees it; qdel would leave the kill script ten seconds."""
    session = with_job(site.staged(), JOB)
    (folder(session) / "pbs.began").write_text("16.pbs 0 77\n")
    site.put("qstat.out", job_text(session))
    assert CancelSent() == cancel(site, session)
    assert [] == site.lines("qdel.calls")
    assert "soft" == (folder(session) / "stop").read_text().split()[1]


@pytest.mark.parametrize("state", ["Q", "H", "W", "T", "S", "U", "M", "B", "R"])
def test_job_without_a_runner_is_deleted(site: Site, state: str) -> None:
    """It waits, is suspended, or has not come to its runner: nobody would see the mark soon."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session, state))
    assert CancelSent() == cancel(site, session)
    assert [JOB] == site.lines("qdel.calls")


@pytest.mark.parametrize("patience", ["force", "over"])
def test_force_and_patience_at_an_end_delete(site: Site, patience: str) -> None:
    """With force, or once the kill script's time has passed by the cluster's clock."""
    session = with_job(site.staged(), JOB)
    (folder(session) / "pbs.began").write_text("16.pbs 0 77\n")
    site.put("qstat.out", job_text(session))
    if patience == "over":
        (folder(session) / "stop").write_text("1 soft\n")
    assert CancelSent() == cancel(site, session, force=patience == "force")
    assert [JOB] == site.lines("qdel.calls")


def test_job_that_did_not_go_is_dropped_by_force_and_that_is_said(site: Site) -> None:
    """Qdel said yes a while ago, which proves nothing."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session))
    assert CancelSent() == cancel(site, session, force=True)
    assert CancelSent() == cancel(site, session, force=True)
    (folder(session) / "pbs.deleted").write_text(f"{int(time.time()) - 91}\n")
    assert CancelSent(forced=True) == cancel(site, session, force=True)
    assert [JOB, JOB, f"-W force {JOB}"] == site.lines("qdel.calls")
    assert "dropped by qdel -W force" in (folder(session) / "logs.out").read_text()


def test_force_that_the_server_does_not_know_is_a_plain_deletion(site: Site) -> None:
    """Torque's qdel has no such word."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session))
    site.program("qdel", '#!/bin/sh\necho "$*" >>"$SITE/qdel.calls"\n[ "$1" != -W ]\n')
    (folder(session) / "pbs.deleted").write_text("1\n")
    assert CancelSent() == cancel(site, session, force=True)
    assert [f"-W force {JOB}", JOB] == site.lines("qdel.calls")


@pytest.mark.parametrize("name", ["qstat_unknown", "qstat_finished_no_x", "qstat_xf_ok"])
def test_job_that_is_over_was_told_to_go(site: Site, name: str) -> None:
    """Unknown, finished, or in the history."""
    site.shows(name)
    assert CancelSent() == cancel(site, with_job(site.staged(), JOB))
    assert [] == site.lines("qdel.calls")


@pytest.mark.parametrize("name", ["qdel_finished", "qdel_unknown"])
def test_job_that_ends_meanwhile_was_told_to_go(site: Site, name: str) -> None:
    """Between the question and the deletion."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session, "Q"))
    site.put("qdel.err", recording(name).err)
    site.put("qdel.rc", str(recording(name).rc))
    assert CancelSent() == cancel(site, session)


@pytest.mark.parametrize("name", ["down_qdel", "qdel_other_user", "qdel_mom_frozen"])
def test_refused_deletion_is_repeated(site: Site, name: str) -> None:
    """Server down, somebody else's job, no answer: it was not told."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session, "Q"))
    site.put("qdel.err", recording(name).err)
    site.put("qdel.rc", str(recording(name).rc))
    assert isinstance(cancel(site, session), CancelDelayed)


def test_mark_is_there_although_the_server_does_not_answer(site: Site) -> None:
    """A running session ends by itself then, whatever the server does."""
    session = with_job(site.staged(), JOB)
    site.shows("down_qstat")
    event = cancel(site, session)
    assert isinstance(event, CancelDelayed)
    assert "cannot connect to server" in event.problem.message
    assert (folder(session) / "stop").exists()


def test_another_session_s_job_of_the_same_id_is_left_alone(site: Site) -> None:
    """A server that was set up anew counts from 0 again."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(replace(session, id="zzzzzzzzzzzz"), "R"))  # type: ignore[arg-type]
    assert CancelSent() == cancel(site, session, force=True)
    assert [] == site.lines("qdel.calls")


# Cleaning up.


@pytest.mark.parametrize("state", ["R", "Q", "E", "Z"])
def test_cleaning_up_takes_nothing_from_a_job_that_may_run(site: Site, state: str) -> None:
    """It is told to go, and the rest is for another time."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session, state))
    assert 1 == site.machine.run(Pbs().cleanup(session)).rc
    assert (folder(session) / "pbs_run.sh").exists()
    assert [JOB] == site.lines("qdel.calls")


def test_cleaning_up_waits_for_the_server(site: Site) -> None:
    """While it cannot be asked, nothing is removed."""
    session = with_job(site.staged(), JOB)
    site.shows("down_qstat")
    assert 1 == site.machine.run(Pbs().cleanup(session)).rc
    assert (folder(session) / "pbs_run.sh").exists()


@pytest.mark.parametrize("name", ["qstat_unknown", "qstat_finished_no_x"])
def test_cleaning_up_keeps_what_tells_the_story(site: Site, name: str) -> None:
    """The log, the scripts, the fence, the user's files; and PBS's own output where there is some."""
    session, quiet = with_job(site.staged(), JOB), with_job(site.staged(), JOB)
    site.shows(name)
    for one in (session, quiet):
        for made in ("secrets.sh", "notebook.ipynb", "pbs.out", "pbs.began"):
            (folder(one) / made).write_text("x" if one is session or made != "pbs.out" else "")
        (folder(one) / "pbs.began.16.0").mkdir()
        (folder(one) / "attempt.1").mkdir()
        assert 0 == site.machine.run(Pbs().cleanup(one)).rc
    story = {"attempt.1", "logs.out", "notebook.ipynb", "session.sh", "kill.sh", "job.sh", "stop", "pbs.out"}
    assert story == {path.name for path in folder(session).iterdir()}
    assert story - {"pbs.out"} == {path.name for path in folder(quiet).iterdir()}


# More time.


def extended(site: Site, session: Session, by_s: int = 600) -> str:
    """What comes of asking for more time."""
    return Pbs().read_extend(session, site.machine.run(Pbs().extend(session, by_s)))


def test_more_time_is_a_new_whole_limit_that_the_runner_learns_too(site: Site) -> None:
    """PBS takes no difference; what is there now is asked first."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session).replace("00:30:00", "08:09:10"))
    assert "raised" in extended(site, session)
    assert [f"-l walltime={8 * 3600 + 9 * 60 + 10 + 600} {JOB}"] == site.lines("qalter.calls")
    assert f"{8 * 3600 + 9 * 60 + 10 + 600}\n" == (folder(session) / "pbs.limit").read_text()


def test_more_time_is_refused_in_the_server_s_words(site: Site) -> None:
    """With a hint whom to ask, and the runner learns nothing."""
    session = with_job(site.staged(), JOB)
    site.put("qstat.out", job_text(session))
    refusal = recording("qalter_walltime_running_raise")
    site.put("qalter.err", refusal.err)
    site.put("qalter.rc", str(refusal.rc))
    with pytest.raises(Refused, match="Unauthorized Request") as caught:
        extended(site, session)
    assert "administrators" in caught.value.hint
    assert not (folder(session) / "pbs.limit").exists()


def test_more_time_of_a_job_that_is_over_or_has_no_limit_is_refused(site: Site) -> None:
    """There is nothing to raise."""
    session = with_job(site.staged(), JOB)
    site.shows("qstat_unknown")
    with pytest.raises(Refused, match="the job is over"):
        extended(site, session)
    site.put("qstat.rc", "0")
    site.put("qstat.err", "")
    site.put("qstat.out", job_text(session).replace("    Resource_List.walltime = 00:30:00\n", ""))
    with pytest.raises(Refused, match="no limit"):
        extended(site, session)
    assert [] == site.lines("qalter.calls")


def test_more_time_from_a_server_that_is_down_can_be_asked_again(site: Site) -> None:
    """It is no refusal."""
    session = with_job(site.staged(), JOB)
    site.shows("down_qstat")
    with pytest.raises(Unreadable, match="cannot connect"):
        extended(site, session)


# Where the commands are.


def elsewhere(site: Site, command: Command) -> Command:
    """``command`` where PBS is in none of the usual places, and its configuration is one of ours."""
    command = out_of_the_way(site, command, "PBS_PLACES")
    return replace(command, stdin=command.stdin.replace(b"/etc/pbs.conf", str(site.root / "pbs.conf").encode()))


@pytest.mark.parametrize("where", ["profile", "setup", "pbs.conf"])
def test_commands_are_found_where_a_login_shell_finds_them(site: Site, where: str) -> None:
    """In /etc/profile's PATH, that of the cluster's setup, or where PBS itself says that it is."""
    session = site.staged()
    hidden = hide(site)
    text = f"echo Welcome; PATH=$PATH:{hidden}:/usr/bin:/bin; export PBS_DEFAULT=mars; read answer; exit 3\n"
    if where == "pbs.conf":
        (site.root / where).write_text(f"PBS_SERVER=pbs\nPBS_EXEC={hidden.parent}\n")
    else:
        (site.root / where if where == "profile" else folder(session) / "setup.sh").write_text(text)
    done = site.machine.run(elsewhere(site, Pbs().submit(session, 1)))
    assert isinstance(Pbs().read_submit(session, done), Submitted), done
    assert (where == "pbs.conf") == ("PBS_DEFAULT=mars" not in site.lines("environment"))


def test_commands_that_are_nowhere_submit_nothing(site: Site) -> None:
    """It is said precisely, and nothing stands in the way of another time."""
    session = site.staged()
    hide(site)
    event = Pbs().read_submit(session, site.machine.run(elsewhere(site, Pbs().submit(session, 1))))
    assert isinstance(event, SubmitDelayed)
    assert "there is no qsub on " in event.problem.message
    assert not (folder(session) / "attempt.1").exists()
    mine = with_job(session, JOB)
    with pytest.raises(Unreadable, match="there is no qstat"):
        Pbs().read_observe([mine], site.machine.run(elsewhere(site, Pbs().observe([mine]))), 1.0, 2.0)
