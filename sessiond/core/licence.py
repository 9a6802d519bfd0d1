"""Which licence ports must be open where, for which sessions; and that in words. Pure.

A port of one host leads to one place, so sessions that want the same share it, and one that wants another has to do
without. What is open stays as it is as long as anybody wants it so: a session is never deprived by a later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sessiond.core.ids import ClusterName, SessionId
from sessiond.core.session import Endpoint, Problem, Session
from sessiond.core.spec import Licence, Mode

CODE = "licences"
"""The code of all problems with them."""

_BY_ITSELF = "it is tried again by itself"
_HERE = Endpoint(run="", host="127.0.0.1")
_AT_HAND = (Mode.LOCAL, Mode.CONTROLLER)
"""The modes in which a session runs on the host that its cluster's transport reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A port of the loopback address of ``host``, a node of the cluster; empty: of where its commands are run."""

    cluster: ClusterName
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """``spot`` leads to its port of ``target``, as the workspace reaches that (empty: the workspace itself).

    ``at`` is the spot's host with the keys that its session found there, ``where`` what people call it, ``here``
    whether it is the workspace. ``sessions`` are those that want it, the oldest first.
    """

    spot: Spot
    target: str
    at: Endpoint
    where: str
    here: bool
    sessions: tuple[SessionId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    """What is to be open, and why some sessions have to do without."""

    forwards: Mapping[Spot, Forward] = field(default_factory=dict)
    refused: Mapping[SessionId, Problem] = field(default_factory=dict)


def allot(sessions: Iterable[Session], held: Mapping[Spot, str]) -> Allotment:
    """What ``sessions`` want to be open now, where ``held`` is open already: by spot, to which host."""
    wanting: dict[Spot, list[tuple[Session, Licence, Endpoint]]] = {}
    for session in sorted(sessions, key=lambda one: (one.created, one.id)):
        at, licence = place(session), session.spec.licence
        if at is not None and licence is not None:
            host = "" if session.spec.mode in _AT_HAND else at.host
            for port in licence.ports:
                spot = Spot(cluster=session.spec.cluster, host=host, port=port)
                wanting.setdefault(spot, []).append((session, licence, at))
    forwards: dict[Spot, Forward] = {}
    refused: dict[SessionId, Problem] = {}
    for spot, wishes in wanting.items():
        targets = [licence.host for _, licence, _ in wishes]
        target = held[spot] if held.get(spot) in targets else targets[0]
        mine = [(session, at) for session, licence, at in wishes if licence.host == target]
        first, at = mine[0]
        forward = Forward(
            spot=spot,
            target=target,
            at=at,
            where=_where(first),
            here=first.spec.mode is Mode.LOCAL,
            sessions=tuple(session.id for session, _ in mine),
        )
        forwards[spot] = forward
        for session, licence, _ in wishes:
            if licence.host != target:
                refused.setdefault(session.id, _otherwise(forward, first.name))
    return Allotment(forwards=forwards, refused=refused)


def place(session: Session) -> Endpoint | None:
    """Where a session needs the ports now; None: nowhere, or nobody knows yet.

    A job's host is known when its script has said where it runs. From then on, and elsewhere from the first moment,
    the ports are wanted until the session is over: its kill script may give licences back.
    """
    licence = session.spec.licence
    if licence is None or not session.live or licence.is_there(session.spec.mode):
        return None
    return _HERE if session.spec.mode in _AT_HAND else session.endpoint


def _where(session: Session) -> str:
    match session.spec.mode:
        case Mode.LOCAL:
            return "this machine"
        case Mode.CONTROLLER:
            return f"the login node of {session.spec.cluster}"
        case _:
            return session.endpoint.host if session.endpoint is not None else "its node"


# In words.


def tell(licence: Licence, mode: Mode) -> str:
    """What is done about licences, in one sentence without a full stop."""
    says = f"{licence.variable}={licence.value}"
    if licence.is_there(mode):
        return f"{says}: the licence server of this machine"
    where = {Mode.LOCAL: "this machine", Mode.CONTROLLER: "the login node"}.get(mode, "its node")
    verb = "leads" if len(licence.ports) == 1 else "lead"
    return f"{says}: {_ports(licence.ports)} of {where} {verb} to {licence.host or 'the workspace'}"


def _ports(ports: Sequence[int]) -> str:
    *more, last = map(str, ports)
    return f"ports {', '.join(more)} and {last}" if more else f"port {last}"


def unopened(forward: Forward, why: str, hint: str) -> Problem:
    """The port could not be opened there."""
    return Problem(code=CODE, message=f"licences do not reach {forward.where}: {why}", hint=hint or _BY_ITSELF)


def taken(forward: Forward) -> Problem:
    """Somebody else listens on the port there."""
    return Problem(
        code=CODE,
        message=f"licences do not reach {forward.where}: another program listens on port {forward.spot.port} there",
        hint="where that is the same licence server, nothing has to be done; else the port is taken once it is free",
    )


def unanswered(forward: Forward, why: str) -> Problem:
    """The port is open, and nobody answers where it leads to."""
    server = f"{forward.target or 'the workspace'}, port {forward.spot.port}"
    return Problem(
        code=CODE,
        message=f"the licence server does not answer ({server}): {why}",
        hint="start it; advanced_options.license_host says where it is, as the workspace reaches it",
    )


def _otherwise(forward: Forward, owner: str) -> Problem:
    leads = forward.target or "the workspace"
    return Problem(
        code=CODE,
        message=f"licences do not reach {forward.where}: port {forward.spot.port} there leads to {leads} "
        f"for the session {owner}",
        hint=f"a port leads to one place only: stop {owner}, or let this session run on another host",
    )
