"""Every word of Slurm's for a state, for a reason, and for an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.session import Outcome, Phase
from sessiond.schedulers.slurm.reasons import in_words
from sessiond.schedulers.slurm.states import OUTCOMES, PHASES, cancelled_by, phase_of, state_word

CLASSES = {
    Phase.QUEUED: "PD PENDING RQ REQUEUED RF REQUEUE_FED RV REVOKED",
    Phase.HELD: "RH REQUEUE_HOLD RD RESV_DEL_HOLD SE SPECIAL_EXIT",
    Phase.CONFIGURING: "CF CONFIGURING",
    Phase.RUNNING: "R RUNNING SI SIGNALING RS RESIZING",
    Phase.SUSPENDED: "S SUSPENDED ST STOPPED",
    Phase.COMPLETING: "CG COMPLETING SO STAGE_OUT",
    Phase.ENDED: "CD COMPLETED CA CANCELLED F FAILED TO TIMEOUT DL DEADLINE OOM OUT_OF_MEMORY NF NODE_FAIL "
    "BF BOOT_FAIL PR PREEMPTED",
}


@pytest.mark.parametrize(
    ("code", "phase"), [(code, phase) for phase, all_of in CLASSES.items() for code in all_of.split()]
)
def test_codes_have_their_phase(code: str, phase: Phase) -> None:
    """Each code, long and compact, is what it means."""
    assert phase is phase_of(state_word(code), "None")


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("COMPLETED", Outcome.COMPLETED),
        ("CANCELLED", Outcome.CANCELLED),
        ("FAILED", Outcome.FAILED),
        ("TIMEOUT", Outcome.WALLTIME),
        ("DEADLINE", Outcome.WALLTIME),
        ("OUT_OF_MEMORY", Outcome.OUT_OF_MEMORY),
        ("NODE_FAIL", Outcome.NODE_FAILED),
        ("BOOT_FAIL", Outcome.NODE_FAILED),
        ("PREEMPTED", Outcome.PREEMPTED),
    ],
)
def test_ends_have_their_outcome(code: str, outcome: Outcome) -> None:
    """Each final state is the outcome that people know it by."""
    assert outcome is OUTCOMES[code]


@given(st.text(max_size=40))
def test_unknown_words_are_no_end(text: str) -> None:
    """A word that is in no table has no phase, least of all that of an end."""
    state = state_word(text)
    if state not in OUTCOMES and state not in PHASES:
        assert phase_of(state, "") is None


def test_accounting_s_decorations_are_taken_off() -> None:
    """A column cut short, and by whom a job was cancelled."""
    assert ("CANCELLED", "1001") == (state_word("CANCELLED by 1001"), cancelled_by("CANCELLED by 1001"))
    assert ("CANCELLED", "") == (state_word("CANCELLED+"), cancelled_by("CANCELLED+"))
    assert "" == state_word("")


@pytest.mark.parametrize(
    "reason",
    ["JobHeldUser", "JobHeldAdmin", "launch failed requeued held", "job requeued in held state", "JobHoldMaxRequeue"],
)
def test_waiting_jobs_that_somebody_must_release_are_held(reason: str) -> None:
    """The state says PENDING and the reason says why it stays so."""
    assert Phase.HELD is phase_of("PENDING", reason)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("None", ""),
        ("Priority", "waiting behind jobs of higher priority"),
        (
            "(Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions)",
            "the nodes it needs are down, drained or reserved for jobs of higher priority",
        ),
        ("AssocGrpCpuLimit", "your account's limit of CPUs is reached (AssocGrpCpuLimit)"),
        ("QOSMaxJobsPerUserLimit", "the QOS's limit of number of running jobs is reached (QOSMaxJobsPerUserLimit)"),
        (
            "ReqNodeNotAvail, Reserved for maintenance",
            "a node it asks for is not available now (Reserved for maintenance)",
        ),
        (
            "A reason of a newer Slurm, as it is",
            "A reason of a newer Slurm, as it is",
        ),
        ("SomethingOf2031", "SomethingOf2031"),
    ],
)
def test_reasons_are_in_plain_words(reason: str, words: str) -> None:
    """What is known is said plainly, what is not is shown as it is."""
    assert words == in_words(reason)


@given(st.text(max_size=300))
def test_reasons_are_fit_to_be_shown(reason: str) -> None:
    """Whatever the scheduler says, it is one line."""
    assert "\n" not in in_words(reason)
