"""How many commands are let through at once, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint

from sessiond.remote.ssh.slots import QUIET_S, Slots

pytestmark = pytest.mark.anyio


class Crowd:
    """Commands that hold a slot until they are told to go."""

    def __init__(self, slots: Slots, tasks: anyio.abc.TaskGroup) -> None:
        self._slots = slots
        self._tasks = tasks
        self.inside: list[str] = []
        self._doors: dict[str, anyio.Event] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}

    async def come(self, *names: str, urgent: bool = False) -> None:
        """Let commands of these names ask for a slot."""
        for name in names:
            self._doors[name] = anyio.Event()
            self._scopes[name] = anyio.CancelScope()
            self._tasks.start_soon(self._hold, name, urgent)
            await settle()

    async def go(self, *names: str, cancelled: bool = False) -> None:
        """Let them end."""
        for name in names:
            if cancelled:
                self._scopes[name].cancel()
            self._doors[name].set()
        await settle()

    async def _hold(self, name: str, urgent: bool) -> None:
        with self._scopes[name]:
            async with self._slots.take(urgent=urgent):
                self.inside.append(name)
                try:
                    await self._doors[name].wait()
                finally:
                    self.inside.remove(name)


async def settle() -> None:
    """Let everybody do what can be done now."""
    for _ in range(10):
        await checkpoint()


@pytest.mark.parametrize(
    ("max_sessions", "ceilings"),
    [(10, [4, 3, 2, 2]), (4, [3, 2, 2]), (2, [1, 1]), (1, [1, 1])],
)
def test_the_ceiling_sinks_to_a_floor(max_sessions: int, ceilings: Sequence[int]) -> None:
    """It begins below what the server allows, at most at four, and sinks by one a refusal, not below two."""
    slots = Slots(max_sessions, lambda: 0.0)
    seen = [slots.ceiling]
    for _ in ceilings[1:]:
        slots.refused()
        seen.append(slots.ceiling)
    assert ceilings == seen


def test_it_rises_again_one_by_one() -> None:
    """One more is tried after each ten quiet minutes; a refusal begins them anew."""
    now = [0.0]
    slots = Slots(10, lambda: now[0])
    slots.refused()
    slots.refused()
    seen = []
    for now[0] in (QUIET_S - 1, QUIET_S, 2 * QUIET_S - 1, 2 * QUIET_S, 9 * QUIET_S):
        seen.append(slots.ceiling)
    assert [2, 3, 3, 4, 4] == seen
    slots.refused()
    now[0] += QUIET_S - 1
    assert 3 == slots.ceiling


async def test_the_last_slot_is_for_urgent_commands() -> None:
    """Ordinary ones wait behind three, in their order; an urgent one finds the fourth free, and goes first."""
    slots = Slots(10, lambda: 0.0)
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(slots, tasks)
        await crowd.come("a", "b", "c", "d", "e")
        assert ["a", "b", "c"] == crowd.inside
        await crowd.come("u1", "u2", urgent=True)
        assert ["a", "b", "c", "u1"] == crowd.inside
        await crowd.go("a")
        assert ["b", "c", "u1", "u2"] == crowd.inside
        await crowd.go("u1")
        assert ["b", "c", "u2"] == crowd.inside
        await crowd.go("b")
        assert ["c", "u2", "d"] == crowd.inside
        await crowd.go("c", "u2", "d", "e")
    assert 0 == slots.busy


async def test_one_that_gives_up_waiting_takes_nothing() -> None:
    """Cancelled while it waits, or in the moment its turn comes, a command leaves its slot to the next."""
    slots = Slots(2, lambda: 0.0)
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(slots, tasks)
        await crowd.come("a", "b", "c", "d")
        await crowd.go("b", cancelled=True)
        await crowd.go("a", "c", cancelled=True)
        assert ["d"] == crowd.inside
        await crowd.go("d")
    assert 0 == slots.busy
