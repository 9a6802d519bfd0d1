"""How a job ended, by all who may know: the session's record, accounting, the controller."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sessiond.core.errors import Unreadable
from sessiond.core.events import HistoryDelayed, HistoryUnknown, JobEnded
from sessiond.core.session import STILL_THERE, Outcome
from sessiond.schedulers.slurm.dialect import Slurm

from .batch_site import Recording
from .slurm_site import JOB, recording, said, session, word

SILENT = Recording(0, "", "")
NO_ACCOUNTING = recording("sacct_no_dbd")
PURGED = recording("scontrol_show_job_purged")


def asked(account: Recording, control: Recording, own: Sequence[str] | None = None, job: str = JOB) -> object:
    """What is made of three witnesses."""
    records = [["clock", "2000"], list(own or word())]
    for what, one in (("account", account), ("control", control)):
        records += [[what, *one.out.split("\x1f")], ["said", str(one.rc), one.err]]
    return Slurm().read_history(session(job), said(*records))


def sacct(state: str, code: str = "0:0", job: str = JOB) -> Recording:
    """What accounting says of a job."""
    return Recording(0, f"{job}|{state}|{code}|2026-11-22T19:12:30|None\n", "")


def control(name: str) -> tuple[Recording, str]:
    """A recorded answer of the controller, in one line as it is asked for, and its job."""
    real = recording(name)
    flat = Recording(real.rc, " ".join(real.out.split()) + "\n", real.err)
    return flat, flat.out.split()[0].removeprefix("JobId=")


@pytest.mark.parametrize(
    ("name", "outcome", "message"),
    [
        ("timeout", Outcome.WALLTIME, "walltime"),
        ("cancelled_running", Outcome.CANCELLED, "cancelled on the cluster"),
        ("cancelled_pending", Outcome.CANCELLED, "cancelled on the cluster"),
        ("completed", Outcome.COMPLETED, ""),
        ("completed_oneline", Outcome.COMPLETED, ""),
        ("failed", Outcome.FAILED, "status 7"),
        ("failed_signal", Outcome.FAILED, "signal USR2"),
        ("bad_output", Outcome.FAILED, "workdir shared"),
        ("node_fail", Outcome.NODE_FAILED, "node failed"),
    ],
)
def test_controller_knows(name: str, outcome: Outcome, message: str) -> None:
    """Where accounting is off, the controller's record of the job tells (recorded)."""
    record, job = control(f"scontrol_show_job_{name}")
    event = asked(NO_ACCOUNTING, record, job=job)
    assert isinstance(event, JobEnded), event
    assert outcome is event.outcome
    assert message in (event.problem.message if event.problem is not None else "")


@pytest.mark.parametrize(
    "name", ["running", "pending_resources", "pending_held", "requeued", "suspended", "completing", "configuring"]
)
def test_live_job_has_no_history(name: str) -> None:
    """Whoever says that it lives is believed, whatever the session's record of an earlier run says."""
    record, job = control(f"scontrol_show_job_{name}")
    own = word(status="0", run=f"{job}.0", reason="exit")
    event = asked(NO_ACCOUNTING, record, own, job)
    assert isinstance(event, HistoryDelayed)
    assert STILL_THERE == event.problem.code


def test_number_that_is_another_session_s_now_tells_nothing() -> None:
    """A controller that crashed gives numbers again: what runs under ours is not ours."""
    record, job = control("scontrol_show_job_running")
    name = re.sub(r"JobName=\S+", "JobName=sd-000000000000", record.out)
    assert isinstance(asked(NO_ACCOUNTING, replace(record, out=name), job=job), HistoryUnknown)


def test_accounting_knows_by_whom() -> None:
    """It outlives the controller's memory."""
    event = asked(sacct("CANCELLED by 1001"), PURGED)
    assert isinstance(event, JobEnded)
    assert event.problem is not None
    assert (Outcome.CANCELLED, "cancelled on the cluster by uid 1001") == (event.outcome, event.problem.message)


@pytest.mark.parametrize("state", ["CANCELLED+", "CANCELLED by 0", "CANCELLED"])
def test_accounting_s_columns_may_be_cut(state: str) -> None:
    """However it is written, it is cancelled."""
    event = asked(sacct(state), PURGED)
    assert isinstance(event, JobEnded)
    assert Outcome.CANCELLED is event.outcome


def test_accounting_that_lags_behind_ends_nothing() -> None:
    """RUNNING there and unknown to the controller: it is asked again."""
    event = asked(sacct("RUNNING"), PURGED)
    assert isinstance(event, HistoryDelayed)
    assert STILL_THERE != event.problem.code


def test_recorded_accounting_is_read() -> None:
    """Several jobs at once, of which one is ours; another's line is not taken for it."""
    lines = "4|FAILED|3:0|x|None\n5|CANCELLED by 1001|0:0|x|None\n47110|COMPLETED|0:0|x|None\n"
    event = asked(Recording(0, lines, ""), PURGED, job="5")
    assert isinstance(event, JobEnded)
    assert Outcome.CANCELLED is event.outcome
    assert HistoryUnknown() == asked(Recording(0, lines, ""), PURGED)


def test_own_record_tells_where_nobody_else_does() -> None:
    """The session's own exit record, of this job."""
    event = asked(NO_ACCOUNTING, PURGED, word(status="0", run=f"{JOB}.0", reason="exit"))
    assert JobEnded(outcome=Outcome.COMPLETED) == event
    failed = asked(NO_ACCOUNTING, PURGED, word(status="1", run=f"{JOB}.2", reason="exit", failure="no licence"))
    assert isinstance(failed, JobEnded)
    assert failed.problem is not None
    assert (Outcome.FAILED, "no licence") == (failed.outcome, failed.problem.message)


def test_record_of_another_job_tells_nothing() -> None:
    """A run of another number, or of an earlier restart."""
    assert HistoryUnknown() == asked(NO_ACCOUNTING, PURGED, word(status="0", run="4712.0", reason="exit"))


def test_session_ended_by_signal_may_have_been_requeued() -> None:
    """While the controller cannot be asked, that record is no end."""
    own = word(status="143", run=f"{JOB}.0", reason="signal:TERM")
    assert isinstance(asked(NO_ACCOUNTING, recording("down_scontrol_show_job"), own), HistoryDelayed)
    assert isinstance(asked(NO_ACCOUNTING, PURGED, own), JobEnded)


@pytest.mark.parametrize("account", [SILENT, NO_ACCOUNTING, recording("sacct_dbd_unknown"), Recording(127, "", "")])
def test_nobody_knows(account: Recording) -> None:
    """The controller has forgotten it, accounting is silent or off, and it left no record."""
    assert HistoryUnknown() == asked(account, PURGED)


@pytest.mark.parametrize(
    ("account", "controller"),
    [
        (recording("sacct_dbd_down"), PURGED),
        (SILENT, recording("down_scontrol_show_job")),
        (NO_ACCOUNTING, Recording(1, "", "slurm_load_jobs error: Socket timed out on send/recv operation")),
        (Recording(124, "", ""), PURGED),
        (Recording(0, "", recording("sacct_dbd_down").err), PURGED),
    ],
)
def test_witness_that_cannot_be_heard_is_asked_again(account: Recording, controller: Recording) -> None:
    """Database down, controller down: nobody has said that it is over."""
    assert isinstance(asked(account, controller), HistoryDelayed)


def test_answer_that_is_not_whole_is_unreadable() -> None:
    """A witness missing from the answer."""
    with pytest.raises(Unreadable):
        Slurm().read_history(session(), said(["clock", "2000"], word(), ["account", ""], ["said", "0", ""]))
