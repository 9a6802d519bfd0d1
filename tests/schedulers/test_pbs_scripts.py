"""The scripts of the PBS dialect on the login node: undisturbed by the site, and what they tell the commands of PBS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiond.core.command import Command
from sessiond.core.errors import Unreadable
from sessiond.core.events import JobFound, SubmitDelayed, Submitted
from sessiond.core.ids import JobId
from sessiond.core.report import Snapshot
from sessiond.core.session import Phase, Session
from sessiond.schedulers.batch import dialect as batch
from sessiond.schedulers.pbs.dialect import Pbs

from .batch_site import hide, out_of_the_way
from .machine import Machine, folder
from .pbs_site import JOB, Site, job_text, recording
from .slurm_site import with_job
from .test_batch_fence import failing, find, submit

NONE = 'echo "PBS is not configured to maintain job history" >&2'
"""What a server without a history says, with exit status 0 (OpenPBS 23.06)."""


@pytest.fixture
def site(machine: Machine) -> Site:
    """A machine with the commands of PBS."""
    return Site(machine)


def look(site: Site, *sessions: Session) -> Snapshot:
    """What one look tells."""
    return Pbs().read_observe(sessions, site.machine.run(Pbs().observe(sessions)), 0.0, 4e9)


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
