"""What a login node asks a person, and what a person answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One line to be answered; with ``echo`` the answer may be seen while it is typed."""

    text: str
    echo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Everything that is asked in one round, in the server's own words; one answer a question is expected.

    A round without questions is something to be read only.
    """

    title: str = ""
    instructions: str = ""
    questions: tuple[Question, ...] = ()
