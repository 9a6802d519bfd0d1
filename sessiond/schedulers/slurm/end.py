"""Slurm's words for a job's end as a `Verdict`."""

from __future__ import annotations

import re

from sessiond.core.session import Outcome
from sessiond.schedulers.batch.end import Verdict
from sessiond.schedulers.slurm.states import OUTCOMES, cancelled_by, state_word

_NO_OUTPUT_SIGNAL = 53
"""What Slurm 22.05 gives as the signal of a job whose output could not be opened (measured: 0:53)."""


def of_wait(state: str, reason: str, status: int) -> Verdict:
    """From a status as wait(2) has it, which is what squeue's exit_code is (measured: 7 is 1792, 0:53 is 4021)."""
    signal = status & 0x7F
    return _verdict(state, reason, None if signal else status >> 8 & 0xFF, signal or None)


def of_pair(state: str, reason: str, pair: str) -> Verdict:
    """From ``code:signal``, as sacct and scontrol write it."""
    found = re.fullmatch(r"([0-9]{1,3}):([0-9]{1,3})", pair, re.ASCII)
    if found is None:
        return _verdict(state, reason, None, None)
    return _verdict(state, reason, int(found[1]), int(found[2]) or None)


def _verdict(state: str, reason: str, code: int | None, signal: int | None) -> Verdict:
    word = state_word(state)
    outcome = OUTCOMES.get(word, Outcome.FAILED)
    launch = "joblaunchfailure" in reason.lower()
    return Verdict(
        outcome=outcome,
        words=_words(outcome, word, state, reason),
        code=code,
        signal=signal,
        not_shared=signal == _NO_OUTPUT_SIGNAL or (launch and signal is None),
    )


def _words(outcome: Outcome, word: str, state: str, reason: str) -> str:
    if word in {"DEADLINE", "DL"}:
        return "the job's deadline passed"
    uid = cancelled_by(state)
    if outcome is Outcome.CANCELLED and uid:
        return f"cancelled on the cluster by uid {uid}"
    return reason if outcome is Outcome.FAILED else ""
