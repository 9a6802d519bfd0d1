"""Every recording of OpenPBS and of Torque's form, and what the PBS dialect makes of it."""

from __future__ import annotations

import json
import re

import pytest

from sessiond.core.errors import Refused, Unreadable
from sessiond.core.events import CancelDelayed, CancelSent, SubmitDelayed, SubmitRejected, Submitted, SubmitUnknown
from sessiond.core.ids import JobId
from sessiond.core.report import JobReport
from sessiond.core.session import Phase
from sessiond.core.spec import Resources
from sessiond.schedulers.batch.look import Times
from sessiond.schedulers.batch.reply import Answer, own_word
from sessiond.schedulers.batch.words import Proof
from sessiond.schedulers.pbs.dialect import Pbs
from sessiond.schedulers.pbs.look import report_of
from sessiond.schedulers.pbs.queues import outlook
from sessiond.schedulers.pbs.reply import Listing, blocks, listing
from sessiond.schedulers.pbs.words import LEXICON

from .batch_site import RECORDED, Recording
from .pbs_readings import (
    AT,
    CHANGES,
    DELETIONS,
    JOBS,
    NOTES,
    OTHER_COMMANDS,
    OTHER_FORMS,
    OUTLOOKS,
    SAME_IN_JSON,
    SELECTIONS,
    SILENT,
    STRANGERS,
    SUBMISSIONS,
    UNKNOWN,
    No,
    clock,
)
from .pbs_words import answered, here, look, recording, session, unknown_in
from .slurm_site import said, word


def test_every_recording_has_its_reading() -> None:
    """A recording without an expectation, or one that is gone, is noticed."""
    tables = (JOBS, UNKNOWN, SILENT, OTHER_FORMS, OTHER_COMMANDS, NOTES, OUTLOOKS)
    named = {name for table in (*tables, SUBMISSIONS, DELETIONS, CHANGES, SELECTIONS) for name in table}
    there = {f"{kind}/{path.stem}" for kind in ("openpbs", "torque") for path in (RECORDED / kind).glob("*.txt")}
    assert there == named
    assert 190 < len(there)


def heard(name: str, *asked: str) -> Listing:
    """A recorded answer as that to a question about the jobs ``asked``. Raises Unreadable."""
    real = recording(name)
    return listing(Answer(out=real.out, rc=real.rc, err=real.err), unknown_in(real.err), asked)


def read(name: str, job: str, found: Listing, at: str = AT) -> JobReport:
    """What is made of one job of an answer, whose script left nothing."""
    ref = session(job).job
    assert ref is not None
    times = Times(clock(at), clock(at), clock(at))
    return report_of(found.jobs[job], ref, None, own_word(word()), times)


@pytest.mark.parametrize("name", JOBS)
def test_jobs_in_full_text_are_read(name: str) -> None:
    """Each job, and no other: phase, node, reason, times, outcome."""
    expected = JOBS[name]
    assert {*expected} == {job.id for job in blocks(recording(name).out)}
    found = heard(name, *expected, "77.pbs")
    assert {*expected} == {*found.jobs}
    assert frozenset() == found.absent
    for job, seen in expected.items():
        seen.matches(read(name, job, found))


@pytest.mark.parametrize("name", [name for name in JOBS if not any("[" in job for job in JOBS[name])])
def test_full_text_is_a_look(name: str) -> None:
    """The whole way, from a reply to a snapshot of the sessions asked about."""
    expected = JOBS[name]
    real = recording(name)
    sessions = [session(job) for job in expected]
    marks = [["began", "", "", ""] for _ in sessions]
    seen = look(real.out, of=sessions, marks=marks, rc=real.rc, err=real.err, at=clock(AT))
    assert {*expected} == {*seen.jobs}
    for job, one in expected.items():
        one.matches(seen.jobs[JobId(job)])


@pytest.mark.parametrize("name", JOBS)
def test_ids_may_leave_out_the_server_or_name_it_in_full(name: str) -> None:
    """What qsub printed is found again, and no other server's job."""
    for job in JOBS[name]:
        number = job.partition(".")[0]
        assert 1 == len(heard(name, number).jobs)
        assert ("." in job) == (heard(name, f"{number}.other").jobs == {})


