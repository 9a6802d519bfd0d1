"""The configuration as the daemon uses it; every default stands here, and config.toml explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sessiond.core.ids import ClusterName

LOCAL = ClusterName("local")
"""The cluster that always exists: this machine."""


class Scheduler(StrEnum):
    """Who starts jobs on a cluster."""

    SLURM = "slurm"
    PBS = "pbs"
    NONE = "none"


class Route(StrEnum):
    """How a port of a compute node is reached."""

    AUTO = "auto"
    DIRECT = "direct"
    """The login node opens a connection to node:port."""
    JUMP = "jump"
    """ssh to the node through the login node."""


class Login(StrEnum):
    """How the daemon proves who it is."""

    KEY = "key"
    INTERACTIVE = "interactive"
    """A password or a second factor is asked through ``sessionctl login``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where the browser's door listens: a loopback address; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8700


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """The ports from ``first`` to ``last``, both included."""

    first: int = 50000
    last: int = 55500


NAMED_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})
"""Where names below localhost lead to; to no other address of loopback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """The daemon itself. ``gateway`` None: no door for browsers. ``services_dirs`` are absolute.

    ``own_origins``: URLs have a host name for each session, which makes it an origin of its own to browsers.
    """

    gateway: Gateway | None = field(default_factory=Gateway)
    own_origins: bool = False
    ports: PortRange = field(default_factory=PortRange)
    services_dirs: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyConfig:
    """A command run for news, with ``{title}`` and ``{text}`` in its words; empty: none."""

    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleConfig:
    """End a session whose tunnel carried nothing for ``after_s`` seconds (0: never), warning ``warn_s`` before."""

    after_s: float = 0.0
    warn_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """This machine: no connection is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """How a login node is reached. What is None or empty is taken from ``~/.ssh/config``."""

    host: str
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    identity_files: tuple[str, ...] = ()
    known_hosts: str | None = None
    login: Login = Login.KEY
    route: Route = Route.AUTO
    max_sessions: int = 10
    """sshd's ``MaxSessions`` there; 10 is OpenSSH's default (sshd_config(5), 9.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """One place where sessions run.

    ``workdir`` is a folder on the execution host, ``~`` its home. ``poll_s``: the scheduler is never asked more often.
    ``setup``: shell lines put before every script there. ``defaults``: form values, keys already shell identifiers.
    """

    name: ClusterName
    transport: Local | Ssh
    scheduler: Scheduler = Scheduler.SLURM
    workdir: str = "~"
    poll_s: float = 15.0
    setup: str = ""
    defaults: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def this_machine() -> ClusterConfig:
    """``clusters.local`` as it is when the file says nothing about it; looking at processes is cheap, so often."""
    return ClusterConfig(name=LOCAL, transport=Local(), scheduler=Scheduler.NONE, poll_s=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything in config.toml. ``warnings``: a sentence about each thing that was understood but has no effect."""

    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    idle: IdleConfig = field(default_factory=IdleConfig)
    clusters: Mapping[ClusterName, ClusterConfig] = field(
        default_factory=lambda: MappingProxyType({LOCAL: this_machine()})
    )
    warnings: tuple[str, ...] = ()

    @property
    def local(self) -> ClusterConfig:
        """This machine."""
        return self.clusters[LOCAL]
