"""What one look at a cluster tells: its jobs and the endpoints their services published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sessiond.core.ids import ClusterName, JobId, SessionId
from sessiond.core.session import Endpoint, Outcome, Phase, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """One job as its scheduler reports it. Times are UTC seconds by the workspace's clock.

    ``reason`` is in plain words. ``outcome`` and ``problem`` are set where ``phase`` is ENDED.
    """

    id: JobId
    phase: Phase
    nodes: tuple[str, ...] = ()
    reason: str = ""
    started: float | None = None
    ends_by: float | None = None
    expected_start: float | None = None
    restarts: int = 0
    outcome: Outcome | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A successful look at one cluster: everything of one instant.

    ``jobs`` holds every job that was listed; a session's job that is not in it was *not listed*, which proves
    nothing yet. ``endpoints`` holds what the sessions' own scripts published, ``failures`` what they gave up with.
    """

    cluster: ClusterName
    asked_at: float
    answered_at: float
    jobs: Mapping[JobId, JobReport] = field(default_factory=dict)
    endpoints: Mapping[SessionId, Endpoint] = field(default_factory=dict)
    failures: Mapping[SessionId, Problem] = field(default_factory=dict)