@pytest.mark.parametrize("name", UNKNOWN)
def test_absence_is_of_the_job_that_was_named(name: str) -> None:
    """Unknown (153), or over and history was not asked for (35): of the others nothing is learnt."""
    gone = UNKNOWN[name]
    assert frozenset({gone}) == heard(name, gone).absent
    named = unknown_in(recording(name).err) != ""
    both = heard(name, gone, "77.pbs")
    assert (frozenset({gone}) if named else frozenset()) == both.absent
    assert {} == both.jobs


@pytest.mark.parametrize("name", SILENT)
def test_no_answer_is_no_answer(name: str) -> None:
    """Server down, server frozen, an option that is not known: nothing is learnt, in qstat's own words."""
    with pytest.raises(Unreadable) as raised:
        heard(name, "49.pbs")
    assert f"qstat does not answer: {SILENT[name]}" == raised.value.message
    down = any(words in SILENT[name] for words in ("cannot connect", "too long"))
    assert down == raised.value.hint.startswith("The PBS server does not answer just now")


def mentioned(real: Recording) -> list[str]:
    """Everything in an answer that looks like a job's id."""
    ids = re.findall(r"\b[0-9]{1,5}(?:\[[0-9]*\])?(?:\.pbs)?(?![\w.])", real.out)
    return [*dict.fromkeys(ids), "16.pbs", "49.pbs"]


@pytest.mark.parametrize("name", STRANGERS)
def test_other_text_has_no_job_and_ends_none(name: str) -> None:
    """Taken for a listing, it is unreadable or empty; no job is absent that was not named as unknown."""
    real = recording(name)
    assert [] == blocks(real.out)
    asked = mentioned(real)
    try:
        found = heard(name, *asked)
    except Unreadable:
        assert real.rc != 0
        return
    assert {} == found.jobs
    assert {number.partition(".")[0] for number in unknown_in(real.err).split()} >= {
        number.partition(".")[0] for number in found.absent
    }


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_answer_without_the_job_changes_nothing(name: str) -> None:
    """A look that neither lists a job nor says that it is unknown leaves it as it is known."""
    real = recording(name)
    of = session("16.pbs", phase=Phase.RUNNING)
    seen = look(real.out, of=of, rc=real.rc, err=real.err, words=[here("16.pbs.0")])
    assert (Phase.RUNNING, {}) == (seen.jobs[JobId("16.pbs")].phase, seen.endpoints)


@pytest.mark.parametrize("name", NOTES)
def test_notes_are_no_listing(name: str) -> None:
    """Ids with letters behind them are no jobs."""
    assert [] == blocks((RECORDED / f"{name}.txt").read_text())


@pytest.mark.parametrize(("name", "queue"), [(name, queue) for name, queues in OUTLOOKS.items() for queue in queues])
def test_outlook_on_queues(name: str, queue: str) -> None:
    """The server's default queue, or the one asked for."""
    of = session(None, partition=queue)
    assert OUTLOOKS[name][queue] == Pbs().read_rehearse(of, answered(recording(name)))
    with pytest.raises(Unreadable):
        outlook(recording(name).out, "nosuch", Resources())


@pytest.mark.parametrize("name", [name for name, expected in SUBMISSIONS.items() if isinstance(expected, str)])
def test_submission_that_printed_an_id(name: str) -> None:
    """The id as qsub printed it, its server with it; what is no id is none."""
    real = recording(name)
    job = SUBMISSIONS[name]
    assert 0 == real.rc
    assert (job != "") == (Pbs.job_form.fullmatch(real.out.strip()) is not None)
    event = Pbs().read_submit(session(None), said(["found", real.out.strip()]))
    if job:
        assert Submitted(job=JobId(str(job))) == event
    else:
        assert isinstance(event, SubmitUnknown)


