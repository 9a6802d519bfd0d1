"""Who hears of a transition, and who is cut off."""

from __future__ import annotations

import anyio
import pytest

from sessiond.core.ids import ClusterName
from sessiond.core.link import Link, LinkState
from sessiond.core.machine import create
from sessiond.runtime.bus import WATCHER_LAG, Bus, LinkChanged, News, Published
from tests.core.builders import a_session

pytestmark = pytest.mark.anyio


def news(seq: int) -> Published:
    """A transition."""
    first = create(a_session())
    assert first.record is not None
    return Published(seq=seq, record=first.record, session=first.after)


def number(news: News) -> int:
    """The number of a transition."""
    assert isinstance(news, Published)
    return news.seq


async def test_a_watcher_that_lags_is_cut_off_with_what_it_has() -> None:
    """It gets the first 256 and the end of its stream; one that keeps up gets all, a later one what comes."""
    bus, heard = Bus(), list[int]()
    bus.listen(lambda published: heard.append(published.seq))
    with bus.watch() as slow, bus.watch() as quick:
        seen = []
        for seq in range(1, WATCHER_LAG + 10):
            bus.publish(news(seq))
            seen.append(number(await quick.receive()))
        with bus.watch() as late:
            bus.publish(news(999))
            assert 999 == number(await late.receive())
        assert list(range(1, WATCHER_LAG + 1)) == [number(one) async for one in slow]
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


async def test_links_are_told_to_watchers_alone() -> None:
    """History is about sessions: listeners, who write it, do not hear of links."""
    bus, heard = Bus(), list[Published]()
    bus.listen(heard.append)
    change = LinkChanged(
        at=5.0, before=LinkState.CONNECTING, link=Link(name=ClusterName("frontier"), since=5.0, state=LinkState.UP)
    )
    with bus.watch() as watcher:
        bus.link_changed(change)
        assert change == await watcher.receive()
    assert [] == heard
