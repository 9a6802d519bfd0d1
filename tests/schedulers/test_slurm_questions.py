"""What Slurm would say, more time, and being told to go: its answers in a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiond.core.errors import Refused, Unreadable
from sessiond.core.events import CancelDelayed, CancelSent
from sessiond.core.session import State
from sessiond.schedulers.slurm.dialect import Slurm

from .batch_site import Recording
from .slurm_site import recording, said, session


def answered(real: Recording) -> object:
    """The reply of a question."""
    return said(["answer", real.out], ["said", str(real.rc), real.err])


def test_rehearsal_tells_when_and_where() -> None:
    """Slurm's own estimate, in a sentence."""
    text = Slurm().read_rehearse(session(), answered(recording("sbatch_test_only")))  # type: ignore[arg-type]
    assert (
        "it would start at 2026-11-22T20:26:39 by the cluster's clock, on node1 in partition short, with 1 processor"
        == text
    )


def test_rehearsal_submits_the_job_script_with_nothing_but_a_question() -> None:
    """The very directives, and --test-only."""
    command = Slurm().rehearse(session(partition="gpu"))
    assert command is not None
    assert ("sbatch", "--test-only") == command.argv[-2:]
    assert b"#SBATCH --partition=gpu\n" in command.stdin


def test_refusal_at_rehearsal_is_in_slurm_s_words() -> None:
    """What it would refuse is refused, with a remedy."""
    with pytest.raises(Refused) as raised:
        Slurm().read_rehearse(session(), answered(recording("sbatch_bad_partition")))  # type: ignore[arg-type]
    assert "invalid partition specified: nosuch" in raised.value.message
    assert "--set partition=" in raised.value.hint


def test_silence_at_rehearsal_is_no_refusal() -> None:
    """A controller that is down has not refused."""
    with pytest.raises(Unreadable):
        Slurm().read_rehearse(session(), answered(recording("down_sbatch")))  # type: ignore[arg-type]


def test_more_time_is_asked_in_whole_minutes() -> None:
    """Rounded up, as Slurm counts."""
    assert "TimeLimit=+2" == Slurm().extend(session(), 61).argv[-1]
    with pytest.raises(Refused):
        Slurm().extend(session(None), 60)


def test_more_time_is_granted_or_refused_in_slurm_s_words() -> None:
    """A running job's limit may only be raised by operators (recorded), a waiting one's up to its partition's."""
    granted = recording("scontrol_update_timelimit_pending_raise")
    assert "raised" in Slurm().read_extend(session(), answered(granted))  # type: ignore[arg-type]
    refused = recording("scontrol_update_timelimit_raise")
    for state, hint in {State.RUNNING: "a running job's limit", State.WAIT_FOR_NODE: "Ask for less"}.items():
        with pytest.raises(Refused) as raised:
            Slurm().read_extend(replace(session(), state=state), answered(refused))  # type: ignore[arg-type]
        assert "Access/permission denied for job 18" in raised.value.message
        assert hint in raised.value.hint
        assert "administrators" in raised.value.hint
    with pytest.raises(Unreadable):
        Slurm().read_extend(session(), answered(recording("down_scontrol_update")))  # type: ignore[arg-type]


def test_more_time_is_asked_for_again_by_the_person_alone() -> None:
    """Without a controller the question is not repeated, and nobody is told that it is."""
    with pytest.raises(Unreadable) as unheard:
        Slurm().read_extend(session(), answered(recording("down_scancel")))  # type: ignore[arg-type]
    assert unheard.value.hint.endswith("sessions go on. Ask again in a while.")


def test_cancellation_that_did_not_arrive_is_repeated() -> None:
    """In scancel's own words."""
    real = recording("down_scancel")
    event = Slurm().read_cancel(session(), said(["said", str(real.rc), real.err], rc=1))
    assert isinstance(event, CancelDelayed)
    assert "Unable to contact slurm controller" in event.problem.message
    assert CancelSent() == Slurm().read_cancel(session(), said(["sent", ""]))
    with pytest.raises(Unreadable):
        Slurm().read_cancel(session(), said(["sent", ""], rc=3))
