"""Where a person's command runs, for tests of what is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from sessiond.core.command import Command, Completed
from tests.runtime.scripted import ScriptedCluster

COMMAND = ("say", "{title}", "{text}")


@dataclass
class Here(ScriptedCluster):
    """This machine, where the command runs; ``does`` is called with each notice and may raise."""

    said: list[tuple[str, ...]] = field(default_factory=list)
    does: Callable[[], None] = lambda: None
    takes_s: float = 0.0
    rc: int = 0

    async def run(self, command: Command) -> Completed:
        assert 10.0 == command.timeout_s
        self.said.append(command.argv)
        self.does()
        await anyio.sleep(self.takes_s)
        return Completed(rc=self.rc, stdout=b"", stderr=b"cannot open\n display")

    @property
    def titles(self) -> list[str]:
        """The notices' titles so far."""
        return [argv[1] for argv in self.said]


def refuse(error: Exception) -> None:
    """Raise ``error``."""
    raise error
