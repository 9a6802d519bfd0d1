"""What a way to a machine must offer."""

from __future__ import annotations

from typing import Protocol

from anyio.abc import ByteStream

from sessiond.core.command import Command, Completed
from sessiond.core.session import Endpoint


class Transport(Protocol):
    """A way to one machine (this one, or a cluster's login node)."""

    async def run(self, command: Command) -> Completed:
        """Run ``command`` there and wait for it.

        Raises NotSent where it is proved that it did not start, AnswerLost where it may have run (its deadline
        passed, the connection died). Cancellation ends the command and passes through.
        """

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        """Open a stream to ``endpoint``. Raises NotSent with the precise reason where nothing accepts it."""

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """Up to ``limit`` bytes of the file at ``path`` from ``offset`` on (from the end where negative).

        An absent file is empty. Raises NotSent or AnswerLost like `run`.
        """

    async def size(self, path: str) -> int:
        """How many bytes the file at ``path`` has; 0 where it is absent. Raises NotSent or AnswerLost like `run`."""
