"""A keeper of a link at work, with a scripted connector, and somebody who answers what it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from structlog.testing import capture_logs
from structlog.typing import EventDict

from sessiond.core.command import Command
from sessiond.core.ids import ClusterName
from sessiond.core.link import Link, LinkState
from sessiond.core.prompts import Prompt, Question
from sessiond.core.session import Endpoint
from sessiond.runtime.link import LinkKeeper
from sessiond.runtime.linked import Linked
from tests.runtime.conftest import VirtualClock
from tests.runtime.connector import ScriptedConnector

FRONTIER = ClusterName("frontier")
HOUR = 3600.0
DAY = 24 * HOUR
PASSWORD = Prompt(title="frontier", questions=(Question(text="Password: "),))
CODE = Prompt(questions=(Question(text="Code: ", echo=True),))
WHERE = Endpoint(run="1.0", host="n1", port=6001)
LS = Command(argv=("ls",))


@dataclass
class Home:
    """A keeper at work."""

    group: TaskGroup
    connector: ScriptedConnector
    keeper: LinkKeeper
    seen: list[Link]
    logs: list[EventDict]
    wanted: bool = True
    changed: anyio.Event = field(default_factory=anyio.Event)

    def hears(self, link: Link) -> None:
        """The link changed."""
        self.seen.append(link)
        self.changed.set()

    @property
    def linked(self) -> Linked:
        """The cluster through it."""
        return Linked(self.keeper)

    async def reaches(self, state: LinkState, within_s: float = 60.0) -> None:
        """Wait for a state."""
        with anyio.fail_after(within_s):
            while self.keeper.link.state is not state:
                self.changed = anyio.Event()
                await self.changed.wait()

    def told(self) -> list[str]:
        """What was logged."""
        return [line["event"] for line in self.logs]


@asynccontextmanager
async def home(
    clock: VirtualClock, connector: ScriptedConnector, *, wanted: bool = True, attended: bool = False
) -> AsyncIterator[Home]:
    """A keeper that runs until the block ends."""
    with capture_logs() as logs:
        async with anyio.create_task_group() as group:
            keeper = LinkKeeper(
                FRONTIER,
                connector,
                clock,
                lambda: here.wanted,
                lambda link: here.hears(link),
                attended=attended,
                salt="x",
            )
            here = Home(group, connector, keeper, [], logs, wanted)
            group.start_soon(keeper.run)
            await anyio.sleep(0.001)  # it has begun
            yield here
            group.cancel_scope.cancel()
    assert all(connection.closed for connection in connector.made)
    assert connector.most_at_once <= 1
    assert keeper.link.state in (LinkState.IDLE, LinkState.NEEDS_LOGIN, LinkState.BLOCKED)


class Person:
    """Answers rounds of questions, or waits for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> Sequence[str]:
        """As `Ask`."""
        self.asked.append(prompt)
        if not self.answers:
            await anyio.sleep_forever()
        return [self.answers.pop(0)]
