"""The connections of one link: the one that is used, and those that still carry what was begun over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import anyio

from sessiond.remote.transport import Connection
from sessiond.runtime import guard

_CLOSE_S: Final = 5.0


@dataclass(slots=True, eq=False)
class Held:
    """A connection and how many commands run over it now. ``until``: when one that was replaced is closed at last, by
    the event loop's clock."""

    connection: Connection
    commands: int = 0
    until: float = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is open on it."""
        return self.commands == 0 and self.connection.streams == 0


@dataclass(slots=True, eq=False)
class Holdings:
    """What a link holds."""

    current: Held | None = None
    retired: list[Held] = field(default_factory=list)

    def take(self, connection: Connection) -> Held:
        """Use ``connection`` from now on."""
        self.current = held = Held(connection)
        return held

    def retire(self, until: float) -> None:
        """Begin nothing more over the one that is used, and close it when it is idle, or at ``until``."""
        if self.current is not None:
            self.current.until = until
            self.retired.append(self.current)
            self.current = None

    def forget(self, held: Held) -> bool:
        """``held`` is no more; whether it was the one that is used."""
        if held in self.retired:
            self.retired.remove(held)
        if held is not self.current:
            return False
        self.current = None
        return True

    def over(self, now: float) -> list[Connection]:
        """Those that have nothing left to carry, or no time; they are no longer held."""
        done = [held for held in self.retired if held.idle or held.until <= now]
        self.retired = [held for held in self.retired if held not in done]
        return [held.connection for held in done]

    def give_up(self) -> list[Connection]:
        """All of them; none is held any more."""
        left = [*self.retired, *([] if self.current is None else [self.current])]
        self.current, self.retired = None, []
        return [held.connection for held in left]


async def close(connection: Connection) -> None:
    """Close it, come what may."""
    with anyio.move_on_after(_CLOSE_S, shield=True):
        await guard.isolated("closing a connection", connection.aclose)
