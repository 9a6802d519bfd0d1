"""The words of the API about the daemon and its dashboard. As `wire`: types, with no imports but of each other."""

from __future__ import annotations

from typing import TypedDict

from sessiond.api.wire_clusters import Cluster


class DashboardLink(TypedDict):
    """Where the dashboard opens, once, within ``expires_in_s`` seconds."""

    url: str
    expires_in_s: float


class DashboardKey(TypedDict):
    """The body of ``POST /v1/dashboard/enter``: what stands behind ``#key=`` in a link."""

    key: str


class DashboardToken(TypedDict):
    """What a page is known by from then on: its requests say ``Authorization: Bearer`` and this."""

    token: str


class Status(TypedDict):
    """The daemon in one screen. ``sessions`` counts them by state; ``warnings`` are things to know about."""

    version: str
    pid: int
    started: str
    sessions: dict[str, int]
    clusters: list[Cluster]
    gateway: str | None
    state_dir: str
    socket: str
    config: str
    warnings: list[str]


class Reloaded(TypedDict):
    """What a re-read configuration changed, in words; ``restart`` lists what needs a restart to take effect."""

    changed: list[str]
    restart: list[str]
