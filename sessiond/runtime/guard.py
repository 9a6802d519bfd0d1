"""The one place where an unforeseen exception is caught, and what it then means.

For an action it is the worst honest answer: a Submit that went wrong in an unknown way may have happened; anything
else did not, this time. For standing work it is a line in the log and another try after a pause. Cancellation passes
through untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from sessiond.core.actions import Action, CancelJob, FetchHistory, FindJob, Stage, Submit
from sessiond.core.errors import NotSent, RemoteError, SessiondError
from sessiond.core.events import (
    CancelDelayed,
    Event,
    FindDelayed,
    HistoryDelayed,
    StageDelayed,
    SubmitDelayed,
    SubmitUnknown,
)
from sessiond.core.session import Problem
from sessiond.runtime.clock import Clock

log = structlog.get_logger(__name__)

_RESTART_FIRST_S = 1.0
_RESTART_LONGEST_S = 60.0


def problem_from(error: Exception) -> Problem:
    """An error as the problem of a session; what was not foreseen is a defect of ours and says so."""
    if isinstance(error, SessiondError):
        return Problem(code=error.code, message=error.message, hint=error.hint)
    return Problem(
        code="bug",
        message=f"sessiond met an unforeseen error ({type(error).__name__}: {error})",
        hint="the log of sessiond has the details; please report it",
    )


def worst_answer(action: Action, error: Exception) -> Event | None:
    """The event that a failed ``action`` is answered with; None for one that is simply tried again (Cleanup)."""
    problem = problem_from(error)
    match action:
        case Stage():
            return StageDelayed(problem=problem)
        case Submit():
            if isinstance(error, NotSent):
                return SubmitDelayed(problem=problem)
            return SubmitUnknown(problem=problem)
        case FindJob():
            return FindDelayed(problem=problem)
        case CancelJob():
            return CancelDelayed(problem=problem)
        case FetchHistory():
            return HistoryDelayed(problem=problem)
        case _:
            return None


async def answered(perform: Callable[[], Awaitable[Event | None]], action: Action) -> tuple[Event | None, bool]:
    """Perform ``action`` and return its answer, whatever happens; the flag says whether it succeeded."""
    try:
        return await perform(), True
    except RemoteError as error:
        return worst_answer(action, error), False
    except Exception as error:
        log.exception("an action failed in an unforeseen way", action=type(action).__name__)
        return worst_answer(action, error), False


def contained(work: Callable[[], None], what: str, *through: type[Exception]) -> Exception | None:
    """Do ``work``; an exception is logged with its traceback and returned, those of ``through`` are raised."""
    try:
        work()
    except through:
        raise
    except Exception as error:
        log.exception("unforeseen error", doing=what)
        return error
    return None


async def supervised(work: Callable[[], Awaitable[None]], what: str, clock: Clock) -> None:
    """Run standing ``work`` until it returns; if it raises, say so and start it again after a growing pause."""
    pause = _RESTART_FIRST_S
    while True:
        begun = clock.now()
        try:
            await work()
        except Exception:
            if clock.now() - begun > _RESTART_LONGEST_S:
                pause = _RESTART_FIRST_S
            log.exception("restarting after an unforeseen error", doing=what, pause_s=pause)
        else:
            return
        await clock.sleep(pause)
        pause = min(2 * pause, _RESTART_LONGEST_S)


async def isolated(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Await ``work()``; an unforeseen exception is logged and goes no further."""
    try:
        await work()
    except Exception:
        log.exception("unforeseen error", doing=what)
