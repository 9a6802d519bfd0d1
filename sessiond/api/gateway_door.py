"""What the gateway knows of sessions, and whom it asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sessiond.core.spec import Prefix, Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A session as the gateway sees it at this moment.

    ``upstream`` is the loopback address to dial, ``scheme`` what is spoken there. ``phrase``,
    ``next`` and ``severity`` say what is going on while the session is not ``ready``, or how it ended.
    """

    open_port: int
    session_id: str
    name: str
    ready: bool
    phrase: str
    next: str
    severity: str
    ended: bool
    prefix: Prefix
    scheme: Scheme
    upstream: tuple[str, int] | None


class Doors(Protocol):
    """The sessions, as the daemon provides them. Nothing here may block."""

    def at(self, open_port: int) -> Door | None:
        """The session at an openPort, ended ones included; None where there is none."""
        ...

    def named(self, name: str) -> Door | None:
        """The session of a name, ended ones included; None where there is none."""
        ...

    def carried(self, open_port: int, sent: int, received: int) -> None:
        """Bytes went through: ``sent`` to the service, ``received`` from it."""
        ...

    def failed(self, open_port: int) -> None:
        """The service of a ready session could not be reached just now: worth a look."""
        ...
