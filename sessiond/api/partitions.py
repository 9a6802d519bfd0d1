"""``/v1/clusters/{name}/partitions``: what there is to choose from on a cluster, and what to know about a choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from aiohttp import web

from sessiond.api.service import Desk
from sessiond.api.wire_clusters import Partitions
from sessiond.core.errors import NotFound, SpecError, printable
from sessiond.core.ids import ClusterName
from sessiond.core.partitions import about_choice, about_time, in_words, usual
from sessiond.runtime.choices import Known
from sessiond.runtime.cluster import Cluster
from sessiond.runtime.resources import QUEUE, walltime_s


class PartitionRoutes:
    """The handlers of a cluster's partitions or queues."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_get("/v1/clusters/{name}/partitions", self.look)
        router.add_post("/v1/clusters/{name}/partitions", self.ask)

    async def look(self, request: web.Request) -> web.Response:
        """What is known now, at once; the cluster is asked meanwhile where that is due and there is a way to it."""
        cluster = self._cluster(request)
        return web.json_response(self._view(cluster, cluster.choices.look(), request.query))

    async def ask(self, request: web.Request) -> web.Response:
        """What is known once the cluster was asked: a way to it is made if there is none. Takes up to two minutes."""
        cluster = self._cluster(request)
        return web.json_response(self._view(cluster, await cluster.choices.ask(), request.query))

    def _cluster(self, request: web.Request) -> Cluster:
        """The cluster of the request. Raises NotFound."""
        name = ClusterName(request.match_info["name"])
        found = self._desk.clusters.by_name.get(name)
        if found is None:
            raise NotFound(f"there is no cluster called {printable(name)}", hint="sessionctl clusters lists them")
        return found

    def _view(self, cluster: Cluster, known: Known, query: Mapping[str, str]) -> Partitions:
        """What is known, and what is to be said of a person's choice: ``partition``, ``time`` as ``--time`` has it,
        ``walltime`` as the scheduler has it. Where they choose nothing the usual is meant."""
        kind = cluster.choices.kind
        partitions = known.partitions or ()
        usually = self._default(cluster.name, *QUEUE) or usual(partitions)
        chosen = query.get("partition", "").strip() or usually
        asked_s = cluster.choices.walltime_s(query.get("walltime", ""))
        if asked_s is None:
            asked_s = _time_s(query.get("time", "").strip() or self._default(cluster.name, "time"))
        problem = known.problem
        return {
            "kind": cast('Literal["partition", "queue", ""]', kind),
            "known": known.partitions is not None,
            "asking": known.asking,
            "age_s": None if known.at is None else round(max(0.0, self._desk.clock.now() - known.at), 3),
            "usual": usually,
            "partitions": [
                {
                    "name": one.name,
                    "default": one.is_default,
                    "takes": one.takes,
                    "starts": one.starts,
                    "longest_s": one.longest_s,
                    "nodes": one.nodes,
                    "text": in_words(one),
                }
                for one in partitions
            ],
            "code": "" if problem is None else problem.code,
            "why": "" if problem is None else problem.message,
            "hint": "" if problem is None else problem.hint,
            "remarks": {
                "partition": about_choice(partitions, chosen, kind) if partitions else "",
                "time": about_time(partitions, chosen, asked_s),
            },
        }

    def _default(self, name: ClusterName, *keys: str) -> str:
        """What the configuration says where a person says nothing; empty where that is nothing, too."""
        settings = self._desk.settings(name)
        defaults = settings.defaults if settings is not None else {}
        return next((defaults[key] for key in sorted(keys) if defaults.get(key)), "")


def _time_s(text: str) -> int | None:
    """Seconds of a walltime; what is none is complained of where it is given."""
    try:
        return walltime_s(text)
    except SpecError:
        return None
