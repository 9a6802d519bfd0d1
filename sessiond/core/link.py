"""The link to a cluster's login node: its states, and everything that decides what it does next.

Total as the session machine's table is: a cell (state, event) is a *rule*, *ignored* or *impossible*. The promise it
keeps: after a prompt or a denied login nothing is tried by itself, because a second factor must not be spammed nor an
account locked; only a person (LoginRequested) or another configuration (ConfigChanged) leads on. NEEDS_LOGIN and
BLOCKED therefore outlast the wish for the link: a way through IDLE would be a way around the promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from types import MappingProxyType
from typing import Final

from sessiond.core.errors import Bug
from sessiond.core.ids import ClusterName
from sessiond.core.pace import backoff_s
from sessiond.core.session import Problem

STEADY_S: Final = 60.0
"""Seconds a connection must have been up for its loss to be a mishap: it is made again at once."""


class LinkState(StrEnum):
    """Where a link is. The values are stable: they are shown."""

    IDLE = "idle"
    CONNECTING = "connecting"
    UP = "up"
    BACKOFF = "backoff"
    NEEDS_LOGIN = "needs-login"
    AUTHENTICATING = "authenticating"
    BLOCKED = "blocked"


class LinkAction(Enum):
    """What a rule orders, in this order where there are several."""

    DISCONNECT = auto()
    """End the connection, and the attempt that is under way."""
    CONNECT = auto()
    """Try once, with nobody there to be asked."""
    CONNECT_ATTENDED = auto()
    """Try once, with a person who answers."""
    RELAY = auto()
    """Put what the login node asks to the person."""
    TELL = auto()
    """Say, once, that a person is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEvent:
    """Something happened that concerns the link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble(LinkEvent):
    problem: Problem


class Wanted(LinkEvent):
    """Somebody has something to do on the cluster."""

    __slots__ = ()


class Unwanted(LinkEvent):
    """Nobody has had anything to do there for a while."""

    __slots__ = ()


class Connected(LinkEvent):
    """The attempt succeeded."""

    __slots__ = ()


class ConnectFailed(_Trouble):
    """The host could not be reached, or accepts nothing."""

    __slots__ = ()


class PromptNeeded(_Trouble):
    """It asks for what only a person can give; it got no answer."""

    __slots__ = ()


class AuthDenied(_Trouble):
    """Nothing we or the person had was good enough."""

    __slots__ = ()


class HostKeyChanged(_Trouble):
    """The host's key is not the one that is known."""

    __slots__ = ()


class Lost(_Trouble):
    """The connection is no more."""

    __slots__ = ()


class RetryDue(LinkEvent):
    """The back-off is over."""

    __slots__ = ()


class NetworkChanged(LinkEvent):
    """The machine woke up, or its network is another one: what failed may work now."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChanged(LinkEvent):
    """How the cluster is reached was changed; ``attended``: a person is needed from the start now."""

    attended: bool = False


class LoginRequested(LinkEvent):
    """A person is there and wants to log in."""

    __slots__ = ()


class LoginAbandoned(LinkEvent):
    """That person has gone, or the time for answering is over."""

    __slots__ = ()


class LogoutRequested(LinkEvent):
    """A person wants the link dropped, and not made again before they say so."""

    __slots__ = ()


class Prompted(LinkEvent):
    """The login node asks the person."""

    __slots__ = ()


class Answered(LinkEvent):
    """The person has answered. What they said is not part of it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The link to one cluster, changed only by `step_link`. Times are UTC seconds.

    ``since`` is when it came into its state, ``up_since`` when it came up (None while it is not), ``down_since`` since
    when it has been tried in vain. ``failures`` counts failures in a row, ``attempts`` everything ever tried.
    ``attended`` says that only a person gets in: it asked, it denied us, or the configuration says so.
    ``salt`` spreads the back-off: many daemons must not call on a login node that comes back at the same moment.
    """

    name: ClusterName
    state: LinkState = LinkState.IDLE
    since: float
    failures: int = 0
    retry_at: float | None = None
    problem: Problem | None = None
    up_since: float | None = None
    down_since: float | None = None
    attempts: int = 0
    attended: bool = False
    salt: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Go to ``to`` and order ``do``. ``unasked`` holds instead where nobody was asked and nothing denied: that a
    person happened to try while the host was down must not end the trying."""

    to: LinkState
    do: tuple[LinkAction, ...] = ()
    unasked: Rule | None = None


