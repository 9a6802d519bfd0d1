"""Starting a session for a person: resolve, take a port, ask its url.sh, and hand it to the engine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace

from sessiond.api import wire, wire_forms
from sessiond.api.memory import Memory
from sessiond.api.service import Desk
from sessiond.core.errors import Refused, RemoteError, SessiondError, SpecError
from sessiond.core.ids import ClusterName
from sessiond.core.licence import tell
from sessiond.core.session import Session
from sessiond.remote.transport import Transport
from sessiond.render import mask
from sessiond.render.bundle import bundle
from sessiond.render.ports import takes_open_port
from sessiond.render.url import landing, read_urlend, url_command
from sessiond.runtime.folders import Folders
from sessiond.runtime.launch import Place, Request, form_seen, new_session
from sessiond.runtime.listener import Listener, reserve
from sessiond.runtime.standing import StandingWork
from sessiond.store.store import Store


class Starter:
    """Makes sessions. ``here`` runs url.sh, which is evaluated in the workspace whatever the cluster."""

    def __init__(
        self,
        desk: Desk,
        store: Store,
        standing: StandingWork,
        here: Transport,
        lib: Mapping[str, bytes],
        ports: tuple[int, int],
        places: Callable[[], Mapping[ClusterName, Place]],
        folders: Folders,
    ) -> None:
        self._desk = desk
        self._store = store
        self._standing = standing
        self._here = here
        self._lib = lib
        self._ports = ports
        self._places = places
        self.memory = Memory(store, desk.catalogue, folders)
        self._making: set[str] = set()
        """The names of those that are being made: two that begin at the same moment must not choose the same."""

    async def start(self, request: Request) -> Session:
        """Begin a session. Nothing is left behind where it is refused."""
        request = self.memory.recalled(request)
        self._resolved(request, number=0, port=self._ports[0])  # every refusal that needs no port comes first
        listener = await self._port()
        mine = True
        try:
            session = self._resolved(request, number=self._store.next_number(), port=listener.port)
            self._making.add(session.name)
            try:
                session = await self._with_url(session)
                self._files(session)  # what cannot be rendered is refused now, not later
                self._standing.hand_over(listener)
                mine = False
                session = await self._desk.engine.create(session)
                self.memory.keep(request, session)
                return session
            finally:
                self._making.discard(session.name)
        except BaseException:
            # A client that leaves at the wrong moment is not told that its session was begun. The listener is its
            # door by then, and is not to be taken back any more.
            if mine:
                listener.close()
            else:
                self._standing.take_back(listener)
            raise

    def fill(self, request: Request) -> wire_forms.Filling:
        """A workflow's form as a person sees it with what the request says; nothing is begun."""
        sight = form_seen(self.memory.recalled(request), self._desk.catalogue(), self._places())
        return {
            "mode": sight.mode.value if sight.mode is not None else None,
            "fields": [
                {
                    "name": one.param.dotted,
                    "value": "" if one.param.secret else one.text,
                    "options": [{"value": o.value, "label": o.label or o.value, "when": ""} for o in one.options],
                }
                for one in sight.fields
            ],
            "problems": list(sight.problems),
        }

    async def plan(self, request: Request) -> wire.Plan:
        """What `start` would do, with nothing done: the port is the first that is free now."""
        request = self.memory.recalled(request)
        listener = await self._port()
        try:
            session = await self._with_url(self._resolved(request, number=0, port=listener.port))
        finally:
            listener.close()
        dialect = self._desk.clusters.of(session).performer.dialect(session)
        files = {
            path: masked(content.decode(errors="replace"), session)
            for path, content in self._files(session).items()
            if not path.startswith("service/")
        }
        url = self._desk.address(session)
        return {
            "service": session.spec.service.name,
            "cluster": session.spec.cluster,
            "mode": session.spec.mode.value,
            "folder": session.spec.jobdir,
            "files": files,
            "submit": dialect.command(session),
            "scheduler": await self._rehearsed(session),
            "ports": {"openPort": str(session.open_port), "servicePort": _service_port(session)},
            "licences": "" if session.spec.licence is None else tell(session.spec.licence, session.spec.mode),
            "url": masked(url, session),
        }

    def _files(self, session: Session) -> Mapping[str, bytes]:
        """Everything that would lie in the session's folder. Raises SpecError."""
        dialect = self._desk.clusters.of(session).performer.dialect(session)
        return dialect.files(session, bundle(session, self._lib))

    async def _rehearsed(self, session: Session) -> str:
        try:
            return await self._desk.clusters.of(session).performer.rehearse(session)
        except RemoteError as error:
            return f"not asked: {error.message}"
        except Refused as error:
            return f"{error.message}. {error.hint}" if error.hint else error.message

    def _resolved(self, request: Request, *, number: int, port: int) -> Session:
        return new_session(
            request,
            self._desk.catalogue(),
            self._places(),
            now=self._desk.clock.now(),
            number=number,
            open_port=port,
            taken=self._desk.names() | self._making,
        )

    async def _port(self) -> Listener:
        first, last = self._ports
        return await reserve(first, last, self._desk.ports(), first + secrets.randbelow(last - first + 1))

    async def _with_url(self, session: Session) -> Session:
        """The session with what its service's url.sh says. Raises SpecError where that cannot be used."""
        url_sh = session.spec.service.file("url.sh")
        if url_sh is None:
            return session
        name = session.spec.service.name
        try:
            done = await self._here.run(url_command(session, url_sh.content))
            urlend = read_urlend(done)
            landing(urlend, "/me/0", "localhost", 0)
        except (RemoteError, SpecError) as error:
            raise _bad_url(name, error) from error
        return replace(session, spec=replace(session.spec, urlend=urlend))


def _bad_url(service: str, error: SessiondError) -> SpecError:
    return SpecError(
        f"the url.sh of {service} does not give a place to land: {error.message}", hint=error.hint, code="refused"
    )


def _service_port(session: Session) -> str:
    if takes_open_port(session.spec.service):
        return session.spec.params.get("servicePort") or str(session.open_port)
    return session.spec.params.get("servicePort") or "chosen where the service runs, from 6000 to 9000"


def masked(text: str, session: Session) -> str:
    """``text`` without the values of the session's secrets, as they are and as shell words spell them."""
    return mask.masked(text, session.spec.secrets.values())
