"""The sessions as the gateway sees them."""

from __future__ import annotations

from collections.abc import Iterable

from sessiond.api.gateway_door import Door
from sessiond.api.service import Desk
from sessiond.core.session import Session, State
from sessiond.runtime.listener import HOST
from sessiond.runtime.standing import StandingWork

_ANSWERING = frozenset({State.RUNNING, State.VERIFY})


class SessionDoors:
    """Doors of the desk's sessions (`sessiond.api.gateway_door.Doors`).

    The gateway reaches every service through its session's own port: that is where connections are checked, counted
    and carried to wherever the service is.
    """

    def __init__(self, desk: Desk, standing: StandingWork) -> None:
        self._desk = desk
        self._standing = standing

    def at(self, open_port: int) -> Door | None:
        """The session at an openPort: the live one, else the one that had it last."""
        session = self._session(open_port)
        return None if session is None else self._door(session)

    def named(self, name: str) -> Door | None:
        """The session of a name: the live one, else the one that had it last."""
        session = _newest(s for s in self._desk.engine.sessions.values() if s.name == name)
        return None if session is None else self._door(session)

    def _door(self, session: Session) -> Door:
        status = self._desk.status(session)
        # One that has answered before is tried, even while its probe is in doubt: it may well answer. But never while
        # the session's own port is not ours: behind it somebody else's program would get the requests, tokens and all.
        ready = session.state in _ANSWERING or (session.state is State.TUNNEL and session.ready_at is not None)
        port = self._standing.port_of(session.id)
        ready = ready and port is not None and self._desk.clusters.watching(session)
        return Door(
            open_port=session.open_port,
            session_id=session.id,
            name=session.name,
            ready=ready and session.endpoint is not None,
            phrase=status.phrase,
            next=status.next,
            severity=status.severity.value,
            ended=not session.live,
            prefix=session.spec.service.prefix,
            scheme=session.spec.service.scheme,
            upstream=(HOST, port) if port is not None else None,
        )

    def carried(self, open_port: int, sent: int, received: int) -> None:
        """Count them, for the daemon's figures."""
        self._desk.to_services += sent
        self._desk.from_services += received

    def failed(self, open_port: int) -> None:
        """The service could not be reached: have it asked at once."""
        session = self._session(open_port)
        if session is not None:
            self._standing.suspect(session.id)

    def _session(self, open_port: int) -> Session | None:
        return _newest(s for s in self._desk.engine.sessions.values() if s.open_port == open_port)


def _newest(found: Iterable[Session]) -> Session | None:
    return max(found, key=lambda s: (s.live, s.created), default=None)
