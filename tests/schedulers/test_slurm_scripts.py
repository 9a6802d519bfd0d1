"""The scripts of the Slurm dialect on the login node: undisturbed by the site, and what they tell Slurm's commands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiond.core.command import Command
from sessiond.core.errors import Unreadable
from sessiond.core.events import CancelDelayed, CancelSent, JobFound, SubmitDelayed, Submitted
from sessiond.core.ids import JobId
from sessiond.core.session import Phase, Session
from sessiond.schedulers.batch import dialect as batch
from sessiond.schedulers.slurm.dialect import Slurm
from sessiond.schedulers.slurm.reply import FORMAT

from .batch_site import hide, out_of_the_way
from .machine import Machine, folder
from .slurm_site import HEADER, JOB, US, Site, line, recording, with_job


@pytest.fixture
def site(machine: Machine) -> Site:
    """A machine with Slurm's commands."""
    return Site(machine)


def cancel(site: Site, session: Session, *, force: bool = False, kill_script_s: int = 300) -> object:
    """What comes of a cancellation."""
    dialect = Slurm(kill_script_s=kill_script_s)
    return dialect.read_cancel(session, site.machine.run(dialect.cancel(session, force=force)))


def test_site_s_environment_does_not_reach_slurm(site: Site) -> None:
    """Variables that would change what sbatch does are gone; where the configuration lies stays."""
    hostile = {
        "SBATCH_PARTITION": "nosuch",
        "SBATCH_WAIT": "1",
        "SQUEUE_FORMAT": "%i",
        "SQUEUE_STATES": "R",
        "SLURM_CLUSTERS": "mars",
        "SLURM_JOB_ID": "7",
        "SACCT_FORMAT": "user",
    }
    site.machine.environ |= {**hostile, "SLURM_CONF": "/etc/mars/slurm.conf", "SESSIOND_TAG": "sd-other"}
    session = site.staged()
    assert isinstance(Slurm().read_submit(session, site.machine.run(Slurm().submit(session, 1))), Submitted)
    names = {one.partition("=")[0] for one in site.lines("environment")}
    assert set() == names & {*hostile, "SESSIOND_TAG"}
    assert "SLURM_CONF=/etc/mars/slurm.conf" in site.lines("environment")


def test_look_asks_for_everything_explicitly(site: Site) -> None:
    """Whose jobs, those of hidden partitions too, which states, which fields; and what the folder says comes along."""
    session = with_job(site.staged(), JOB)
    (folder(session) / "endpoint").write_text(
        f"run={JOB}.0\nhost=node1\nport=8888\nscheme=http\n"
        f"hostkey=ssh-ed25519 {'A' * 67}=\nhostkey=ssh-rsa {'B' * 30}==\n"
    )
    site.put("listing", f"{HEADER}\n{line(name=session.tag)}\n")
    done = site.machine.run(Slurm().observe([session]))
    seen = Slurm().read_observe([session], done, 0.0, 4e9)
    assert [f"--me --all --states=all -O {FORMAT}"] == site.lines("squeue.calls")
    assert Phase.RUNNING is seen.jobs[JOB].phase
    keys = (f"ssh-ed25519 {'A' * 67}=", f"ssh-rsa {'B' * 30}==")
    assert ("node1", 8888, keys) == (
        seen.endpoints[session.id].host,
        seen.endpoints[session.id].port,
        seen.endpoints[session.id].host_keys,
    )


def test_socket_is_read_from_the_folder(site: Site) -> None:
    """An endpoint with a path needs no port."""
    session = with_job(site.staged(), JOB)
    (folder(session) / "endpoint").write_text(f"run={JOB}.0\nhost=node1\nscheme=http\npath=/tmp/x y=z.sock\n")
    site.put("listing", f"{HEADER}\n{line(name=session.tag)}\n")
    seen = Slurm().read_observe([session], site.machine.run(Slurm().observe([session])), 0.0, 4e9)
    assert "/tmp/x y=z.sock" == seen.endpoints[session.id].path


