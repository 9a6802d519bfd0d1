"""A session: one run of one service, and everything known about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sessiond.core.ids import ClusterName, JobId, JobTag, SessionId, tag_of
from sessiond.core.spec import LaunchSpec


class State(StrEnum):
    """Where a session is in its life. The values are stable: they are stored and shown."""

    RENDER = "render"
    SUBMIT = "submit"
    RECONCILE = "reconcile"
    ABANDON = "abandon"
    WAIT_FOR_NODE = "wait-for-node"
    START = "start"
    TUNNEL = "tunnel"
    RUNNING = "running"
    VERIFY = "verify"
    KILL = "kill"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a session ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REJECTED = "rejected"
    WALLTIME = "walltime"
    NODE_FAILED = "node-failed"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out-of-memory"
    IDLE = "idle"
    LOST = "lost"


class Phase(StrEnum):
    """A job as its scheduler sees it, in words common to all schedulers."""

    QUEUED = "queued"
    HELD = "held"
    CONFIGURING = "configuring"
    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPLETING = "completing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRef:
    """The job that carries a session, as last reported. Times are UTC seconds, None where unknown. ``allowed_s`` is the
    longest walltime that this run of it was ever said to have."""

    id: JobId
    cluster: ClusterName
    attempt: int
    phase: Phase
    nodes: tuple[str, ...] = ()
    reason: str = ""
    submitted: float | None = None
    started: float | None = None
    ends_by: float | None = None
    expected_start: float | None = None
    restarts: int = 0
    allowed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the service listens on its execution host, as its own script published it.

    ``run`` names the run of the job that published it: what an earlier run wrote is not ours. ``host`` is a loopback
    address where it runs on the very host that the transport reaches, else the name of a compute node. With ``path``
    it listens on that Unix socket there, and ``port`` means nothing. ``host_keys`` are the SSH host keys of ``host``
    as its session found them there, each ``TYPE BASE64``.
    """

    run: str
    host: str
    port: int = 0
    scheme: str = "http"
    path: str = ""
    host_keys: tuple[str, ...] = ()


NO_ROOM: Final = "disk-full"
"""The code of a problem that is a full disk, or a quota that is used up."""

STILL_THERE: Final = "job-still-there"
"""The code of a problem that a scheduler's list lacks a job which that scheduler, asked for it alone, still has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The last thing that went wrong, in words. ``at`` is UTC seconds."""

    code: str
    message: str
    hint: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session. Changed only by `sessiond.core.machine.step`, one transition at a time.

    ``open_port`` is where it is reached in the workspace, for its whole life. ``ending`` is why we are ending it,
    where that was our decision; ``outcome`` is set once, with ENDED. ``retry_at``, ``ready_at`` (the service first
    answered), ``idle_ends_by`` (it is ended then unless somebody uses it) and ``ended_at`` are UTC seconds.
    ``version`` grows by one with every transition.
    """

    id: SessionId
    name: str
    number: int
    spec: LaunchSpec
    open_port: int
    created: float
    state: State
    since: float
    version: int = 0
    attempt: int = 0
    job: JobRef | None = None
    endpoint: Endpoint | None = None
    ending: Outcome | None = None
    outcome: Outcome | None = None
    force: bool = False
    retries: int = 0
    retry_at: float | None = None
    problem: Problem | None = None
    ready_at: float | None = None
    idle_ends_by: float | None = None
    ended_at: float | None = None

    @property
    def tag(self) -> JobTag:
        """The job name that marks this session on its cluster."""
        return tag_of(self.id)

    @property
    def live(self) -> bool:
        """Whether the session is not over."""
        return self.state is not State.ENDED
