"""What a scheduler and a session's folder say of an end, as evidence: read whole, or said to be missing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sessiond.core.errors import Unreadable
from sessiond.core.report import Evidence, Words
from sessiond.core.session import Session
from sessiond.schedulers.batch.evidence import amount
from sessiond.schedulers.pbs.dialect import Pbs
from sessiond.schedulers.process import Process
from sessiond.schedulers.slurm.dialect import Slurm

from . import pbs_words, slurm_site
from .batch_site import Recording
from .machine import Machine, eventually, folder
from .pbs_site import Site as PbsSite
from .slurm_site import ASIDE, JOB, Site, recording, said, word

SILENT = Recording(1, "", "")
NO_REFUSAL = ["refusal", ""]
OOM = (
    f"{JOB}|OUT_OF_MEMORY|0:125||2G|00:01:00|01:00:00|node1|None\n"
    f"{JOB}.batch|OUT_OF_MEMORY|0:125|2096128K||00:01:00||node1|\n"
    f"{JOB}.extern|COMPLETED|0:0|1.5M||00:01:00||node1|\n"
)


def slurm(
    account: Recording = SILENT, control: Recording = SILENT, own: Sequence[str] | None = None, job: str = JOB
) -> Evidence:
    """What is made of what Slurm's two witnesses say."""
    records = [list(own or word()), NO_REFUSAL, ["version", "slurm 22.05.8"]]
    for what, one in (("account", account), ("control", control)):
        records += [[what, one.out], ["said", str(one.rc), one.err]]
    return Slurm().read_evidence(slurm_site.session(job), said(*records))


def test_slurm_says_how_much_memory_was_used() -> None:
    """The most that any of its steps used, in bytes; and its lines are there with the names of their columns."""
    found = slurm(Recording(0, OOM, ""))
    assert 2096128 * 1024 == found.peak_memory
    assert ("slurm 22.05.8", False) == (found.version, found.lagging)
    (words,) = found.words
    assert "sacct" == words.asked
    first, second, _ = words.said.splitlines()
    assert f"JobID={JOB} State=OUT_OF_MEMORY ExitCode=0:125 ReqMem=2G" in first
    assert "MaxRSS=2096128K" in second
    assert ("scontrol's words: it does not know the job any more",) == found.missing


def test_accounting_that_lags_is_asked_again() -> None:
    """It may say that a job runs of which the end is known."""
    assert slurm(Recording(0, f"{JOB}|RUNNING|0:0||2G|00:01:00|01:00:00|node1|None\n", "")).lagging


def test_the_controller_s_record_is_kept_as_it_is() -> None:
    """Recorded; without accounting nobody knows how much memory was used, and that is not made up."""
    real = recording("scontrol_show_job_node_fail")
    flat = Recording(real.rc, " ".join(real.out.split()) + "\n", real.err)
    job = flat.out.split()[0].removeprefix("JobId=")
    found = slurm(recording("sacct_no_dbd"), flat, job=job)
    assert (Words(asked="scontrol show job", said=flat.out.strip()),) == found.words
    assert found.peak_memory is None
    assert "sacct's words: Slurm accounting storage is disabled" in found.missing[0]


def test_another_session_s_job_is_not_shown() -> None:
    """Numbers are given again after a crash: what another one does is nobody's business here."""
    other = f"JobId={JOB} JobName=sd-000000000000 UserId=bob(1001) JobState=RUNNING\n"
    found = slurm(Recording(0, "9999|RUNNING|0:0|||||n1|None\n", ""), Recording(0, other, ""))
    assert () == found.words
    assert 2 == len(found.missing)


def test_the_submitter_s_own_words() -> None:
    """Of a session that was rejected there is no job, and its scheduler's words are all there is."""
    done = said(word(), ["refusal", "sbatch: error: invalid partition\nsbatch: error: no\n"], ["version", "slurm 23"])
    found = Slurm().read_evidence(slurm_site.session(None), done)
    assert (Words(asked="sbatch", said="sbatch: error: invalid partition\nsbatch: error: no"),) == found.words


def test_what_slurm_says_at_every_call_is_no_word_about_a_job() -> None:
    """Of lines of slurm.conf that it leaves aside it complains before it says what matters, and where nothing does."""
    sbatch = ASIDE.replace("squeue", "sbatch")
    for more, words in (("sbatch: error: no\n", (Words(asked="sbatch", said="sbatch: error: no"),)), ("", ())):
        done = said(word(), ["refusal", f"{sbatch}\n{more}"], ["version", "slurm 23"])
        assert words == Slurm().read_evidence(slurm_site.session(None), done).words


def test_without_the_scheduler_s_commands_the_rest_is_known() -> None:
    """What its own files say does not depend on them."""
    own = word(status="7", run=f"{JOB}.0", reason="exit", failure="no licence")
    found = Slurm().read_evidence(slurm_site.session(), said(own, NO_REFUSAL, ["missing", "there is no scontrol"]))
    assert (7, "exit", "no licence") == (found.status, found.reason, found.failure)
    assert ("the scheduler's words: there is no scontrol",) == found.missing


