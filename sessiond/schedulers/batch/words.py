"""What a failed submission proves: that a job may exist, that none does just now, or that none ever will.

A scheduler's `Lexicon` is data: extended regular expressions that grep -E and Python read alike, because
`sh/batch_find.sh` uses them too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from sessiond.core.events import SubmitDelayed, SubmitRejected, SubmitUnknown
from sessiond.core.session import Problem
from sessiond.schedulers import common

ENDED_BY_US = frozenset({124, 137})
"""The exit statuses of a command that was ended for taking too long (timeout(1))."""


def was_ended(rc: int) -> bool:
    """Whether that is the status of a command ended by timeout(1) or a signal: whatever it had said before, it may have
    gone on trying. From 152 on these are PBS's own error numbers."""
    return rc in ENDED_BY_US or 128 < rc < 152


class Proof(Enum):
    """What is proved about a submission."""

    NONE = auto()
    LATER = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """How one scheduler's commands speak.

    ``doubt`` matches words that leave it open whether the request arrived, ``busy`` words that prove it did not and may
    another time, ``refused`` a no. ``hints`` are what to do about a no, by what its words match. ``in_words`` is what
    the commands print on stderr in one line, without their prefixes; ``when_down`` the hint for one that says why no
    command gets through, empty where only waiting helps. ``missing_hint`` is for a login node without the commands.
    """

    doubt: str
    busy: str
    refused: str
    hints: tuple[tuple[str, str], ...]
    in_words: Callable[[str], str]
    when_down: Callable[[str], str]
    missing_hint: str

    @property
    def unsent(self) -> str:
        """Where ``doubt`` does not match: no job came of it."""
        return f"{self.busy}|{self.refused}"

    def proof(self, rc: int, err: str) -> Proof:
        """What a failed submission proves."""
        if was_ended(rc) or re.search(self.doubt, err):
            return Proof.NONE
        if re.search(self.busy, err):
            return Proof.LATER
        return Proof.REFUSED if re.search(self.refused, err) else Proof.NONE

    def hint(self, err: str) -> str:
        """What to do about a no. A command's list of its options, which names everything, does not count."""
        words = self.in_words(err)
        return next((hint for pattern, hint in self.hints if re.search(pattern, words, re.IGNORECASE)), "")

    def problem(self, rc: int, err: str) -> Problem:
        """The scheduler's own words, and what a person can do."""
        words = self.in_words(err) or f"exit status {rc}, and no word why"
        hint = self.hint(err) if self.proof(rc, err) is Proof.REFUSED else self.when_down(err)
        return common.trouble("submit", f"the scheduler says: {words}", err, hint)

    def refusal(self, rc: int, err: str) -> SubmitDelayed | SubmitUnknown | SubmitRejected:
        """What a failed submission means for the session."""
        problem = self.problem(rc, err)
        match self.proof(rc, err):
            case Proof.LATER:
                return SubmitDelayed(problem=problem)
            case Proof.REFUSED:
                return SubmitRejected(problem=problem)
            case Proof.NONE:
                return SubmitUnknown(problem=problem)
