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
    nothing yet, and nothing at all where the listing is not ``whole``. ``endpoints`` holds what the sessions' own
    scripts published, ``failures`` what they gave up with.
    """

    cluster: ClusterName
    asked_at: float
    answered_at: float
    whole: bool = True
    jobs: Mapping[JobId, JobReport] = field(default_factory=dict)
    endpoints: Mapping[SessionId, Endpoint] = field(default_factory=dict)
    failures: Mapping[SessionId, Problem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one program said, ``asked`` being how it was called."""

    asked: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the execution host knows of a session's job once it is over, or so far.

    ``status`` and ``reason`` are of the exit record its script left, ``failure`` is its script's own word. ``words``
    are the scheduler's, ``version`` is which scheduler it is; ``peak_memory`` is in bytes, None where nobody measured
    it. ``missing`` says, a sentence each, what could not be had. ``lagging``: accounting has not heard of the end yet.
    """

    status: int | None = None
    reason: str = ""
    failure: str = ""
    words: tuple[Words, ...] = ()
    version: str = ""
    peak_memory: int | None = None
    missing: tuple[str, ...] = ()
    lagging: bool = False
