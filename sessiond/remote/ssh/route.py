"""Which ways to a service on a compute node are tried, and in which order. Pure."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address


class Route(StrEnum):
    """A way from the login node to a service on a compute node. The values are stable: they are stored."""

    DIRECT = "direct"
    """The login node opens the node's port."""
    JUMP = "jump"
    """An SSH connection to the node, through the login node, opens the port there."""


AUTO = "auto"
"""The policy to find out which one works."""


def on_login_node(host: str) -> bool:
    """Whether ``host`` is the login node itself: a loopback address, or nothing."""
    if host in ("", "localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def order(policy: str, learned: str, *, unix: bool, jump_barred: bool) -> tuple[Route, ...]:
    """The routes to try, first to last; none where the only one is barred.

    ``policy`` is `AUTO` or a route. With `AUTO`, ``learned`` (a route, or empty) is what last worked and goes first,
    and the direct route without it: it is twice as fast, and asks nothing of the node. A Unix socket (``unix``) can be
    reached on its node alone. ``jump_barred``: an SSH connection to the node failed a moment ago.
    """
    if unix or policy == Route.JUMP:
        wanted: tuple[Route, ...] = (Route.JUMP,)
    elif policy == Route.DIRECT:
        wanted = (Route.DIRECT,)
    elif learned == Route.JUMP:
        wanted = (Route.JUMP, Route.DIRECT)
    else:
        wanted = (Route.DIRECT, Route.JUMP)
    return tuple(route for route in wanted if not (jump_barred and route is Route.JUMP))


def lesson(policy: str, learned: str, worked: Route, *, unix: bool) -> Route | None:
    """What to remember now that ``worked`` worked; None where that is nothing new, or was no choice."""
    if policy != AUTO or unix or worked == learned:
        return None
    return worked