class ImpossibleLinkEvent(Bug):
    """An event met a state in which it cannot happen: the keeper broke the protocol."""

    def __init__(self, link: Link, event: LinkEvent) -> None:
        super().__init__(
            f"{type(event).__name__} cannot happen while the link to {link.name} is {link.state}",
            hint="this is a defect of sessiond; the link was left as it was",
        )


def _go(to: LinkState, *do: LinkAction) -> Rule:
    return Rule(to, do)


_S = LinkState
_CONNECT: Final = _go(_S.CONNECTING, LinkAction.CONNECT)
_AGAIN: Final = _go(_S.CONNECTING, LinkAction.DISCONNECT, LinkAction.CONNECT)
_ATTENDED: Final = _go(_S.AUTHENTICATING, LinkAction.CONNECT_ATTENDED)
_ASK: Final = _go(_S.NEEDS_LOGIN, LinkAction.TELL)
_BLOCK: Final = _go(_S.BLOCKED, LinkAction.TELL)
_LET_GO: Final = _go(_S.IDLE, LinkAction.DISCONNECT)
_LOG_OUT: Final = _go(_S.NEEDS_LOGIN, LinkAction.DISCONNECT)

LINK_TABLE: Final[Mapping[LinkState, Mapping[type[LinkEvent], Rule]]] = MappingProxyType(
    {
        _S.IDLE: {
            Wanted: _CONNECT,
            LoginRequested: _ATTENDED,
            LogoutRequested: _go(_S.NEEDS_LOGIN),
            ConfigChanged: _go(_S.IDLE),
        },
        _S.CONNECTING: {
            Connected: _go(_S.UP),
            ConnectFailed: _go(_S.BACKOFF),
            PromptNeeded: _ASK,
            AuthDenied: _ASK,
            HostKeyChanged: _BLOCK,
            LoginRequested: _go(_S.AUTHENTICATING, LinkAction.DISCONNECT, LinkAction.CONNECT_ATTENDED),
            LogoutRequested: _LOG_OUT,
            ConfigChanged: _AGAIN,
            Unwanted: _LET_GO,
        },
        _S.UP: {
            Lost: _go(_S.BACKOFF),
            LogoutRequested: _LOG_OUT,
            ConfigChanged: _AGAIN,
            Unwanted: _LET_GO,
        },
        _S.BACKOFF: {
            RetryDue: _CONNECT,
            NetworkChanged: _CONNECT,
            LoginRequested: _ATTENDED,
            LogoutRequested: _go(_S.NEEDS_LOGIN),
            ConfigChanged: _CONNECT,
            Unwanted: _go(_S.IDLE),
        },
        _S.NEEDS_LOGIN: {
            LoginRequested: _ATTENDED,
            ConfigChanged: _CONNECT,
        },
        _S.AUTHENTICATING: {
            Prompted: _go(_S.AUTHENTICATING, LinkAction.RELAY),
            Answered: _go(_S.AUTHENTICATING),
            Connected: _go(_S.UP),
            AuthDenied: _ASK,
            PromptNeeded: _ASK,  # it asked for what could not be put to a person
            ConnectFailed: Rule(_S.NEEDS_LOGIN, (LinkAction.TELL,), unasked=_go(_S.BACKOFF)),
            HostKeyChanged: _BLOCK,
            LoginAbandoned: Rule(
                _S.NEEDS_LOGIN, (LinkAction.DISCONNECT,), unasked=_go(_S.BACKOFF, LinkAction.DISCONNECT)
            ),
            LogoutRequested: _LOG_OUT,
            ConfigChanged: _AGAIN,
        },
        _S.BLOCKED: {
            LoginRequested: _ATTENDED,
            ConfigChanged: _CONNECT,
        },
    }
)

LINK_IGNORED: Final[Mapping[LinkState, frozenset[type[LinkEvent]]]] = MappingProxyType(
    {
        _S.IDLE: frozenset({Unwanted, NetworkChanged}),
        _S.CONNECTING: frozenset({Wanted, NetworkChanged}),
        _S.UP: frozenset({Wanted, NetworkChanged, LoginRequested}),
        _S.BACKOFF: frozenset({Wanted}),
        _S.NEEDS_LOGIN: frozenset({Wanted, Unwanted, NetworkChanged, LogoutRequested}),
        _S.AUTHENTICATING: frozenset({Wanted, Unwanted, NetworkChanged}),
        _S.BLOCKED: frozenset({Wanted, Unwanted, NetworkChanged, LogoutRequested}),
    }
)

