"""Clocks and streams for the tests of the runtime.

A test that takes the fixture ``virtual`` runs on trio with a clock that jumps to the next moment at which anything
happens (a day passes in the time of its events); ``virtual`` is a `sessiond.runtime.clock.Clock` on it that begins
at `EPOCH`. All others run on asyncio, as the daemon does. Worker threads and real sockets do not hold the virtual
clock: use neither with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from sessiond.store.store import Store

EPOCH = 1_800_000_000.0
"""The virtual clock's first moment, UTC seconds."""


class VirtualClock:
    """The backend's own clock as UTC."""

    def now(self) -> float:
        """UTC seconds since 1970."""
        return EPOCH + anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        await anyio.sleep(max(seconds, 0))


class Sleepy(VirtualClock):
    """A machine that can be suspended: its clock goes on, nothing else does."""

    slept_s = 0.0

    def now(self) -> float:
        """The time, that of its sleep included."""
        return super().now() + self.slept_s


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Trio with a virtual clock for tests that take ``virtual``, else asyncio."""
    if "virtual" in request.fixturenames:
        return "trio", {"clock": MockClock(autojump_threshold=0)}
    return "asyncio", {}


@pytest.fixture
def virtual() -> VirtualClock:
    """The virtual clock of this test."""
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A state database."""
    with closing(Store.open(tmp_path / "state")) as made:
        yield made