def test_a_reply_that_is_cut_off_is_no_evidence() -> None:
    """It proves nothing; where the scheduler's part alone is missing, the rest counts."""
    with pytest.raises(Unreadable):
        Slurm().read_evidence(slurm_site.session(), said(word()))
    found = Slurm().read_evidence(slurm_site.session(), said(word(), NO_REFUSAL, ["version", "x"]))
    assert ("the scheduler's words: the answer has no word of account",) == found.missing


def pbs(text: str, of: Session | None = None) -> Evidence:
    """What is made of what qstat says."""
    records = [word(), NO_REFUSAL, ["version", "pbs_version = 23.06.06"], *pbs_words.listing(text)[1:]]
    return Pbs().read_evidence(of or pbs_words.session(), said(*records))


def test_pbs_says_how_much_memory_was_used() -> None:
    """Its record is kept, but for the environment that the job was submitted from."""
    text = pbs_words.block(pbs_words.JOB, pbs_words.OVER, {"resources_used.mem": "2048kb", "Exit_status": "-27"})
    found = pbs(text)
    assert 2048 * 1024 == found.peak_memory
    (words,) = found.words
    assert "exit_status = -27" in words.said
    assert "PBS_O_HOME" not in words.said


def test_a_job_that_pbs_does_not_know() -> None:
    """Is said to be unknown; so is another session's under its number."""
    found = pbs("")
    assert found.missing
    other = pbs_words.block(pbs_words.JOB, {"Job_Name": "sd-000000000000", "Variable_List": "SESSIOND_ID=000000000000"})
    assert () == pbs(other).words


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2096128K", 2096128 << 10),
        ("1.5G", 3 << 29),
        ("2048kb", 2 << 20),
        ("0b", 0),
        ("17", 17),
        ("", None),
        ("lots", None),
        ("-1K", None),
        ("\u0661K", None),
    ],
)
def test_amounts(text: str, size: int | None) -> None:
    """As Slurm and PBS write them; anything else is unknown."""
    assert size == amount(text)


# The scripts, under every shell.


def test_a_session_without_a_scheduler(machine: Machine) -> None:
    """Its exit record and its own word; of a folder that is gone, that."""
    dialect = Process()
    session = machine.started("exit 7\n")
    exit_file = folder(session) / "exit"
    eventually(exit_file.exists)
    found = dialect.read_evidence(session, machine.run(dialect.evidence(session)))
    assert (7, "exit", ()) == (found.status, found.reason, found.missing)
    exit_file.unlink()
    assert dialect.read_evidence(session, machine.run(dialect.evidence(session))).status is None
    shutil.rmtree(folder(session))
    found = dialect.read_evidence(session, machine.run(dialect.evidence(session)))
    assert ("its exit record: the session's folder is not there",) == found.missing


def test_slurm_is_asked_about_a_job_and_its_steps(machine: Machine) -> None:
    """By job and name; what both programs say arrives whole, line breaks and all."""
    site = Site(machine)
    session = slurm_site.with_job(site.staged(), JOB)
    site.put("sacct.out", OOM)
    site.program("sacct", '#!/bin/sh\necho "$*" >>"$SITE/sacct.calls"\ncat "$SITE/sacct.out"\n')
    site.program(
        "scontrol",
        f"#!/bin/sh\ncase $1 in --version) echo slurm 22.05.8;; *) echo 'JobId={JOB} JobName={session.tag}"
        " JobState=OUT_OF_MEMORY Comment=it is';; esac\n",
    )
    found = Slurm().read_evidence(session, machine.run(Slurm().evidence(session)))
    assert ("slurm 22.05.8", 2096128 * 1024) == (found.version, found.peak_memory)
    assert ["sacct", "scontrol show job"] == [one.asked for one in found.words]
    assert 3 == len(found.words[0].said.splitlines())
    (call,) = site.lines("sacct.calls")
    assert f"--name={session.tag} -j {JOB}" in call


def test_slurm_s_refusal_is_in_the_attempt_s_folder(machine: Machine) -> None:
    """Where there is no job, no program is asked about one."""
    site = Site(machine)
    session = replace(site.staged(), attempt=1)
    (folder(session) / "attempt.1").mkdir()
    (folder(session) / "attempt.1" / "err").write_text("sbatch: error: invalid partition specified: nosuch\n")
    found = Slurm().read_evidence(session, machine.run(Slurm().evidence(session)))
    assert ("sbatch: error: invalid partition specified: nosuch",) == tuple(one.said for one in found.words)


def test_pbs_is_asked_about_a_job(machine: Machine) -> None:
    """By its id, with history."""
    site = PbsSite(machine)
    session = site.staged()
    session = replace(
        session, job=pbs_words.session().job, spec=replace(session.spec, mode=pbs_words.session().spec.mode)
    )
    text = pbs_words.block(
        pbs_words.JOB,
        pbs_words.OVER,
        {"Job_Name": session.tag, "Variable_List": f"SESSIOND_ID={session.id}", "resources_used.mem": "9mb"},
    )
    site.program("qstat", '#!/bin/sh\ncase $1 in --version) echo pbs_version = 23.06;; *) cat "$SITE/text";; esac\n')
    site.put("text", text)
    found = Pbs().read_evidence(session, machine.run(Pbs().evidence(session)))
    assert (9 << 20, "pbs_version = 23.06") == (found.peak_memory, found.version)
