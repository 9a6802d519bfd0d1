"""A session and its cluster's link in words: what is going on, what happens next or what to do, and how much it
matters. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sessiond.core.errors import AuthDenied, HostDown, HostKeyRefused, HostRefused, LinkError, NeedsLogin
from sessiond.core.link import Link, LinkState
from sessiond.core.machine import QUEUE_TIMEOUT, deadline_s
from sessiond.core.session import Outcome, Phase, Problem, Session, State
from sessiond.core.spec import Mode


class Severity(StrEnum):
    """How much a state asks for a person's attention."""

    OK = "ok"
    BUSY = "busy"
    ATTENTION = "attention"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """``phrase`` is the state in a few words, ``next`` what happens or what to do next (may be empty)."""

    phrase: str
    next: str
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A session's job cannot be seen now although there is a way to its cluster: why, and when (UTC seconds) it was."""

    why: Problem
    seen_at: float | None = None


ENDINGS: Final = {
    Outcome.COMPLETED: "completed",
    Outcome.CANCELLED: "stopped",
    Outcome.FAILED: "failed",
    Outcome.REJECTED: "rejected",
    Outcome.WALLTIME: "ended at its time limit",
    Outcome.NODE_FAILED: "ended: its node failed",
    Outcome.PREEMPTED: "ended: preempted",
    Outcome.OUT_OF_MEMORY: "ended: out of memory",
    Outcome.IDLE: "ended: idle",
    Outcome.LOST: "lost",
}
"""How a session ended, in a few words."""

USUAL: Final = {
    Outcome.WALLTIME: "the job's walltime was over",
    Outcome.CANCELLED: "cancelled on the cluster",
    Outcome.OUT_OF_MEMORY: "the job used more memory than it had asked for",
    Outcome.NODE_FAILED: "the job's node failed or did not start",
    Outcome.PREEMPTED: "the job had to make room for one of higher priority",
}
"""What is said of an end that nobody here brought about where no more is known of it than its kind."""

OWN_LIMIT: Final = "the session's walltime was over"
"""The same of the limit that the session's own runner keeps."""

_FINE = frozenset({Outcome.COMPLETED, Outcome.CANCELLED, Outcome.WALLTIME, Outcome.IDLE})

_OF_LINKS = frozenset(kind.code for kind in (LinkError, HostDown, HostRefused, AuthDenied, NeedsLogin, HostKeyRefused))

_RETRIES = "it is tried again by itself"


def describe(
    session: Session,
    now: float,
    link: Link | None = None,
    unseen: Unseen | None = None,
    licences: Problem | None = None,
) -> Status:
    """The session in words, at ``now`` (UTC seconds). ``link`` is that of its cluster, None where none is needed;
    ``unseen`` says that the last look at its job failed, ``licences`` why its programs get none."""
    if session.state is State.ENDED:
        return _ended(session)
    session = current(session, link)
    phrase, following, severity = _live(session, now)
    if link is not None and link.state not in (LinkState.UP, LinkState.IDLE):
        return _out_of_sight(session, _last_seen(session, phrase), link, now)
    if session.problem is not None and session.state is not State.RUNNING:
        return Status(
            phrase=f"{phrase}: {session.problem.message}",
            next=_remedy(session, session.problem, following),
            severity=Severity.ATTENTION,
        )
    if unseen is not None and unseen.seen_at is not None and session.job is not None:
        return Status(
            phrase=f"{phrase}; its job was last seen {about(now - unseen.seen_at)} ago",
            next=f"{unseen.why.message}; its job goes on meanwhile, and {_RETRIES}",
            severity=Severity.ATTENTION,
        )
    if licences is not None:
        return Status(phrase=f"{phrase}; {licences.message}", next=licences.hint, severity=Severity.ATTENTION)
    return Status(phrase=phrase, next=following, severity=severity)


def current(session: Session, link: Link | None) -> Session:
    """The session without a problem that was its link's, where that has come up since: it is solved, though the session
    keeps it until what it tries again has worked."""
    problem = session.problem
    if problem is None or problem.code not in _OF_LINKS or session.state is State.ENDED:
        return session
    if link is None or link.state is not LinkState.UP or link.up_since is None or link.up_since < problem.at:
        return session
    return replace(session, problem=None)


