"""What a way to a machine must offer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from anyio.abc import ByteStream

from sessiond.core.command import Command, Completed
from sessiond.core.prompts import Prompt
from sessiond.core.session import Endpoint

Ask = Callable[[Prompt], Awaitable[Sequence[str]]]
"""Put a round of questions to a person and wait for as many answers. Raises where nobody will answer."""


class Transport(Protocol):
    """A way to one machine (this one, or a cluster's login node)."""

    async def run(self, command: Command) -> Completed:
        """Run ``command`` there and wait for it.

        Raises NotSent where it is proved that it did not start, AnswerLost where it may have run (its deadline
        passed, the connection died), Unreadable where it wrote more than can be an answer. Cancellation ends the
        command and passes through.
        """

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        """Open a stream to ``endpoint``. Raises NotSent with the precise reason where nothing accepts it."""

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """Up to ``limit`` bytes of the file at ``path`` from ``offset`` on (from the end where negative).

        An absent file is empty. Raises NotSent or AnswerLost like `run`.
        """

    async def size(self, path: str) -> int:
        """How many bytes the file at ``path`` has; 0 where it is absent. Raises NotSent or AnswerLost like `run`."""


class Accepting(Protocol):
    """A port of a machine's loopback address that is listened on."""

    @property
    def port(self) -> int:
        """Its number."""

    async def accept(self) -> ByteStream:
        """The next connection to it. Not to be called twice at a time."""

    async def lost(self) -> str:
        """Wait until nothing will come any more; returns the reason in words."""

    def close(self) -> None:
        """Begin to free the port. What was accepted goes on. May be called twice."""

    async def aclose(self) -> None:
        """Free the port, and wait for that. May be called twice."""


class Connection(Transport, Protocol):
    """One open connection to a machine, let in. Once lost it stays lost, and its methods raise."""

    async def listen(self, at: Endpoint, port: int) -> Accepting:
        """Have ``port`` listened on at the loopback address of the host of ``at``, and nowhere else.

        Raises PortTaken where another program listens there, NotSent with the precise reason where it cannot be done.
        """

    @property
    def streams(self) -> int:
        """How many streams that `connect` opened are still open."""

    @property
    def worn(self) -> bool:
        """Whether it should give way to a fresh one as soon as it can: too many of its session slots are stuck.
        What is open goes on."""

    async def lost(self) -> str:
        """Wait until the connection is no more; returns the reason in words (empty after `aclose`)."""

    async def aclose(self) -> None:
        """End it, and everything over it. May be called twice."""


class Connector(Protocol):
    """Makes connections to one machine."""

    async def open(self, ask: Ask | None) -> Connection:
        """Connect and be let in, within a bounded time.

        With ``ask`` None nobody is there to be asked: raises NeedsLogin at the first question, unanswered. Raises
        HostDown, HostRefused, AuthDenied, NeedsLogin or HostKeyRefused, each with its remedy as the hint.
        """
