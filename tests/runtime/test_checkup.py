"""A cluster is looked at as a person would by hand: reached, its streams, its slots, and what is there."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from anyio.abc import ByteStream

from sessiond.core.command import Command, Completed
from sessiond.core.errors import AnswerLost, HostDown, NotSent, Unreadable
from sessiond.core.session import Endpoint
from sessiond.remote.local import Local
from sessiond.runtime.checkup import Checkup
from sessiond.runtime.clock import SystemClock
from sessiond.schedulers.check import Finding, Grade
from tests.runtime.scripted import Http

pytestmark = pytest.mark.anyio


class Far:
    """A login node: this machine's commands, behind troubles that are set."""

    def __init__(self) -> None:
        self.here = Local()
        self.dialled: list[Endpoint] = []
        self.running = 0
        self.slots = 10
        self.trouble: Callable[[Command], None] = lambda _command: None
        self.dial: Callable[[], ByteStream] = Http
        self.slow_s = 0.0

    async def run(self, command: Command) -> Completed:
        self.running += 1
        try:
            if self.running > self.slots:
                raise NotSent("the login node refuses another session (open failed)")
            self.trouble(command)
            await anyio.sleep(self.slow_s)
            return await self.here.run(command)
        finally:
            self.running -= 1

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        self.dialled.append(endpoint)
        return self.dial()

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        return await self.here.read(path, offset, limit)

    async def size(self, path: str) -> int:
        return await self.here.size(path)


async def found(far: Far, ssh_port: int | None = 22) -> dict[str, Finding]:
    """What a checkup of ``far`` finds, by what it is about."""
    checkup = Checkup(
        far,
        SystemClock(),
        scheduler="none",
        workdir="~",
        setup="",
        ssh_port=ssh_port,
        ours=(),
        proved_shared=False,
    )
    return {one.what: one for one in await checkup.run()}


async def test_a_cluster_where_all_is_well() -> None:
    """Everything is looked at, once; the stream goes to its own SSH server."""
    far = Far()
    names = ["reach", "forwarding", "slots", "shell", "clock", "tools", "workdir", "space", "linger"]
    assert names == list(await found(far, 2222))
    assert [("127.0.0.1", 2222)] == [(one.host, one.port) for one in far.dialled]


async def test_this_machine_is_not_asked_for_streams() -> None:
    """It has no connection that could refuse them."""
    far = Far()
    assert "forwarding" not in await found(far, None)
    assert [] == far.dialled


async def test_one_that_is_not_reached_says_that_alone() -> None:
    """With the link's own reason and remedy."""

    def down(_command: Command) -> None:
        raise HostDown("frontier does not answer", hint="is the VPN up?")

    far = Far()
    far.trouble = down
    expected = Finding(what="reach", grade=Grade.BAD, text="frontier does not answer", remedy="is the VPN up?")
    assert {"reach": expected} == await found(far)


@pytest.mark.parametrize(
    ("reason", "grade"),
    [
        ("administratively prohibited", Grade.BAD),
        ("Administratively Prohibited: open failed", Grade.BAD),
        ("connection refused", Grade.OK),
    ],
)
async def test_a_server_that_forwards_nothing(reason: str, grade: Grade) -> None:
    """Is told from one that tried and found nobody."""

    def dial() -> ByteStream:
        raise NotSent(reason)

    far = Far()
    far.dial = dial
    one = (await found(far))["forwarding"]
    assert (grade, grade is Grade.BAD) == (one.grade, "AllowTcpForwarding" in one.remedy)


async def test_few_slots() -> None:
    """Commands that are refused beside each other are counted."""
    far = Far()
    far.slots, far.slow_s = 3, 0.2
    one = (await found(far))["slots"]
    assert (Grade.WARN, True) == (one.grade, one.text.startswith("of 4 commands at once 1 were refused: "))


@pytest.mark.parametrize(
    ("error", "words"),
    [(AnswerLost("sh did not finish"), "try again"), (Unreadable("sh: too much"), "login there prints")],
)
async def test_a_look_without_an_answer(error: Exception, words: str) -> None:
    """Is itself a finding; what was found before it stays."""

    def fail(command: Command) -> None:
        if command.argv[0] == "sh":
            raise error

    far = Far()
    far.trouble = fail
    made = await found(far)
    assert ["reach", "forwarding", "slots", "commands"] == list(made)
    assert (Grade.BAD, True) == (made["commands"].grade, words in made["commands"].remedy)
