"""What a session was asked to be: resolved at creation and frozen for its life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sessiond.core.ids import ClusterName


class Mode(StrEnum):
    """Where the service runs."""

    LOCAL = "local"
    CONTROLLER = "controller"
    SLURM = "slurm"
    PBS = "pbs"


class Prefix(StrEnum):
    """What the gateway does with ``/me/<openPort>`` before it asks the service."""

    STRIP = "strip"
    """The service serves root-relative paths (the contract of service folders)."""
    KEEP = "keep"
    """The service was started with ``/me/<openPort>/`` as its base URL and wants to see it."""


class Scheme(StrEnum):
    """What a service speaks."""

    HTTP = "http"
    HTTPS = "https"

    @property
    def root(self) -> str:
        """What the service's public path begins with: ``/me/<openPort>/``, or ``/sme/<openPort>/``."""
        return "sme" if self is Scheme.HTTPS else "me"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How to ask a service whether it is ready: any HTTP answer below 500 is a yes.

    ``path`` is relative to the service's root; ``kind`` "tcp" takes an accepted connection for a yes.
    """

    kind: str = "http"
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFile:
    """One file of a service folder as it was when the session was created; ``path`` is relative to the folder."""

    path: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A service folder, read whole, so that a later edit never alters a live session."""

    name: str
    title: str
    files: tuple[ServiceFile, ...]
    prefix: Prefix = Prefix.STRIP
    scheme: Scheme = Scheme.HTTP
    probe: Probe = field(default_factory=Probe)
    ready_within_s: float = 600.0

    def file(self, path: str) -> ServiceFile | None:
        """The file at ``path``, or None."""
        return next((f for f in self.files if f.path == path), None)


class Listen(StrEnum):
    """Where a service is to listen, if it can choose."""

    LOOPBACK = "loopback"
    """At 127.0.0.1 of the host where it runs."""
    ANY = "any"
    """At every address of that host: the login node connects to it over the cluster's network."""
    SOCKET = "socket"
    """On a Unix socket in a folder of the user's own, so that nobody else on that host can connect; services that
    cannot listen there listen at 127.0.0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What is asked of the scheduler; what is empty or None is left to it.

    ``nodes`` and ``tasks`` and ``cpus`` (a task) are counts, ``memory`` an amount a node as the scheduler writes it
    (``16G``), ``gpus`` a count or ``type:count``. ``extra`` are directives as people wrote them, without ``#SBATCH``.
    """

    walltime_s: int | None = None
    partition: str = ""
    account: str = ""
    qos: str = ""
    nodes: int | None = None
    tasks: int | None = None
    cpus: int | None = None
    memory: str = ""
    gpus: str = ""
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """A licence server that a session's programs ask. ``variable`` names it to them.

    It tells them further ports by their numbers alone, so each of ``ports`` (the server's first) must have the same
    number on the loopback address of wherever the session runs. ``host`` is where the server is, as the workspace
    reaches it; empty: the workspace itself. A session's start waits for the ports for ``wait_s`` seconds at most.
    """

    variable: str
    ports: tuple[int, ...]
    host: str = ""
    wait_s: int = 60

    @property
    def value(self) -> str:
        """What the variable says: the first port, where the session runs."""
        return f"{self.ports[0]}@localhost"

    def is_there(self, mode: Mode) -> bool:
        """Whether the ports are there anyhow, with nothing done: the session runs where the server is."""
        return mode is Mode.LOCAL and not self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """Everything that decides how a session is started.

    ``params`` are the variables a template sees, names already flattened, values data (never shell code).
    ``secrets`` are like them, but live in a 0600 file and appear in no log, record or listing.
    ``authored`` names those of both that a form's author wrote: text that means what it means between double quotes.
    ``urlend`` is where in the service the browser lands, as its url.sh said it; it may carry a secret.
    ``jobdir`` is the session's folder on the execution host and ``setup`` lines put before every script there.
    ``host`` is the cluster's login node as it was configured; empty for this machine.
    ``listen`` is where the service should listen, and ``licence`` whose licences its programs use.
    ``max_wait_s``: a job that has had no node for so long is given up; None: it may wait for ever.
    """

    service: ServiceSpec
    workflow: str
    cluster: ClusterName
    mode: Mode
    user: str
    jobdir: str
    host: str = ""
    params: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    resources: Resources = field(default_factory=Resources)
    setup: str = ""
    listen: Listen = Listen.LOOPBACK
    authored: tuple[str, ...] = ()
    licence: Licence | None = None
    max_wait_s: float | None = None
    urlend: str = field(default="", repr=False)

    @property
    def ready_within_s(self) -> float:
        """How long the service may take to answer, from when its script said where it will listen; it may have to
        wait for licences first."""
        waits_s = self.licence.wait_s if self.licence is not None else 0
        return self.service.ready_within_s + waits_s
