"""What systemd offers a service: readiness, status, a watchdog, and sockets that were opened for it.

The protocols are those of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3) of systemd 252. Without systemd
nothing here does anything, and nothing here raises. The variables are taken out of the environment, so that the
sessions the daemon starts do not think they were meant.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

_FIRST_FD = 3
"""SD_LISTEN_FDS_START: passed descriptors follow the standard ones."""
_FDS_LIMIT = 1024
_SEND_LIMIT_S = 1.0
_STATUS_LIMIT = 512


class Notifier:
    """Tells the service manager how the daemon is; each method says whether the message was delivered."""

    def __init__(self, env: MutableMapping[str, str] = os.environ) -> None:
        """Take ``NOTIFY_SOCKET`` out of ``env``: a path, or an abstract name written with a leading ``@``."""
        address = env.pop("NOTIFY_SOCKET", "")
        self._address = address if address[:1] in {"/", "@"} else ""
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]

    def __bool__(self) -> bool:
        """Whether there is a service manager to talk to."""
        return bool(self._address)

    def ready(self, status: str) -> bool:
        """The daemon serves requests (after the start, and after a reload)."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``."""
        return self._send(_status(text))

    def reloading(self) -> bool:
        """The configuration is being read again; `ready` must follow."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> bool:
        """The daemon is about to exit."""
        return self._send("STOPPING=1")

    def watchdog(self) -> bool:
        """The daemon is alive; due more often than every `watchdog_interval_s` seconds."""
        return self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                # a manager that does not read must not hold the event loop for longer than this
                notify.settimeout(_SEND_LIMIT_S)
                notify.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except (OSError, ValueError):
            # the manager is gone, or the name cannot be an address: there is nobody to tell, and the daemon goes on
            return False
        return True


def watchdog_interval_s(env: MutableMapping[str, str] = os.environ) -> float | None:
    """The longest time between two watchdog messages in seconds; None if nobody watches this process.

    Half of what the manager allows, as sd_watchdog_enabled(3) advises. Takes ``WATCHDOG_USEC`` and ``WATCHDOG_PID``.
    """
    allowed, pid = _number(env.pop("WATCHDOG_USEC", "")), env.pop("WATCHDOG_PID", "")
    if not allowed or (pid and _number(pid) != os.getpid()):
        return None
    return allowed / 2_000_000


def listen_sockets(env: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The sockets the manager opened for this process, in its order, closed on exec from now on.

    Takes ``LISTEN_PID``, ``LISTEN_FDS`` and ``LISTEN_FDNAMES``. Passed descriptors that are no sockets are left out.
    """
    pid, count = _number(env.pop("LISTEN_PID", "")), _number(env.pop("LISTEN_FDS", ""))
    env.pop("LISTEN_FDNAMES", None)
    if pid != os.getpid() or not count:
        return []
    found: list[socket.socket] = []
    for descriptor in range(_FIRST_FD, _FIRST_FD + min(count, _FDS_LIMIT)):
        try:
            os.set_inheritable(descriptor, False)
            found.append(socket.socket(fileno=descriptor))
        except OSError:
            # not open, or not a socket: nothing we could listen on
            continue
    return found


def _status(text: str) -> str:
    """A line feed would begin another assignment, so that a session's name could say MAINPID=1."""
    return f"STATUS={' '.join(text.split())[:_STATUS_LIMIT]}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
