"""``/v1/clusters/{name}/check``: everything that can be wrong with a cluster."""

from __future__ import annotations

from aiohttp import web

from sessiond.api.reach import SSH_PORT
from sessiond.api.service import Desk
from sessiond.api.wire_clusters import Check
from sessiond.config.model import Scheduler, Ssh
from sessiond.core.errors import NotFound, printable
from sessiond.core.ids import ClusterName
from sessiond.core.spec import Mode
from sessiond.runtime.checkup import Checkup

_IN_JOBS = frozenset({Mode.SLURM, Mode.PBS})


class CheckRoutes:
    """The handler of a cluster's check."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the route."""
        router.add_post("/v1/clusters/{name}/check", self.check)

    async def check(self, request: web.Request) -> web.Response:
        """Look at the cluster now; takes from a second to minutes."""
        name = ClusterName(request.match_info["name"])
        desk = self._desk
        cluster = desk.clusters.by_name.get(name)
        if cluster is None:
            raise NotFound(f"there is no cluster called {printable(name)}", hint="sessionctl clusters lists them")
        settings = desk.settings(name)
        reached = settings.transport if settings is not None and isinstance(settings.transport, Ssh) else None
        on_it = [s for s in desk.engine.sessions.values() if s.spec.cluster == name]
        checkup = Checkup(
            cluster.transport,
            desk.clock,
            scheduler=(settings.scheduler if settings is not None else Scheduler.NONE).value,
            workdir=settings.workdir if settings is not None else "~",
            setup=settings.setup if settings is not None else "",
            ssh_port=(reached.port or SSH_PORT) if reached is not None else None,
            ours=frozenset(s.tag for s in on_it),
            proved_shared=any(s.endpoint is not None and s.spec.mode in _IN_JOBS for s in on_it),
        )
        answer: list[Check] = [
            {"what": one.what, "ok": one.grade.value, "finding": one.text, "remedy": one.remedy}
            for one in await checkup.run()
        ]
        return web.json_response(answer)
