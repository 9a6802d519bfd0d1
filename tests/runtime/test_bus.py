"""Who hears of a transition, and who is cut off."""

from __future__ import annotations

import anyio
import pytest

from sessiond.core.machine import create
from sessiond.runtime.bus import WATCHER_LAG, Bus, Published
from tests.core.builders import a_session

pytestmark = pytest.mark.anyio


def news(seq: int) -> Published:
    """A transition."""
    first = create(a_session())
    assert first.record is not None
    return Published(seq=seq, record=first.record, session=first.after)


async def test_a_watcher_that_lags_is_cut_off_with_what_it_has() -> None:
    """It gets the first 256 and the end of its stream; one that keeps up gets all, a later one what comes."""
    bus, heard = Bus(), list[int]()
    bus.listen(lambda published: heard.append(published.seq))
    with bus.watch() as slow, bus.watch() as quick:
        seen = []
        for seq in range(1, WATCHER_LAG + 10):
            bus.publish(news(seq))
            seen.append((await quick.receive()).seq)
        with bus.watch() as late:
            bus.publish(news(999))
            assert 999 == (await late.receive()).seq
        assert list(range(1, WATCHER_LAG + 1)) == [published.seq async for published in slow]
    assert [*range(1, WATCHER_LAG + 10)] == seen
    assert [*seen, 999] == heard


async def test_a_watcher_that_has_gone_is_no_trouble() -> None:
    """Its stream is closed before or after it leaves."""
    bus = Bus()
    with bus.watch() as gone:
        gone.close()
        bus.publish(news(1))
    bus.publish(news(2))
    with bus.watch() as here, pytest.raises(anyio.WouldBlock):
        here.receive_nowait()
