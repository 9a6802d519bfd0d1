"""Ports that this test process has for itself.

The tests run as several processes on one machine, perhaps beside those of another clone, and each looks for ports that
are free. A port that one process has just closed must not be another's a moment later.
"""

from __future__ import annotations

import errno
import itertools
import socket
from typing import Final

_FIRST, _END, _SHARE = 20000, 32000, 200
"""Below what the kernel gives by itself (from 32768 on), beside what sessions take (6000 to 9000, 50000 to 55500)."""


def _share() -> range:
    """Neighbouring ports that no other test process is given while this one lives.

    The lock is an abstract socket: it goes with its process, and belongs to the network namespace, as ports do.
    """
    for first in range(_FIRST, _END, _SHARE):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0the tests of sessiond: ports from {first}")
        except OSError as error:
            lock.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            lock.detach()  # until the process ends
            return range(first, first + _SHARE)
    raise AssertionError("other test processes have all ports")


OWN: Final = _share()
_turn = itertools.cycle(OWN)


def neighbours(count: int) -> range:
    """So many neighbouring ports of our own that no program has now; others the next time."""
    for _ in OWN:
        found = list(itertools.islice(_turn, count))
        if found[-1] - found[0] == count - 1 and all(map(_is_free, found)):
            return range(found[0], found[-1] + 1)
    raise AssertionError(f"there are no {count} neighbouring ports from {OWN.start} to {OWN.stop - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