def test_old_squeue_is_asked_by_user(site: Site) -> None:
    """One that does not know --me is asked again, and the second answer counts."""
    session = with_job(site.staged(), JOB)
    site.put("good", f"{HEADER}\n{line(name=session.tag)}\n")
    site.program(
        "squeue",
        "#!/bin/sh\ncase $* in *--me*) echo \"squeue: unrecognized option '--me'\" >&2; exit 1 ;; esac\n"
        'cat "$SITE/good"\n',
    )
    seen = Slurm().read_observe([session], site.machine.run(Slurm().observe([session])), 0.0, 4e9)
    assert JOB in seen.jobs


def test_waiting_suspended_and_running_jobs_are_told_in_their_own_way(site: Site) -> None:
    """The mark first, then a removal, then a signal for the runner."""
    session = with_job(site.staged(), JOB)
    assert CancelSent() == cancel(site, session)
    own = f"--name={session.tag}"
    assert [
        f"{own} --state=PENDING {JOB}",
        f"{own} --state=SUSPENDED {JOB}",
        f"{own} --batch --signal=TERM {JOB}",
    ] == site.lines("scancel.calls")
    assert "soft" == (folder(session) / "stop").read_text().split()[1]


@pytest.mark.parametrize("asked", ["look", "search"])
def test_locale_that_is_not_installed_is_no_trouble(site: Site, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    """bash and Perl, in which sites write wrappers, warn of it in words that sound like a squeue that cannot answer."""
    monkeypatch.setattr(batch, "SETTLED_S", 0)
    session = with_job(site.staged(), JOB)
    (folder(session) / "attempt.1").mkdir()
    site.machine.environ["LC_ALL"] = "xx_XX.UTF-8"
    perl = "[ \"$LC_ALL\" = C ] || echo 'perl: warning: Setting locale failed.' >&2"
    site.program("squeue", f'#!/usr/bin/env bash\n{perl}\ncat "$SITE/listing"\n')
    if asked == "look":
        site.put("listing", f"{HEADER}\n{line(name=session.tag)}\n")
        seen = Slurm().read_observe([session], site.machine.run(Slurm().observe([session])), 0.0, 4e9)
        assert JOB in seen.jobs
    else:
        site.lists("815", session)
        assert JobFound(job=JobId("815")) == Slurm().read_find(session, site.machine.run(Slurm().find(session, 1)))


def test_renamed_job_is_told_without_its_name(site: Site) -> None:
    """A job's owner may rename it; scancel tells nobody that a filter by its name left it out (measured, 22.05)."""
    session = with_job(site.staged(), JOB)
    site.put("listing", f"renamed{US}{session.id}{US}\n")
    assert CancelSent() == cancel(site, session, force=True)
    assert [JOB] == site.lines("scancel.calls")


@pytest.mark.parametrize("marks", [f"renamed{US}(null){US}", f"sd-{'z' * 12}{US}{'z' * 12}{US}"])
def test_number_that_is_another_job_s_now_is_told_nothing(site: Site, marks: str) -> None:
    """Neither its name nor its comment is the session's: the filter by name stays."""
    session = with_job(site.staged(), JOB)
    site.put("listing", f"{marks}\n")
    assert CancelSent() == cancel(site, session, force=True)
    assert [f"--name={session.tag} {JOB}"] == site.lines("scancel.calls")


def test_cleaning_up_takes_nothing_from_a_renamed_job(site: Site) -> None:
    """It may run as well."""
    session = with_job(site.staged(), JOB)
    site.program(
        "squeue",
        f"""#!/bin/sh
case $* in *--name=*) ;; *Comment*) printf 'renamed\037%s\037\n' {session.id} ;; *) echo RUNNING ;; esac
""",
    )
    assert 1 == site.machine.run(Slurm().cleanup(session)).rc
    assert (folder(session) / "slurm_run.sh").exists()
    assert [JOB] == site.lines("scancel.calls")


def test_force_and_patience_at_an_end_are_plain(site: Site) -> None:
    """With force, or once the kill script's time has passed by the cluster's clock."""
    session = with_job(site.staged(), JOB)
    assert CancelSent() == cancel(site, session, force=True)
    assert [f"--name={session.tag} {JOB}"] == site.lines("scancel.calls")
    assert "force" == (folder(session) / "stop").read_text().split()[1]
    other = with_job(site.staged(), JOB)
    (folder(other) / "stop").write_text("1 soft\n")
    assert CancelSent() == cancel(site, other)
    assert [f"--name={one.tag} {JOB}" for one in (session, other)] == site.lines("scancel.calls")


def test_job_without_its_folder_is_told_plainly(site: Site) -> None:
    """Nobody could find a mark there."""
    session = with_job(site.machine.session(), JOB)
    assert CancelSent() == cancel(site, session)
    assert [f"--name={session.tag} {JOB}"] == site.lines("scancel.calls")


@pytest.mark.parametrize(
    "words",
    [
        "scancel: error: Kill job error on job id 9: Invalid job id specified",
        "scancel: error: Kill job error on job id 9: Job/step already completing or completed",
        "scancel: error: Kill job error on job id 9: Job can not be altered now, try again later",
    ],
)
def test_job_that_is_gone_was_told_to_go(site: Site, words: str) -> None:
    """Unknown, over, or waiting when it was to be signalled (recorded): all as it should be."""
    site.put("scancel.err", words)
    assert CancelSent() == cancel(site, with_job(site.staged(), JOB))


@pytest.mark.parametrize("name", ["down_scancel", "scancel_other_user"])
def test_refused_cancellation_is_repeated(site: Site, name: str) -> None:
    """Controller down, or somebody else's job: it was not told."""
    site.put("scancel.err", recording(name).err)
    assert isinstance(cancel(site, with_job(site.staged(), JOB)), CancelDelayed)


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "COMPLETING", "TELEPORTING"])
def test_cleaning_up_takes_nothing_from_a_job_that_may_run(site: Site, state: str) -> None:
    """It is told to go, and the rest is for another time."""
    session = with_job(site.staged(), JOB)
    site.put("listing", f"{state}\n")
    assert 1 == site.machine.run(Slurm().cleanup(session)).rc
    assert (folder(session) / "slurm_run.sh").exists()
    assert [f"--name={session.tag} {JOB}"] == site.lines("scancel.calls")


