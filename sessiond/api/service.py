"""What the API needs of the daemon: sessions by name, their URLs, and the requests people make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sessiond.api import wire
from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.views import problem_view, rfc3339, session_view
from sessiond.config.catalogue import Catalogue
from sessiond.config.model import NAMED_HOSTS, ClusterConfig
from sessiond.core.errors import Conflict, NotFound, SpecError, printable
from sessiond.core.ids import ClusterName
from sessiond.core.licence import tell
from sessiond.core.session import Problem, Session
from sessiond.core.spec import Prefix, Scheme
from sessiond.core.status import Status, Unseen, current, describe
from sessiond.render.url import landing
from sessiond.runtime.clock import Clock
from sessiond.runtime.cluster import Clusters
from sessiond.runtime.engine import Engine
from sessiond.runtime.herald import Herald
from sessiond.runtime.licences import Licences


@dataclass(slots=True)
class Desk:
    """The daemon's parts as its API and its gateway see them.

    ``catalogue`` reads the folders of services anew (under a millisecond for a few), so that a new one needs no reload.
    """

    engine: Engine
    clusters: Clusters
    clock: Clock
    catalogue: Callable[[], Catalogue]
    doorkeeper: Doorkeeper
    gateway: str | None
    started: float
    warnings: tuple[str, ...] = ()
    own_origins: Callable[[], bool] = lambda: False
    """Whether URLs have a host name for each session."""
    settings: Callable[[ClusterName], ClusterConfig | None] = lambda _name: None
    """A cluster's part of the configuration as it is now; None where there is none."""
    licences: Licences | None = None
    """Who keeps licence ports open."""
    herald: Herald | None = None
    """Who tells people what happened."""
    to_services: int = 0
    """Bytes that the gateway has carried to services since the daemon began."""
    from_services: int = 0
    """Bytes that it has carried from them."""

    def resolve(self, name: str, among: Callable[[Session], bool] | None = None) -> Session:
        """The session that people call ``name``: its name, its id, or a unique beginning of either.

        A live session goes before an ended one of the same name, a younger before an older. Raises NotFound, Conflict.
        """
        sessions = sorted(self.engine.sessions.values(), key=lambda s: (s.live, s.created), reverse=True)
        if among is not None:
            sessions = [s for s in sessions if among(s)]
        exact = [s for s in sessions if name in (s.name, s.id)]
        if exact:
            return exact[0]
        begun = [s for s in sessions if name and (s.name.startswith(name) or s.id.startswith(name))]
        live = [s for s in begun if s.live]
        if len(live or begun) == 1:
            return (live or begun)[0]
        if begun:
            names = sorted({s.name for s in live or begun})
            raise Conflict(
                f"{printable(name)} is the beginning of {len(live or begun)} sessions: {', '.join(names[:6])}",
                hint="say more of the name, or its id",
            )
        raise NotFound(f"there is no session called {printable(name)}", hint=_suggestion(name, sessions))

    def url(self, session: Session) -> str | None:
        """Where the session opens in a browser: the same for its whole life. None where it is over."""
        if not session.live:
            return None
        address = self.address(session)
        if self.gateway is None:
            return address
        # What follows a # never leaves the browser, so the gateway's token goes before it.
        before, mark, fragment = address.partition("#")
        return f"{before}{'&' if '?' in before else '?'}sessiond={self.doorkeeper.token(session.id)}{mark}{fragment}"

    def address(self, session: Session) -> str:
        """The same without what opens the gateway; with the gateway off, at the session's own port."""
        host, own = self.gateway or f"127.0.0.1:{session.open_port}", self.gateway is None
        where, _, port = host.rpartition(":")
        if not own and self.own_origins() and where.strip("[]") in NAMED_HOSTS:
            host, own = f"{session.name}.localhost:{port}", True
        service = session.spec.service
        origin = f"{Scheme.HTTP if self.gateway is not None else service.scheme}://{host}"
        through = not own or service.prefix is Prefix.KEEP
        prefix = f"/{service.scheme.root}/{session.open_port}" if through else ""
        if not session.spec.urlend:
            return f"{origin}{prefix}/"
        try:
            return f"{origin}{landing(session.spec.urlend, prefix, host, int(session.created * 1000))}"
        except SpecError:
            # Asked when the session was made; what a stored one says now is no reason to lose the others.
            return f"{origin}{prefix}/"

    def view(self, session: Session) -> wire.Session:
        """A session as the API shows it."""
        cluster = self.clusters.by_name.get(session.spec.cluster)
        observed = cluster.observed_at(session) if cluster is not None and session.live else None
        return session_view(
            current(session, self.clusters.link(session)),
            now=self.clock.now(),
            url=self.url(session),
            status=self.status(session),
            link=self.link(session),
            observed_at=observed,
            licence=self.licence(session),
        )

    def licence(self, session: Session) -> wire.Licence | None:
        """Whose licences a session's programs use, and how that stands; None where none are asked for."""
        licence = session.spec.licence
        if licence is None:
            return None
        return {
            "text": tell(licence, session.spec.mode),
            "variable": licence.variable,
            "value": licence.value,
            "ports": list(licence.ports),
            "host": licence.host or None,
            "open": self.licences is not None and self.licences.are_open(session),
            "problem": problem_view(self._unlicensed(session)),
        }

    def _unlicensed(self, session: Session) -> Problem | None:
        return self.licences.problem(session) if self.licences is not None and session.live else None

    def status(self, session: Session) -> Status:
        """A session in words; its cluster's link, and how long ago its job was seen, included."""
        cluster = self.clusters.by_name.get(session.spec.cluster)
        why = cluster.trouble(session) if cluster is not None else None
        unseen = Unseen(why=why, seen_at=cluster.observed_at(session)) if cluster is not None and why else None
        link = self.clusters.link(session)
        return describe(session, self.clock.now(), link, unseen, self._unlicensed(session))

    def link(self, session: Session) -> wire.Link:
        """The connection to a session's cluster; to this machine it is always up."""
        link = self.clusters.link(session)
        if link is None:
            return {"state": "up", "since": rfc3339(self.started)}
        return {"state": link.state.value, "since": rfc3339(link.since)}

    def names(self) -> frozenset[str]:
        """The names that live sessions have."""
        return frozenset(s.name for s in self.engine.live())

    def ports(self) -> frozenset[int]:
        """The ports that live sessions have."""
        return frozenset(s.open_port for s in self.engine.live())


def _suggestion(name: str, sessions: Sequence[Session]) -> str:
    if not sessions:
        return "there are no sessions yet; sessionctl services lists what can be started"
    return f"sessionctl ls --all lists all {len(sessions)} of them" if name else "say which"
