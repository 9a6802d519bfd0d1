"""Ports that a test, or a whole test process, has for itself.

The tests run as several processes on one machine, perhaps beside those of another clone. Ports that were merely free a
moment ago may be another test's by the time they are listened on. Those here lie below what the kernel gives by itself
(from 32768 on) and beside what sessions choose (6000 to 9000, and 50000 to 55500 at the user's side).
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import socket
from typing import Final

FIRST, END = 10_000, 32_000
SIZE = 200


class Block:
    """``ports``: neighbours that nobody listens on and no other test takes, until `close` or the end of this process.

    Whoever has them holds an abstract Unix socket that is named after the first one: such names belong to the network
    namespace, as ports do, and the kernel gives them back.
    """

    def __init__(self) -> None:
        starts = range(FIRST, END, SIZE)
        for first in random.SystemRandom().sample(starts, len(starts)):
            ports = range(first, min(first + SIZE, END))
            holder = _held(f"\0the tests of sessiond: ports from {first}")
            if holder is not None and all(map(_is_free, ports)):
                self.ports, self._holder = ports, holder
                return
            if holder is not None:
                os.close(holder)
        raise RuntimeError(f"nowhere from {FIRST} to {END} are {SIZE} ports free")

    def close(self) -> None:
        """Let others have them."""
        os.close(self._holder)


def neighbours(count: int) -> range:
    """So many neighbouring ports of our own that no program has now; others the next time."""
    for _ in OWN:
        found = list(itertools.islice(_turn, count))
        if found[-1] - found[0] == count - 1 and all(map(_is_free, found)):
            return range(found[0], found[-1] + 1)
    raise RuntimeError(f"there are no {count} neighbouring ports from {OWN.start} to {OWN.stop - 1}")


def free_port() -> int:
    """A port of our own that no program has now; another one the next time."""
    return neighbours(1).start


def _held(name: str) -> int | None:
    """A socket of that name, by its number; None where another one has the name."""
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(name)
    except OSError as error:
        holder.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return holder.detach()


def _is_free(port: int) -> bool:
    """Whether nobody listens on it, at any address."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


OWN: Final = Block().ports
"""The ports of this process."""
_turn: Final = itertools.cycle(OWN)