@pytest.mark.parametrize("name", [name for name, expected in SUBMISSIONS.items() if isinstance(expected, No)])
def test_submission_that_failed(name: str) -> None:
    """What it proves, in qsub's words, with a remedy where there is one. Debian's front end speaks on stdout."""
    real = recording(name)
    expected = SUBMISSIONS[name]
    assert isinstance(expected, No)
    words = real.err + real.out
    assert expected.proof is LEXICON.proof(real.rc, words)
    event = Pbs().read_submit(session(None), said(["said", str(real.rc), words], rc=1))
    kinds = {Proof.LATER: SubmitDelayed, Proof.REFUSED: SubmitRejected, Proof.NONE: SubmitUnknown}
    assert isinstance(event, kinds[expected.proof])
    assert isinstance(event, SubmitDelayed | SubmitRejected | SubmitUnknown)
    assert expected.hint in event.problem.hint
    assert (expected.hint == "") == (event.problem.hint == "")
    assert "usage" not in event.problem.message.lower()


def told(real: Recording) -> CancelSent | CancelDelayed:
    """What is made of qdel's answer, which pbs_cancel.sh passes on unless it says that the job is none."""
    words = real.out + real.err
    none = any(word in words for word in ("Unknown Job Id", "Job has finished", "nvalid for state"))
    if real.rc == 0 or none:
        return Pbs().read_cancel(session(), said(["sent", "told"]))
    return Pbs().read_cancel(session(), said(["said", str(real.rc), words], rc=1))


@pytest.mark.parametrize("name", DELETIONS)
def test_jobs_that_are_told_to_go(name: str) -> None:
    """A job that is unknown or over needs no telling; what failed is told in qdel's words, and repeated."""
    event = told(recording(name))
    if not DELETIONS[name]:
        assert CancelSent(forced=False) == event
        return
    assert isinstance(event, CancelDelayed)
    assert f"the job could not be told to go: {DELETIONS[name]}" == event.problem.message


def test_server_that_is_down_is_told_again() -> None:
    """Nothing is lost by it, and the person is told so."""
    event = told(recording("down_qdel"))
    assert isinstance(event, CancelDelayed)
    assert "A session that runs ends by itself; its server is told again." == event.problem.hint


@pytest.mark.parametrize("name", CHANGES)
def test_more_time(name: str) -> None:
    """Granted, refused in qalter's words, or not heard."""
    real = recording(name)
    error, words, hint = CHANGES[name]
    done = said(["answer", "7200"], ["said", str(real.rc), real.err])
    if error is None:
        assert words in Pbs().read_extend(session(), done)
        return
    with pytest.raises(error) as raised:
        Pbs().read_extend(session(), done)
    assert isinstance(raised.value, Refused | Unreadable)
    assert words in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize("name", SELECTIONS)
def test_jobs_found_by_their_marks(name: str) -> None:
    """Each line is a job's id that can be asked about, but for an array's."""
    real = recording(name)
    expected = SELECTIONS[name]
    assert (expected is None) == (real.rc != 0)
    found = [line for line in real.out.splitlines() if Pbs.job_form.fullmatch(line)]
    assert (expected or []) == found


def as_text(name: str) -> str:
    """The jobs of a recording in JSON as the text that the same server prints of them, lines not cut."""
    lines: list[str] = []
    for job, attributes in json.loads(recording(name).out)["Jobs"].items():
        lines.append(f"Job Id: {job}")
        for attribute, value in attributes.items():
            parts = value.items() if isinstance(value, dict) else [("", value)]
            if attribute == "Variable_List":
                lines.append("    Variable_List = " + ",".join(f"{key}={one}" for key, one in parts))
                continue
            lines += [f"    {attribute}{'.' if key else ''}{key} = {one}" for key, one in parts]
        lines.append("")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", SAME_IN_JSON)
def test_jobs_recorded_as_json_read_alike(name: str) -> None:
    """Ends that were recorded in JSON alone, and that there is no more in one form than in the other."""
    expected = SAME_IN_JSON[name]
    found = listing(Answer(out=as_text(name), rc=0, err=""), "", [*expected])
    assert {*expected} == {job.id for job in blocks(as_text(name))} == {*found.jobs}
    for job, seen in expected.items():
        seen.matches(read(name, job, found))
