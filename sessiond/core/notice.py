"""What people are told while they do not look: which transitions are news, and in which words. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from sessiond.core.errors import printable
from sessiond.core.events import IdleWarned, TunnelUp
from sessiond.core.link import Link, LinkState
from sessiond.core.machine import Record
from sessiond.core.session import Outcome, Phase, Session, State
from sessiond.core.status import ENDINGS, about, describe, describe_link, is_usual, was_cancelled

SOON: Final = (300.0, 900.0)
"""So many seconds before its walltime is over people are told, the nearest first."""
SAME_END_S: Final = 120.0
"""Schedulers work out the end anew with each look; another one that is no later than this is the same."""
_HARDLY_S: Final = 30.0
"""A walltime that is longer than one of `SOON` by less than this is no longer: told, it would be at the very start."""

_FEW: Final = 3
_NAMED: Final = 6
_TITLE: Final = 100
_TEXT: Final = 300
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?#]*)[?#]\S*", re.IGNORECASE)
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]*@", re.IGNORECASE)
_PLACE = re.compile(r"\{(title|text)\}")


class Kind(StrEnum):
    """What a notice is about."""

    RUNNING = "running"
    NEEDS_LOGIN = "needs-login"
    ENDING_SOON = "ending-soon"
    ENDED = "ended"


_MANY: Final = {
    Kind.RUNNING: "are running",
    Kind.NEEDS_LOGIN: "need a login",
    Kind.ENDING_SOON: "end soon",
    Kind.ENDED: "ended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to be told. ``about`` is the session or the cluster."""

    kind: Kind
    about: str
    title: str
    text: str


def news_in(record: Record) -> Kind | None:
    """What a transition may be news of; whether it is depends on the session it led to (`holds`)."""
    if isinstance(record.event, TunnelUp):
        return Kind.RUNNING
    if isinstance(record.event, IdleWarned):
        return Kind.ENDING_SOON
    return Kind.ENDED if record.after is State.ENDED and record.before is not State.ENDED else None


def holds(record: Record, session: Session) -> bool:
    """Whether a transition is still worth telling, with its session as it is now.

    Running is told the first time alone. An end is told unless the person brought it about, by stopping the session or
    by leaving its program.
    """
    if isinstance(record.event, TunnelUp):
        return session.live and session.state is not State.KILL and session.ready_at == record.at
    if isinstance(record.event, IdleWarned):
        return session.idle_ends_by == record.at + record.event.ends_in_s
    return session.outcome is not Outcome.COMPLETED and session.ending is not Outcome.CANCELLED


def ends_soon(session: Session, now: float) -> float | None:
    """Which of `SOON` the end of the session's walltime has come nearer than; None while it is far or not known.

    One that was never longer than that ends no sooner than it was asked to. One that was, and was cut, does.
    """
    job = session.job
    if job is None or job.ends_by is None or job.phase not in (Phase.RUNNING, Phase.SUSPENDED):
        return None
    if not session.live or session.state is State.KILL:
        return None
    left = job.ends_by - now
    whole = inf if job.started is None else max(job.allowed_s, job.ends_by - job.started)
    return next((s for s in SOON if 0 < left <= s < whole - _HARDLY_S), None)


def of_session(kind: Kind, session: Session, now: float, clock: str) -> Notice:
    """The words. ``clock`` is the time that they speak of, as the person's clock shows it."""
    name = session.name
    status = describe(session, now)
    where = f"{session.spec.service.name} on {session.spec.cluster}"
    if kind is Kind.RUNNING:
        return Notice(kind=kind, about=name, title=f"{name}: running", text=f"{where}; sessionctl open {name}")
    if kind is Kind.ENDED:
        outcome = session.outcome or Outcome.LOST
        problem, cancelled = session.problem, was_cancelled(session)
        how = status.phrase if cancelled else ENDINGS[outcome]
        why = "" if problem is None or cancelled or is_usual(outcome, problem) else problem.message
        said = "; ".join(filter(None, (why, status.next or f"sessionctl why {name} tells the story")))
        return Notice(kind=kind, about=name, title=f"{name}: {how}", text=f"{where}; {said}")
    if session.idle_ends_by is not None:
        title = f"{name}: ends at {clock} unless it is used"
        return Notice(kind=kind, about=name, title=title, text=f"{where} is unused; sessionctl open {name} keeps it")
    left = about(session.job.ends_by - now) if session.job is not None and session.job.ends_by is not None else ""
    asks = f"; sessionctl extend {name} +1h asks for more time"
    return Notice(kind=kind, about=name, title=f"{name}: ends at {clock}", text=f"{where} ends in {left}{asks}")


def of_link(link: Link, waiting: Sequence[str], now: float) -> Notice:
    """A cluster that a person must let us in to, and the names of its sessions."""
    status = describe_link(link, now)
    what = "needs a login" if link.state is LinkState.NEEDS_LOGIN else "needs you"
    why = f"{status.phrase}; " if link.state is LinkState.BLOCKED else ""
    who = f"of its sessions {_listed(waiting)}; " if waiting else ""
    title = f"{link.name} {what}"
    return Notice(kind=Kind.NEEDS_LOGIN, about=link.name, title=title, text=f"{who}{why}{status.next}")


def together(notices: Sequence[Notice]) -> list[Notice]:
    """Notices of one kind that are due at once: each by itself, or one for all if they are many."""
    if len(notices) <= _FEW:
        return list(notices)
    kind = notices[0].kind
    things = "clusters" if kind is Kind.NEEDS_LOGIN else "sessions"
    names = [notice.about for notice in notices]
    title = f"{len(names)} {things} {_MANY[kind]}"
    return [Notice(kind=kind, about="", title=title, text=f"{_listed(names)}; sessionctl ls --all shows them")]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def harmless(notice: Notice) -> Notice:
    """Fit for a command line, which every user of the machine can read: one line each, no addresses with what opens
    them, and not too much of it."""
    return Notice(
        kind=notice.kind,
        about=notice.about,
        title=_line(notice.title, _TITLE),
        text=_line(notice.text, _TEXT),
    )


def _line(text: str, limit: int) -> str:
    plain = _USERINFO.sub(r"\1", _QUERY.sub(r"\1", " ".join(text.split())))
    return printable(plain if len(plain) <= limit else f"{plain[: limit - 3]}...", limit)


def filled(word: str, notice: Notice) -> str:
    """A word of the command with ``{title}`` and ``{text}`` replaced; any other braces are text."""
    return _PLACE.sub(lambda found: notice.title if found[1] == "title" else notice.text, word)