LINK_EVENTS: Final[tuple[type[LinkEvent], ...]] = (
    Wanted,
    Unwanted,
    Connected,
    ConnectFailed,
    PromptNeeded,
    AuthDenied,
    HostKeyChanged,
    Lost,
    RetryDue,
    NetworkChanged,
    ConfigChanged,
    LoginRequested,
    LoginAbandoned,
    LogoutRequested,
    Prompted,
    Answered,
)
"""Every event the link knows, in the order the documentation shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStep:
    """The link after an event, and what it ordered."""

    after: Link
    actions: tuple[LinkAction, ...] = ()


def step_link(link: Link, event: LinkEvent, now: float) -> LinkStep:
    """What ``event`` makes of ``link`` at ``now`` (UTC seconds). Raises ImpossibleLinkEvent."""
    rule = LINK_TABLE[link.state].get(type(event))
    if rule is None:
        if type(event) in LINK_IGNORED[link.state]:
            return LinkStep(after=link)
        raise ImpossibleLinkEvent(link, event)
    if rule.unasked is not None and not link.attended:
        rule = rule.unasked
    to, actions = rule.to, rule.do
    after = _learnt(link, event, now)
    after = _backed_off(after, now) if to is LinkState.BACKOFF else replace(after, retry_at=None)
    if to is not link.state:
        after = replace(after, state=to, since=now)
    return LinkStep(after=after, actions=actions)


def _learnt(link: Link, event: LinkEvent, now: float) -> Link:
    """``link`` with what ``event`` tells; its state is not changed."""
    match event:
        case Connected():
            attended = link.attended and link.state is not LinkState.CONNECTING
            return replace(link, problem=None, up_since=now, down_since=None, attended=attended)
        case Lost(problem=problem):
            steady = link.up_since is not None and now - link.up_since >= STEADY_S
            failures = 0 if steady else link.failures + 1
            problem = replace(problem, at=now)
            return replace(link, problem=problem, failures=failures, up_since=None, down_since=now)
        case ConnectFailed(problem=problem):
            down_since = now if link.down_since is None else link.down_since
            problem = replace(problem, at=now)
            return replace(link, problem=problem, failures=link.failures + 1, down_since=down_since)
        case PromptNeeded(problem=problem) | AuthDenied(problem=problem):
            return replace(link, problem=replace(problem, at=now), down_since=None, failures=0, attended=True)
        case HostKeyChanged(problem=problem):
            return replace(link, problem=replace(problem, at=now), down_since=None, failures=0)
        case Prompted():
            return replace(link, attended=True)
        case LogoutRequested():
            problem = _by_hand(link, "logged-out", "you logged out", now)
            return replace(_fresh(link), problem=problem, attended=True)
        case LoginAbandoned() if link.attended:
            return replace(_fresh(link), problem=_by_hand(link, "login-abandoned", "the login was not finished", now))
        case ConfigChanged(attended=attended):
            return replace(_fresh(link), attended=attended)
        case Unwanted():
            return _fresh(link)
        case _:
            return link


def _fresh(link: Link) -> Link:
    """``link`` without its troubles."""
    return replace(link, problem=None, up_since=None, down_since=None, failures=0)


def _by_hand(link: Link, code: str, message: str, now: float) -> Problem:
    return Problem(code=code, message=message, hint=f"sessionctl login {link.name}", at=now)


def _backed_off(link: Link, now: float) -> Link:
    """``link`` waiting for its next attempt: at once where nothing has failed yet, else doubling."""
    pause = backoff_s(link.failures, f"{link.name}.{link.salt}") if link.failures else 0.0
    return replace(link, retry_at=now + pause)


def _check() -> None:
    """The table is total over the states, and says nothing twice. Runs at import: a broken table starts nothing."""
    for state in LinkState:
        both = set(LINK_TABLE[state]) & LINK_IGNORED[state]
        strangers = (set(LINK_TABLE[state]) | LINK_IGNORED[state]) - set(LINK_EVENTS)
        if both or strangers:
            raise AssertionError(f"table of {state.name}: both rule and ignored {both}, unknown {strangers}")


_check()
