"""``/v1/clusters``: where sessions can run, the links there, and a person's login and logout."""

from __future__ import annotations

import json

import msgspec
from aiohttp import web

from sessiond.api import wire_clusters
from sessiond.api.bodies import body_of
from sessiond.api.service import Desk
from sessiond.api.views import problem_view, rfc3339
from sessiond.core.errors import NotFound, Refused, printable
from sessiond.core.ids import ClusterName
from sessiond.core.link import LinkState
from sessiond.core.status import Severity, Status, describe_link
from sessiond.runtime.cluster import Cluster
from sessiond.runtime.link import LinkKeeper
from sessiond.runtime.login import Asked, LoggedIn, Logins, Said


class AnswersBody(msgspec.Struct, forbid_unknown_fields=True):
    """`wire_clusters.LoginAnswers`, checked. What people answer is in no repr."""

    answers: list[str]

    def __repr__(self) -> str:
        return f"AnswersBody({len(self.answers)} answers)"


class ClusterRoutes:
    """The handlers of the clusters and their links."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._logins = Logins()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_get("/v1/clusters", self.list_all)
        router.add_post("/v1/clusters/{name}/login", self.login)
        router.add_post("/v1/clusters/{name}/login/{id}", self.answer)
        router.add_post("/v1/clusters/{name}/logout", self.logout)

    async def list_all(self, _request: web.Request) -> web.Response:
        """Where sessions can run, and how it stands with the way there."""
        return web.json_response([cluster_view(c, self._desk) for c in self._desk.clusters.by_name.values()])

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Log in, with the caller there to answer: one JSON line a round of questions, then ``up`` or ``failed``.

        Whoever closes the stream before abandons the login.
        """
        name, keeper = self._keeper(request)
        with self._logins.begin(name) as login:
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            await response.prepare(request)
            await response.write(b"\n")  # the answer begins now, however long the host takes

            async def say(said: Said) -> None:
                line = json.dumps(_login_event(said), ensure_ascii=False, separators=(",", ":"))
                await response.write(line.encode() + b"\n")

            await login.run(keeper, say)
        await response.write_eof()
        return response

    async def answer(self, request: web.Request) -> web.Response:
        """The answers to a round of questions. 204; what comes of them is told on the login's own stream."""
        name, _ = self._keeper(request)
        body = await body_of(request, AnswersBody)
        self._logins.of(name).answer(request.match_info["id"], body.answers)
        return web.Response(status=204)

    async def logout(self, request: web.Request) -> web.Response:
        """Drop the link; it stays down until somebody logs in again. The cluster as it is afterwards."""
        name, keeper = self._keeper(request)
        keeper.logout()
        return web.json_response(cluster_view(self._desk.clusters.by_name[name], self._desk))

    def _keeper(self, request: web.Request) -> tuple[ClusterName, LinkKeeper]:
        """The cluster of the request and the keeper of its link. Raises NotFound, Refused."""
        name = ClusterName(request.match_info["name"])
        cluster = self._desk.clusters.by_name.get(name)
        if cluster is None:
            raise NotFound(f"there is no cluster called {printable(name)}", hint="sessionctl clusters lists them")
        if cluster.keeper is None:
            raise Refused(
                f"{name} is this machine: there is nothing to log in to", hint="sessionctl clusters lists them"
            )
        return name, cluster.keeper


def cluster_view(cluster: Cluster, desk: Desk) -> wire_clusters.Cluster:
    """A cluster as the API shows it."""
    now = desk.clock.now()
    observed = cluster.observed_at()
    return {
        "name": cluster.name,
        "scheduler": cluster.scheduler,
        "host": cluster.host,
        "link": _link_view(cluster, desk, now),
        "observed_age_s": None if observed is None else round(max(0.0, now - observed), 3),
        "looks": cluster.looks,
        "commands": cluster.commands,
    }


def _link_view(cluster: Cluster, desk: Desk, now: float) -> wire_clusters.ClusterLink:
    link = cluster.link
    if link is None:
        return {
            "state": "up",
            "since": rfc3339(desk.started),
            "attempts": 0,
            "phrase": "this machine",
            "next": "",
            "severity": "ok",
            "problem": None,
        }
    status = describe_link(link, now)
    trouble = cluster.trouble()
    if link.state is LinkState.UP and trouble is not None:
        phrase = f"{status.phrase}, but its jobs cannot be seen: {trouble.message}"
        status = Status(phrase=phrase, next=trouble.hint or "it is tried again by itself", severity=Severity.ATTENTION)
    return {
        "state": link.state.value,
        "since": rfc3339(link.since),
        "attempts": link.attempts,
        "phrase": status.phrase,
        "next": status.next,
        "severity": status.severity.value,
        "problem": problem_view(link.problem),
    }


def _login_event(said: Said) -> wire_clusters.LoginEvent:
    match said:
        case Asked(id=round_id, prompt=prompt, expires_in_s=left):
            return {
                "kind": "prompt",
                "id": round_id,
                "title": prompt.title,
                "instructions": prompt.instructions,
                "questions": [{"text": q.text, "echo": q.echo} for q in prompt.questions],
                "expires_in_s": left,
            }
        case LoggedIn():
            return {"kind": "up"}
        case _:
            problem = said.problem
            return {
                "kind": "failed",
                "problem": {"code": problem.code, "message": problem.message, "hint": problem.hint},
            }