def test_cleaning_up_waits_for_the_scheduler(site: Site) -> None:
    """While it cannot be asked, nothing is removed."""
    session = with_job(site.staged(), JOB)
    site.put("squeue.rc", "1")
    site.put("squeue.err", recording("down_squeue").err)
    assert 1 == site.machine.run(Slurm().cleanup(session)).rc
    assert (folder(session) / "slurm_run.sh").exists()


@pytest.mark.parametrize("gone", ["COMPLETED", "CANCELLED", ""])
def test_cleaning_up_keeps_what_tells_the_story(site: Site, gone: str) -> None:
    """The log, the scripts, the fence and the user's files stay; and a mark for a job that comes back."""
    session = with_job(site.staged(), JOB)
    (folder(session) / "secrets.sh").write_text("x")
    (folder(session) / "notebook.ipynb").write_text("x")
    (folder(session) / "attempt.1").mkdir()
    site.put("listing", f"{gone}\n" if gone else "")
    assert 0 == site.machine.run(Slurm().cleanup(session)).rc
    left = {path.name for path in folder(session).iterdir()}
    assert {
        "attempt.1",
        "logs.out",
        "notebook.ipynb",
        "session.sh",
        "kill.sh",
        "job.sh",
        "stop",
        "stage.lock",
    } - left <= {"stage.lock"}
    assert set() == left & {"secrets.sh", "slurm_run.sh", "setup.sh"}


def test_purged_job_is_over_for_cleaning_up(site: Site) -> None:
    """Squeue does not know it any more."""
    session = with_job(site.staged(), JOB)
    site.put("squeue.rc", "1")
    site.put("squeue.err", "slurm_load_jobs error: Invalid job id specified\n")
    assert 0 == site.machine.run(Slurm().cleanup(session)).rc


def elsewhere(site: Site, command: Command) -> Command:
    """``command`` where Slurm is in none of the usual places."""
    return out_of_the_way(site, command, "SLURM_PLACES")


@pytest.mark.parametrize("where", ["profile", "setup"])
def test_commands_are_found_where_a_login_shell_finds_them(site: Site, where: str) -> None:
    """In /etc/profile's PATH, or that of the cluster's setup, whatever else those print or do."""
    session = site.staged()
    hidden = hide(site)
    text = f"echo Welcome; PATH=$PATH:{hidden}:/usr/bin:/bin; export LD_LIBRARY_PATH=/opt/x; read answer; exit 3\n"
    (site.root / "profile" if where == "profile" else folder(session) / "setup.sh").write_text(text)
    done = site.machine.run(elsewhere(site, Slurm().submit(session, 1)))
    assert isinstance(Slurm().read_submit(session, done), Submitted), done
    assert "LD_LIBRARY_PATH=/opt/x" in site.lines("environment")