def _remedy(session: Session, problem: Problem, following: str) -> str:
    """What to do about a problem of a session that goes on. What a service does instead of answering is in its log."""
    if session.state is not State.TUNNEL or session.ready_at is not None:
        return problem.hint or following
    logs = f"sessionctl logs {session.name} shows its output, sessionctl stop {session.name} gives up"
    return f"{problem.hint.removesuffix('.')}; {logs}" if problem.hint else logs


def is_usual(outcome: Outcome, problem: Problem) -> bool:
    """Whether a problem says no more of an end than its kind does."""
    return problem.message in (USUAL.get(outcome), OWN_LIMIT)


def was_cancelled(session: Session) -> bool:
    """Whether a session was ended by somebody on its cluster, and not from here."""
    return session.outcome is Outcome.CANCELLED and session.ending is not Outcome.CANCELLED


def _ended(session: Session) -> Status:
    outcome = session.outcome or Outcome.LOST
    phrase = ENDINGS[outcome]
    if session.problem is not None and was_cancelled(session):
        phrase = session.problem.message
        return Status(phrase=phrase, next=f"sessionctl why {session.name} tells the story", severity=Severity.ATTENTION)
    if outcome is Outcome.WALLTIME and session.ready_at is None:
        phrase += " before its service answered"
    if session.problem is not None and outcome not in _FINE and not is_usual(outcome, session.problem):
        phrase = f"{phrase}: {session.problem.message}"
    if outcome in _FINE:
        return Status(phrase=phrase, next=advice(session) if outcome is Outcome.IDLE else "", severity=Severity.OK)
    hint = session.problem.hint if session.problem is not None else ""
    return Status(phrase=phrase, next=hint or f"sessionctl why {session.name} tells the story", severity=Severity.ERROR)


def advice(session: Session) -> str:
    """What to do about the end of a session; empty where the person or its program ended it, or it lives."""
    outcome = session.outcome
    if outcome in (None, Outcome.COMPLETED) or (outcome is Outcome.CANCELLED and not was_cancelled(session)):
        return ""
    again = f"sessionctl start {session.spec.workflow} --again"
    if outcome is Outcome.IDLE:
        return again
    problem = session.problem
    if problem is not None and problem.hint:
        return problem.hint
    if problem is not None and problem.code == QUEUE_TIMEOUT:
        return f"{again} --max-wait LONGER; a shorter --time, fewer nodes or another partition may come sooner"
    alone = session.spec.mode in (Mode.LOCAL, Mode.CONTROLLER)
    logs = f"sessionctl logs {session.name}"
    match outcome:
        case Outcome.CANCELLED:
            return f"if it was not you, ask the cluster's administrators who it was; {again} starts it anew"
        case Outcome.WALLTIME if session.ready_at is None:
            return f"{logs} shows what it did instead of answering; where it was only slow, {again} --time LONGER"
        case Outcome.WALLTIME:
            more = "" if alone else "; while one runs, sessionctl extend asks for more"
            return f"{again} --time LONGER{more}"
        case Outcome.NODE_FAILED:
            return again if alone else f"{again}; the scheduler avoids a node that it knows to be down"
        case Outcome.PREEMPTED:
            return f"{again}; in another partition, queue or QOS it may not be preempted"
        case Outcome.OUT_OF_MEMORY:
            return f"{again} --set memory=MORE"
        case Outcome.REJECTED:
            return "change what the scheduler names; sessionctl plan asks it without submitting anything"
        case Outcome.LOST:
            job = f" can look for job {session.job.id}" if session.job is not None else " may know more"
            return f"{logs} shows what it wrote; the cluster's administrators{job}"
        case _:
            if problem is not None and "out of memory?" in problem.message:
                where = "where it ran, dmesg or journalctl -k say whether memory ran out"
                return f"{where}: then use less" + (f"; {again}" if alone else f", or {again} --set memory=MORE")
            return f"{logs} shows all of its output; once that is mended, {again}"


