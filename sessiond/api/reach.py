"""What reaches a session beyond its service: a stream to a port of its node, what ssh needs, more walltime."""

from __future__ import annotations

import re

import msgspec
from aiohttp import web

from sessiond.api import wire
from sessiond.api.bodies import body_of
from sessiond.api.durations import duration_s
from sessiond.api.service import Desk
from sessiond.api.takeover import take_over
from sessiond.config.model import Ssh
from sessiond.core.errors import Conflict, NeedsLogin, NotSent, RemoteError, SessiondError, SpecError, printable
from sessiond.core.session import Endpoint, Session
from sessiond.core.spec import Mode

SSH_PORT = 22
_HERE = "127.0.0.1"
_JOBLESS = frozenset({Mode.LOCAL, Mode.CONTROLLER})


class ExtendBody(msgspec.Struct, forbid_unknown_fields=True):
    """`wire.ExtendRequest`, checked."""

    by: str


class ReachRoutes:
    """The handlers of ``extend``, ``proxy`` and ``ssh`` below a session."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_post("/v1/sessions/{name}/extend", self.extend)
        router.add_get("/v1/sessions/{name}/ssh", self.ssh)
        # No HEAD: that would be answered with a stream.
        router.add_get("/v1/sessions/{name}/proxy", self.proxy, allow_head=False)

    async def extend(self, request: web.Request) -> web.Response:
        """Ask the session's scheduler for more walltime; answers with what it granted, in its words."""
        by_s = duration_s((await body_of(request, ExtendBody)).by)
        session = self._live(request)
        if session.job is None and session.spec.mode not in _JOBLESS:
            raise Conflict(
                f"{session.name} has no job yet that could be extended",
                hint="its walltime is what `sessionctl start --time` says",
            )
        try:
            said = await self._desk.clusters.of(session).performer.extend(session, by_s)
        except RemoteError as error:
            raise unreachable(error) from error
        self._desk.clusters.poke(session)
        answer: wire.Extended = {"text": said, "session": self._desk.view(session)}
        return web.json_response(answer)

    async def proxy(self, request: web.Request) -> web.StreamResponse:
        """A stream to a port of the session's node: 101, then bytes both ways."""
        port = _port(request.query.get("port", str(SSH_PORT)))
        session = self._live(request)
        if request.headers.get("Upgrade", "").lower() != "tcp":
            raise SessiondError(
                "a stream is asked for with the headers Connection: Upgrade and Upgrade: tcp", code="bad-request"
            )
        # Where the way leads over an SSH connection to the node itself, its keys are those that the session found.
        host_keys = session.endpoint.host_keys if session.endpoint is not None else ()
        target = Endpoint(run="", host=node_of(session), port=port, host_keys=host_keys)
        try:
            far = await self._desk.clusters.of(session).transport.connect(target)
        except RemoteError as error:
            raise unreachable(error) from error
        with self._desk.engine.idleness.visit(session.id) as carried:
            return await take_over(request, far, carried)

    async def ssh(self, request: web.Request) -> web.Response:
        """What a program needs to log in where the session runs."""
        session = self._live(request)
        try:
            self._desk.clusters.of(session)
        except RemoteError as error:
            raise unreachable(error) from error
        settings = self._desk.settings(session.spec.cluster)
        reached = settings.transport if settings is not None and isinstance(settings.transport, Ssh) else None
        node = node_of(session)
        endpoint = session.endpoint
        answer: wire.SshAccess = {
            "id": session.id,
            "name": session.name,
            "cluster": session.spec.cluster,
            "mode": session.spec.mode.value,
            "host": reached.host if reached is not None else None,
            "port": reached.port if reached is not None else None,
            "user": reached.user if reached is not None else None,
            "node": None if session.spec.mode in _JOBLESS else node,
            "identity_files": list(reached.identity_files) if reached is not None else [],
            "known_hosts": reached.known_hosts if reached is not None else None,
            "host_keys": list(endpoint.host_keys) if endpoint is not None else [],
            "folder": session.spec.jobdir,
        }
        return web.json_response(answer)

    def _live(self, request: web.Request) -> Session:
        session = self._desk.resolve(request.match_info["name"])
        if not session.live:
            raise Conflict(f"{session.name} has ended", hint=f"sessionctl why {session.name} tells its story")
        return session


def node_of(session: Session) -> str:
    """The host where a session runs, as its cluster's transport reaches it. Raises Conflict where there is none yet."""
    if session.spec.mode in _JOBLESS:
        return _HERE
    if session.job is None or not session.job.nodes:
        raise Conflict(
            f"{session.name} waits for a node: there is no host yet to connect to",
            hint=f"sessionctl wait {session.name} --for start waits for it",
        )
    return session.job.nodes[0]


def unreachable(error: RemoteError) -> SessiondError:
    """A failure between us and a cluster, as the API tells it: what only a login cures keeps its own code."""
    if isinstance(error, NeedsLogin):
        return error
    hint = error.hint
    if not hint and not isinstance(error, NotSent):
        hint = "whether it was done is not known: look before asking again"
    return RemoteError(error.message, hint=hint, code="unreachable")


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 0 < int(text) < 65536:
        raise SpecError(f'port: expected a number from 1 to 65535, got "{printable(text, 20)}"')
    return int(text)