@pytest.mark.parametrize("setup", ["export SLURM_CONF=/etc/b/slurm.conf", "use_slurm_of b"])
def test_setup_may_choose_among_several_slurms(site: Site, setup: str) -> None:
    """What it says of Slurm holds also where a login has commands of Slurm already: those of another cluster, say."""
    session = site.staged()
    other = site.machine.root / "other"
    other.mkdir()
    (other / "sbatch").write_text('#!/bin/sh\necho "$SLURM_CONF" >"$SITE/chosen"; echo 815\n')
    (other / "sbatch").chmod(0o755)
    text = f"use_slurm_of() {{ SLURM_CONF=/etc/$1/slurm.conf; }}; PATH={other}:$PATH; {setup}\n"
    (folder(session) / "setup.sh").write_text(text)
    done = site.machine.run(Slurm().submit(session, 1))
    assert Submitted(job=JobId("815")) == Slurm().read_submit(session, done)
    assert ["/etc/b/slurm.conf"] == site.lines("chosen")


def test_a_rehearsal_has_the_setup_before_there_is_a_folder(site: Site) -> None:
    """It comes before the job script, of which sbatch reads every line; and it is on no command line."""
    plain = site.staged()
    session = replace(plain, spec=replace(plain.spec, jobdir=f"{site.machine.root}/none yet/sessiond/{plain.id}"))
    hidden = hide(site)
    (hidden / "sbatch").write_text('#!/bin/sh\ncat >"$SITE/script"; echo "sbatch: Job 1 to start at x" >&2\n')
    setup = f"# Where it is here:\n\nexport PATH=$PATH:{hidden}"
    command = Slurm().rehearse(replace(session, spec=replace(session.spec, setup=setup)))
    assert command is not None
    done = site.machine.run(elsewhere(site, command))
    assert "the scheduler would take it" in Slurm().read_rehearse(session, done)
    assert Slurm().job_scripts(session)["job.sh"].decode() == (site.root / "script").read_text()
    assert str(hidden) not in " ".join(command.argv)
    without = Slurm().rehearse(session)
    assert without is not None
    with pytest.raises(Unreadable, match="there is no sbatch"):
        Slurm().read_rehearse(session, site.machine.run(elsewhere(site, without)))


def test_setup_that_says_nothing_of_slurm_is_not_run_for_its_commands(site: Site) -> None:
    """It may take seconds, and a look is taken every few."""
    session = with_job(site.staged(), JOB)
    (folder(session) / "setup.sh").write_text('module load python; : >"$SITE/ran"\n')
    site.put("listing", f"{HEADER}\n")
    assert {} == Slurm().read_observe([session], site.machine.run(Slurm().observe([session])), 0.0, 4e9).jobs
    assert [] == [*site.root.glob("ran")]


def test_setup_that_cannot_be_asked_which_slurm_it_is_submits_nothing(site: Site) -> None:
    """What a login has may be another cluster's. It is said what stands in the way, and it can be tried again."""
    session = site.staged()
    (folder(session) / "setup.sh").write_text("export SLURM_CONF=/etc/b/slurm.conf\nkill -KILL $$\n")
    event = Slurm().read_submit(session, site.machine.run(Slurm().submit(session, 1)))
    assert isinstance(event, SubmitDelayed)
    assert event.problem.message.startswith("what setup says of the scheduler could not be asked of a shell of ")
    assert not (folder(session) / "attempt.1").exists()


def test_commands_that_are_nowhere_submit_nothing(site: Site) -> None:
    """It is said precisely, and nothing stands in the way of another time."""
    session = site.staged()
    hide(site)
    event = Slurm().read_submit(session, site.machine.run(elsewhere(site, Slurm().submit(session, 1))))
    assert isinstance(event, SubmitDelayed)
    assert "there is no sbatch on " in event.problem.message
    assert not (folder(session) / "attempt.1").exists()
    mine = with_job(session, JobId("1"))
    with pytest.raises(Unreadable, match="there is no squeue"):
        Slurm().read_observe([mine], site.machine.run(elsewhere(site, Slurm().observe([mine]))), 1.0, 2.0)