def _live(session: Session, now: float) -> tuple[str, str, Severity]:
    name = session.name
    match session.state:
        case State.RENDER:
            return "preparing", "the service is installed if it has to be, then the session starts", Severity.BUSY
        case State.SUBMIT:
            return "submitting", _RETRIES if session.retries else "", Severity.BUSY
        case State.RECONCILE:
            return (
                "finding out whether the job was submitted",
                "nothing is submitted twice; " + _RETRIES,
                Severity.ATTENTION,
            )
        case State.ABANDON:
            return "stopping: finding out whether a job was submitted", _RETRIES, Severity.BUSY
        case State.WAIT_FOR_NODE:
            return _waiting(session, now)
        case State.START:
            return "starting", "the job runs; its service comes next", Severity.BUSY
        case State.TUNNEL:
            return _connecting(session, now)
        case State.RUNNING:
            if session.job is not None and session.job.phase is Phase.SUSPENDED:
                return "suspended by the scheduler", "it goes on when the scheduler resumes it", Severity.ATTENTION
            if session.idle_ends_by is not None:
                left = about(max(0.0, session.idle_ends_by - now))
                return f"running, but unused: it ends in {left}", f"sessionctl open {name} keeps it", Severity.ATTENTION
            return "running", f"sessionctl open {name}", Severity.OK
        case State.VERIFY:
            return "the scheduler no longer lists the job; asking its history", _RETRIES, Severity.ATTENTION
        case _:
            return "stopping", f"sessionctl stop --now {name} does not wait for its kill script", Severity.BUSY


NEVER = "it can never start"
"""How the reason of a job begins that its scheduler keeps, and will not start as it is."""


def _waiting(session: Session, now: float) -> tuple[str, str, Severity]:
    if session.spec.mode in (Mode.LOCAL, Mode.CONTROLLER):
        return "starting", "there is no queue here: it starts at once", Severity.BUSY
    job = session.job
    if job is not None and job.phase is Phase.HELD:
        return "held in the queue", "release it on the cluster, or ask its administrators", Severity.ATTENTION
    reason = f": {job.reason}" if job is not None and job.reason else ""
    if job is not None and job.reason.startswith(NEVER):
        return f"waiting for a node{reason}", f"sessionctl stop {session.name}, and ask for less", Severity.ATTENTION
    following = "it starts when the scheduler finds room"
    if job is not None and job.expected_start is not None and job.expected_start > now:
        following = f"the scheduler expects to start it in {about(job.expected_start - now)}"
    limit_s = deadline_s(session)
    if limit_s is not None:
        following = f"{following}; it is given up after {in_full(limit_s)} in the queue"
    if job is not None and job.phase is Phase.CONFIGURING:
        return "its node is being prepared", "it starts when the node is ready", Severity.BUSY
    if job is not None and job.reason.startswith("waiting"):
        return job.reason, following, Severity.BUSY
    return f"waiting for a node{reason}", following, Severity.BUSY


def _connecting(session: Session, now: float) -> tuple[str, str, Severity]:
    if session.ready_at is not None:
        return "reconnecting to the service", "the session goes on; the same URL works again soon", Severity.BUSY
    if now - session.since > session.spec.ready_within_s:
        return (
            "the service has not answered yet",
            f"sessionctl logs {session.name} shows its output; sessionctl stop {session.name} gives up",
            Severity.ATTENTION,
        )
    return "waiting for the service to answer", "it is asked until it does", Severity.BUSY


def _last_seen(session: Session, phrase: str) -> str:
    """What it did when it was last seen, short: why it waited then is no news, and what the link does comes after."""
    if _was_up(session):
        return "running"
    alone = session.spec.mode in (Mode.LOCAL, Mode.CONTROLLER)
    prepared = session.job is not None and session.job.phase is Phase.CONFIGURING
    waits = session.state is State.WAIT_FOR_NODE and not alone and not prepared
    return "waiting for a node" if waits else phrase


