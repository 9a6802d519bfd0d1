"""``/v1/sessions`` and ``/v1/plan``: starting, looking, stopping, forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import anyio
import msgspec
from aiohttp import web

from sessiond.api import wire
from sessiond.api.bodies import body_of
from sessiond.api.durations import duration_s
from sessiond.api.memory import Memory
from sessiond.api.service import Desk
from sessiond.api.starter import Starter
from sessiond.api.telling import Teller
from sessiond.core.errors import Conflict, Refused, RemoteError, SpecError
from sessiond.core.events import StopRequested
from sessiond.core.ids import SessionId
from sessiond.core.session import Session
from sessiond.core.table import WANTS, Want
from sessiond.runtime.folders import Folders
from sessiond.runtime.launch import Request
from sessiond.runtime.postmortem import PostMortems
from sessiond.store.store import Store

OFFSET_HEADER: Final = "Sessiond-Offset"
"""From which byte on a log is given, for those who asked for its end."""

_LOG_CHUNK = 256 * 1024
_FOLLOW_EVERY_S = 0.5
_FOLLOW_THERE_EVERY_S = 3.0
"""Over a connection each look is a command on the cluster."""
_SETTLE_S = 20.0
_FRESH_S = 20.0
"""How long a list waits for clusters to be looked at; one that cannot be is listed as it was last seen."""
_FRESH_LOOK_S = 0.1


class StartBody(msgspec.Struct, forbid_unknown_fields=True):
    """`wire.StartRequest`, checked."""

    service: str
    cluster: str = ""
    mode: str = ""
    name: str = ""
    set: dict[str, str] = msgspec.field(default_factory=dict)
    time: str = ""
    directives: list[str] = msgspec.field(default_factory=list)
    max_wait: str = ""
    again: bool = False

    def request(self) -> Request:
        """The same, as the runtime takes it. Raises SpecError."""
        return Request(
            service=self.service,
            cluster=self.cluster,
            mode=self.mode,
            name=self.name,
            settings=self.set,
            time=self.time,
            directives=tuple(self.directives),
            max_wait_s=_max_wait_s(self.max_wait),
            again=self.again,
        )


def _max_wait_s(text: str) -> float | None:
    return duration_s(text, option="--max-wait", example="30m, 2h or 1d") if text else None


class StopBody(msgspec.Struct, forbid_unknown_fields=True):
    """`wire.StopRequest`, checked."""

    force: bool = False


class SessionRoutes:
    """The handlers of everything below ``/v1/sessions``. ``settled`` waits until nothing is done for a session."""

    def __init__(
        self,
        desk: Desk,
        starter: Starter,
        store: Store,
        folders: Folders,
        settled: Callable[[SessionId], Awaitable[None]],
        postmortems: PostMortems,
    ) -> None:
        self.desk = desk
        self._starter = starter
        self._folders = folders
        self._postmortems = postmortems
        self._teller = Teller(desk, store, folders, postmortems)
        self._settled = settled
        self.memory = Memory(store, desk.catalogue, folders)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_get("/v1/sessions", self.list_all)
        router.add_post("/v1/sessions", self.start)
        router.add_post("/v1/plan", self.plan)
        router.add_post("/v1/workflows/fill", self.fill)
        router.add_get("/v1/sessions/{name}", self.show)
        router.add_delete("/v1/sessions/{name}", self.remove)
        router.add_post("/v1/sessions/{name}/stop", self.stop)
        router.add_post("/v1/sessions/{name}/again", self.again)
        router.add_get("/v1/sessions/{name}/rendered", self.rendered)
        # No HEAD: that would be answered with a stream.
        router.add_get("/v1/sessions/{name}/log", self.log, allow_head=False)
        router.add_get("/v1/sessions/{name}/story", self.story)
        router.add_get("/v1/sessions/{name}/bundle", self.bundle)

    async def list_all(self, request: web.Request) -> web.Response:
        """Live sessions, oldest first; with ``?all=1`` ended ones too, with ``?fresh=1`` as their clusters see them
        now."""
        everything = request.query.get("all", "") in ("1", "true")
        if request.query.get("fresh", "") in ("1", "true"):
            await self._look_afresh()
        chosen = [s for s in self.desk.engine.sessions.values() if everything or s.live]
        return web.json_response([self.desk.view(s) for s in sorted(chosen, key=lambda s: s.created)])

    async def _look_afresh(self) -> None:
        """Have every cluster with live sessions looked at as soon as its floor allows, and wait for that, not long."""
        asked_at = self.desk.clock.now()
        wanting = [s for s in self.desk.engine.live() if s.job is not None and Want.POLL in WANTS[s.state]]
        unseen = [(cluster, s) for s in wanting if (cluster := self.desk.clusters.by_name.get(s.spec.cluster))]
        for cluster, session in unseen:
            cluster.poke(session)
        with anyio.move_on_after(_FRESH_S):
            while unseen:
                await self.desk.clock.sleep(_FRESH_LOOK_S)
                unseen = [(c, s) for c, s in unseen if c.reachable and (c.observed_at(s) or 0.0) < asked_at]
            await self.desk.clock.sleep(_FRESH_LOOK_S)  # what was seen is told to the engine, which takes it up soon

    async def start(self, request: web.Request) -> web.Response:
        """Start a session: 201 with it as it is at once, in state render."""
        body = await body_of(request, StartBody)
        session = await self._starter.start(body.request())
        return web.json_response(self.desk.view(session), status=201)

    async def again(self, request: web.Request) -> web.Response:
        """Start one like an ended session, under its name if that is free: 201. Secrets are not remembered."""
        session = self._named(request)
        if session.live:
            raise Conflict(f"{session.name} is not over", hint=f"stop it first: sessionctl stop {session.name}")
        said = self.memory.of(session)
        if said is None:
            raise Refused(
                f"what was said when {session.name} was started is not known any more", hint="start it with its form"
            )
        like = Request(
            service=session.spec.workflow,
            cluster=said.cluster,
            mode=said.mode,
            name="" if session.name in self.desk.names() else session.name,
            time=said.time,
            directives=said.directives,
            max_wait_s=said.max_wait_s,
            remembered=said.settings,
        )
        return web.json_response(self.desk.view(await self._starter.start(like)), status=201)

    async def rendered(self, request: web.Request) -> web.Response:
        """The scripts as they were sent, without secrets."""
        session = self._named(request)
        found = await asyncio.to_thread(self._folders.rendered, session.id)
        answer: wire.Rendered = {
            "folder": session.spec.jobdir,
            "files": {path: content.decode(errors="replace") for path, content in found.items()},
        }
        return web.json_response(answer)

    async def plan(self, request: web.Request) -> web.Response:
        """What a start would do."""
        body = await body_of(request, StartBody)
        return web.json_response(await self._starter.plan(body.request()))

    async def fill(self, request: web.Request) -> web.Response:
        """What a form asks for with the values there are, and what is wrong with them."""
        body = await body_of(request, StartBody)
        return web.json_response(self._starter.fill(body.request()))

    async def show(self, request: web.Request) -> web.Response:
        """One session."""
        return web.json_response(self.desk.view(self._named(request)))

    async def stop(self, request: web.Request) -> web.Response:
        """Stop a session; answers at once, 202. Stopping what has ended changes nothing."""
        body = await body_of(request, StopBody, empty=StopBody())
        session = self._named(request)
        if session.live:
            session = await self.desk.engine.ask(session.id, StopRequested(force=body.force))
        return web.json_response(self.desk.view(session), status=202)

    async def remove(self, request: web.Request) -> web.Response:
        """Forget an ended session: its history, its folder here, its folder where it ran."""
        session = self._named(request)
        if session.live:
            raise Conflict(f"{session.name} is not over", hint=f"stop it first: sessionctl stop {session.name}")
        # Cleaning up beside the forgetting would put files back.
        with anyio.move_on_after(_SETTLE_S):
            await self._settled(session.id)
        try:
            await self.desk.clusters.of(session).performer.forget(session)
        except RemoteError as error:
            raise Conflict(
                f"the folder of {session.name} could not be removed: {error.message}", hint=error.hint
            ) from error
        await self._postmortems.stop(session.id)
        try:
            await self.desk.engine.remove(session.id)
        finally:
            # A client that has left meanwhile is no reason to keep what nobody can forget any more; a thread that has
            # not begun would be cancelled with the client.
            if session.id not in self.desk.engine.sessions:
                removing = asyncio.get_running_loop().run_in_executor(None, self._folders.remove, session.id)
                await asyncio.shield(removing)
        return web.Response(status=204)

    async def story(self, request: web.Request) -> web.Response:
        """Everything that happened to a session, in words."""
        return web.json_response(await self._teller.story(self._named(request)))

    async def bundle(self, request: web.Request) -> web.Response:
        """Everything for somebody who is to help, without secrets."""
        return web.json_response(await self._teller.bundle(self._named(request)))

    async def log(self, request: web.Request) -> web.StreamResponse:
        """The session's own output from ``offset`` (from the end where negative); with ``follow=1`` until it ends."""
        session = self._named(request)
        offset = _integer(request, "offset")
        follow = request.query.get("follow", "") in ("1", "true")
        size = await self._size(session)
        begin = offset if offset >= 0 else max(0, size + offset)
        headers = {"Content-Type": "application/octet-stream", OFFSET_HEADER: str(begin)}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if size == 0 and not session.live:
            # The folder where it ran is gone or cannot be reached: there is the end that was kept here.
            kept = self._folders.log_tail(session.id)
            await response.write(kept[offset:] if abs(offset) < len(kept) else kept)
        else:
            async for chunk in self._log_chunks(session, begin, follow=follow):
                await response.write(chunk)
        await response.write_eof()
        return response

    async def _log_chunks(self, session: Session, offset: int, *, follow: bool) -> AsyncIterator[bytes]:
        while True:
            over = not self._is_live(session)
            chunk = await self._read(session, offset, _LOG_CHUNK)
            if chunk:
                offset += len(chunk)
                yield chunk
            elif over or not follow:
                return
            else:
                await self.desk.clock.sleep(self._follow_every_s(session))

    def _follow_every_s(self, session: Session) -> float:
        cluster = self.desk.clusters.by_name.get(session.spec.cluster)
        return _FOLLOW_EVERY_S if cluster is not None and cluster.keeper is None else _FOLLOW_THERE_EVERY_S

    def _is_live(self, session: Session) -> bool:
        found = self.desk.engine.sessions.get(session.id)
        return found is not None and found.live

    async def _read(self, session: Session, offset: int, limit: int) -> bytes:
        try:
            return await self.desk.clusters.of(session).transport.read(_log_path(session), offset, limit)
        except RemoteError:
            return b""

    async def _size(self, session: Session) -> int:
        """Where the log ends now; 0 where that cannot be asked."""
        try:
            return await self.desk.clusters.of(session).transport.size(_log_path(session))
        except RemoteError:
            return 0

    def _named(self, request: web.Request) -> Session:
        return self.desk.resolve(request.match_info["name"])


def _log_path(session: Session) -> str:
    return f"{session.spec.jobdir}/logs.out"


def _integer(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    try:
        return int(text)
    except ValueError:
        raise SpecError(f'{name}: expected a whole number, got "{text[:40]}"') from None
