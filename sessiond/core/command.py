"""A command to be run somewhere, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An argv, what it reads on stdin, and how long it may take in seconds.

    ``urgent``: looks and cancellations, which must not wait behind uploads.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    timeout_s: float = 60.0
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ran to its end. ``rc`` is its exit status, negative for a signal.

    A command whose exit status is not known is no Completed: the transport raises AnswerLost for it.
    """

    rc: int
    stdout: bytes
    stderr: bytes
    took_s: float = 0.0
