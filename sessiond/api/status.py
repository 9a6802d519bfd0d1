"""The daemon itself, its clusters and figures; and re-reading its configuration."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from sessiond import __version__
from sessiond.api import wire_clusters, wire_daemon
from sessiond.api.clusters import cluster_view
from sessiond.api.service import Desk
from sessiond.api.views import rfc3339
from sessiond.core.session import State


class StatusRoutes:
    """The handlers of everything that is not about one session. ``reload`` re-reads the configuration."""

    def __init__(
        self,
        desk: Desk,
        *,
        state_dir: Path,
        socket_path: Path,
        config_file: Path,
        reload: Callable[[], Awaitable[wire_daemon.Reloaded]],
    ) -> None:
        self._desk = desk
        self._state_dir = state_dir
        self._socket_path = socket_path
        self._config_file = config_file
        self._reload = reload

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_get("/v1/status", self.status)
        router.add_post("/v1/reload", self.reload)
        router.add_get("/v1/metrics", self.metrics)

    async def status(self, _request: web.Request) -> web.Response:
        """The daemon in one screen."""
        desk = self._desk
        herald = desk.herald.problem if desk.herald is not None else None
        now = [problem for problem in (herald, desk.engine.full) if problem is not None]
        answer: wire_daemon.Status = {
            "version": __version__,
            "pid": os.getpid(),
            "started": rfc3339(desk.started),
            "sessions": dict(Counter(s.state.value for s in desk.engine.sessions.values())),
            "clusters": self._clusters(),
            "gateway": desk.gateway,
            "state_dir": str(self._state_dir),
            "socket": str(self._socket_path),
            "config": str(self._config_file),
            "warnings": [*desk.warnings, *now],
        }
        return web.json_response(answer)

    def _clusters(self) -> list[wire_clusters.Cluster]:
        return [cluster_view(cluster, self._desk) for cluster in self._desk.clusters.by_name.values()]

    async def reload(self, _request: web.Request) -> web.Response:
        """Read the configuration and the services' folders again: all of it or nothing."""
        return web.json_response(await self._reload())

    async def metrics(self, _request: web.Request) -> web.Response:
        """Figures in Prometheus' text format."""
        return web.Response(text=self._metrics(), content_type="text/plain")

    def _metrics(self) -> str:
        desk = self._desk
        states = Counter(s.state for s in desk.engine.sessions.values())
        outcomes = Counter(s.outcome for s in desk.engine.sessions.values() if s.outcome is not None)
        lines = ["# HELP sessiond_sessions Sessions by state.", "# TYPE sessiond_sessions gauge"]
        lines += [f'sessiond_sessions{{state="{state}"}} {states[state]}' for state in State]
        lines += ["# HELP sessiond_ended Ended sessions by outcome.", "# TYPE sessiond_ended gauge"]
        lines += [f'sessiond_ended{{outcome="{outcome}"}} {count}' for outcome, count in sorted(outcomes.items())]
        lines += ["# HELP sessiond_commands_total Commands run on a cluster.", "# TYPE sessiond_commands_total counter"]
        lines += [f'sessiond_commands_total{{cluster="{c["name"]}"}} {c["commands"]}' for c in self._clusters()]
        lines += [
            "# HELP sessiond_gateway_bytes_total Bytes the gateway carried.",
            "# TYPE sessiond_gateway_bytes_total counter",
        ]
        lines += [f'sessiond_gateway_bytes_total{{direction="to-services"}} {desk.to_services}']
        lines += [f'sessiond_gateway_bytes_total{{direction="from-services"}} {desk.from_services}']
        lines += [
            "# HELP sessiond_faults_total Letters that could not be handled.",
            "# TYPE sessiond_faults_total counter",
        ]
        lines += [f"sessiond_faults_total {desk.engine.faults}"]
        return "\n".join(lines) + "\n"
