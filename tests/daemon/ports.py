"""Ports of this machine that one test has to itself, whoever runs other tests beside it."""

from __future__ import annotations

import contextlib
import random
import socket

from . import traces

# below the ports that the kernel gives to outgoing connections and above those that services choose
FIRST, LAST = 10_000, 32_000
SIZE = 64


class Block:
    """``ports`` that nobody listens on and no other test takes, until `close` or the end of this process.

    Whoever has them holds an abstract Unix socket that is named after the first one: such names belong to the network
    namespace, as ports do, and the kernel gives them back. Ports that were merely free a moment ago may be another
    test's by the time they are listened on.
    """

    def __init__(self) -> None:
        starts = range(FIRST, LAST - SIZE, SIZE)
        for first in random.SystemRandom().sample(starts, len(starts)):
            holder = _held(f"\0sessiond-tests-{first}")
            if holder is None:
                continue
            self.ports = range(first, first + SIZE)
            if traces.listening().isdisjoint(self.ports):
                self._holder = holder
                return
            holder.close()
        raise RuntimeError(f"nowhere from {FIRST} to {LAST} are {SIZE} ports free")

    def close(self) -> None:
        """Let others have them."""
        self._holder.close()


def _held(name: str) -> socket.socket | None:
    """A socket with a name, None where another one has it."""
    with contextlib.ExitStack() as stack:
        holder = stack.enter_context(socket.socket(socket.AF_UNIX))
        try:
            holder.bind(name)
        except OSError:
            return None
        stack.pop_all()
        return holder
