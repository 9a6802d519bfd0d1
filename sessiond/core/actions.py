"""What a transition can order: one-shot work, journalled, one at a time a session."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Base of all actions. Which events answer one is in `sessiond.core.table.ANSWERS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Action):
    """Put the session's files on the execution host and run its preparation. May be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit(Action):
    """Submit the job, once: attempt ``attempt`` of the session. Never repeated, never cancelled once started."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindJob(Action):
    """Find out whether ``attempt`` submitted a job; if it did not, make sure that it never will. May be repeated."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelJob(Action):
    """Run the service's kill script, then end the job; with ``force`` only the latter, hard. May be repeated."""

    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchHistory(Action):
    """Ask everyone who may know how the job ended. May be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup(Action):
    """Remove what the session left on the execution host but its log; keep the log here. May be repeated."""
