"""The words of the API about clusters. As `wire`: types, with no imports but of each other."""

from __future__ import annotations

from typing import Literal, TypedDict

from sessiond.api.wire import Problem


class ClusterLink(TypedDict):
    """The connection to a cluster, with everything that is known about it.

    ``attempts`` counts the times its login node was called. ``phrase``, ``next`` and ``severity`` are as a session's.
    """

    state: str
    since: str | None
    attempts: int
    phrase: str
    next: str
    severity: Literal["ok", "busy", "attention", "error"]
    problem: Problem | None


class Cluster(TypedDict):
    """A place where sessions can run. ``commands`` counts what was run there, the ``looks`` at its scheduler included.

    Both since the daemon began.
    """

    name: str
    scheduler: str
    host: str
    link: ClusterLink
    observed_age_s: float | None
    looks: int
    commands: int


class LoginQuestion(TypedDict):
    """One line to be answered; with ``echo`` the answer may be seen while it is typed."""

    text: str
    echo: bool


class _LoginKind(TypedDict):
    kind: Literal["prompt", "up", "failed"]


class LoginEvent(_LoginKind, total=False):
    """One line of ``POST /v1/clusters/{name}/login``; the last is ``up`` or ``failed``.

    A ``prompt`` has ``id`` (where its answers go), ``title``, ``instructions``, ``questions`` and ``expires_in_s``, the
    seconds that are left for the whole login; one without questions is to be read only. ``failed`` has ``problem``.
    """

    id: str
    title: str
    instructions: str
    questions: list[LoginQuestion]
    expires_in_s: float
    problem: Problem


class LoginAnswers(TypedDict):
    """The body of ``POST /v1/clusters/{name}/login/{id}``: one answer a question, in their order."""

    answers: list[str]


class Check(TypedDict):
    """One thing that was looked at on a cluster, what was found, and what to do about it (may be empty)."""

    what: str
    ok: Literal["ok", "warn", "bad"]
    finding: str
    remedy: str


class Partition(TypedDict):
    """A partition of Slurm or a queue of PBS. ``takes``: jobs can be submitted to it; ``starts``: it lets them begin.

    ``longest_s`` is the longest walltime in seconds, null where there is no limit or none is told. ``text`` says all of
    it in words.
    """

    name: str
    default: bool
    takes: bool
    starts: bool
    longest_s: int | None
    nodes: int | None
    text: str


class Remarks(TypedDict):
    """What a person should know about a choice before it is submitted, a sentence each, or empty."""

    partition: str
    time: str


class Partitions(TypedDict):
    """The partitions or queues of a cluster (``kind``; empty where it has none), as far as they are ``known``.

    ``asking``: the cluster is being asked just now. ``code``, ``why`` and ``hint``: why it cannot be, or could not, and
    what to do, as errors have them. ``usual`` is where a job goes for which nothing is said; empty: that is not known.
    """

    kind: Literal["partition", "queue", ""]
    known: bool
    asking: bool
    age_s: float | None
    usual: str
    partitions: list[Partition]
    code: str
    why: str
    hint: str
    remarks: Remarks
