"""What a server keeps: jobs, queues, nodes, and the switches that tests turn."""

from __future__ import annotations

from dataclasses import dataclass, field

from .attributes import Attributes

# Substates, as qstat -f shows them.
QUEUED, HELD, DEPENDS, WAITING, PRERUN, RUNNING, SUSPENDED, EXITING = 10, 20, 22, 30, 41, 42, 43, 51
TERMINATED, FINISHED, FAILED = 91, 92, 93


@dataclass(slots=True, kw_only=True)
class Placed:
    """A chunk of a job on a node; ``slot`` is the job's place there, the number behind the slash of exec_host."""

    node: str
    slot: int
    ncpus: int
    mem_kb: int


@dataclass(slots=True, kw_only=True)
class Job:
    """A job with all that is known of it; ``attributes`` are what qstat shows, ``variables`` the -v and -V ones."""

    number: int
    server: str
    user: str
    script: str
    attributes: Attributes
    variables: dict[str, str]
    shell: str = ""
    umask: int = 0o077
    places: list[Placed] = field(default_factory=list)
    # ``[]`` in the id of an array, which can be shown but is not run here
    suffix: str = ""
    # by whom, once somebody deleted it
    deleted: str = ""

    @property
    def id(self) -> str:
        """Such as ``17.login``."""
        return f"{self.number}{self.suffix}.{self.server}"

    @property
    def state(self) -> str:
        """One letter."""
        return self.attributes["job_state"]

    @property
    def run(self) -> int:
        """How many times it has been started."""
        return int(self.attributes.get("run_count", "0"))

    @property
    def is_finished(self) -> bool:
        """Whether it is history."""
        return self.state == "F"

    @property
    def is_on_nodes(self) -> bool:
        """Whether it has places."""
        return self.state in "RSE"


@dataclass(slots=True, kw_only=True)
class Queue:
    """A queue. Zero and an empty list mean that there is no limit."""

    name: str
    enabled: bool = True
    started: bool = True
    max_walltime_s: int = 0
    max_ncpus: int = 0
    max_queued: int = 0
    users: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Node:
    """A compute node; ``is_up`` as the server sees it, which is behind the truth."""

    name: str
    ncpus: int
    mem_kb: int
    is_up: bool = False


@dataclass(slots=True, kw_only=True)
class Switches:
    """How the server behaves; tests change it while it runs. Durations in seconds.

    ``qdel_is_idle``: qdel without force says 0 and ends nothing. ``late_s``: so long a job outlives its walltime.
    ``down_after_s``: so long a node must be silent before the server calls it down; ``requeue_after_s`` later its jobs
    are requeued or, not rerunable, ended. ``deliver_s``: so long a job whose output finds no place stays E.
    ``prolog_s`` and ``epilog_s``: so long a job is R before it starts, E after it ended. ``lost``: what qsub does in
    place of answering, once it has submitted: ``{"status": 1, "said": ""}``, ``{"signal": 9}`` or ``{"hangs": true}``.
    """

    history: bool = True
    scheduling: bool = True
    qdel_is_idle: bool = False
    may_raise_walltime: bool = False
    kill_delay_s: float = 3.0
    late_s: float = 0.5
    down_after_s: float = 1.0
    requeue_after_s: float = 0.5
    deliver_s: float = 3.0
    prolog_s: float = 0.0
    epilog_s: float = 0.0
    walltime: str = "00:30:00"
    lost: dict[str, int | str | bool] = field(default_factory=dict)
