"""Where the gateway listens: the configured address if it can be had, and the same one after every restart."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sessiond.core.errors import StateError


class Facts(Protocol):
    """The part of the store that remembers the port."""

    def fact(self, key: str) -> str | None:
        """What was kept under ``key``."""

    def set_fact(self, key: str, value: str) -> None:
        """Keep ``value``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDoor:
    """A bound socket, its ``host:port``, and what to know about it."""

    socket: socket.socket
    address: str
    warnings: tuple[str, ...]


@contextlib.contextmanager
def gateway_socket(host: str, port: int, facts: Facts, what: str = "gateway") -> Iterator[GatewayDoor]:
    """Bind the port of ``what``: the one used last time, else the configured one, else a free one.

    Several people on one machine may have the same configuration; the first gets the port, the others keep a free
    one for good, so that their URLs stay the same too. Raises StateError where no port can be had.
    """
    key = f"{what} {host}:{port}"
    remembered = facts.fact(key)
    wishes = [int(remembered)] if remembered is not None and remembered.isdigit() else []
    wishes += [wish for wish in (port, 0) if wish not in wishes]
    bound, reasons = _first_bound(host, wishes)
    if bound is None:
        raise StateError(
            f"the {what} cannot listen on {host}: {'; '.join(reasons)}",
            hint='set gateway in config.toml, or "" for none',
        )
    with contextlib.closing(bound):
        actual = int(bound.getsockname()[1])
        if remembered != str(actual):
            facts.set_fact(key, str(actual))
        warnings: tuple[str, ...] = ()
        if port not in (0, actual):
            warnings = (f"port {port} was held by another program, so the {what} listens on {actual}, and will again",)
        shown = f"[{host}]" if ":" in host else host
        yield GatewayDoor(socket=bound, address=f"{shown}:{actual}", warnings=warnings)


def _first_bound(host: str, wishes: list[int]) -> tuple[socket.socket | None, list[str]]:
    reasons: list[str] = []
    for wish in wishes:
        candidate = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, wish))
            candidate.listen(128)
        except OSError as error:
            candidate.close()
            reasons.append(f"port {wish}: {error.strerror or error}")
        else:
            return candidate, reasons
    return None, reasons