def _was_up(session: Session) -> bool:
    """Whether the session ran when it was last seen: that its probe fails meanwhile is the link's doing."""
    suspended = session.job is not None and session.job.phase is Phase.SUSPENDED
    return session.state is State.TUNNEL and session.ready_at is not None and not suspended


def _out_of_sight(session: Session, phrase: str, link: Link, now: float) -> Status:
    """What a session did when it was last seen, and what its link does now. What went wrong meanwhile is the link's."""
    name = link.name
    match link.state:
        case LinkState.NEEDS_LOGIN:
            return Status(
                phrase=f"{phrase}, but {name} needs a login",
                next=f"waiting for you: sessionctl login {name}",
                severity=Severity.ATTENTION,
            )
        case LinkState.AUTHENTICATING:
            return Status(
                phrase=f"{phrase}; somebody is logging in to {name}",
                next="it goes on when the login is done",
                severity=Severity.BUSY,
            )
        case LinkState.BLOCKED:
            said = describe_link(link, now)
            return Status(phrase=f"{phrase}, but {name}: {said.phrase}", next=said.next, severity=Severity.ERROR)
        case _:
            if link.down_since is None:
                return Status(phrase=f"{phrase}; connecting to {name}", next="", severity=Severity.BUSY)
            return Status(
                phrase=f"{phrase}, but {name} is unreachable {_for(now - link.down_since)}",
                next="reconnecting by itself" + ("; its job goes on meanwhile" if session.job is not None else ""),
                severity=Severity.ATTENTION,
            )


def describe_link(link: Link, now: float) -> Status:
    """The link in words, at ``now`` (UTC seconds)."""
    problem = link.problem
    why = f": {problem.message}" if problem is not None else ""
    hint = problem.hint if problem is not None else ""
    match link.state:
        case LinkState.UP:
            return Status(phrase="connected", next="", severity=Severity.OK)
        case LinkState.IDLE:
            return Status(phrase="not connected", next="it connects when it is needed", severity=Severity.OK)
        case LinkState.NEEDS_LOGIN:
            return Status(
                phrase=f"needs a login{why}", next=f"sessionctl login {link.name}", severity=Severity.ATTENTION
            )
        case LinkState.AUTHENTICATING:
            return Status(
                phrase="logging in", next="answer what it asks, where you began the login", severity=Severity.BUSY
            )
        case LinkState.BLOCKED:
            phrase = problem.message if problem is not None else "its host key is not the one that is known"
            return Status(phrase=phrase, next=then_login(hint, link.name), severity=Severity.ERROR)
        case _:
            if link.down_since is None:
                return Status(phrase="connecting", next="", severity=Severity.BUSY)
            again = "trying now" if link.retry_at is None else f"tried again by itself {_in(link.retry_at - now)}"
            return Status(
                phrase=f"unreachable {_for(now - link.down_since)}{why}",
                next=f"{again}; {_within(hint)}" if hint else again,
                severity=Severity.ATTENTION,
            )


def then_login(hint: str, cluster: str) -> str:
    """A remedy, and the login after it, without which a link that waits for a person stays as it is."""
    login = f"sessionctl login {cluster}"
    if not hint or login in hint:
        return hint or login
    return f"{hint} Then {login}" if hint.endswith(".") else f"{hint}; then {login}"


def _within(hint: str) -> str:
    """A hint behind a semicolon and the word when it is tried again. Names that are written as they are, such as
    ProxyJump, stay so."""
    first = hint.partition(" ")[0]
    text = hint[:1].lower() + hint[1:] if first[1:].islower() else hint
    return text.removesuffix(".").removesuffix("; it is tried again")


def _for(seconds: float) -> str:
    return f"for {about(seconds)}"


def _in(seconds: float) -> str:
    return f"in {about(seconds)}" if seconds >= 1 else "at once"


def in_full(seconds: float) -> str:
    """A length of time in all of its units that are not nought."""
    left, words = int(seconds), []
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        words += [f"{count} {'day' if unit == 'days' and count == 1 else unit}"] if count else []
    return " ".join(words) or "0 s"


def about(seconds: float) -> str:
    """A length of time in its largest unit."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit != "days" and seconds >= size):
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
