"""The words of the API: what its JSON looks like, for the daemon and its clients alike. Types only, no imports at
run time, because sessionctl must answer the Tab key.

Times are RFC 3339 in UTC (``2026-01-31T09:30:00.123Z``); what is unknown is null.
"""

from __future__ import annotations

from typing import Final, Literal, TypedDict

API: Final = "/v1"

EXIT_STATUS: Final[dict[str, int]] = {
    "bad-request": 2,
    "not-found": 3,
    "needs-login": 4,
    "auth-denied": 4,
    "host-key": 4,
    "no-daemon": 5,
    "refused": 6,
    "conflict": 6,
    "too-many": 6,
    "config": 6,
    "bad-service": 6,
    "unreachable": 1,
    "state-full": 75,
    "busy": 75,
}
"""What sessionctl exits with for an error's code; 1 for any other."""


class Error(TypedDict):
    """Why a request was not done; ``hint`` says what to do, and may be empty."""

    code: str
    message: str
    hint: str


class ErrorBody(TypedDict):
    """The body of every answer with a status of 400 or above."""

    error: Error


class Problem(TypedDict):
    """The last thing that went wrong with a session."""

    code: str
    message: str
    hint: str


class Link(TypedDict):
    """The connection to a session's cluster; for this machine always ``up``."""

    state: str
    since: str | None


class Licence(TypedDict):
    """Whose licences a session's programs use, in words (``text``); ``ports`` lead to those of ``host`` (null: of the
    workspace). They are ``open`` where it runs, or it does not run yet, or ``problem`` says why not."""

    text: str
    variable: str
    value: str
    ports: list[int]
    host: str | None
    open: bool
    problem: Problem | None


class Session(TypedDict):
    """A session, as ``ls --json`` and ``show --json`` print it.

    ``phrase`` is the state in words, ``next`` what happens or what to do next (may be empty). ``url`` opens the session
    in a browser. The service listens on ``service_port`` of its host, or on the Unix socket ``service_path`` there.
    At ``idle_ends_by`` it is ended unless somebody uses it.
    """

    id: str
    name: str
    number: int
    service: str
    workflow: str
    cluster: str
    mode: str
    state: str
    outcome: str | None
    phrase: str
    next: str
    severity: Literal["ok", "busy", "attention", "error"]
    since: str
    url: str | None
    open_port: int
    service_port: int | None
    service_path: str | None
    node: str | None
    job_id: str | None
    job_phase: str | None
    queue_reason: str | None
    expected_start: str | None
    ends_by: str | None
    idle_ends_by: str | None
    attempt: int
    problem: Problem | None
    link: Link
    licence: Licence | None
    observed_age_s: float | None
    folder: str
    created: str
    ended: str | None


class StartRequest(TypedDict, total=False):
    """The body of ``POST /v1/sessions`` and ``POST /v1/plan``; only ``service`` is required.

    ``service`` may be a workflow's name. ``set`` holds KEY -> VALUE as typed; ``time`` is HH:MM:SS (or MM:SS, or
    minutes), ``max_wait`` a length of time such as ``2h``. With ``again``, what is not said is as it was the last time.
    """

    service: str
    cluster: str
    mode: str
    name: str
    set: dict[str, str]
    time: str
    directives: list[str]
    max_wait: str
    again: bool


class StopRequest(TypedDict, total=False):
    """The body of ``POST /v1/sessions/{name}/stop``: ``force`` does not wait for the service's kill script."""

    force: bool


class ExtendRequest(TypedDict):
    """The body of ``POST /v1/sessions/{name}/extend``: a length of time such as ``+30m`` or ``+01:30:00``."""

    by: str


class Extended(TypedDict):
    """What the scheduler granted, in words, and the session as it was known then."""

    text: str
    session: Session


class SshAccess(TypedDict):
    """What a program needs to log in where a session runs.

    ``host``, ``port``, ``user``, ``identity_files`` and ``known_hosts`` are the configuration's for its cluster's login
    node, null or empty where it says nothing, or for this machine. ``node`` is the compute node, null where the session
    runs on the login node itself; ``host_keys`` are that node's, each ``TYPE BASE64``, as the session found them there.
    """

    id: str
    name: str
    cluster: str
    mode: str
    host: str | None
    port: int | None
    user: str | None
    node: str | None
    identity_files: list[str]
    known_hosts: str | None
    host_keys: list[str]
    folder: str


class Rendered(TypedDict):
    """The scripts of a session as they were sent to its ``folder``, by their path there, without secrets."""

    folder: str
    files: dict[str, str]


class Plan(TypedDict):
    """What would be done: rendered files by their path in the session's folder, the command that submits, the ports.

    ``scheduler`` is what the scheduler says to it, which submits nothing, ``licences`` says which ports would lead to
    whose licences; both empty where there are none.
    """

    service: str
    cluster: str
    mode: str
    folder: str
    files: dict[str, str]
    submit: str
    scheduler: str
    ports: dict[str, str]
    licences: str
    url: str


class Event(TypedDict):
    """One line of ``GET /v1/events``: one transition of one session. ``text`` says it in words.

    Where ``event`` is ``Link`` it is about a cluster's link, and ``session`` and ``name`` are empty.
    """

    seq: int
    at: str
    event: str
    session: str
    name: str
    cluster: str
    from_state: str | None
    to_state: str
    actions: list[str]
    job: str | None
    node: str | None
    problem: Problem | None
    text: str


class StoryLine(TypedDict):
    """One thing that happened to a session, in words."""

    at: str
    text: str
    state: str


class Story(TypedDict):
    """The whole story of a session. ``evidence`` is what is known of why it ended, or cannot be reached, a sentence
    each; ``log`` holds the last lines of its own output where it ended badly, or never came to answer."""

    session: Session
    lines: list[StoryLine]
    next: str
    evidence: list[str]
    log: list[str]


class Bundle(TypedDict):
    """Everything for somebody who is to help, without secrets: the story, and files by their path."""

    story: Story
    files: dict[str, str]
